//! The hash chain over the log: each position's hash covers the previous one and the stored event.
use domain::LogPosition;
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{EventStore, StoreError, StoredRecord, read::COLUMNS};

/// The hash before position 1.
pub const GENESIS: [u8; 32] = [0; 32];

/// What a verification of the chain found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainReport {
    /// Positions that were checked.
    pub checked: i64,
    /// The first position whose hash or number does not fit, if any.
    pub broken_at: Option<LogPosition>,
    /// The hash of the last checked position.
    pub head: [u8; 32],
}

/// SHA-256 over the previous hash and every stored column, each with its length before it.
pub(crate) fn link(previous: &[u8; 32], record: &StoredRecord) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(previous);
    part(&record.position.0.to_be_bytes());
    part(record.event_id.as_bytes());
    part(record.aggregate_type.as_bytes());
    part(record.aggregate_id.as_bytes());
    part(&record.sequence.to_be_bytes());
    part(record.event_type.as_bytes());
    part(record.event_version.as_bytes());
    part(record.payload.as_bytes());
    part(record.metadata.as_bytes());
    part(record.channel.as_deref().unwrap_or_default().as_bytes());
    part(&record.channel_seq.unwrap_or_default().to_be_bytes());
    part(&record.recorded_at.timestamp_micros().to_be_bytes());
    hash.finalize().into()
}

impl EventStore {
    /// Computes the whole chain anew and compares it with the stored one.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn verify_chain(&self) -> Result<ChainReport, StoreError> {
        const PAGE: i64 = 2000;
        let mut report = ChainReport { checked: 0, broken_at: None, head: GENESIS };
        loop {
            // One statement: a position that comes in meanwhile is seen whole or not at all. A
            // position whose event is gone gives a row without one.
            let sql = format!(
                "select {COLUMNS}, p.chain_hash
                 from (select * from positions where position > $1 order by position limit $2) p
                 left join lateral (select * from events where log_number = p.log_number limit 1) e
                     on true
                 order by p.position"
            );
            let rows =
                sqlx::query(&sql).bind(report.checked).bind(PAGE).fetch_all(self.pool()).await?;
            if rows.is_empty() {
                return Ok(report);
            }
            for row in &rows {
                let expected = LogPosition(report.checked + 1);
                let stored: Vec<u8> = row.try_get("chain_hash")?;
                let hash = match row.try_get::<Option<Uuid>, _>("event_id")? {
                    Some(_) => Some(link(&report.head, &StoredRecord::from_row(row)?)),
                    None => None,
                };
                let position: i64 = row.try_get("position")?;
                match hash {
                    Some(hash) if position == expected.0 && hash.as_slice() == stored => {
                        report.head = hash;
                        report.checked = expected.0;
                    }
                    _ => {
                        report.broken_at = Some(expected);
                        return Ok(report);
                    }
                }
            }
        }
    }
}
