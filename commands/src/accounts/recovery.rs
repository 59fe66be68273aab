//! Getting back in without the password.
use domain::{
    RejectionKind, User,
    password::NewPassword,
    session::{LoginProof, RevocationReason},
    text::Email,
    user::CredentialsCommand,
};
use eventstore::CodeLimits;
use zeroize::Zeroizing;

use super::{LoggedIn, password::at, standing, verification};
use crate::{Caller, CommandError, Commands, Written, requests::Timer, tokens::LinkPurpose};

impl Commands {
    /// Sends a link that resets the password, if somebody has the address. What it comes to is not
    /// told, nor how long it takes.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] when too much waits already.
    #[tracing::instrument(skip_all, fields(request.id = request_id))]
    pub fn forgot_password(&self, email: Email, request_id: &str) -> Result<(), CommandError> {
        let place = self.place_in_background()?;
        let (commands, request_id) = (self.clone(), request_id.to_owned());
        tokio::spawn(async move {
            let (_place, _timer) = (place, Timer::start("forgot_password"));
            let link = commands.new_link(commands.inner.accounts.reset_minutes);
            let CodeLimits { gap, per_hour, .. } = commands.send_limits();
            let outcome = match commands.owner_of_email(&email).await {
                Ok(Some(user_id)) => {
                    let command = CredentialsCommand::RequestPasswordReset { link, gap, per_hour };
                    commands.on_account(user_id, command, &request_id).await.map(drop)
                }
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                verification::log_lost(&error);
            }
        });
        Ok(())
    }

    /// Lets another password open the account, ends all its sessions and lets the person in.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `token_invalid`; [`CommandError::Invalid`] at
    /// `/newPassword`; [`CommandError::Overloaded`] when too many passwords wait to be hashed.
    #[tracing::instrument(skip_all, fields(request.id = request_id))]
    pub async fn reset_password(
        &self,
        token: &str,
        password: String,
        user_agent: Option<&str>,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let _timer = Timer::start("reset_password");
        let password = Zeroizing::new(password);
        let Some((LinkPurpose::ResetPassword, user_id, link)) = self.inner.links.open(token) else {
            return Err(verification::token_invalid());
        };
        let account = self.inner.bus.state::<User>(&user_id.to_string()).await?;
        let User::Active { credentials, profile, .. } = account else {
            return Err(verification::token_invalid());
        };
        credentials
            .require_reset(link, self.now())
            .map_err(|refusal| CommandError::rejected(&refusal))?;
        let username = profile.username.known().and_then(Option::as_ref);
        let wanted = NewPassword::parse(&password, credentials.email.known(), username)
            .map_err(|violation| at("/newPassword", violation))?;
        let password_hash = self.inner.passwords.hash(wanted.expose()).await?;
        let command =
            CredentialsCommand::ResetPassword { request_id: link, password_hash, at: self.now() };
        let executed = self.on_account(user_id, command, request_id).await.map_err(|error| {
            let gone =
                matches!(error, CommandError::Rejected { kind: RejectionKind::NotFound, .. });
            if gone { verification::token_invalid() } else { error }
        })?;
        let User::Active { credentials, .. } = executed.state else {
            return Err(verification::token_invalid());
        };
        let caller = Caller::without_session(user_id, request_id.to_owned());
        self.end_others(&caller, None, RevocationReason::PasswordChanged).await?;
        let proven = standing::admit(user_id, &credentials, LoginProof::Link, self.now())?;
        self.start_session(proven, user_agent, request_id).await
    }
}
