//! `live_sessions`: logins that work now, so that every request can be checked without a database.
//! Redis `session:{sessionId}` → `{"userId", "expiresAt"}`, gone at its end, and
//! `token_version:{userId}` → `{"tokenVersion", "keptSession"}` where an account cut logins off.
//! Beside them, from no event: `session_seen:{sessionId}`, when it was used, milliseconds since 1970.
use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::user::Cutoff;
use domain::{AnyEvent, Recorded, SessionEvent, SessionId, UserId};
use platform::config::MAX_REFRESH_TOKEN_SECONDS;
use platform::{Clock as _, SystemClock};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::changes::KeyChange;
use crate::projector::Projector;
use crate::{ReadError, Sessions, names};

/// How exactly it is known when a session was used.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(5);

/// The keys of a version, for those who look at all of them.
pub(crate) const PATTERNS: &[&str] = &["session:*", "token_version:*"];

/// Feeds `live_sessions`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LiveSessionsProjector;

impl Projector for LiveSessionsProjector {
    type Change = KeyChange;
    const NAME: &'static str = names::LIVE_SESSIONS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["session", "user"];
    const CONFIRMED: bool = true;

    fn project(&self, recorded: &Recorded) -> Vec<KeyChange> {
        let event = match &recorded.event {
            AnyEvent::Session(event) => event,
            AnyEvent::User(event) => {
                let Some((user_id, cutoff, _)) = event.cutoff() else { return vec![] };
                // No login from before lives longer.
                let lifetime = TimeDelta::seconds(i64::from(MAX_REFRESH_TOKEN_SECONDS));
                return vec![KeyChange::Put {
                    key: version_key(user_id),
                    value: json!(cutoff).to_string(),
                    expires_at: recorded.recorded_at + lifetime,
                }];
            }
            _ => return vec![],
        };
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

fn version_key(of: UserId) -> String {
    format!("token_version:{of}")
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Live {
    user_id: UserId,
}

impl Sessions<'_> {
    /// Whether a token of this session certainly counts (`true`), or certainly does not. `None`
    /// means that it is not known here: the session may have ended, or be so new that it has not
    /// arrived, or what is known here is being filled in again and the end may be still to come.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn counts(
        &self,
        id: SessionId,
        of: UserId,
        token_version: u64,
    ) -> Result<Option<bool>, ReadError> {
        let model = names::LIVE_SESSIONS;
        let fresh = |id: String| self.0.fresh_key(model, eventstore::partition_of(&id));
        // All of it in one round trip: this is asked with every request.
        let keys = [
            self.0.key(model, &key(id)),
            fresh(id.to_string()),
            self.0.key(model, &version_key(of)),
            fresh(of.to_string()),
            self.0.key(model, &seen_key(id)),
        ];
        let [session, session_fresh, cutoff, cutoff_fresh, seen]: [Option<String>; 5] =
            self.0.redis().mget(&keys).await?;
        let cutoff = cutoff.map(|value| serde_json::from_str::<Cutoff>(&value));
        let accepts = match (cutoff, cutoff_fresh) {
            // Versions only grow: what is cut off stays so, however old this knowledge is.
            (Some(Ok(cutoff)), _) if !cutoff.accepts(id, token_version) => return Ok(Some(false)),
            (Some(Ok(_)) | None, Some(_)) => true,
            _ => false,
        };
        let live = session.and_then(|value| serde_json::from_str::<Live>(&value).ok());
        let known = live.filter(|_| accepts && session_fresh.is_some());
        let counts = known.map(|live| live.user_id == of);
        if counts == Some(true) {
            self.note_seen(id, seen.as_deref());
        }
        Ok(counts)
    }

    /// Notes that a session is used, once in a while and beside whatever waits for the answer.
    fn note_seen(self, id: SessionId, noted: Option<&str>) {
        let now = SystemClock.now();
        if seen_at(noted).is_some_and(|at| now - at < NOTED_EVERY) {
            return;
        }
        let (mut redis, key) = (self.0.redis(), self.0.key(names::LIVE_SESSIONS, &seen_key(id)));
        tokio::spawn(async move {
            let noted = redis.set_ex(key, now.timestamp_millis(), MAX_REFRESH_TOKEN_SECONDS.into());
            let noted: Result<(), _> = noted.await;
            if let Err(error) = noted {
                tracing::debug!(%error, "nobody knows when a session was used");
            }
        });
    }

    /// When these sessions were used last, to a few minutes; missing where nobody knows.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn last_seen(
        &self,
        ids: &[SessionId],
    ) -> Result<HashMap<SessionId, DateTime<Utc>>, ReadError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let key = |id: &SessionId| self.0.key(names::LIVE_SESSIONS, &seen_key(*id));
        let keys: Vec<_> = ids.iter().map(key).collect();
        let noted: Vec<Option<String>> = self.0.redis().mget(&keys).await?;
        let seen = ids.iter().zip(&noted);
        Ok(seen.filter_map(|(id, noted)| Some((*id, seen_at(noted.as_deref())?))).collect())
    }
}

fn seen_key(id: SessionId) -> String {
    format!("session_seen:{id}")
}

fn seen_at(noted: Option<&str>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(noted?.parse().ok()?)
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
            proof: None,
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
