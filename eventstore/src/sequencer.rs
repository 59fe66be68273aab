//! The order of the log: dense positions, numbers per channel, and the hash chain.
//!
//! Insertion numbers are drawn before commit, so they may become visible out of order. Transaction
//! ids below the oldest running one belong to transactions that are over: events below that line,
//! ordered by (transaction id, insertion number), can never be joined by another one in between.
//! The append is the first write of its transaction and knows the head of its stream, so this order
//! respects every stream.
mod restored;

use std::num::NonZeroUsize;

use chrono::{DateTime, Utc};
use domain::LogPosition;
use lru::LruCache;
use sqlx::{Row as _, postgres::PgRow};

use crate::{
    EventStore, Placed, StoreError, StoredRecord,
    append::{constraint, is_unique_violation},
    chain::{GENESIS, link},
};

/// The columns of a [`StoredRecord`] that has no place yet, and its cursor.
const COLUMNS: &str = "0::bigint as position, channel, null::bigint as channel_seq, event_id,
    aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text as payload,
    metadata::text as metadata, recorded_at, transaction_id::text as transaction_id, log_number";

/// Waiting events are counted up to here: more is simply many.
const COUNTED: i64 = 100_000;

/// Channels whose last number is remembered; others are looked up.
const CHANNELS: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Gives recorded events their places. Two at once are harmless: the second is refused.
pub struct Sequencer {
    store: EventStore,
    position: i64,
    transaction_id: String,
    log_number: i64,
    chain_hash: [u8; 32],
    channels: LruCache<String, i64>,
}

/// What waits for its place in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// How many events; 100,000 also stands for more.
    pub events: i64,
    /// When the oldest of them was recorded.
    pub oldest: Option<DateTime<Utc>>,
}

impl Sequencer {
    /// Continues after the last position.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn open(store: EventStore) -> Result<Self, StoreError> {
        let mut sequencer = Self::peek(store).await?;
        if sequencer.is_restored().await? {
            sequencer.adopt().await?;
        }
        Ok(sequencer)
    }

    /// One that is only looked at: nothing is changed before the first step.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn peek(store: EventStore) -> Result<Self, StoreError> {
        let mut sequencer = Self {
            store,
            position: 0,
            transaction_id: "0".to_owned(),
            log_number: 0,
            chain_hash: GENESIS,
            channels: LruCache::new(CHANNELS),
        };
        sequencer.resume().await?;
        Ok(sequencer)
    }

    /// Takes the cursor from the last position.
    async fn resume(&mut self) -> Result<(), StoreError> {
        // Of an adopted log, all events have one transaction id and their places are not in the
        // order of their insertion numbers: the highest placed one counts.
        let last = sqlx::query(
            "select p.position, p.chain_hash, e.transaction_id::text as transaction_id,
                    (select placed.log_number from events placed
                     where placed.transaction_id = e.transaction_id
                       and exists (select from positions where log_number = placed.log_number)
                     order by placed.log_number desc limit 1) as log_number
             from (select * from positions order by position desc limit 1) p
             join events e using (log_number)",
        )
        .fetch_optional(self.store.relay_pool())
        .await?;
        let Some(last) = last else { return Ok(()) };
        self.position = last.try_get("position")?;
        self.transaction_id = last.try_get("transaction_id")?;
        self.log_number = last.try_get("log_number")?;
        self.chain_hash = last
            .try_get::<Vec<u8>, _>("chain_hash")?
            .try_into()
            .map_err(|_| StoreError::Unreadable("a chain hash has the wrong length".into()))?;
        Ok(())
    }

    /// The last position assigned or found.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        LogPosition(self.position)
    }

    /// Events that have no place yet, and since when the oldest of them waits.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn backlog(&self) -> Result<Backlog, StoreError> {
        let row = sqlx::query(
            "select (select count(*) from (
                         select from events
                         where (transaction_id, log_number) > ($1::text::xid8, $2) limit $3
                     ) waiting) as events,
                    (select recorded_at from events
                     where (transaction_id, log_number) > ($1::text::xid8, $2)
                     order by events.transaction_id, events.log_number limit 1) as oldest",
        )
        .bind(&self.transaction_id)
        .bind(self.log_number)
        .bind(COUNTED)
        .fetch_one(self.store.relay_pool())
        .await?;
        Ok(Backlog { events: row.try_get("events")?, oldest: row.try_get("oldest")? })
    }

    /// Places up to `limit` further events and returns them; none when nothing is ready.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another sequencer was faster: open a new one, if the lease
    /// still allows it. Otherwise when the database is away. After an error this one is stale.
    pub async fn step(&mut self, limit: u32) -> Result<Vec<StoredRecord>, StoreError> {
        // One statement: the line and the rows below it come from one snapshot.
        let rows = sqlx::query(&format!(
            "select {COLUMNS} from events
             where (transaction_id, log_number) > ($1::text::xid8, $2)
               and transaction_id < pg_snapshot_xmin(pg_current_snapshot())
             order by events.transaction_id, events.log_number
             limit $3"
        ))
        .bind(&self.transaction_id)
        .bind(self.log_number)
        .bind(i64::from(limit))
        .fetch_all(self.store.relay_pool())
        .await?;
        self.place(&rows).await
    }

    /// Whether there are events that may not be placed yet, because an older transaction still
    /// runs. Nobody tells when it ends.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn is_held_back(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar(
            "select exists (select from events
                            where (transaction_id, log_number) > ($1::text::xid8, $2))",
        )
        .bind(&self.transaction_id)
        .bind(self.log_number)
        .fetch_one(self.store.relay_pool())
        .await?)
    }

    /// Gives the rows the next places, in their order.
    async fn place(&mut self, rows: &[PgRow]) -> Result<Vec<StoredRecord>, StoreError> {
        let Some(last) = rows.last() else { return Ok(Vec::new()) };
        let cursor: (String, i64) = (last.try_get("transaction_id")?, last.try_get("log_number")?);

        let mut records = rows.iter().map(StoredRecord::from_row).collect::<Result<Vec<_>, _>>()?;
        let log_numbers =
            rows.iter().map(|row| row.try_get("log_number")).collect::<Result<Vec<i64>, _>>()?;
        self.number_channels(&mut records).await?;
        let mut hash = self.chain_hash;
        let mut hashes = Vec::with_capacity(records.len());
        for (position, record) in (self.position + 1..).zip(&mut records) {
            record.position = LogPosition(position);
            hash = link(&hash, record);
            hashes.push(hash.to_vec());
        }
        // Told before it is written: places follow from the events alone, which are durable. Should
        // we fail here, whoever comes next gives out the same ones.
        self.store.placements().publish(log_numbers.iter().zip(&records).map(
            |(log_number, record)| {
                let (position, channel_seq) = (record.position, record.channel_seq);
                (*log_number, Placed { position, channel_seq })
            },
        ));
        self.insert(&records, &log_numbers, &hashes).await?;
        platform::crash_point!("relay.after_positions");

        self.chain_hash = hash;
        self.position += i64::try_from(records.len()).unwrap_or(i64::MAX);
        (self.transaction_id, self.log_number) = cursor;
        Ok(records)
    }

    async fn number_channels(&mut self, records: &mut [StoredRecord]) -> Result<(), StoreError> {
        let mut unknown: Vec<&str> = records
            .iter()
            .filter_map(|record| record.channel.as_deref())
            .filter(|channel| !self.channels.contains(*channel))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            let rows = sqlx::query(
                "select channel, coalesce((select channel_seq from positions p
                                           where p.channel = c.channel
                                           order by channel_seq desc limit 1), 0) as last
                 from unnest($1::text[]) as c (channel)",
            )
            .bind(&unknown)
            .fetch_all(self.store.relay_pool())
            .await?;
            for row in rows {
                self.channels.put(row.try_get("channel")?, row.try_get("last")?);
            }
        }
        for record in records {
            let Some(channel) = &record.channel else { continue };
            // Present: looked up above, and a batch is smaller than the cache.
            let Some(last) = self.channels.get_mut(channel) else {
                return Err(StoreError::Unreadable("a channel vanished from the cache".into()));
            };
            *last += 1;
            record.channel_seq = Some(*last);
        }
        Ok(())
    }

    async fn insert(
        &self,
        records: &[StoredRecord],
        log_numbers: &[i64],
        hashes: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let positions: Vec<i64> = records.iter().map(|record| record.position.0).collect();
        let channels: Vec<Option<&str>> = records.iter().map(|r| r.channel.as_deref()).collect();
        let numbers: Vec<Option<i64>> = records.iter().map(|r| r.channel_seq).collect();
        // A crash of the database takes the last positions back, and the pool reconnects without a
        // word: what we continue must still be there.
        let inserted = sqlx::query(
            "insert into positions (position, log_number, channel, channel_seq, chain_hash)
             select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bytea[])
             where $6 = 0 or exists (select from positions where position = $6 and chain_hash = $7)",
        )
        .bind(positions)
        .bind(log_numbers)
        .bind(channels)
        .bind(numbers)
        .bind(hashes)
        .bind(self.position)
        .bind(self.chain_hash.as_slice())
        .execute(self.store.relay_pool())
        .await
        .map_err(|error| {
            if is_unique_violation(&error)
                && constraint(&error).is_some_and(|name| name.starts_with("positions_"))
            {
                StoreError::Conflict
            } else {
                error.into()
            }
        })?
        .rows_affected();
        if inserted == records.len() as u64 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}
