//! Moving an account to another address.
use domain::{text::Email, user::CredentialsCommand};
use eventstore::CodeRequest;
use zeroize::Zeroizing;

use super::verification::Verification;
use crate::{Caller, CommandError, Commands, Written, requests::Timer};

/// Counts changes of address per person, so that nobody's mailbox is flooded from here.
const CHANGE_EMAIL: &str = "change_email";

impl Commands {
    /// Asks both addresses whether the account may move. Answers the same whether somebody has the
    /// new one or not.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword` or `/email`; [`CommandError::Rejected`] with
    /// `fresh_login_required`; [`CommandError::Limited`] with `rate_limited`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn change_email(
        &self,
        caller: &Caller,
        email: Email,
        password: Option<String>,
    ) -> Result<Written<Verification>, CommandError> {
        let _timer = Timer::start("change_email");
        self.require_identity(caller, password.map(Zeroizing::new)).await?;
        let link = self.new_link(self.inner.accounts.verification_minutes);
        let request = CodeRequest {
            id: link.request_id,
            purpose: CHANGE_EMAIL,
            scope: CHANGE_EMAIL,
            destination: &caller.user_id.to_string(),
            keep_destination: false,
            subject: Some(caller.user_id.0),
            decoy: false,
            at: link.at,
            expires_at: link.expires_at,
        };
        self.begin_code(request, Some(self.send_limits())).await?;
        let verification = self.sent_to(link, &email);
        let command = CredentialsCommand::RequestEmailChange { link, email };
        let executed = self
            .on_account(caller.user_id, command, &caller.request_id)
            .await
            .map_err(|error| error.at("/email"))?;
        Ok(Written { value: verification, receipt: executed.receipt, replayed: false })
    }
}
