//! Where the past of a room is read from.
use std::collections::HashMap;

use async_trait::async_trait;
use domain::{LogPosition, MessageFacts, MessageId, Recorded};

/// The failure below, whatever it is.
pub type LogError = Box<dyn std::error::Error + Send + Sync>;

/// Events of a channel that follow each other.
#[derive(Clone, Debug)]
pub struct Page {
    /// In order. An event that this build cannot read is missing; its number then reaches clients
    /// as a placeholder.
    pub events: Vec<Recorded>,
    /// The number of the last event that was read, readable or not; the number the page begins
    /// after if there was none.
    pub reached: i64,
}

/// The durable events of a channel, numbered 1, 2, 3 …
#[async_trait]
pub trait ChannelLog: Send + Sync + 'static {
    /// The events after number `after_seq`, in order, at most `limit`.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn after(&self, channel: &str, after_seq: i64, limit: i64) -> Result<Page, LogError>;

    /// The number of the newest event; 0 if there is none.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn head(&self, channel: &str) -> Result<i64, LogError>;

    /// The number of the newest event of each channel up to a position in the whole log, in the order
    /// of the channels; 0 if there is none.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn seqs_at(
        &self,
        channels: &[String],
        position: LogPosition,
    ) -> Result<Vec<i64>, LogError>;

    /// How messages read now. Unknown ones are missing from the answer; of reactions only what is
    /// shown need be right.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn now(&self, ids: &[MessageId]) -> Result<HashMap<MessageId, MessageFacts>, LogError>;
}
