//! A login on one device: from login, over token refreshes, to logout.
//!
//! A refresh token is the session's id, a counter and a MAC. Only the counter is state: presenting
//! the current one rotates it, presenting the one before means that our last answer got lost, and
//! anything older was stolen (OAuth 2.0 Security BCP, RFC 9700, section 4.14.2).
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AggregateRoot, ClaimChange, Personal, SessionId, UserId,
    macros::{aggregate, domain_event, rejection},
};

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RevocationReason {
    /// The person logged out.
    LoggedOut,
    /// An old refresh token came back.
    TokenReused,
    /// The person ended it from another session.
    EndedElsewhere,
    /// The password was changed or reset.
    PasswordChanged,
    /// The account was closed by whoever runs the place.
    AccountSuspended,
    /// The account was closed by its owner.
    AccountDeactivated,
    /// The person logged in once too often: the oldest session made room.
    TooManySessions,
}

/// What someone asks of a session. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum SessionCommand {
    /// Begin.
    Start {
        /// A fresh id.
        session_id: SessionId,
        /// Who logged in.
        user_id: UserId,
        /// What the client calls itself.
        user_agent: Option<String>,
        /// Which of the person's places it takes, from 0.
        slot: u16,
        /// The account's token version when the person proved who they are.
        token_version: u64,
        /// No refresh works after this.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Exchange a refresh token.
    Refresh {
        /// The counter in the presented token.
        presented: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// End it.
    Revoke {
        /// Whose session it must be.
        owner: UserId,
        /// Why.
        reason: RevocationReason,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What happened to a session. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum SessionEvent {
    /// The session's tokens work.
    SessionStarted {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// What the client called itself.
        user_agent: Personal<Option<String>>,
        /// Which of the person's places it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<u16>,
        /// The account's token version when the person proved who they are.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_version: Option<u64>,
        /// No refresh works after this.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The token with `counter` replaced the one before.
    SessionRefreshed {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// The counter of the token that works now.
        counter: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// A token came back that was replaced long ago: someone else has a copy.
    RefreshTokenReuseDetected {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// The counter that was presented.
        presented: u64,
        /// The counter that works.
        current: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// No token of the session works any more.
    SessionRevoked {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// Why.
        reason: RevocationReason,
        /// Which of the person's places is free again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<u16>,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(SessionEvent {
    SessionStarted => "1.0" seals "userId": ["userAgent"],
    SessionRefreshed => "1.0",
    RefreshTokenReuseDetected => "1.0",
    SessionRevoked => "1.0",
});

/// Why a command to a session was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The id is in use.
    #[error("this session exists already")]
    AlreadyStarted,
    /// Unknown session, a token of the future, or past its end.
    #[error("the refresh token is not valid")]
    InvalidToken,
    /// The session has ended.
    #[error("the session has ended; log in again")]
    Revoked,
    /// No such session of this person.
    #[error("there is no such session")]
    NotFound,
    /// Another session of the person has this place.
    #[error("another session has taken this place")]
    SlotTaken,
}

rejection!(SessionError {
    AlreadyStarted => Conflict, "already_started";
    InvalidToken => Unauthenticated, "refresh_token_invalid";
    Revoked => Unauthenticated, "session_revoked";
    NotFound => NotFound, "not_found";
    SlotTaken => Conflict, "limit_reached";
});

/// What a decision about a session needs to know, and no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum Session {
    /// Never started.
    #[default]
    Absent,
    /// Tokens work until `expires_at`.
    Live {
        /// Which session.
        session_id: SessionId,
        /// Whose.
        user_id: UserId,
        /// The counter of the refresh token that works.
        counter: u64,
        /// Which of the person's places it takes.
        slot: Option<u16>,
        /// The account's token version when it began.
        token_version: u64,
        /// No refresh works after this.
        expires_at: DateTime<Utc>,
    },
    /// Ended.
    Revoked {
        /// Whose it was.
        user_id: UserId,
    },
}

aggregate!(Session = "session", SessionCommand -> SessionEvent | SessionError);

impl AggregateRoot for Session {
    const STATE_VERSION: u32 = 2;

    fn claims(event: &SessionEvent) -> Vec<ClaimChange> {
        let scope = Self::SLOT;
        match *event {
            SessionEvent::SessionStarted { user_id, slot: Some(slot), .. } => {
                vec![ClaimChange::Take { scope, value: Self::slot(user_id, slot) }]
            }
            SessionEvent::SessionRevoked { user_id, slot: Some(slot), .. } => {
                vec![ClaimChange::Release { scope, value: Self::slot(user_id, slot) }]
            }
            _ => Vec::new(),
        }
    }

    fn claim_taken(scope: &str) -> Option<SessionError> {
        (scope == Self::SLOT).then_some(SessionError::SlotTaken)
    }
}

impl Session {
    /// The claim scope of a person's places: as many sessions can live as there are places.
    pub const SLOT: &'static str = "session_slot";

    /// The claim of one place of a person.
    #[must_use]
    pub fn slot(user_id: UserId, slot: u16) -> String {
        format!("{user_id}:{slot}")
    }

    /// Whether access tokens of this session are accepted at `now`.
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        matches!(self, Self::Live { expires_at, .. } if now < *expires_at)
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: SessionCommand) -> Result<Vec<SessionEvent>, SessionError> {
        use {SessionCommand as C, SessionEvent as E};
        match (self, command) {
            (
                Self::Absent,
                C::Start { session_id, user_id, user_agent, slot, token_version, expires_at, at },
            ) => Ok(vec![E::SessionStarted {
                session_id,
                user_id,
                user_agent: user_agent.into(),
                slot: Some(slot),
                token_version: Some(token_version),
                expires_at,
                at,
            }]),
            (_, C::Start { .. }) => Err(SessionError::AlreadyStarted),
            (Self::Absent, C::Refresh { .. }) => Err(SessionError::InvalidToken),
            (Self::Revoked { .. }, C::Refresh { .. }) => Err(SessionError::Revoked),
            (
                &Self::Live { session_id, user_id, counter, slot, expires_at, .. },
                C::Refresh { presented, at },
            ) => {
                if at >= expires_at || presented > counter {
                    return Err(SessionError::InvalidToken);
                }
                if presented == counter {
                    let counter = counter + 1;
                    return Ok(vec![E::SessionRefreshed { session_id, user_id, counter, at }]);
                }
                // Nobody used the newer token yet, so the client never saw our answer: it gets
                // the same pair again. Two tabs of one browser end here as well.
                if presented + 1 == counter {
                    return Ok(vec![]);
                }
                // The refusal must not undo this: the theft is recorded, then answered.
                Ok(vec![
                    E::RefreshTokenReuseDetected {
                        session_id,
                        user_id,
                        presented,
                        current: counter,
                        at,
                    },
                    E::SessionRevoked {
                        session_id,
                        user_id,
                        reason: RevocationReason::TokenReused,
                        slot,
                        at,
                    },
                ])
            }
            // Nobody learns of the sessions of others.
            (Self::Absent, C::Revoke { .. }) => Err(SessionError::NotFound),
            (Self::Live { user_id, .. } | Self::Revoked { user_id }, C::Revoke { owner, .. })
                if *user_id != owner =>
            {
                Err(SessionError::NotFound)
            }
            // Ending what has ended succeeds and records nothing.
            (Self::Revoked { .. }, C::Revoke { .. }) => Ok(vec![]),
            (&Self::Live { session_id, user_id, slot, .. }, C::Revoke { reason, at, .. }) => {
                Ok(vec![E::SessionRevoked { session_id, user_id, reason, slot, at }])
            }
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &SessionEvent) {
        match *event {
            SessionEvent::SessionStarted {
                session_id,
                user_id,
                slot,
                token_version,
                expires_at,
                ..
            } => {
                let token_version = token_version.unwrap_or_default();
                *self =
                    Self::Live { session_id, user_id, counter: 0, slot, token_version, expires_at };
            }
            SessionEvent::SessionRefreshed { counter: newer, .. } => {
                if let Self::Live { counter, .. } = self {
                    *counter = newer;
                }
            }
            SessionEvent::RefreshTokenReuseDetected { .. } => {}
            SessionEvent::SessionRevoked { user_id, .. } => *self = Self::Revoked { user_id },
        }
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    const ID: SessionId = SessionId(Uuid::nil());
    const ANA: UserId = UserId(Uuid::nil());

    fn session() -> TestFramework<Session> {
        TestFramework::with(())
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn started() -> SessionEvent {
        SessionEvent::SessionStarted {
            session_id: ID,
            user_id: ANA,
            user_agent: Some("test".to_owned()).into(),
            slot: Some(3),
            token_version: Some(0),
            expires_at: at(1000),
            at: at(0),
        }
    }

    fn refreshed(counter: u64) -> SessionEvent {
        SessionEvent::SessionRefreshed { session_id: ID, user_id: ANA, counter, at: at(5) }
    }

    fn revoked(reason: RevocationReason) -> SessionEvent {
        SessionEvent::SessionRevoked {
            session_id: ID,
            user_id: ANA,
            reason,
            slot: Some(3),
            at: at(5),
        }
    }

    fn refresh(presented: u64) -> SessionCommand {
        SessionCommand::Refresh { presented, at: at(5) }
    }

    #[test]
    fn the_current_token_rotates() {
        session().given(vec![started()]).when(refresh(0)).then_expect_events(vec![refreshed(1)]);
    }

    #[test]
    fn the_token_before_the_current_one_gets_the_current_pair_again() {
        session().given(vec![started(), refreshed(1)]).when(refresh(0)).then_expect_events(vec![]);
    }

    #[test]
    fn an_older_token_ends_the_session() {
        session()
            .given(vec![started(), refreshed(1), refreshed(2)])
            .when(refresh(0))
            .then_expect_events(vec![
                SessionEvent::RefreshTokenReuseDetected {
                    session_id: ID,
                    user_id: ANA,
                    presented: 0,
                    current: 2,
                    at: at(5),
                },
                revoked(RevocationReason::TokenReused),
            ]);
    }

    #[test]
    fn nothing_works_after_the_end() {
        let ended = vec![started(), revoked(RevocationReason::LoggedOut)];
        session().given(ended.clone()).when(refresh(0)).then_expect_error(SessionError::Revoked);
        let late = SessionCommand::Refresh { presented: 0, at: at(1000) };
        session().given(vec![started()]).when(late).then_expect_error(SessionError::InvalidToken);
        session()
            .given(vec![started()])
            .when(refresh(7))
            .then_expect_error(SessionError::InvalidToken);
    }

    fn revoke(owner: UserId) -> SessionCommand {
        SessionCommand::Revoke { owner, reason: RevocationReason::LoggedOut, at: at(5) }
    }

    #[test]
    fn a_session_of_somebody_else_is_not_there() {
        let ben = UserId(Uuid::max());
        let ended = vec![started(), revoked(RevocationReason::LoggedOut)];
        for history in [vec![], vec![started()], ended] {
            session().given(history).when(revoke(ben)).then_expect_error(SessionError::NotFound);
        }
    }

    #[test]
    fn a_session_holds_its_place_until_it_ends() {
        let (scope, value) = (Session::SLOT, format!("{ANA}:3"));
        let taken = vec![ClaimChange::Take { scope, value: value.clone() }];
        assert_eq!(Session::claims(&started()), taken);
        let ended = revoked(RevocationReason::TokenReused);
        assert_eq!(Session::claims(&ended), vec![ClaimChange::Release { scope, value }]);
    }

    #[test]
    fn logging_out_twice_records_one_end() {
        let revoke = revoke(ANA);
        session()
            .given(vec![started()])
            .when(revoke.clone())
            .then_expect_events(vec![revoked(RevocationReason::LoggedOut)]);
        session()
            .given(vec![started(), revoked(RevocationReason::LoggedOut)])
            .when(revoke)
            .then_expect_events(vec![]);
    }
}
