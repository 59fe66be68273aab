//! The past of rooms, read from the event store.
use std::collections::HashMap;

use async_trait::async_trait;
use domain::{LogPosition, MessageFacts, MessageId};
use eventstore::EventStore;
use realtime::{ChannelLog, LogError, Page};

/// The event store as the realtime side sees it.
pub(super) struct RoomLog(EventStore);

impl RoomLog {
    /// Reads from `store`.
    pub(super) fn new(store: EventStore) -> Self {
        Self(store)
    }
}

#[async_trait]
impl ChannelLog for RoomLog {
    async fn after(&self, channel: &str, after_seq: i64, limit: i64) -> Result<Page, LogError> {
        let records = self.0.read_channel(channel, after_seq, limit).await?;
        let reached = records.last().and_then(|last| last.channel_seq).unwrap_or(after_seq);
        // Unreadable ones were reported when they were first met; clients get a placeholder.
        let opened = self.0.open(records).await?.into_iter();
        Ok(Page { events: opened.filter_map(|opened| opened.outcome.ok()).collect(), reached })
    }

    async fn head(&self, channel: &str) -> Result<i64, LogError> {
        Ok(self.0.channel_head(channel).await?)
    }

    async fn seqs_at(
        &self,
        channels: &[String],
        position: LogPosition,
    ) -> Result<Vec<i64>, LogError> {
        Ok(self.0.channel_seqs_at(channels, position).await?)
    }

    async fn now(&self, ids: &[MessageId]) -> Result<HashMap<MessageId, MessageFacts>, LogError> {
        let events = self.0.messages_now(ids).await?.into_iter();
        Ok(events.filter_map(|(id, events)| Some((id, MessageFacts::fold(&events, 0)?))).collect())
    }
}
