//! Passwords: changing one.
use domain::{
    User, UserCommand, Violation, password::NewPassword, session::RevocationReason,
    user::CredentialsCommand,
};
use zeroize::Zeroizing;

use crate::{
    Caller, CommandError, Commands, FieldError, Written, bus::Context, metadata,
    passwords::Verdict, requests::Timer,
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
        let Verdict::Right { .. } = self.inner.passwords.verify(&current, stored).await? else {
            let wrong = Violation::new("wrong_password", "this is not the current password");
            return Err(at("/currentPassword", wrong));
        };
        if *current == *new {
            let same = Violation::new("unchanged", "this is the current password");
            return Err(at("/newPassword", same));
        }
        let password_hash = self.inner.passwords.hash(wanted.expose()).await?;
        let keep = caller.session_id;
        let command = CredentialsCommand::ChangePassword { password_hash, keep, at: self.now() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let command = UserCommand::Credentials(command);
        let executed = self.inner.bus.execute::<User>(&id, command, context).await?;
        let ended = self.end_others(caller, Some(keep), RevocationReason::PasswordChanged).await?;
        let receipt = ended.receipt.or(executed.receipt);
        Ok(Written { value: (), receipt, replayed: executed.replayed })
    }
}

fn at(pointer: &str, violation: Violation) -> CommandError {
    CommandError::Invalid(vec![FieldError {
        pointer: pointer.to_owned(),
        code: violation.code,
        detail: violation.detail,
    }])
}
