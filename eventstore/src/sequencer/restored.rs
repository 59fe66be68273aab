//! A log from another cluster: dumped there, restored here.
//!
//! Transaction ids belong to one cluster. Restored ones may be higher than any that this cluster
//! hands out in years, and new events would then be ordered before old ones and never be seen.
use super::Sequencer;
use crate::StoreError;

/// Lower than every transaction id that a cluster hands out (the first normal one is 3).
const OF_ANOTHER_CLUSTER: &str = "1";

impl Sequencer {
    /// Whether some event has a transaction id that this cluster has not handed out yet.
    pub(super) async fn is_restored(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(
            "select coalesce((select transaction_id from events
                              order by transaction_id desc, log_number desc limit 1)
                             >= pg_snapshot_xmax(pg_current_snapshot()), false)",
        )
        .fetch_one(self.store.relay_pool())
        .await?)
    }

    /// Places what the other cluster left unplaced, in its order, then marks all its events as old.
    /// Events that a running node appended here already keep their ids and come after them.
    pub(super) async fn adopt(&mut self) -> Result<(), StoreError> {
        // None of the other cluster's transactions is still running: no line to keep below.
        while !self.place(1000, false).await?.is_empty() {}
        let adopted = sqlx::query(
            "update events set transaction_id = $1::text::xid8
             where transaction_id >= pg_snapshot_xmax(pg_current_snapshot())",
        )
        .bind(OF_ANOTHER_CLUSTER)
        .execute(self.store.relay_pool())
        .await?
        .rows_affected();
        tracing::warn!(events = adopted, "adopted a log that was restored from another cluster");
        self.resume().await
    }
}
