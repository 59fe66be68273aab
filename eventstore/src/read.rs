//! Reading the log by position and by channel, and opening what was read.
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use domain::{AnyEvent, LogPosition, Metadata, Recorded};
use serde_json::Value;
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    EventStore, Opened, Receipt, StoreError, StoredRecord, Unreadable,
    sealing::{self, Keys, Place},
    upcast::upcast,
};

/// The columns of [`StoredRecord`].
pub(crate) const COLUMNS: &str =
    "p.position, p.channel, p.channel_seq, e.event_id, e.aggregate_type,
    e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload::text as payload,
    e.metadata::text as metadata, e.recorded_at";

impl EventStore {
    /// The newest position.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn head(&self) -> Result<LogPosition, StoreError> {
        let head: Option<i64> = sqlx::query_scalar("select max(position) from positions")
            .fetch_one(self.pool())
            .await?;
        Ok(LogPosition(head.unwrap_or_default()))
    }

    /// When the oldest event was recorded that has no position yet, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn oldest_unplaced(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(sqlx::query_scalar(
            "with last as (
                 select e.transaction_id, e.log_number
                 from (select log_number from positions order by position desc limit 1) p
                 join events e using (log_number)
             )
             select min(recorded_at) from events
             where (transaction_id, log_number) > (
                 coalesce((select transaction_id from last), '0'::xid8),
                 coalesce((select log_number from last), 0))",
        )
        .fetch_one(self.pool())
        .await?)
    }

    /// The last position recorded before a moment; 0 if there is none. Events get their positions
    /// about in the order in which they are recorded, so this is exact to a few of them.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn position_before(&self, at: DateTime<Utc>) -> Result<LogPosition, StoreError> {
        let (mut low, mut high) = (0, self.head().await?.0);
        while low < high {
            let middle = low + (high - low + 1) / 2;
            let records = self.read_log(LogPosition(middle - 1), 1).await?;
            match records.first() {
                Some(record) if record.recorded_at < at => low = middle,
                _ => high = middle - 1,
            }
        }
        Ok(LogPosition(low))
    }

    /// Up to `limit` events after a position, in order and without gaps.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn read_log(
        &self,
        after: LogPosition,
        limit: i64,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        // Lateral: one index probe per position, whatever the planner thinks of the sizes.
        let sql = format!(
            "select {COLUMNS} from (select * from positions where position > $1
                                    order by position limit $2) p
             cross join lateral (select * from events where log_number = p.log_number limit 1) e
             order by p.position"
        );
        let rows = sqlx::query(&sql).bind(after.0).bind(limit).fetch_all(self.pool()).await?;
        Ok(rows.iter().map(StoredRecord::from_row).collect::<Result<_, _>>()?)
    }

    /// Up to `limit` events of one channel after a number, in order and without gaps.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn read_channel(
        &self,
        channel: &str,
        after_seq: i64,
        limit: i64,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from (select * from positions where channel = $1 and channel_seq > $2
                                    order by channel_seq limit $3) p
             cross join lateral (select * from events where log_number = p.log_number limit 1) e
             order by p.channel_seq"
        );
        let rows = sqlx::query(&sql)
            .bind(channel)
            .bind(after_seq)
            .bind(limit)
            .fetch_all(self.pool())
            .await?;
        Ok(rows.iter().map(StoredRecord::from_row).collect::<Result<_, _>>()?)
    }

    /// The newest event of all, whether it has its position or not; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn newest(&self) -> Result<Option<Receipt>, StoreError> {
        let row = sqlx::query(
            "select log_number, recorded_at from events order by log_number desc limit 1",
        )
        .fetch_optional(self.pool())
        .await?;
        let receipt = |row: PgRow| -> Result<_, sqlx::Error> {
            Ok(Receipt {
                log_number: row.try_get("log_number")?,
                recorded_at: row.try_get("recorded_at")?,
            })
        };
        Ok(row.map(receipt).transpose()?)
    }

    /// The newest number of a channel; 0 before its first event.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn channel_head(&self, channel: &str) -> Result<i64, StoreError> {
        let head: Option<i64> =
            sqlx::query_scalar("select max(channel_seq) from positions where channel = $1")
                .bind(channel)
                .fetch_one(self.pool())
                .await?;
        Ok(head.unwrap_or_default())
    }

    /// The number of the last event of each channel up to a position, in the order of the channels; 0 if
    /// there is none.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn channel_seqs_at(
        &self,
        channels: &[String],
        position: LogPosition,
    ) -> Result<Vec<i64>, StoreError> {
        // From the end: as many are passed as came since.
        Ok(sqlx::query_scalar(
            "select coalesce((select p.channel_seq from positions p
                              where p.channel = c.channel and p.position <= $2
                              order by p.channel_seq desc limit 1), 0)
             from unnest($1::text[]) with ordinality as c (channel, place) order by c.place",
        )
        .bind(channels)
        .bind(position.0)
        .fetch_all(self.pool())
        .await?)
    }

    /// Opens stored events: unseals, lifts old versions, decodes. One result per record.
    ///
    /// # Errors
    /// [`StoreError`] only when the keys cannot be fetched; an unreadable event is a result.
    pub async fn open(&self, records: Vec<StoredRecord>) -> Result<Vec<Opened>, StoreError> {
        let mut subjects = HashSet::new();
        let parsed: Vec<_> = records
            .into_iter()
            .map(|record| {
                let payload = serde_json::from_str::<Value>(&record.payload);
                if let Ok(payload) = &payload {
                    sealing::subjects_to_open(payload, &mut subjects);
                }
                (record, payload)
            })
            .collect();
        let keys = self.keyring().keys(&subjects, false).await?;
        Ok(parsed
            .into_iter()
            .map(|(record, payload)| {
                let outcome = payload
                    .map_err(|_| Unreadable::new("the payload is not JSON"))
                    .and_then(|payload| recorded(&record, payload, &keys));
                Opened {
                    position: record.position,
                    partition: record.partition(),
                    aggregate_type: record.aggregate_type,
                    aggregate_id: record.aggregate_id,
                    event_id: record.event_id,
                    outcome,
                }
            })
            .collect())
    }
}

fn recorded(
    record: &StoredRecord,
    mut payload: Value,
    keys: &Keys,
) -> Result<Recorded, Unreadable> {
    let place = Place {
        aggregate_type: &record.aggregate_type,
        aggregate_id: &record.aggregate_id,
        sequence: record.sequence,
    };
    sealing::open(&mut payload, place, keys)?;
    let payload =
        upcast(&record.aggregate_type, &record.event_type, &record.event_version, payload)?;
    // serde's message may quote the payload, and the payload may be personal.
    let event = AnyEvent::decode(&record.aggregate_type, payload).map_err(|_| {
        let (name, version) = (&record.event_type, &record.event_version);
        Unreadable::new(format!("the payload is not a `{name}` {version}"))
    })?;
    let metadata: Metadata = serde_json::from_str(&record.metadata)
        .map_err(|_| Unreadable::new("the metadata does not fit"))?;
    Ok(Recorded {
        position: record.position,
        channel: record.channel.clone().zip(record.channel_seq),
        event_id: record.event_id,
        aggregate_id: record.aggregate_id.clone(),
        sequence: record.sequence,
        recorded_at: record.recorded_at,
        metadata,
        event,
    })
}
