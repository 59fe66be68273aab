//! The past of rooms, for sockets that were away: read from the event store itself.
use async_trait::async_trait;
use domain::Recorded;
use eventstore::EventStore;
use realtime::{ChannelLog, LogError};

pub(super) struct History {
    store: EventStore,
}

impl History {
    pub(super) fn new(store: EventStore) -> Self {
        Self { store }
    }
}

#[async_trait]
impl ChannelLog for History {
    async fn after(
        &self,
        channel: &str,
        after_seq: i64,
        limit: i64,
    ) -> Result<Vec<Recorded>, LogError> {
        let records = self.store.read_channel(channel, after_seq, limit).await?;
        let opened = self.store.open(records).await?;
        Ok(opened.into_iter().filter_map(|event| event.outcome.ok()).collect())
    }

    async fn head(&self, channel: &str) -> Result<i64, LogError> {
        Ok(self.store.channel_head(channel).await?)
    }
}
