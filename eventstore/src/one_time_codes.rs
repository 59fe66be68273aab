//! One-time codes that were sent: who may have another one, and how often one was guessed at.
//!
//! Not events: guesses are counted before anything is decided, one by one, however many come at
//! once, and nobody needs their history.
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    EventStore, StoreError, claims,
    code_keys::{self, CodeKey},
    sealing,
    store::hash_key,
};

/// A code that is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct CodeRequest<'a> {
    /// A fresh id; the code follows from it.
    pub id: Uuid,
    /// What the code is for.
    pub purpose: &'static str,
    /// Codes to one destination are counted together within it, and the newest one is the only one
    /// that works.
    pub scope: &'static str,
    /// The canonical address or number.
    pub destination: &'a str,
    /// Whether the destination is kept, encrypted, to be known when the code comes back.
    pub keep_destination: bool,
    /// Whose account it is for.
    pub subject: Option<Uuid>,
    /// Whether nothing is sent, and only nobody shall be able to tell.
    pub decoy: bool,
    /// When.
    pub at: DateTime<Utc>,
    /// The code works until then.
    pub expires_at: DateTime<Utc>,
    /// The idempotency key under which it is asked for.
    pub key: Option<CodeKey<'a>>,
}

/// How often codes are sent to one destination.
#[derive(Clone, Copy, Debug)]
pub struct CodeLimits {
    /// Least time between two.
    pub gap: TimeDelta,
    /// Most in an hour.
    pub per_hour: u32,
    /// Most codes by text message in a day, to all numbers.
    pub texts_per_day: Option<u32>,
}

/// Whether a code may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeBegun {
    /// It may, and codes sent there before are dead.
    Begun,
    /// The same, but who asked is to hear "not before then": only decoys stand in the way, and
    /// nobody shall be able to tell them from codes.
    Quietly(DateTime<Utc>),
    /// Not before then.
    NotBefore(DateTime<Utc>),
    /// It was already, by a request with the same key: [`EventStore::code_of_key`] finds it.
    Repeated,
}

/// A guess that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeAttempt {
    /// What the code is for.
    pub purpose: String,
    /// Where it went, if that was kept.
    pub destination: Option<String>,
    /// How many guesses there were in the last hour for this destination.
    pub at_destination: i64,
    /// How many there were for this code, this one included.
    pub attempts: i32,
    /// Whose account it is for.
    pub subject: Option<Uuid>,
    /// When it was sent.
    pub sent_at: DateTime<Utc>,
    /// The code works until then.
    pub expires_at: DateTime<Utc>,
}

impl CodeLimits {
    /// From when on another one may follow those that were sent in the last hour, the newest first;
    /// `None`: now.
    fn free_at(
        &self,
        mut sent: impl Iterator<Item = DateTime<Utc>> + Clone,
    ) -> Option<DateTime<Utc>> {
        // The oldest of the last `per_hour` must be an hour old by then.
        let most = usize::try_from(self.per_hour).unwrap_or(usize::MAX);
        let room =
            sent.clone().nth(most.saturating_sub(1)).map(|oldest| oldest + TimeDelta::hours(1));
        sent.next().map(|last| last + self.gap).max(room)
    }
}

impl EventStore {
    /// Notes that a code is about to be sent, if the limits allow it. One after the other for one
    /// destination. Without limits it is the first one of an account, and replaces none; decoys
    /// replace and limit decoys only.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn begin_code(
        &self,
        request: CodeRequest<'_>,
        limits: Option<CodeLimits>,
    ) -> Result<CodeBegun, StoreError> {
        let CodeRequest { id, purpose, destination, subject, decoy, at, expires_at, .. } = request;
        let sealed = if request.keep_destination {
            let key = Zeroizing::new(*self.code_key());
            Some(sealing::encrypt(&key, destination.as_bytes(), id.as_bytes())?)
        } else {
            None
        };
        let destination = claims::hash(self.code_key(), request.scope, destination);
        let mut begun = CodeBegun::Begun;
        let mut transaction = self.pool().begin().await?;
        let lock = "select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))";
        if let Some(key) = request.key {
            // One after the other, whatever each of them asks for.
            let hash = hash_key(key.key);
            sqlx::query(lock).bind(&hash).execute(&mut *transaction).await?;
            if code_keys::find(&mut *transaction, key).await?.is_some() {
                return Ok(CodeBegun::Repeated);
            }
        }
        sqlx::query(lock).bind(&destination).execute(&mut *transaction).await?;
        if let Some(limits) = limits {
            let sent: Vec<(DateTime<Utc>, bool)> = sqlx::query_as(
                "select created_at, decoy from one_time_codes
                 where destination = $1 and created_at > $2
                 order by created_at desc",
            )
            .bind(&destination)
            .bind(at - TimeDelta::hours(1))
            .fetch_all(&mut *transaction)
            .await?;
            if let Some(most) = limits.texts_per_day {
                // One after the other: at once, more would fit than there are.
                sqlx::query("select pg_advisory_xact_lock(hashtextextended('texts', 0))")
                    .execute(&mut *transaction)
                    .await?;
                let since = at - TimeDelta::days(1);
                let sent: i64 = sqlx::query_scalar(
                    "select count(*) from one_time_codes
                     where purpose like 'phone%' and created_at > $1",
                )
                .bind(since)
                .fetch_one(&mut *transaction)
                .await?;
                if sent >= i64::from(most) {
                    return Ok(CodeBegun::NotBefore(at + TimeDelta::hours(1)));
                }
            }
            let told = limits.free_at(sent.iter().map(|(at, _)| *at)).filter(|free| *free > at);
            let counts = sent.iter().filter(|(_, is_decoy)| decoy || !is_decoy);
            let free = limits.free_at(counts.map(|(at, _)| *at)).filter(|free| *free > at);
            match (told, free) {
                (Some(told), Some(_)) => return Ok(CodeBegun::NotBefore(told)),
                (Some(told), None) => begun = CodeBegun::Quietly(told),
                (None, _) => {}
            }
            sqlx::query(
                "update one_time_codes set used_at = $2
                 where destination = $1 and used_at is null and (decoy or not $3)",
            )
            .bind(&destination)
            .bind(at)
            .bind(decoy)
            .execute(&mut *transaction)
            .await?;
        }
        sqlx::query(
            "insert into one_time_codes (id, purpose, destination, subject_id, created_at,
                                         expires_at, sealed_destination, decoy,
                                         idempotency_key, request_hash)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(id)
        .bind(purpose)
        .bind(&destination)
        .bind(subject)
        .bind(at)
        .bind(expires_at)
        .bind(sealed)
        .bind(decoy)
        .bind(request.key.map(|key| hash_key(key.key)))
        .bind(request.key.map(|key| key.request_hash.to_vec()))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(begun)
    }

    /// Counts one guess at a code that works, before anyone compares it. `None`: no such code, used,
    /// replaced or too old.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn count_attempt(
        &self,
        id: Uuid,
        purposes: &[&str],
        at: DateTime<Utc>,
    ) -> Result<Option<CodeAttempt>, StoreError> {
        let row = sqlx::query(
            "update one_time_codes code set attempts = attempts + 1
             where id = $1 and purpose = any($2) and used_at is null and expires_at > $3
             returning purpose, attempts, subject_id, created_at, expires_at, sealed_destination,
                       (select coalesce(sum(other.attempts), 0)::bigint from one_time_codes other
                        where other.destination = code.destination
                          and other.created_at > $4 and other.id <> code.id) as others",
        )
        .bind(id)
        .bind(purposes)
        .bind(at)
        .bind(at - TimeDelta::hours(1))
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sealed: Option<Vec<u8>> = row.try_get("sealed_destination")?;
        let key = Zeroizing::new(*self.code_key());
        let open = |sealed: Vec<u8>| {
            let plain = sealing::decrypt(&key, &sealed, id.as_bytes());
            let plain = plain.map_err(|error| StoreError::Unreadable(error.reason))?;
            String::from_utf8(plain)
                .map_err(|_| StoreError::Unreadable("a destination is no text".into()))
        };
        let attempts: i32 = row.try_get("attempts")?;
        let others: i64 = row.try_get("others")?;
        Ok(Some(CodeAttempt {
            purpose: row.try_get("purpose")?,
            destination: sealed.map(open).transpose()?,
            at_destination: others + i64::from(attempts),
            attempts,
            subject: row.try_get("subject_id")?,
            sent_at: row.try_get("created_at")?,
            expires_at: row.try_get("expires_at")?,
        }))
    }

    /// The newest code of this purpose that went there.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn newest_code(
        &self,
        purpose: &'static str,
        scope: &'static str,
        destination: &str,
    ) -> Result<Option<Uuid>, StoreError> {
        let destination = claims::hash(self.code_key(), scope, destination);
        Ok(sqlx::query_scalar(
            "select id from one_time_codes where purpose = $1 and destination = $2 and not decoy
             order by created_at desc limit 1",
        )
        .bind(purpose)
        .bind(destination)
        .fetch_optional(self.pool())
        .await?)
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

    /// Forgets codes that no limit counts any more, and where they went. Those with an idempotency key
    /// stay for `keep_keys_hours` all the same. Returns how many went.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn forget_old_codes(
        &self,
        at: DateTime<Utc>,
        keep_keys_hours: u32,
    ) -> Result<u64, StoreError> {
        let counted = at - TimeDelta::days(2);
        let kept = at - TimeDelta::hours(i64::from(keep_keys_hours));
        sqlx::query(
            "update one_time_codes set sealed_destination = null
             where created_at < $1 and expires_at < $1 and sealed_destination is not null",
        )
        .bind(counted)
        .execute(self.pool())
        .await?;
        let query = sqlx::query(
            "delete from one_time_codes where created_at < $1 and expires_at < $1
             and (idempotency_key is null or created_at < $2)",
        );
        Ok(query.bind(counted).bind(kept).execute(self.pool()).await?.rows_affected())
    }
}
