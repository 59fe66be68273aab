//! One-time codes that were sent: who may have another one, and how often one was guessed at.
//!
//! Not events: guesses are counted before anything is decided, one by one, however many come at
//! once, and nobody needs their history.
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{EventStore, StoreError, claims};

/// A code that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct CodeRequest<'a> {
    /// A fresh id; the code follows from it.
    pub id: Uuid,
    /// What the code is for.
    pub purpose: &'static str,
    /// The canonical address or number.
    pub destination: &'a str,
    /// Whose account it is for; `None` for nobody's, so that nobody can tell the two apart.
    pub subject: Option<Uuid>,
    /// When.
    pub at: DateTime<Utc>,
    /// The code works until then.
    pub expires_at: DateTime<Utc>,
}

/// How often codes are sent to one destination.
#[derive(Clone, Copy, Debug)]
pub struct CodeLimits {
    /// Least time between two.
    pub gap: TimeDelta,
    /// Most in an hour.
    pub per_hour: u32,
}

/// Whether a code may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeBegun {
    /// It may, and codes of this purpose sent there before are dead.
    Begun,
    /// Not before then.
    NotBefore(DateTime<Utc>),
}

/// A guess that was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeAttempt {
    /// How many there were for this code, this one included.
    pub attempts: i32,
    /// Whose account it is for.
    pub subject: Option<Uuid>,
    /// The code works until then.
    pub expires_at: DateTime<Utc>,
}

impl EventStore {
    /// Notes that a code is about to be sent, if the limits allow it. One after the other for one
    /// destination.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn begin_code(
        &self,
        request: CodeRequest<'_>,
        limits: Option<CodeLimits>,
    ) -> Result<CodeBegun, StoreError> {
        let CodeRequest { id, purpose, destination, subject, at, expires_at } = request;
        let destination = claims::hash(self.code_key(), purpose, destination);
        let mut transaction = self.pool().begin().await?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))")
            .bind(&destination)
            .execute(&mut *transaction)
            .await?;
        if let Some(CodeLimits { gap, per_hour }) = limits {
            let hour = TimeDelta::hours(1);
            let sent: Vec<DateTime<Utc>> = sqlx::query_scalar(
                "select created_at from one_time_codes
                 where purpose = $1 and destination = $2 and created_at > $3
                 order by created_at desc",
            )
            .bind(purpose)
            .bind(&destination)
            .bind(at - hour)
            .fetch_all(&mut *transaction)
            .await?;
            let rested = sent.first().map(|last| *last + gap);
            // The oldest of the last `per_hour` must be an hour old by then.
            let most = usize::try_from(per_hour).unwrap_or(usize::MAX);
            let room = sent.get(most.saturating_sub(1)).map(|oldest| *oldest + hour);
            if let Some(free) = rested.max(room).filter(|free| *free > at) {
                return Ok(CodeBegun::NotBefore(free));
            }
        }
        sqlx::query(
            "update one_time_codes set used_at = $3
             where purpose = $1 and destination = $2 and used_at is null",
        )
        .bind(purpose)
        .bind(&destination)
        .bind(at)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "insert into one_time_codes (id, purpose, destination, subject_id, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(purpose)
        .bind(&destination)
        .bind(subject)
        .bind(at)
        .bind(expires_at)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(CodeBegun::Begun)
    }

    /// Counts one guess at a code that works, before anyone compares it. `None`: no such code, used,
    /// replaced or too old.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn count_attempt(
        &self,
        id: Uuid,
        purpose: &'static str,
        at: DateTime<Utc>,
    ) -> Result<Option<CodeAttempt>, StoreError> {
        let row = sqlx::query(
            "update one_time_codes set attempts = attempts + 1
             where id = $1 and purpose = $2 and used_at is null and expires_at > $3
             returning attempts, subject_id, expires_at",
        )
        .bind(id)
        .bind(purpose)
        .bind(at)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(CodeAttempt {
            attempts: row.try_get("attempts")?,
            subject: row.try_get("subject_id")?,
            expires_at: row.try_get("expires_at")?,
        }))
    }

    /// Uses a code up. `false` when somebody else was faster.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn use_code(&self, id: Uuid, at: DateTime<Utc>) -> Result<bool, StoreError> {
        let used =
            sqlx::query("update one_time_codes set used_at = $2 where id = $1 and used_at is null")
                .bind(id)
                .bind(at)
                .execute(self.pool())
                .await?;
        Ok(used.rows_affected() == 1)
    }

    /// Kills every code that works for a person.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn kill_codes(&self, subject: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
        sqlx::query(
            "update one_time_codes set used_at = $2 where subject_id = $1 and used_at is null",
        )
        .bind(subject)
        .bind(at)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Forgets codes that no limit counts any more. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn forget_old_codes(&self, at: DateTime<Utc>) -> Result<u64, StoreError> {
        let kept = at - TimeDelta::days(2);
        let query =
            sqlx::query("delete from one_time_codes where created_at < $1 and expires_at < $1");
        Ok(query.bind(kept).execute(self.pool()).await?.rows_affected())
    }
}
