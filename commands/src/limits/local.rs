//! Counters of this process alone.
use std::{collections::HashMap, time::Instant};

use parking_lot::Mutex;

use super::{Counted, Counter};

/// Counters kept at a time. Beyond that the finished ones are dropped, and if that is not enough
/// all of them: memory is worth more than a limit.
const MOST: usize = 100_000;

#[derive(Default)]
pub(super) struct Local(Mutex<HashMap<String, Window>>);

#[derive(Clone, Copy)]
struct Window {
    used: u32,
    ends: Instant,
}

impl Local {
    pub(super) fn count(&self, counters: &[Counter], now: Instant) -> Counted {
        let mut windows = self.0.lock();
        if windows.len() + counters.len() > MOST {
            windows.retain(|_, window| window.ends > now);
            if windows.len() + counters.len() > MOST {
                windows.clear();
            }
        }
        let current = |windows: &HashMap<String, Window>, counter: &Counter| {
            windows.get(&counter.key).copied().filter(|window| window.ends > now)
        };
        let fits = counters.iter().all(|counter| {
            current(&windows, counter).is_none_or(|window| window.used < counter.rate.quota)
        });
        let counters = counters.iter().map(|counter| {
            let fresh = Window { used: 0, ends: now + counter.rate.window };
            let mut window = current(&windows, counter).unwrap_or(fresh);
            if fits {
                window.used += 1;
                windows.insert(counter.key.clone(), window);
            }
            (window.used, window.ends.duration_since(now))
        });
        let counters = counters.collect();
        Counted { fits, counters }
    }

    pub(super) fn used(&self, key: &str, now: Instant) -> u32 {
        let windows = self.0.lock();
        windows.get(key).filter(|window| window.ends > now).map_or(0, |window| window.used)
    }

    pub(super) fn forget(&self, key: &str) {
        self.0.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::config::Rate;

    use super::*;

    fn counter(key: &str, quota: u32) -> Counter {
        let rate = Rate { quota, window: Duration::from_mins(1) };
        Counter { key: key.to_owned(), rate }
    }

    #[test]
    fn so_many_pass_within_a_window() {
        let (local, now) = (Local::default(), Instant::now());
        let fits = |at| local.count(&[counter("a", 3)], at).fits;
        assert!(fits(now) && fits(now) && fits(now));
        assert!(!fits(now) && !fits(now + Duration::from_secs(59)));
        assert!(fits(now + Duration::from_mins(1)));
    }

    #[test]
    fn what_is_refused_moves_nothing() {
        let (local, now) = (Local::default(), Instant::now());
        assert!(local.count(&[counter("account", 1)], now).fits);
        for _ in 0..5 {
            assert!(!local.count(&[counter("account", 1), counter("address", 2)], now).fits);
        }
        let left = local.count(&[counter("address", 2)], now);
        assert_eq!((left.fits, left.counters[0].0), (true, 1));
    }

    #[test]
    fn a_counter_can_be_looked_at_and_forgotten() {
        let (local, now) = (Local::default(), Instant::now());
        assert_eq!(local.used("a", now), 0);
        local.count(&[counter("a", 3)], now);
        assert_eq!(local.used("a", now), 1);
        assert_eq!(local.used("a", now + Duration::from_mins(1)), 0);
        local.forget("a");
        assert_eq!(local.used("a", now), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let (local, now) = (Local::default(), Instant::now());
        for n in 0..=MOST {
            local.count(&[counter(&n.to_string(), 1)], now);
        }
        assert!(local.0.lock().len() <= MOST);
    }
}
