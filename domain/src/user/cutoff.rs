//! Which logins an account stops to accept at once.
use serde::{Deserialize, Serialize};

use super::UserEvent;
use crate::{SessionId, UserId, session::RevocationReason};

/// From which token version on logins count, and which one counts besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cutoff {
    /// Sessions and tokens with a lower one do not count any more.
    pub token_version: u64,
    /// But for those of this session.
    pub kept_session: Option<SessionId>,
}

impl Cutoff {
    /// Whether what was made for this session, under this token version, still counts.
    #[must_use]
    pub fn accepts(&self, session_id: SessionId, token_version: u64) -> bool {
        token_version >= self.token_version || self.kept_session == Some(session_id)
    }
}

impl UserEvent {
    /// Whose logins the event cuts off, where, and why; `None` for every other event.
    #[must_use]
    pub fn cutoff(&self) -> Option<(UserId, Cutoff, RevocationReason)> {
        let (user_id, token_version, kept_session, reason) = match *self {
            Self::PasswordChanged { user_id, token_version, kept_session, .. } => {
                (user_id, token_version, kept_session, RevocationReason::PasswordChanged)
            }
            Self::PasswordReset { user_id, token_version, .. } => {
                (user_id, token_version, None, RevocationReason::PasswordChanged)
            }
            Self::AccountSuspended { user_id, token_version, .. } => {
                (user_id, token_version, None, RevocationReason::AccountSuspended)
            }
            Self::AccountDeactivated { user_id, token_version, .. }
            | Self::AccountDeletionRequested { user_id, token_version, .. } => {
                (user_id, token_version, None, RevocationReason::AccountDeactivated)
            }
            _ => return None,
        };
        Some((user_id, Cutoff { token_version, kept_session }, reason))
    }
}
