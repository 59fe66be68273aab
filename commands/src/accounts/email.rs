//! Moving an account to another address.
use domain::{
    User, UserCommand,
    text::Email,
    user::{CredentialsCommand, LinkRequest},
};
use eventstore::CodeRequest;
use zeroize::Zeroizing;

use super::verification::Verification;
use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::Context,
    metadata,
    requests::{Timer, replay},
};

/// Counts changes of address per person, so that nobody's mailbox is flooded from here.
const CHANGE_EMAIL: &str = "change_email";

impl Commands {
    /// Asks both addresses whether the account may move. Answers the same whether somebody has the
    /// new one or not.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword` or `/email`; [`CommandError::Rejected`] with
    /// `fresh_login_required`; [`CommandError::Limited`] with `rate_limited`;
    /// [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn change_email(
        &self,
        caller: &Caller,
        email: Email,
        password: Option<String>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<Verification>, CommandError> {
        let _timer = Timer::start("change_email");
        let password = password.map(Zeroizing::new);
        if let Some(earlier) = self.earlier_email_change(key.as_ref(), &email).await? {
            return Ok(earlier);
        }
        self.require_identity(caller, password).await?;
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
            key: key.as_ref().map(|key| self.code_key(key)),
        };
        match self.begin_code(request, Some(self.send_limits())).await {
            // Asked twice at once: the other one was faster.
            Err(CommandError::Conflict) => {
                let earlier = self.earlier_email_change(key.as_ref(), &email).await?;
                return earlier.ok_or(CommandError::Conflict);
            }
            begun => begun?,
        };
        let asked = self.ask_both(caller, link, &email, key).await;
        if asked.is_err() {
            self.forget_asking(link.request_id).await;
        }
        asked
    }

    async fn ask_both(
        &self,
        caller: &Caller,
        link: LinkRequest,
        email: &Email,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<Verification>, CommandError> {
        let command = CredentialsCommand::RequestEmailChange { link, email: email.clone() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id))
            .with_idempotency(self.keep_answer(key, caller, move |_, _| link));
        let (id, command) = (caller.user_id.to_string(), UserCommand::Credentials(command));
        let executed = self.inner.bus.execute::<User>(&id, command, context).await;
        let executed = executed.map_err(|error| error.at("/email"))?;
        let asked = if executed.replayed { replay(executed.answer)? } else { link };
        let (receipt, replayed) = (executed.receipt, executed.replayed);
        Ok(Written { value: self.sent_to(asked, email), receipt, replayed })
    }
}
