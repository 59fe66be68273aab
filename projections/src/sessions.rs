//! `sessions`: logins from beginning to end, one row each. PostgreSQL.
use chrono::{DateTime, Utc};
use domain::{AnyEvent, Recorded, SessionEvent, SessionId, UserId};
use serde_json::{Map, Value, json};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::SESSIONS,
    key: &["id"],
    columns: "id uuid not null, user_id uuid not null, user_agent text, \
              created_at timestamptz not null, \
              last_refreshed_at timestamptz, expires_at timestamptz not null, \
              revoked_at timestamptz, reason text",
    indexes: &[("user", "(user_id, created_at)")],
    erasure: Erasure::Fields {
        of: "user_id",
        set: "user_agent = null",
        given: "user_agent is not null",
    },
};

/// Feeds `sessions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionsProjector;

impl Projector for SessionsProjector {
    type Change = RowChange;
    const NAME: &'static str = names::SESSIONS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["session"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Session(event) = &recorded.event else { return vec![] };
        match event {
            SessionEvent::SessionStarted {
                session_id,
                user_id,
                user_agent,
                expires_at,
                at,
                ..
            } => {
                let user_agent = user_agent.known().and_then(Option::as_ref);
                let row = fields(json!({
                    "id": session_id, "user_id": user_id, "user_agent": user_agent,
                    "created_at": at,
                    "last_refreshed_at": null, "expires_at": expires_at,
                    "revoked_at": null, "reason": null,
                }));
                vec![RowChange::Put { row }]
            }
            SessionEvent::SessionRefreshed { session_id, at, .. } => vec![RowChange::Set {
                key: key(*session_id),
                fields: fields(json!({"last_refreshed_at": at})),
            }],
            // The revocation that follows from it says all there is to show.
            SessionEvent::RefreshTokenReuseDetected { .. } => vec![],
            SessionEvent::SessionRevoked { session_id, reason, at, .. } => vec![RowChange::Set {
                key: key(*session_id),
                fields: fields(json!({"revoked_at": at, "reason": reason})),
            }],
        }
    }
}

fn key(id: SessionId) -> Map<String, Value> {
    fields(json!({"id": id}))
}

/// A login as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Which session.
    pub id: SessionId,
    /// Whose.
    pub user_id: UserId,
    /// What the client called itself; `None` once the person was erased.
    pub user_agent: Option<String>,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// UTC; `None` before the first refresh.
    pub last_refreshed_at: Option<DateTime<Utc>>,
    /// No refresh works after this, UTC.
    pub expires_at: DateTime<Utc>,
    /// UTC; `None` while it works.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Why it was revoked: `logged_out`, `token_reused` …
    pub reason: Option<String>,
}

/// Queries of `sessions` and `live_sessions`.
#[derive(Clone, Copy)]
pub struct Sessions<'a>(pub(crate) &'a ReadModels);

impl Sessions<'_> {
    /// One login.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get(&self, id: SessionId) -> Result<Option<SessionRow>, ReadError> {
        let table = self.0.stored(names::SESSIONS);
        let row = sqlx::query(&format!("select * from {table} where id = $1"))
            .bind(id.0)
            .fetch_optional(self.0.pool())
            .await?;
        Ok(row.as_ref().map(session_row).transpose()?)
    }

    /// The logins of a person that work at `now`, the newest first.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn live_of(
        &self,
        user_id: UserId,
        now: DateTime<Utc>,
    ) -> Result<Vec<SessionRow>, ReadError> {
        let table = self.0.stored(names::SESSIONS);
        let rows = sqlx::query(&format!(
            "select * from {table} where user_id = $1 and revoked_at is null and expires_at > $2 \
             order by created_at desc, id desc"
        ))
        .bind(user_id.0)
        .bind(now)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(session_row).collect::<Result<_, _>>()?)
    }

    /// All logins of a person, the oldest first.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn of(&self, user_id: UserId) -> Result<Vec<SessionRow>, ReadError> {
        let table = self.0.stored(names::SESSIONS);
        let rows = sqlx::query(&format!(
            "select * from {table} where user_id = $1 order by created_at, id"
        ))
        .bind(user_id.0)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(session_row).collect::<Result<_, _>>()?)
    }
}

fn session_row(row: &PgRow) -> Result<SessionRow, sqlx::Error> {
    Ok(SessionRow {
        id: SessionId(row.try_get("id")?),
        user_id: UserId(row.try_get("user_id")?),
        user_agent: row.try_get("user_agent")?,
        created_at: row.try_get("created_at")?,
        last_refreshed_at: row.try_get("last_refreshed_at")?,
        expires_at: row.try_get("expires_at")?,
        revoked_at: row.try_get("revoked_at")?,
        reason: row.try_get("reason")?,
    })
}

#[cfg(test)]
mod tests {
    use domain::Personal;
    use domain::session::RevocationReason;
    use uuid::Uuid;

    use super::*;
    use crate::samples::{ANA, assert_whole, at, recorded};

    const SESSION: SessionId = SessionId(Uuid::from_u128(0x5e));

    fn project(event: SessionEvent) -> Vec<RowChange> {
        SessionsProjector.project(&recorded(&SESSION, 1, AnyEvent::Session(event)))
    }

    fn set(changed: Value) -> RowChange {
        RowChange::Set { key: key(SESSION), fields: fields(changed) }
    }

    #[test]
    fn a_login_is_a_whole_row_with_its_device() {
        let user_agent = Personal::Known(Some("Firefox".to_owned()));
        let started = SessionEvent::SessionStarted {
            session_id: SESSION,
            user_id: ANA,
            user_agent,
            slot: None,
            token_version: None,
            proof: None,
            expires_at: at(60),
            at: at(0),
        };
        let [RowChange::Put { row }] = &project(started)[..] else { panic!("not a whole row") };
        assert_whole(&TABLE, row);
        assert_eq!(row["user_agent"], "Firefox");
    }

    #[test]
    fn refreshing_and_revoking_say_when_and_why() {
        let (session_id, user_id) = (SESSION, ANA);
        let refreshed =
            SessionEvent::SessionRefreshed { session_id, user_id, counter: 1, at: at(5) };
        assert_eq!(project(refreshed), [set(json!({"last_refreshed_at": at(5)}))]);
        let reason = RevocationReason::TokenReused;
        let revoked =
            SessionEvent::SessionRevoked { session_id, user_id, reason, slot: None, at: at(6) };
        assert_eq!(project(revoked), [set(json!({"revoked_at": at(6), "reason": "token_reused"}))]);
    }
}
