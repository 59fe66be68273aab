//! Waiting for something to become true.
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How long anything may take in a test before it counts as never.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A second as the contract has it, and the rest for a busy machine.
pub const A_SECOND: Duration = Duration::from_secs(3);

/// Asks again and again until `probe` gives something, and returns that.
///
/// # Panics
/// When `limit` is over, naming `what` was waited for.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        // A probe that hangs is a probe that fails, in time for a message of its own.
        if let Ok(Some(found)) = timeout(limit, probe()).await {
            return found;
        }
        assert!(started.elapsed() < limit, "waited {limit:?} in vain: {what}");
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
