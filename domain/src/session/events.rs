//! What happens to sessions: stored for ever.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Personal, SessionId, UserId, macros::domain_event};

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

/// What someone showed to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginProof {
    /// That they know the password.
    Password,
    /// That they read the messages of the account's number.
    Code,
    /// That they read the mail of its address.
    Link,
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
        /// What the person showed to begin it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<LoginProof>,
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
