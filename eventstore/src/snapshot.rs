//! Snapshots of busy aggregates: best effort, outside the append, replaceable at any time.
use domain::AggregateRoot;
use serde_json::Value;
use sqlx::Row as _;

use crate::{EventStore, Loaded, StoreError};

impl EventStore {
    /// The newest snapshot of this build's state version, if it can be read.
    pub(crate) async fn snapshot<A: AggregateRoot>(
        &self,
        id: &str,
    ) -> Result<Option<Loaded<A>>, StoreError> {
        let row = sqlx::query(
            "select last_sequence, state from snapshots
             where aggregate_type = $1 and aggregate_id = $2 and state_version = $3",
        )
        .bind(A::TYPE)
        .bind(id)
        .bind(state_version::<A>())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let state: Value = row.try_get("state")?;
        match serde_json::from_value(state) {
            Ok(state) => Ok(Some(Loaded { state, sequence: row.try_get("last_sequence")? })),
            Err(error) => {
                tracing::warn!(
                    aggregate.type = A::TYPE, aggregate.id = id, %error,
                    "ignored a snapshot that does not fit the state; raise STATE_VERSION"
                );
                Ok(None)
            }
        }
    }

    /// Keeps the state, unless a newer one is kept already.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn save_snapshot<A: AggregateRoot>(
        &self,
        id: &str,
        loaded: &Loaded<A>,
    ) -> Result<(), StoreError> {
        let state = serde_json::to_value(&loaded.state)
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        sqlx::query(
            "insert into snapshots (aggregate_type, aggregate_id, state_version, last_sequence, state)
             values ($1, $2, $3, $4, $5)
             on conflict (aggregate_type, aggregate_id, state_version)
             do update set last_sequence = excluded.last_sequence, state = excluded.state
             where snapshots.last_sequence < excluded.last_sequence",
        )
        .bind(A::TYPE)
        .bind(id)
        .bind(state_version::<A>())
        .bind(loaded.sequence)
        .bind(state)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

fn state_version<A: AggregateRoot>() -> i32 {
    i32::try_from(A::STATE_VERSION).unwrap_or(i32::MAX)
}
