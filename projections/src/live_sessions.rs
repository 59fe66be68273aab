//! `live_sessions`: logins that work now, so that every request can be checked without a database.
//! Redis `session:{sessionId}` → `{"userId", "expiresAt"}`, gone at its end.
use domain::{AnyEvent, Recorded, SessionEvent, SessionId, UserId};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes::KeyChange;
use crate::projector::Projector;
use crate::{ReadError, Sessions, names};

/// The keys of a version, for those who look at all of them.
pub(crate) const PATTERNS: &[&str] = &["session:*"];

/// Feeds `live_sessions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveSessionsProjector;

impl Projector for LiveSessionsProjector {
    type Change = KeyChange;
    const NAME: &'static str = names::LIVE_SESSIONS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["session"];
    const CONFIRMED: bool = true;

    fn project(&self, recorded: &Recorded) -> Vec<KeyChange> {
        let AnyEvent::Session(event) = &recorded.event else { return vec![] };
        match event {
            SessionEvent::SessionStarted { session_id, user_id, expires_at, .. } => {
                let value = json!({"userId": user_id, "expiresAt": expires_at}).to_string();
                vec![KeyChange::Put { key: key(*session_id), value, expires_at: *expires_at }]
            }
            SessionEvent::SessionRefreshed { .. }
            | SessionEvent::RefreshTokenReuseDetected { .. } => vec![],
            SessionEvent::SessionRevoked { session_id, .. } => {
                vec![KeyChange::Delete { key: key(*session_id) }]
            }
        }
    }
}

fn key(id: SessionId) -> String {
    format!("session:{id}")
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Live {
    user_id: UserId,
}

impl Sessions<'_> {
    /// Whose session it is, if it certainly works. `None` means that it is not known here: it may
    /// have ended, or be so new that it has not arrived, or the sessions are being filled in again
    /// and the end of this one may be still to come.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn live(&self, id: SessionId) -> Result<Option<UserId>, ReadError> {
        let partition = eventstore::partition_of(&id.to_string());
        let fresh = self.0.fresh_key(names::LIVE_SESSIONS, partition);
        let key = self.0.key(names::LIVE_SESSIONS, &key(id));
        let (value, fresh): (Option<String>, Option<String>) =
            self.0.redis().mget((key, fresh)).await?;
        let live = value.and_then(|value| serde_json::from_str::<Live>(&value).ok());
        Ok(fresh.and(live).map(|live| live.user_id))
    }
}

#[cfg(test)]
mod tests {
    use domain::Personal;
    use domain::session::RevocationReason;
    use uuid::Uuid;

    use super::*;
    use crate::samples::{ANA, at, recorded};

    const SESSION: SessionId = SessionId(Uuid::from_u128(0x5e));

    #[test]
    fn a_session_lives_until_it_is_revoked_or_over() {
        let project =
            |event| LiveSessionsProjector.project(&recorded(&SESSION, 1, AnyEvent::Session(event)));
        let started = SessionEvent::SessionStarted {
            session_id: SESSION,
            user_id: ANA,
            user_agent: Personal::Erased,
            slot: None,
            token_version: None,
            expires_at: at(60),
            at: at(0),
        };
        let [KeyChange::Put { key, value, expires_at }] = &project(started)[..] else {
            panic!("not one key")
        };
        assert_eq!((key.as_str(), *expires_at), (&*format!("session:{SESSION}"), at(60)));
        assert_eq!(serde_json::from_str::<Live>(value).unwrap().user_id, ANA);

        let revoked = SessionEvent::SessionRevoked {
            session_id: SESSION,
            user_id: ANA,
            reason: RevocationReason::LoggedOut,
            slot: None,
            at: at(1),
        };
        assert_eq!(project(revoked), [KeyChange::Delete { key: key.clone() }]);
    }
}
