//! Whether this process can do its work, as the composition root knows it.
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use tokio::sync::Mutex;

/// Longest time one probe may take.
const LIMIT: Duration = Duration::from_secs(2);
/// How long an answer is given again: anybody may ask, however often.
const KEPT: Duration = Duration::from_secs(1);

type Answer = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type Probe = Arc<dyn Fn() -> Answer + Send + Sync>;

/// Named probes. A process is ready when all required ones succeed.
#[derive(Clone, Default)]
pub struct Readiness {
    probes: Vec<Named>,
    latest: Arc<Mutex<Option<Answered>>>,
}

/// What was answered, and when.
struct Answered {
    at: Instant,
    checks: Vec<Check>,
}

#[derive(Clone)]
struct Named {
    name: &'static str,
    required: bool,
    probe: Probe,
}

/// What a probe found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was probed, e.g. `eventStore`.
    pub name: &'static str,
    /// Whether the process can do nothing without it.
    pub required: bool,
    /// Why it is not ready, in words that may be shown to anyone.
    pub outcome: Result<(), String>,
}

impl Readiness {
    /// No probes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds something that a process can do nothing without. `name` is camelCase; the reason of a
    /// failure is public, so it should not quote the error of a driver.
    #[must_use]
    pub fn with<F, Fut>(self, name: &'static str, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, true, probe)
    }

    /// Adds something whose failure is shown but takes no node out of service: it would take all
    /// of them out at once, although most of their work goes on without it.
    #[must_use]
    pub fn with_optional<F, Fut>(self, name: &'static str, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, false, probe)
    }

    fn add<F, Fut>(mut self, name: &'static str, required: bool, probe: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let probe: Probe = Arc::new(move || Box::pin(probe()));
        self.probes.push(Named { name, required, probe });
        // What was answered before did not ask this one.
        self.latest = Arc::default();
        self
    }

    /// Asks all probes at once, each for two seconds at most; not again within a second.
    pub async fn check(&self) -> Vec<Check> {
        // Held while they are asked: who comes meanwhile gets the same answer.
        let mut latest = self.latest.lock().await;
        if let Some(answered) = latest.as_ref().filter(|answered| answered.at.elapsed() < KEPT) {
            return answered.checks.clone();
        }
        let checks = self.ask().await;
        *latest = Some(Answered { at: Instant::now(), checks: checks.clone() });
        checks
    }

    async fn ask(&self) -> Vec<Check> {
        join_all(self.probes.iter().map(async |Named { name, required, probe }| {
            let outcome = match tokio::time::timeout(LIMIT, probe()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs())),
            };
            Check { name, required: *required, outcome }
        }))
        .await
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.probes.iter().map(|named| named.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_crowd_that_asks_at_once_is_one_question() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&asked);
        let readiness = Readiness::new().with("eventStore", move || {
            let counted = Arc::clone(&counted);
            async move {
                counted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        });
        for checks in join_all((0..50).map(|_| readiness.check())).await {
            assert_eq!(checks[0].outcome, Ok(()));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
}
