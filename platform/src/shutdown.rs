//! Ending together: one signal for all tasks, and a limited wait for them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// The running tasks by number, for the names of those that do not end.
type Running = BTreeMap<u64, &'static str>;

/// Starts the tasks of a process and ends them. Clones are the same shutdown.
#[derive(Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
    running: Arc<Mutex<Running>>,
    next: Arc<AtomicU64>,
}

impl Shutdown {
    /// Nothing runs, nothing is triggered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancelled when everything shall end.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs `future` as a task of this process. It should end soon after [`Shutdown::token`] is
    /// cancelled. If it panics, the panic is logged under `name` and everything shuts down: half a
    /// process is worse than a restarted one.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.running().insert(number, name);
        let task = tokio::spawn(future.instrument(tracing::info_span!("task", task.name = name)));
        let abort = task.abort_handle();
        let this = self.clone();
        self.tasks.spawn(async move {
            let outcome = task.await;
            this.running().remove(&number);
            match outcome {
                Err(error) if error.is_panic() => {
                    tracing::error!(task.name = name, "task {name} panicked, shutting down");
                    this.trigger();
                }
                _ => tracing::debug!(task.name = name, "task {name} ended"),
            }
        });
        abort
    }

    /// Triggers on SIGINT or SIGTERM. A second signal ends the process at once.
    ///
    /// # Errors
    /// If the operating system refuses the handlers.
    pub fn on_signals(&self) -> io::Result<()> {
        // Registered here, not in the task, so that no signal comes too early.
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let this = self.clone();
        tokio::spawn(async move {
            loop {
                let (name, code) = tokio::select! {
                    _ = interrupt.recv() => ("SIGINT", 130),
                    _ = terminate.recv() => ("SIGTERM", 143),
                };
                if this.token.is_cancelled() {
                    tracing::warn!("{name} while shutting down, ending at once");
                    std::process::exit(code);
                }
                tracing::info!("{name} received, shutting down");
                this.trigger();
            }
        });
        Ok(())
    }

    /// Asks every task to end. Asking twice is asking once.
    pub fn trigger(&self) {
        self.token.cancel();
    }

    /// Waits until shutdown is triggered, then up to `grace` for the tasks. Answers, and logs, the
    /// names of those that still run: none if all is well.
    pub async fn wait(&self, grace: Duration) -> Vec<&'static str> {
        self.token.cancelled().await;
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_ok() {
            return Vec::new();
        }
        let left: Vec<_> = self.running().values().copied().collect();
        tracing::warn!(tasks = left.join(", "), "tasks still run {grace:?} after shutdown");
        left
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown")
            .field("triggered", &self.token.is_cancelled())
            .field("running", &self.running().values())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn tasks_end_when_it_is_triggered() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.spawn("patient", async move { token.cancelled().await });
        shutdown.trigger();
        assert!(shutdown.wait(GRACE).await.is_empty());
    }

    #[tokio::test]
    async fn a_panic_in_a_task_shuts_everything_down() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.spawn("patient", async move { token.cancelled().await });
        shutdown.spawn("broken", async { panic!("on purpose") });
        assert!(shutdown.wait(GRACE).await.is_empty());
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_named() {
        let shutdown = Shutdown::new();
        let stuck = shutdown.spawn("stuck", std::future::pending());
        shutdown.spawn("quick", async {});
        shutdown.trigger();
        assert_eq!(shutdown.wait(Duration::from_millis(50)).await, ["stuck"]);

        stuck.abort();
        assert!(shutdown.wait(GRACE).await.is_empty());
    }

    #[tokio::test]
    async fn a_task_that_ends_leaves_the_others_alone() {
        let shutdown = Shutdown::new();
        shutdown.spawn("quick", async {});
        tokio::task::yield_now().await;
        assert!(!shutdown.token().is_cancelled());
    }
}
