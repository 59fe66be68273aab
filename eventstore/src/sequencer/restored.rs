//! A log from another cluster: dumped there, restored here.
//!
//! Transaction ids belong to one cluster. Restored ones may be higher than any that this cluster
//! hands out in years, and new events would then be ordered before old ones and never be seen.
use sqlx::Row as _;

use super::{COLUMNS, Sequencer};
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

    /// Places what has no place yet, then marks every event as old.
    ///
    /// Within a stream, insertion numbers rise, because each append knew the event before. With
    /// writers locked out nothing is under way, so their order is as good as that of transactions.
    pub(super) async fn adopt(&mut self) -> Result<(), StoreError> {
        let mut lock = self.store.relay_pool().begin().await?;
        // However many events there are: a part of it would be worth nothing.
        sqlx::query("set local statement_timeout = 0").execute(&mut *lock).await?;
        sqlx::query("lock table events in share row exclusive mode").execute(&mut *lock).await?;
        let mut after = 0_i64;
        loop {
            let rows = sqlx::query(&format!(
                "select {COLUMNS} from events e
                 where log_number > $1
                   and not exists (select from positions p where p.log_number = e.log_number)
                 order by log_number limit 1000"
            ))
            .bind(after)
            .fetch_all(&mut *lock)
            .await?;
            let Some(last) = rows.last() else { break };
            after = last.try_get("log_number")?;
            self.place(&rows).await?;
        }
        let adopted = sqlx::query(
            "update events set transaction_id = $1::text::xid8
             where transaction_id <> $1::text::xid8",
        )
        .bind(OF_ANOTHER_CLUSTER)
        .execute(&mut *lock)
        .await?
        .rows_affected();
        lock.commit().await?;
        tracing::warn!(events = adopted, "adopted a log that was restored from another cluster");
        self.resume().await
    }
}
