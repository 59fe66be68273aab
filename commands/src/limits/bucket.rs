//! A token bucket for one socket: a burst up to the quota, then as fast as the quota comes back.
use std::time::{Duration, Instant};

use platform::config::Rate;

/// Tokens of one socket.
#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    /// Tokens there were at `at`.
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.quota), at: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long until there is one.
    pub fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let (most, window) = (f64::from(self.rate.quota), self.rate.window.as_secs_f64());
        let come_back = now.saturating_duration_since(self.at).as_secs_f64() * most / window;
        self.tokens = (self.tokens + come_back).min(most);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) * window / most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let now = Instant::now();
        let rate = Rate { quota: 10, window: Duration::from_secs(10) };
        let mut bucket = Bucket::full(rate, now);
        for _ in 0..10 {
            assert_eq!(bucket.take(now), Ok(()));
        }
        let wait = bucket.take(now).unwrap_err();
        assert!(wait > Duration::from_millis(990) && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(bucket.take(now + Duration::from_millis(500)).is_err());
        assert!(bucket.take(now + Duration::from_millis(1001)).is_ok());
        assert!(bucket.take(now + Duration::from_millis(1002)).is_err());
    }
}
