//! Logins: slower for whoever keeps trying, and never shut for who was here before.
//!
//! A limit that counts the attempts at an account lets anybody use it up, and shut its owner out.
//! So addresses from which somebody has logged in to the account are counted for themselves.
use std::time::Duration;

use platform::config::Rate;

use super::{Counter, Exceeded, Limit, Limits, Standing};

const DAY: Duration = Duration::from_hours(24);

/// An attempt at an account that may go on.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// What is left of the limits that it counted for.
    pub standings: Vec<Standing>,
    /// How long its answer must wait.
    pub delay: Duration,
    /// Under which name it was counted; `None` while limits are off.
    counted: Option<Names>,
}

#[derive(Clone, Debug)]
struct Names {
    /// The account, or the account with the address.
    attempts: String,
    pair: String,
}

impl Limits {
    /// Counts an attempt at an account, by its id or the name that was typed, from an address.
    ///
    /// # Errors
    /// [`Exceeded`] when there were too many.
    pub async fn attempt_login(&self, account: &str, address: &str) -> Result<Attempt, Exceeded> {
        let attempt = self.attempt_silently(account, address).await?;
        let Some(Names { attempts, .. }) = &attempt.counted else { return Ok(attempt) };
        let counted = self.count(&[self.attempts(attempts)]).await;
        let number = counted.counters.first().map_or(0, |(used, _)| *used);
        let delay = self.settings().login_delay(number);
        if !delay.is_zero() {
            metrics::counter!("logins_delayed_total").increment(1);
        }
        Ok(Attempt { delay, ..attempt })
    }

    /// The same, without a delay: for counting one attempt under another name as well.
    ///
    /// # Errors
    /// [`Exceeded`] when there were too many.
    pub async fn attempt_silently(
        &self,
        account: &str,
        address: &str,
    ) -> Result<Attempt, Exceeded> {
        if !self.settings().enabled {
            return Ok(Attempt::default());
        }
        // No name that is typed ends in an address behind a NUL.
        let pair = format!("{account}\0{address}");
        let (limit, attempts) = if self.used(&self.known(&pair)).await > 0 {
            (Limit::LoginKnown, pair.clone())
        } else {
            (Limit::Login, account.to_owned())
        };
        let standings = self.take(&[(limit, &attempts)]).await?;
        Ok(Attempt { standings, delay: Duration::ZERO, counted: Some(Names { attempts, pair }) })
    }

    /// The attempt was right: the next ones are answered at once, and the address is known.
    pub async fn login_succeeded(&self, attempt: Attempt) {
        let Some(Names { attempts, pair }) = attempt.counted else { return };
        self.forget(&self.attempts(&attempts)).await;
        self.count(&[self.known(&pair)]).await;
    }

    /// Somebody came into an account from this address by other means.
    pub async fn know_login(&self, account: &str, address: &str) {
        if self.settings().enabled {
            self.count(&[self.known(&format!("{account}\0{address}"))]).await;
        }
    }

    /// Attempts since the last right one. They are slowed down, not refused.
    fn attempts(&self, of: &str) -> Counter {
        let window = self.settings().login_prompt.window;
        self.counter_named("login-attempts", of, Rate { quota: u32::MAX, window })
    }

    /// Logins to an account from an address.
    fn known(&self, pair: &str) -> Counter {
        let window = DAY * self.settings().login_known_days;
        self.counter_named("login-from", pair, Rate { quota: u32::MAX, window })
    }

    async fn used(&self, counter: &Counter) -> u32 {
        let inner = &self.inner;
        let local = |now| inner.local.used(&counter.key, now);
        self.ask(inner.shared.used(&counter.key), local).await
    }

    async fn forget(&self, counter: &Counter) {
        let inner = &self.inner;
        let local = |_| inner.local.forget(&counter.key);
        self.ask(inner.shared.forget(&counter.key), local).await;
    }
}
