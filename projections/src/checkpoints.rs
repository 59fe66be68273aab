//! Checkpoints and parked events of one version of a read model, in PostgreSQL.
//!
//! A checkpoint moves by compare-and-set only. Whoever finds it elsewhere than they left it is not
//! the one who feeds the read model any more, or somebody emptied it.
use std::collections::{BTreeMap, HashSet};

use domain::UserId;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use crate::sinks::WriteError;

/// How one write moves the checkpoints, and what becomes of single events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// One for each held partition.
    pub(crate) moves: Vec<Move>,
    /// Events that are put aside.
    pub(crate) park: Vec<Parked>,
    /// Positions of parked events that are done now.
    pub(crate) settle: Vec<i64>,
    /// People who are forgotten with this step.
    pub(crate) erase: Vec<UserId>,
}

/// The checkpoint of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) partition: u16,
    /// Where PostgreSQL has it.
    pub(crate) from: i64,
    /// Where the read model's own store has it, if that is another.
    pub(crate) mirror: i64,
    /// Where it goes.
    pub(crate) to: i64,
}

/// An event that is put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parked {
    pub(crate) partition: u16,
    pub(crate) key: String,
    pub(crate) position: i64,
    pub(crate) event_id: Uuid,
    /// `None` for those that only wait behind another.
    pub(crate) error: Option<String>,
}

/// The checkpoints of one version of a read model.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoints {
    pub(crate) pool: PgPool,
    pub(crate) name: &'static str,
    pub(crate) version: u32,
}

impl Checkpoints {
    /// The version as PostgreSQL counts.
    pub(crate) fn version(&self) -> i32 {
        i32::try_from(self.version).unwrap_or(i32::MAX)
    }

    /// The checkpoints of the partitions, which are made if they are missing.
    pub(crate) async fn load(&self, partitions: &[u16]) -> Result<BTreeMap<u16, i64>, WriteError> {
        let read = self.read(partitions).await?;
        if read.len() == partitions.len() {
            return Ok(read);
        }
        sqlx::query(
            "insert into projection_checkpoints (projector, version, partition) \
             select $1, $2, unnest($3::smallint[]) on conflict do nothing",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(smallints(partitions))
        .execute(&self.pool)
        .await?;
        self.read(partitions).await
    }

    /// The checkpoints of the partitions, as far as there are any.
    pub(crate) async fn read(&self, partitions: &[u16]) -> Result<BTreeMap<u16, i64>, WriteError> {
        let rows: Vec<(i16, i64)> = sqlx::query_as(
            "select partition, position from projection_checkpoints \
             where projector = $1 and version = $2 and partition = any($3)",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(smallints(partitions))
        .fetch_all(&self.pool)
        .await?;
        Ok(rows.into_iter().map(|(partition, at)| (partition.unsigned_abs(), at)).collect())
    }

    /// Moves the checkpoints, parks and settles, as part of the connection's transaction.
    pub(crate) async fn commit(
        &self,
        connection: &mut PgConnection,
        step: &Step,
    ) -> Result<(), WriteError> {
        self.advance(&mut *connection, &step.moves).await?;
        if !step.park.is_empty() {
            self.park(&mut *connection, &step.park).await?;
        }
        if !step.settle.is_empty() {
            sqlx::query(
                "delete from parked_events \
                 where projector = $1 and version = $2 and position = any($3)",
            )
            .bind(self.name)
            .bind(self.version())
            .bind(&step.settle)
            .execute(connection)
            .await?;
        }
        Ok(())
    }

    /// [`Checkpoints::commit`] in a transaction of its own, in one round trip if it can.
    pub(crate) async fn commit_alone(&self, step: &Step) -> Result<(), WriteError> {
        if step.park.is_empty() && step.settle.is_empty() {
            return self.advance(&self.pool, &step.moves).await;
        }
        let mut transaction = self.pool.begin().await?;
        self.commit(&mut transaction, step).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn advance<'c>(
        &self,
        executor: impl sqlx::PgExecutor<'c>,
        moves: &[Move],
    ) -> Result<(), WriteError> {
        let partitions: Vec<u16> = moves.iter().map(|m| m.partition).collect();
        let from: Vec<i64> = moves.iter().map(|m| m.from).collect();
        let to: Vec<i64> = moves.iter().map(|m| m.to).collect();
        // No need to wait for the disk: what a crash of the server takes back, rows and checkpoint
        // together, is read again.
        let updated = sqlx::query(
            "update projection_checkpoints c set position = m.next, updated_at = now() \
             from unnest($3::smallint[], $4::bigint[], $5::bigint[]) as m (partition, last, next) \
             where c.projector = $1 and c.version = $2 and c.partition = m.partition \
             and c.position = m.last \
             and (select set_config('synchronous_commit', 'off', true)) = 'off'",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(smallints(&partitions))
        .bind(from)
        .bind(to)
        .execute(executor)
        .await?;
        let all = u64::try_from(moves.len()).unwrap_or(u64::MAX);
        if updated.rows_affected() == all { Ok(()) } else { Err(WriteError::Moved) }
    }

    /// Takes checkpoints back. What was parked behind them is met again.
    pub(crate) async fn rewind(&self, moves: &[Move]) -> Result<(), WriteError> {
        let mut transaction = self.pool.begin().await?;
        self.advance(&mut *transaction, moves).await?;
        let partitions: Vec<u16> = moves.iter().map(|m| m.partition).collect();
        let to: Vec<i64> = moves.iter().map(|m| m.to).collect();
        sqlx::query(
            "delete from parked_events e \
             using unnest($3::smallint[], $4::bigint[]) as m (partition, position) \
             where e.projector = $1 and e.version = $2 and e.partition = m.partition \
             and e.position > m.position",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(smallints(&partitions))
        .bind(to)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn park(
        &self,
        connection: &mut PgConnection,
        parked: &[Parked],
    ) -> Result<(), WriteError> {
        let partitions: Vec<u16> = parked.iter().map(|p| p.partition).collect();
        let keys: Vec<&str> = parked.iter().map(|p| p.key.as_str()).collect();
        let positions: Vec<i64> = parked.iter().map(|p| p.position).collect();
        let events: Vec<Uuid> = parked.iter().map(|p| p.event_id).collect();
        let errors: Vec<Option<&str>> = parked.iter().map(|p| p.error.as_deref()).collect();
        sqlx::query(
            "insert into parked_events \
             (projector, version, partition, park_key, position, event_id, error) \
             select $1, $2, * from unnest($3::smallint[], $4::text[], $5::bigint[], $6::uuid[], \
             $7::text[]) on conflict do nothing",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(smallints(&partitions))
        .bind(keys)
        .bind(positions)
        .bind(events)
        .bind(errors)
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The keys whose events wait.
    pub(crate) async fn parked_keys(
        &self,
        partitions: &[u16],
    ) -> Result<HashSet<String>, WriteError> {
        self.keys(
            "select distinct park_key from parked_events where projector = $1 and version = $2 \
                   and partition = any($3)",
            partitions,
        )
        .await
    }

    /// The keys whose events somebody wants to be tried again.
    pub(crate) async fn requested_keys(
        &self,
        partitions: &[u16],
    ) -> Result<HashSet<String>, WriteError> {
        self.keys(
            "select distinct park_key from parked_events where projector = $1 and version = $2 \
                   and partition = any($3) and retry_requested",
            partitions,
        )
        .await
    }

    async fn keys(
        &self,
        statement: &'static str,
        partitions: &[u16],
    ) -> Result<HashSet<String>, WriteError> {
        let keys: Vec<String> = sqlx::query_scalar(statement)
            .bind(self.name)
            .bind(self.version())
            .bind(smallints(partitions))
            .fetch_all(&self.pool)
            .await?;
        Ok(keys.into_iter().collect())
    }

    /// The positions of the first events that wait under a key, in order.
    pub(crate) async fn parked_positions(
        &self,
        key: &str,
        limit: i64,
    ) -> Result<Vec<i64>, WriteError> {
        let positions = sqlx::query_scalar(
            "select position from parked_events where projector = $1 and version = $2 \
             and park_key = $3 order by position limit $4",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(key)
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        Ok(positions)
    }

    /// Notes why a parked event failed again; nobody wants the key to be tried any more.
    pub(crate) async fn park_again(
        &self,
        key: &str,
        position: i64,
        error: &str,
    ) -> Result<(), WriteError> {
        sqlx::query(
            "update parked_events set retry_requested = false, \
             error = case when position = $4 then $5 else error end \
             where projector = $1 and version = $2 and park_key = $3",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(key)
        .bind(position)
        .bind(error)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Events that wait in the partitions.
    pub(crate) async fn parked_count(&self, partitions: &[u16]) -> Result<i64, WriteError> {
        let row = sqlx::query(
            "select count(*) from parked_events where projector = $1 and version = $2 \
             and partition = any($3)",
        )
        .bind(self.name)
        .bind(self.version())
        .bind(smallints(partitions))
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Forgets the version: no checkpoint, nothing parked.
    pub(crate) async fn forget(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        for statement in [
            "delete from projection_checkpoints where projector = $1 and version = $2",
            "delete from parked_events where projector = $1 and version = $2",
        ] {
            sqlx::query(statement)
                .bind(self.name)
                .bind(self.version())
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

pub(crate) fn smallints(partitions: &[u16]) -> Vec<i16> {
    partitions.iter().map(|partition| i16::try_from(*partition).unwrap_or(i16::MAX)).collect()
}
