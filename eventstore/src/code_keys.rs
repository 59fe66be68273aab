//! Idempotency keys of requests for codes. Codes are not events, so their keys are not in
//! `command_log`: they stand beside the code that they led to.
use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, Row as _};
use uuid::Uuid;

use crate::{EventStore, StoreError, store::hash_key};

/// The key under which a code is asked for.
#[derive(Clone, Copy, Debug)]
pub struct CodeKey<'a> {
    /// Scope and key.
    pub key: &'a str,
    /// Hash of what is asked: the same key with another hash is another request.
    pub request_hash: [u8; 32],
    /// What was answered before is forgotten.
    pub kept_since: DateTime<Utc>,
    /// What was begun before and is not answered is not under way any more.
    pub running_since: DateTime<Utc>,
}

/// The code to which an earlier request with the same key led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedCode {
    /// Its id.
    pub id: Uuid,
    /// Hash of what was asked then.
    pub request_hash: Vec<u8>,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// The code works until then.
    pub expires_at: DateTime<Utc>,
    /// Whether the request was answered; if not, it is under way.
    pub answered: bool,
}

impl EventStore {
    /// The code to which an earlier request with this key led.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn code_of_key(&self, key: CodeKey<'_>) -> Result<Option<AskedCode>, StoreError> {
        find(self.pool(), key).await
    }

    /// Notes that what was begun with a key led to this code, and that who asked for it is told so.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn answer_code(&self, begun: Uuid, code: Uuid) -> Result<(), StoreError> {
        sqlx::query(
            "update one_time_codes code
             set idempotency_key = begun.idempotency_key, request_hash = begun.request_hash,
                 answered = true
             from one_time_codes begun where begun.id = $1 and code.id = $2",
        )
        .bind(begun)
        .bind(code)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Forgets the key of a code that was not sent: what fails is not repeated.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn forget_key_of_code(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("update one_time_codes set idempotency_key = null where id = $1")
            .bind(id)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

pub(crate) async fn find(
    database: impl PgExecutor<'_>,
    key: CodeKey<'_>,
) -> Result<Option<AskedCode>, StoreError> {
    let row = sqlx::query(
        "select id, request_hash, created_at, expires_at, answered from one_time_codes
         where idempotency_key = $1 and created_at > case when answered then $2 else $3 end
         order by answered desc, created_at desc limit 1",
    )
    .bind(hash_key(key.key))
    .bind(key.kept_since)
    .bind(key.running_since)
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(AskedCode {
        id: row.try_get("id")?,
        request_hash: row.try_get("request_hash")?,
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        answered: row.try_get("answered")?,
    }))
}
