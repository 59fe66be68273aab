//! Passwords: changing one.
use domain::{
    User, Violation, password::NewPassword, session::RevocationReason, user::CredentialsCommand,
};
use zeroize::Zeroizing;

use crate::{
    Caller, CommandError, Commands, FieldError, Written, passwords::Verdict, requests::Timer,
};

/// What someone says to change their password.
#[derive(Clone)]
pub struct ChangePassword {
    /// As typed.
    pub current: String,
    /// As typed: whether it will do depends on the account.
    pub new: String,
}

impl Commands {
    /// Changes the caller's password and ends their other sessions.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword` or `/newPassword`;
    /// [`CommandError::Overloaded`] when too many passwords wait to be hashed.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn change_password(
        &self,
        caller: &Caller,
        request: ChangePassword,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("change_password");
        let (current, new) = (Zeroizing::new(request.current), Zeroizing::new(request.new));
        let id = caller.user_id.to_string();
        let User::Active { password_hash, credentials, .. } =
            self.inner.bus.state::<User>(&id).await?
        else {
            return Err(eventstore::StoreError::SubjectErased.into());
        };
        let email = credentials.email.known();
        let wanted = NewPassword::parse(&new, email, None)
            .map_err(|violation| at("/newPassword", violation))?;
        let stored = password_hash.known().map(String::as_str);
        self.check_password(&current, stored).await?;
        if *current == *new {
            let same = Violation::new("unchanged", "this is the current password");
            return Err(at("/newPassword", same));
        }
        let password_hash = self.inner.passwords.hash(wanted.expose()).await?;
        let keep = caller.session_id;
        let command = CredentialsCommand::ChangePassword { password_hash, keep, at: self.now() };
        let executed = self.on_account(caller.user_id, command, &caller.request_id).await?;
        // Whoever waits for a code that was sent before waits in vain.
        self.store().kill_codes(caller.user_id.0, self.now()).await?;
        let ended = self.end_others(caller, Some(keep), RevocationReason::PasswordChanged).await?;
        let receipt = ended.receipt.or(executed.receipt);
        Ok(Written { value: (), receipt, replayed: executed.replayed })
    }

    /// Compares what someone who is logged in typed with their password.
    pub(super) async fn check_password(
        &self,
        typed: &str,
        stored: Option<&str>,
    ) -> Result<(), CommandError> {
        // Whoever came by their number has no password, and cannot be asked for it.
        let Some(stored) = stored else { return Ok(()) };
        match self.inner.passwords.verify(typed, Some(stored)).await? {
            Verdict::Right { .. } => Ok(()),
            Verdict::Wrong => {
                let wrong = Violation::new("wrong_password", "this is not the current password");
                Err(at("/currentPassword", wrong))
            }
        }
    }
}

pub(super) fn at(pointer: &str, violation: Violation) -> CommandError {
    CommandError::Invalid(vec![FieldError {
        pointer: pointer.to_owned(),
        code: violation.code,
        detail: violation.detail,
    }])
}
