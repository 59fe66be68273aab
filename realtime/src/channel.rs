//! Where the past of a room is read from.
use async_trait::async_trait;
use domain::Recorded;

/// The failure below, whatever it is.
pub type LogError = Box<dyn std::error::Error + Send + Sync>;

/// The durable events of a channel, numbered 1, 2, 3 …
///
/// An event that this build cannot read may be missing from an answer; its number then reaches
/// clients as a placeholder.
#[async_trait]
pub trait ChannelLog: Send + Sync + 'static {
    /// The events after number `after_seq`, in order, at most `limit`.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn after(
        &self,
        channel: &str,
        after_seq: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, LogError>;

    /// The number of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn head(&self, channel: &str) -> Result<i64, LogError>;
}
