//! What operators decide about accounts.
use chrono::{DateTime, Utc};
use domain::{
    RejectionKind, UserId,
    session::{LoginProof, RevocationReason},
    text::Email,
    user::{Credentials, CredentialsCommand, Role, Standing},
};
use platform::ids::new_id;

use super::sessions::Proven;
use crate::{Caller, CommandError, Commands, requests::Timer};

impl Commands {
    /// Lets the owner of an address do other things. Answers who that is.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`.
    pub async fn give_role(&self, email: &Email, role: Role) -> Result<UserId, CommandError> {
        let _timer = Timer::start("give_role");
        let user_id = self.require_owner(email).await?;
        let command = CredentialsCommand::ChangeRole { role, at: self.now() };
        self.on_account(user_id, command, &new_id().to_string()).await?;
        Ok(user_id)
    }

    /// Closes or opens the account of an address. Closing ends all its sessions.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`.
    pub async fn change_standing(
        &self,
        email: &Email,
        standing: Standing,
    ) -> Result<UserId, CommandError> {
        let _timer = Timer::start("change_standing");
        let user_id = self.require_owner(email).await?;
        let request_id = new_id().to_string();
        let command = CredentialsCommand::ChangeStanding { standing, at: self.now() };
        self.on_account(user_id, command, &request_id).await?;
        if let Some(reason) = reason(standing) {
            let caller = Caller::without_session(user_id, request_id);
            self.end_others(&caller, None, reason).await?;
        }
        Ok(user_id)
    }

    pub(super) async fn require_owner(&self, email: &Email) -> Result<UserId, CommandError> {
        let owner = self.owner_of_email(email).await?;
        owner.ok_or_else(|| CommandError::rejected(&domain::UserError::NotFound))
    }
}

/// Why the sessions of an account end that is closed like this.
pub(crate) fn reason(standing: Standing) -> Option<RevocationReason> {
    match standing {
        Standing::Open => None,
        Standing::Suspended => Some(RevocationReason::AccountSuspended),
        Standing::Deactivated | Standing::Leaving | Standing::Erased => {
            Some(RevocationReason::AccountDeactivated)
        }
    }
}

/// Lets somebody in who proved who they are, if the account is open, or may be opened again by that.
///
/// # Errors
/// `account_suspended`; `invalid_credentials` for an account that shall look like none.
pub(super) fn admit(
    user_id: UserId,
    credentials: &Credentials,
    proof: LoginProof,
    now: DateTime<Utc>,
) -> Result<Proven, CommandError> {
    let token_version = credentials.token_version;
    let returns = credentials.returns(now);
    match credentials.standing {
        standing if standing == Standing::Open || returns => {
            Ok(Proven { user_id, token_version, proof, returns })
        }
        Standing::Suspended => Err(CommandError::refused(
            RejectionKind::Forbidden,
            "account_suspended",
            "this account is suspended; write to us",
        )),
        _ => Err(super::invalid_credentials()),
    }
}
