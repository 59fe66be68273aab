//! Passwords: changing one.
use domain::{
    User, Violation, password::NewPassword, session::RevocationReason, user::CredentialsCommand,
};
use zeroize::Zeroizing;

use crate::{Caller, CommandError, Commands, FieldError, Written, requests::Timer};

/// What someone says to change their password.
#[derive(Clone)]
pub struct ChangePassword {
    /// As typed; who has none yet says none.
    pub current: Option<String>,
    /// As typed: whether it will do depends on the account.
    pub new: String,
    /// The version of the account that they know; `None` is any.
    pub if_version: Option<i64>,
}

impl Commands {
    /// Changes the caller's password, or gives them their first one, and ends their other sessions.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword` or `/newPassword`;
    /// [`CommandError::Rejected`] with `fresh_login_required` where there is no password yet;
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
        let (current, new) = (request.current.map(Zeroizing::new), Zeroizing::new(request.new));
        let id = caller.user_id.to_string();
        let User::Active { password_hash, credentials, profile, .. } =
            self.inner.bus.state::<User>(&id).await?
        else {
            return Err(eventstore::StoreError::SubjectErased.into());
        };
        let username = profile.username.known().and_then(Option::as_ref);
        let wanted = NewPassword::parse(&new, credentials.email.known(), username)
            .map_err(|violation| at("/newPassword", violation))?;
        let stored = password_hash.known().map(String::as_str);
        self.check_identity(caller, current.as_ref(), stored).await?;
        if stored.is_some() && current.as_ref() == Some(&new) {
            let same = Violation::new("unchanged", "this is the current password");
            return Err(at("/newPassword", same));
        }
        let password_hash = self.inner.passwords.hash(wanted.expose()).await?;
        let keep = caller.session_id;
        let command = CredentialsCommand::ChangePassword { password_hash, keep, at: self.now() };
        let (user_id, if_version) = (caller.user_id, request.if_version);
        let executed = self.on_account_at(user_id, if_version, command, &caller.request_id).await?;
        platform::crash_point!("password.before_sessions_end");
        let ended = self.end_others(caller, Some(keep), RevocationReason::PasswordChanged).await?;
        let receipt = ended.receipt.or(executed.receipt);
        Ok(Written { value: (), receipt, replayed: executed.replayed })
    }
}

pub(super) fn at(pointer: &str, violation: Violation) -> CommandError {
    CommandError::Invalid(vec![FieldError {
        pointer: pointer.to_owned(),
        code: violation.code,
        detail: violation.detail,
    }])
}
