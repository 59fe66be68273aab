//! Events as they are stored, and as they read once opened.
use chrono::{DateTime, Utc};
use domain::{LogPosition, Recorded};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

use crate::PARTITIONS;

/// One stored event with its place in the log. Personal fields are sealed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRecord {
    /// Place in the whole log.
    pub position: LogPosition,
    /// The room or conversation whose clients see it numbered.
    pub channel: Option<String>,
    /// Its number there.
    pub channel_seq: Option<i64>,
    /// The event's own id.
    pub event_id: Uuid,
    /// Stored name of the aggregate type.
    pub aggregate_type: String,
    /// Which instance.
    pub aggregate_id: String,
    /// Place in the instance's stream.
    pub sequence: i64,
    /// Stored name of the event.
    pub event_type: String,
    /// Its version when it was written.
    pub event_version: String,
    /// JSON exactly as stored.
    pub payload: Box<str>,
    /// JSON exactly as stored.
    pub metadata: Box<str>,
    /// When the database accepted it.
    pub recorded_at: DateTime<Utc>,
}

impl StoredRecord {
    /// Which part of the log it belongs to.
    #[must_use]
    pub fn partition(&self) -> u16 {
        partition_of(&self.aggregate_id)
    }

    /// Reads a row with the columns of the same names; `payload` and `metadata` as text.
    pub(crate) fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            position: LogPosition(row.try_get("position")?),
            channel: row.try_get("channel")?,
            channel_seq: row.try_get("channel_seq")?,
            event_id: row.try_get("event_id")?,
            aggregate_type: row.try_get("aggregate_type")?,
            aggregate_id: row.try_get("aggregate_id")?,
            sequence: row.try_get("sequence")?,
            event_type: row.try_get("event_type")?,
            event_version: row.try_get("event_version")?,
            payload: row.try_get::<String, _>("payload")?.into(),
            metadata: row.try_get::<String, _>("metadata")?.into(),
            recorded_at: row.try_get("recorded_at")?,
        })
    }
}

/// Which part of the log the aggregate's events belong to: by SHA-256 of the id, so that every build
/// on every machine agrees and ids of any shape spread evenly.
#[must_use]
pub fn partition_of(aggregate_id: &str) -> u16 {
    u16::from(Sha256::digest(aggregate_id.as_bytes())[0]) % PARTITIONS
}

/// Why a stored event cannot be read by this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    /// For operators; never contains payload data.
    pub reason: String,
}

impl Unreadable {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

/// One event of the log, opened: personal data readable, old versions lifted.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Place in the whole log.
    pub position: LogPosition,
    /// Stored name of the aggregate type.
    pub aggregate_type: String,
    /// Which instance.
    pub aggregate_id: String,
    /// The event's own id.
    pub event_id: Uuid,
    /// Which part of the log it belongs to.
    pub partition: u16,
    /// The event, or why it cannot be read.
    pub outcome: Result<Recorded, Unreadable>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_the_same_for_ever_and_evenly_filled() {
        assert_eq!(partition_of("0198c0de-0000-7000-8000-000000000001"), 2);
        let mut filled = vec![0_u32; usize::from(PARTITIONS)];
        for n in 0..16_000_u128 {
            filled[usize::from(partition_of(&Uuid::from_u128(n).to_string()))] += 1;
        }
        assert!(filled.iter().all(|n| (800..1200).contains(n)), "{filled:?}");
    }
}
