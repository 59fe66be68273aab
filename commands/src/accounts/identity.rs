//! Showing once more who one is, before something that a stolen session must not do.
use chrono::TimeDelta;
use domain::{RejectionKind, Session, User, Violation, session::LoginProof};
use zeroize::Zeroizing;

use super::password::at;
use crate::{Caller, CommandError, Commands, passwords::Verdict};

impl Commands {
    /// Checks that the caller's account is at the version that they know; `None` is any.
    ///
    /// # Errors
    /// [`CommandError::VersionMismatch`].
    pub async fn require_account_version(
        &self,
        caller: &Caller,
        if_version: Option<i64>,
    ) -> Result<(), CommandError> {
        let Some(known) = if_version else { return Ok(()) };
        let (_, current) = self.inner.bus.current::<User>(&caller.user_id.to_string()).await?;
        if known == current { Ok(()) } else { Err(CommandError::VersionMismatch { current }) }
    }

    /// As [`Commands::check_identity`], with the caller's stored password.
    pub(super) async fn require_identity(
        &self,
        caller: &Caller,
        typed: Option<Zeroizing<String>>,
    ) -> Result<(), CommandError> {
        let account = self.inner.bus.state::<User>(&caller.user_id.to_string()).await?;
        let User::Active { password_hash, .. } = account else {
            return Err(eventstore::StoreError::SubjectErased.into());
        };
        let stored = password_hash.known().map(String::as_str);
        self.check_identity(caller, typed.as_ref(), stored).await
    }

    /// Compares what the caller typed with their password. Whoever came by their number has none:
    /// they have logged in with a code a short while ago.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword`, [`CommandError::Rejected`] with
    /// `fresh_login_required`.
    pub(super) async fn check_identity(
        &self,
        caller: &Caller,
        typed: Option<&Zeroizing<String>>,
        stored: Option<&str>,
    ) -> Result<(), CommandError> {
        let Some(stored) = stored else { return self.require_fresh_login(caller).await };
        let Some(typed) = typed else {
            let missing = Violation::new("required", "must be given: the account has a password");
            return Err(at("/currentPassword", missing));
        };
        match self.inner.passwords.verify(typed, Some(stored)).await? {
            Verdict::Right { .. } => Ok(()),
            Verdict::Wrong => {
                let wrong = Violation::new("wrong_password", "this is not the current password");
                Err(at("/currentPassword", wrong))
            }
        }
    }

    async fn require_fresh_login(&self, caller: &Caller) -> Result<(), CommandError> {
        let session = self.inner.bus.state::<Session>(&caller.session_id.to_string()).await?;
        let age = TimeDelta::seconds(i64::from(self.inner.accounts.fresh_login_seconds));
        if session.is_fresh(LoginProof::Code, age, self.now()) {
            return Ok(());
        }
        let message = "the account has no password; log in again with a code, and ask then";
        Err(CommandError::refused(RejectionKind::Forbidden, "fresh_login_required", message))
    }
}
