//! Proving that an e-mail address is one's own: by the link in a mail, or by the code beside it.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    RejectionKind, User, UserCommand, UserEvent, UserId,
    session::LoginProof,
    text::Email,
    user::{CredentialsCommand, LinkRequest, Side},
};
use eventstore::{CodeAttempt, CodeBegun, CodeLimits, CodeRequest};
use platform::ids::new_id;
use uuid::Uuid;

use super::{LoggedIn, standing};
use crate::{
    CommandError, Commands, Written,
    bus::{Context, Executed},
    metadata,
    requests::Timer,
    tokens::LinkPurpose,
};

/// The purpose of codes that prove an address.
pub(crate) const VERIFY_EMAIL: &str = "verify_email";

/// Something was sent that is to be answered.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Names it when a code is typed.
    pub id: Uuid,
    /// `email` or `sms`.
    pub channel: &'static str,
    /// Where it went, as far as everyone may know.
    pub masked_destination: String,
    /// It can be answered until then.
    pub expires_at: DateTime<Utc>,
    /// Not before then another one is sent.
    pub resend_available_at: DateTime<Utc>,
}

/// What came of asking to be let in.
#[derive(Clone, Debug)]
pub enum Entrance {
    /// A session.
    In(LoggedIn),
    /// Something has to be proven first.
    MustVerify(Verification),
}

/// Which code from an e-mail somebody answers.
#[derive(Clone, Debug)]
pub enum CodeTarget {
    /// That of the verification with this id.
    Id(Uuid),
    /// The newest one that went to this address.
    Email(Email),
}

/// How someone answers a verification.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The token of a link.
    Token(String),
    /// The digits beside it.
    Code {
        /// What they are said to prove.
        target: CodeTarget,
        /// The digits.
        code: String,
    },
}

impl Commands {
    /// Sends another link and code to an address that is not proven yet. Answers the same whether
    /// there is such an account or not.
    ///
    /// # Errors
    /// [`CommandError::Limited`] with `rate_limited` when the last one is not old enough.
    #[tracing::instrument(skip_all, fields(request.id = request_id))]
    pub async fn resend_verification(
        &self,
        email: &Email,
        request_id: &str,
    ) -> Result<Verification, CommandError> {
        let _timer = Timer::start("resend_verification");
        let owner = self.owner_of_email(email).await?;
        let link = self.new_link(self.inner.accounts.verification_minutes);
        let begun = self.begin_email_code(link, email, owner, Some(self.send_limits())).await?;
        if let Some(user_id) = owner {
            let command = CredentialsCommand::RequestEmailVerification(link);
            self.in_background(user_id, command, request_id)?;
        }
        match begun {
            // The owner gets another e-mail. That nobody got the one before stays untold.
            CodeBegun::Quietly(free) => Err(too_early(free, link.at)),
            _ => Ok(self.sent_to(link, email)),
        }
    }

    /// Takes the proof that an address is the person's, and lets them in.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `token_invalid` or `otp_invalid` for anything that does not
    /// work (any more), `email_taken` when somebody else has the new address by now;
    /// [`CommandError::Limited`] with `otp_attempts_exceeded`.
    #[tracing::instrument(skip_all, fields(request.id = request_id))]
    pub async fn verify_email(
        &self,
        proof: Proof,
        user_agent: Option<&str>,
        request_id: &str,
    ) -> Result<Written<Entrance>, CommandError> {
        let _timer = Timer::start("verify_email");
        let (at, by_code) = (self.now(), matches!(proof, Proof::Code { .. }));
        let (user_id, command) = match proof {
            Proof::Token(token) => match self.inner.links.open(&token) {
                Some((LinkPurpose::VerifyEmail, user_id, request_id)) => {
                    (user_id, CredentialsCommand::VerifyEmail { request_id, at })
                }
                Some((LinkPurpose::ChangeEmail(side), user_id, request_id)) => {
                    (user_id, CredentialsCommand::ConfirmEmailChange { request_id, side, at })
                }
                Some((LinkPurpose::ResetPassword | LinkPurpose::Export, ..)) | None => {
                    return Err(token_invalid());
                }
            },
            Proof::Code { target, code } => {
                let (id, guess) = self.count_email_guess(target).await?;
                let right = self.inner.links.is_code(VERIFY_EMAIL, id, &code);
                if !right || !self.store().use_code(id, at).await? {
                    return Err(otp_invalid());
                }
                let user_id = UserId(guess.subject.ok_or_else(otp_invalid)?);
                (user_id, CredentialsCommand::VerifyEmail { request_id: id, at })
            }
        };
        let side = match &command {
            CredentialsCommand::ConfirmEmailChange { side, .. } => Some(*side),
            _ => None,
        };
        let executed = self.on_account(user_id, command, request_id).await;
        let executed = executed.map_err(|error| if by_code { void(error) } else { gone(error) })?;
        let User::Active { credentials, .. } = &executed.state else { return Err(token_invalid()) };
        let done = |event: &UserEvent| {
            matches!(event, UserEvent::EmailVerified { .. } | UserEvent::EmailChanged { .. })
        };
        if let (false, Some(side), Some(change)) =
            (executed.events.iter().any(done), side, &credentials.email_change)
        {
            // The other address has not agreed yet.
            let other = if side == Side::Old { &change.email } else { &credentials.email };
            let pending = &change.pending;
            let verification = Verification {
                id: pending.request_id,
                channel: "email",
                masked_destination: other.known().map(mask_email).unwrap_or_default(),
                expires_at: pending.expires_at,
                resend_available_at: pending.requested_at + self.send_limits().gap,
            };
            let value = Entrance::MustVerify(verification);
            return Ok(Written { value, receipt: executed.receipt, replayed: false });
        }
        let proven = standing::admit(user_id, credentials, LoginProof::Link, self.now())?;
        let session = self.start_session(proven, user_agent, request_id).await?;
        Ok(Written {
            value: Entrance::In(session.value),
            receipt: session.receipt,
            replayed: session.replayed,
        })
    }

    /// Counts a guess at a code from an e-mail. Who knows the address only learns nothing of what
    /// was sent there: how often they may ask is counted elsewhere, by address.
    async fn count_email_guess(
        &self,
        target: CodeTarget,
    ) -> Result<(Uuid, CodeAttempt), CommandError> {
        let email = match target {
            CodeTarget::Id(id) => return Ok((id, self.count_guess(&[VERIFY_EMAIL], id).await?)),
            CodeTarget::Email(email) => email,
        };
        let newest =
            self.store().newest_code(VERIFY_EMAIL, VERIFY_EMAIL, &email.canonical()).await?;
        // Where there is none, one that is none is asked for: the answer takes as long.
        let id = newest.unwrap_or_else(new_id);
        match self.count_guess(&[VERIFY_EMAIL], id).await {
            Ok(guess) => Ok((id, guess)),
            Err(CommandError::Limited { .. }) => Err(otp_invalid()),
            Err(error) => Err(error),
        }
    }

    /// Counts a guess before anyone compares it.
    pub(crate) async fn count_guess(
        &self,
        purposes: &[&str],
        id: Uuid,
    ) -> Result<CodeAttempt, CommandError> {
        let at = self.now();
        let counted = self.store().count_attempt(id, purposes, at).await?;
        let attempt = counted.ok_or_else(otp_invalid)?;
        let most = i32::from(self.inner.accounts.code_attempts);
        // The cap of a number outlives the codes that are sent to it.
        let most_there = i64::from(self.inner.phone.guesses_per_hour);
        let retry_after = if attempt.attempts > most {
            (attempt.expires_at - at).to_std().unwrap_or(Duration::ZERO)
        } else if attempt.destination.is_some() && attempt.at_destination > most_there {
            Duration::from_hours(1)
        } else {
            return Ok(attempt);
        };
        Err(CommandError::Limited {
            code: "otp_attempts_exceeded",
            message: "too many wrong codes; ask for another one",
            retry_after,
        })
    }

    /// Notes that a link and a code go to this address, or look as if they did.
    pub(super) async fn begin_email_code(
        &self,
        link: LinkRequest,
        email: &Email,
        owner: Option<UserId>,
        limits: Option<CodeLimits>,
    ) -> Result<CodeBegun, CommandError> {
        let request = CodeRequest {
            id: link.request_id,
            purpose: VERIFY_EMAIL,
            scope: VERIFY_EMAIL,
            destination: &email.canonical(),
            subject: owner.map(|user| user.0),
            decoy: owner.is_none(),
            keep_destination: false,
            at: link.at,
            expires_at: link.expires_at,
            key: None,
        };
        self.begin_code(request, limits).await
    }

    /// Notes that a code is sent. [`CommandError::Conflict`]: by another request with the same key.
    pub(crate) async fn begin_code(
        &self,
        request: CodeRequest<'_>,
        limits: Option<CodeLimits>,
    ) -> Result<CodeBegun, CommandError> {
        match self.store().begin_code(request, limits).await? {
            CodeBegun::NotBefore(free) => Err(too_early(free, request.at)),
            CodeBegun::Repeated => Err(CommandError::Conflict),
            begun => Ok(begun),
        }
    }

    pub(super) fn sent_to(&self, link: LinkRequest, email: &Email) -> Verification {
        Verification {
            id: link.request_id,
            channel: "email",
            masked_destination: mask_email(email),
            expires_at: link.expires_at,
            resend_available_at: link.at + self.send_limits().gap,
        }
    }

    /// A link that is to be sent now.
    pub(super) fn new_link(&self, minutes: u32) -> LinkRequest {
        let at = self.now();
        let expires_at = at + TimeDelta::minutes(i64::from(minutes));
        LinkRequest { request_id: new_id(), expires_at, at }
    }

    pub(crate) fn send_limits(&self) -> CodeLimits {
        let gap = TimeDelta::seconds(i64::from(self.inner.accounts.resend_seconds));
        let per_hour = self.inner.accounts.sends_per_hour;
        CodeLimits { gap, per_hour, texts_per_day: None }
    }

    /// Whose account has this address.
    pub(crate) async fn owner_of_email(
        &self,
        email: &Email,
    ) -> Result<Option<UserId>, CommandError> {
        let owner = self.store().claim_owner(User::EMAIL, &email.canonical()).await?;
        owner.map(|id| id.parse().map_err(CommandError::unavailable)).transpose()
    }

    pub(super) async fn on_account(
        &self,
        user_id: UserId,
        command: CredentialsCommand,
        request_id: &str,
    ) -> Result<Executed<User>, CommandError> {
        self.on_account_at(user_id, None, command, request_id).await
    }

    /// As [`Self::on_account`], unless the account is not at `if_version` any more.
    pub(super) async fn on_account_at(
        &self,
        user_id: UserId,
        if_version: Option<i64>,
        command: CredentialsCommand,
        request_id: &str,
    ) -> Result<Executed<User>, CommandError> {
        let context = Context::new(metadata(Some(user_id), request_id)).with_version(if_version);
        let command = UserCommand::Credentials(command);
        self.inner.bus.execute::<User>(&user_id.to_string(), command, context).await
    }

    /// Carries a command out after the answer: how long it takes tells nobody whether there was
    /// anything to do.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] when too much waits already.
    pub(super) fn in_background(
        &self,
        user_id: UserId,
        command: CredentialsCommand,
        request_id: &str,
    ) -> Result<(), CommandError> {
        let place = self.place_in_background()?;
        let (commands, request_id) = (self.clone(), request_id.to_owned());
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = commands.on_account(user_id, command, &request_id).await {
                log_lost(&error);
            }
        });
        Ok(())
    }
}

/// What was to be done after the answer was not done: the person will ask again.
pub(super) fn log_lost(error: &CommandError) {
    match error {
        CommandError::Rejected { .. } | CommandError::Invalid(_) => {}
        error => tracing::warn!(
            error = error as &dyn std::error::Error,
            "a request was answered and then not carried out"
        ),
    }
}

/// `a***@example.org`.
pub(crate) fn mask_email(email: &Email) -> String {
    let (local, domain) = email.as_str().rsplit_once('@').unwrap_or_default();
    let first = local.chars().next().map(String::from).unwrap_or_default();
    format!("{first}***@{domain}")
}

pub(crate) fn token_invalid() -> CommandError {
    CommandError::rejected(&domain::UserError::LinkInvalid)
}

pub(crate) fn otp_invalid() -> CommandError {
    CommandError::rejected(&domain::UserError::CodeInvalid)
}

fn too_early(free: DateTime<Utc>, at: DateTime<Utc>) -> CommandError {
    CommandError::Limited {
        code: "rate_limited",
        message: "one was sent a moment ago; wait before asking for another one",
        retry_after: (free - at).to_std().unwrap_or(Duration::ZERO),
    }
}

/// An account that is no more makes its links invalid, not absent.
fn gone(error: CommandError) -> CommandError {
    match error {
        CommandError::Rejected { kind: RejectionKind::NotFound, .. } => token_invalid(),
        other => other,
    }
}

/// A code that the account takes no more is one that does not work.
fn void(error: CommandError) -> CommandError {
    match error {
        CommandError::Rejected { kind: RejectionKind::NotFound, .. }
        | CommandError::Rejected { code: "token_invalid", .. } => otp_invalid(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_address_shows_where_it_is_and_little_more() {
        let masked = |text| mask_email(&Email::parse(text).unwrap());
        assert_eq!(masked("ana.lopez@x.org"), "a***@x.org");
        assert_eq!(masked("é@x.org"), "é***@x.org");
    }
}
