//! The sockets of all processes, as far as answers wait for them.
use std::time::Duration;

use async_trait::async_trait;
use domain::LogPosition;

/// Knows how far sockets have been told of what was recorded.
#[async_trait]
pub trait Sockets: Send + Sync + 'static {
    /// Waits until all sockets have been told of everything up to a position, but not longer than
    /// `within`. Answers for how many processes this is not known then.
    async fn told(&self, position: LogPosition, within: Duration) -> usize;
}
