//! A login on one device: from login, over token refreshes, to logout.
//!
//! A refresh token is the session's id, a counter and a MAC. Only the counter is state: presenting
//! the current one rotates it, presenting the one before means that our last answer got lost, and
//! anything older was stolen (OAuth 2.0 Security BCP, RFC 9700, section 4.14.2).
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AggregateRoot, ClaimChange, SessionId, UserId,
    macros::{aggregate, rejection},
};

mod events;
#[cfg(test)]
mod tests;

pub use events::{LoginProof, RevocationReason, SessionEvent};

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
        /// What the person showed.
        proof: LoginProof,
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
        /// What the person showed to begin it; the first builds did not say.
        proof: Option<LoginProof>,
        /// When it began.
        started_at: DateTime<Utc>,
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
    const STATE_VERSION: u32 = 3;

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

    /// Whether the person showed this proof to begin the session, less than so long ago.
    #[must_use]
    pub fn is_fresh(&self, wanted: LoginProof, age: TimeDelta, now: DateTime<Utc>) -> bool {
        matches!(*self, Self::Live { proof, started_at, .. }
            if proof == Some(wanted) && now < started_at + age)
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: SessionCommand) -> Result<Vec<SessionEvent>, SessionError> {
        use {SessionCommand as C, SessionEvent as E};
        match (self, command) {
            (
                Self::Absent,
                C::Start {
                    session_id,
                    user_id,
                    user_agent,
                    slot,
                    token_version,
                    proof,
                    expires_at,
                    at,
                },
            ) => Ok(vec![E::SessionStarted {
                session_id,
                user_id,
                user_agent: user_agent.into(),
                slot: Some(slot),
                token_version: Some(token_version),
                proof: Some(proof),
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
                proof,
                expires_at,
                at,
                ..
            } => {
                *self = Self::Live {
                    session_id,
                    user_id,
                    counter: 0,
                    slot,
                    token_version: token_version.unwrap_or_default(),
                    proof,
                    started_at: at,
                    expires_at,
                };
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
