//! How long to wait before trying again.

use std::time::Duration;

/// Exponential backoff with full jitter: the n-th delay is anywhere between nothing and
/// `min · 2ⁿ`, at most `max`, so that many who failed together do not come back together.
/// Source: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    bound: Duration,
}

impl Backoff {
    /// The first delay is at most `min`, every delay at most `max`.
    #[must_use]
    pub fn new(min: Duration, max: Duration) -> Self {
        let min = min.min(max);
        Self { min, max, bound: min }
    }

    /// The delay before the next try. The bound of the one after is twice as long.
    pub fn next_delay(&mut self) -> Duration {
        let bound = self.bound;
        self.bound = bound.saturating_mul(2).min(self.max);
        bound.mul_f64(rand::random_range(0.0..=1.0))
    }

    /// Starts again from the shortest bound: it worked.
    pub fn reset(&mut self) {
        self.bound = self.min;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(10);
    const MAX: Duration = Duration::from_millis(100);

    #[test]
    fn delays_stay_below_bounds_that_double_up_to_the_longest() {
        for _ in 0..200 {
            let mut backoff = Backoff::new(MIN, MAX);
            for bound in [10, 20, 40, 80, 100, 100] {
                assert!(backoff.next_delay() <= Duration::from_millis(bound));
            }
        }
    }

    #[test]
    fn a_reset_starts_again_from_the_shortest() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..10 {
            let _ = backoff.next_delay();
        }
        backoff.reset();
        assert!(backoff.next_delay() <= MIN);
    }

    #[test]
    fn delays_use_the_whole_range() {
        let mut backoff = Backoff::new(MAX, MAX);
        let delays: Vec<_> = (0..500).map(|_| backoff.next_delay()).collect();
        assert!(delays.iter().any(|delay| *delay < MAX / 4));
        assert!(delays.iter().any(|delay| *delay > MAX * 3 / 4));
    }

    #[test]
    fn endless_bounds_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(u64::MAX / 4));
        for _ in 0..200 {
            let _ = backoff.next_delay();
        }
    }
}
