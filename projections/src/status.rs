//! How the read models are, for operators and health checks.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::LogPosition;
use eventstore::PARTITIONS;
use uuid::Uuid;

use crate::{ReadError, ReadModels, names};

/// How one read model is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStatus {
    /// Which read model.
    pub model: &'static str,
    /// The version that is read.
    pub version: u32,
    /// Up to here everything is in it.
    pub position: LogPosition,
    /// Log positions between there and the end of the log.
    pub lag_events: i64,
    /// When one of its checkpoints moved last, UTC.
    pub updated_at: Option<DateTime<Utc>>,
    /// Events it could not take, and those that wait behind them.
    pub parked: i64,
}

/// An event that a read model could not take, or that waits behind one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Which read model.
    pub model: String,
    /// Of which version.
    pub version: u32,
    /// The aggregate whose events wait.
    pub key: String,
    /// Its place in the log.
    pub position: LogPosition,
    /// Which event.
    pub event_id: Uuid,
    /// What is wrong; `None` if it only waits.
    pub error: Option<String>,
    /// Since when, UTC.
    pub parked_at: DateTime<Utc>,
    /// Whether somebody asked for another try.
    pub retry_requested: bool,
}

impl ReadModels {
    /// How every read model is, in the order of [`names::ALL`].
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn status(&self) -> Result<Vec<ModelStatus>, ReadError> {
        type Reached = (String, i32, i64, i64, DateTime<Utc>);
        // The checkpoints first: a head that is older than them would show models in the future.
        let reached: Vec<Reached> = sqlx::query_as(
            "select projector, version, count(*), min(position), max(updated_at) \
             from projection_checkpoints group by projector, version",
        )
        .fetch_all(self.pool())
        .await?;
        let parked: Vec<(String, i32, i64)> = sqlx::query_as(
            "select projector, version, count(*) from parked_events group by projector, version",
        )
        .fetch_all(self.pool())
        .await?;
        let head = self.0.store.head().await?;
        let reached: HashMap<(String, u32), (i64, i64, DateTime<Utc>)> = reached
            .into_iter()
            .map(|(name, version, count, position, at)| {
                ((name, version.unsigned_abs()), (count, position, at))
            })
            .collect();
        let parked: HashMap<(String, u32), i64> = parked
            .into_iter()
            .map(|(name, version, count)| ((name, version.unsigned_abs()), count))
            .collect();
        let status = |model: &&'static str| {
            let version = self.0.versions.active(model);
            let key = ((*model).to_owned(), version);
            let complete = |&&(count, ..): &&(i64, i64, _)| count == i64::from(PARTITIONS);
            let position =
                reached.get(&key).filter(complete).map_or(0, |(_, position, _)| *position);
            ModelStatus {
                model,
                version,
                position: LogPosition(position),
                lag_events: (head.0 - position).max(0),
                updated_at: reached.get(&key).map(|(.., at)| *at),
                parked: parked.get(&key).copied().unwrap_or(0),
            }
        };
        Ok(names::ALL.iter().map(status).collect())
    }

    /// The first parked events, in the order of the log.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn parked(&self, limit: i64) -> Result<Vec<ParkedEvent>, ReadError> {
        type Row = (String, i32, String, i64, Uuid, Option<String>, DateTime<Utc>, bool);
        let rows: Vec<Row> = sqlx::query_as(
            "select projector, version, park_key, position, event_id, error, parked_at, \
             retry_requested from parked_events order by position, projector, version limit $1",
        )
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let parked =
            |(model, version, key, position, event_id, error, parked_at, retry): Row| ParkedEvent {
                model,
                version: version.unsigned_abs(),
                key,
                position: LogPosition(position),
                event_id,
                error,
                parked_at,
                retry_requested: retry,
            };
        Ok(rows.into_iter().map(parked).collect())
    }

    /// Asks for the events parked under `key` to be tried again, in their order. The projector
    /// does so within about a second, and stops at the first that still fails. Answers how many
    /// events wait.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn unpark(&self, model: &str, key: &str) -> Result<u64, ReadError> {
        let marked = sqlx::query(
            "update parked_events set retry_requested = true where projector = $1 and park_key = $2",
        )
        .bind(model)
        .bind(key)
        .execute(self.pool())
        .await?;
        Ok(marked.rows_affected())
    }
}
