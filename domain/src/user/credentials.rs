//! How someone gets into their account: what they know, what they proved, what still counts.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{UserError, UserEvent};
use crate::{Personal, SessionId, UserId, text::Email};

/// What someone asks of the way into their account.
#[derive(Clone, Debug)]
pub enum CredentialsCommand {
    /// Let another password open the account, and end the sessions from before.
    ChangePassword {
        /// A PHC string made by the hasher.
        password_hash: String,
        /// The session in which it is changed.
        keep: SessionId,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What decisions about the way into an account need to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// As typed.
    pub email: Personal<Email>,
    /// Sessions with a lower one do not count, but for the kept one.
    pub token_version: u64,
    /// The session in which the password was changed last.
    pub kept_session: Option<SessionId>,
}

impl Credentials {
    pub(super) fn new(email: Personal<Email>) -> Self {
        Self { email, token_version: 0, kept_session: None }
    }

    /// Whether a session that began under this token version still counts.
    #[must_use]
    pub fn accepts(&self, session_id: SessionId, token_version: u64) -> bool {
        token_version >= self.token_version || self.kept_session == Some(session_id)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of every decision")]
    pub(super) fn decide(
        &self,
        user_id: UserId,
        command: CredentialsCommand,
    ) -> Result<Vec<UserEvent>, UserError> {
        use {CredentialsCommand as C, UserEvent as E};
        match command {
            C::ChangePassword { password_hash, keep, at } => Ok(vec![E::PasswordChanged {
                user_id,
                password_hash: password_hash.into(),
                token_version: self.token_version + 1,
                kept_session: Some(keep),
                at,
            }]),
        }
    }

    pub(super) fn evolve(&mut self, event: &UserEvent) {
        if let UserEvent::PasswordChanged { token_version, kept_session, .. } = event {
            self.token_version = *token_version;
            self.kept_session = *kept_session;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ANA: UserId = UserId(Uuid::nil());
    const HERE: SessionId = SessionId(Uuid::from_u128(1));
    const THERE: SessionId = SessionId(Uuid::from_u128(2));

    #[test]
    fn after_a_change_of_the_password_only_the_session_of_the_change_goes_on() {
        let mut credentials = Credentials::new(Personal::Erased);
        assert!(credentials.accepts(HERE, 0) && credentials.accepts(THERE, 0));
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let change =
            CredentialsCommand::ChangePassword { password_hash: "new".into(), keep: HERE, at };
        for event in credentials.decide(ANA, change).unwrap() {
            credentials.evolve(&event);
        }
        assert!(credentials.accepts(HERE, 0));
        assert!(!credentials.accepts(THERE, 0));
        assert!(credentials.accepts(THERE, 1), "a login with the new password");
    }
}
