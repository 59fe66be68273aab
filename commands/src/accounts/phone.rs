//! One-time codes by text message: getting in with a number, and proving one.
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    RejectionKind, User, UserCommand, UserId,
    session::LoginProof,
    text::{FullName, Phone},
    user::CredentialsCommand,
};
use eventstore::{CodeLimits, CodeRequest};
use platform::ids::new_id;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    LoggedIn, standing,
    verification::{Verification, otp_invalid},
};
use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written, bus::Context, metadata,
    requests::Timer,
};

/// The purposes of codes by text message. All begin alike: the daily budget counts them together.
const LOGIN: &str = "phone_login";
const VERIFY: &str = "phone_verify";
const CHANGE: &str = "phone_change";
/// Under which codes to one number are counted, whatever they are for.
const NUMBER: &str = LOGIN;
/// Counts changes of number per person, so that nobody floods others with text messages.
const CHANGES: &str = "change_phone";
/// How many digits a code has.
const DIGITS: usize = 6;
/// What people are called who came by their number, until they say.
const NAMELESS: &str = "New student";

/// What a code by text message is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtpPurpose {
    /// To get in; whoever has no account gets one.
    #[default]
    Login,
    /// To prove the number of one's account.
    VerifyPhone,
}

/// Which code somebody answers.
#[derive(Clone, Debug)]
pub enum OtpTarget {
    /// The one with this id.
    Id(Uuid),
    /// The newest one that lets this number in.
    Phone(Phone),
}

/// A session that a code opened.
#[derive(Clone, Debug)]
pub struct OtpSession {
    /// The session.
    pub session: LoggedIn,
    /// Whether the account was opened by it.
    pub created: bool,
}

impl Commands {
    /// Sends a code to a number, whether somebody has it or not.
    ///
    /// # Errors
    /// [`CommandError::Limited`] with `rate_limited`; [`CommandError::Rejected`] with
    /// `unauthenticated` or `not_your_number` where a number is to be proven;
    /// [`CommandError::Unavailable`] when nobody sends text messages.
    #[tracing::instrument(skip_all, fields(request.id = request_id))]
    pub async fn send_otp(
        &self,
        phone: &Phone,
        purpose: OtpPurpose,
        caller: Option<&Caller>,
        request_id: &str,
    ) -> Result<Verification, CommandError> {
        let _timer = Timer::start("send_otp");
        match (purpose, caller) {
            (OtpPurpose::Login, _) => self.send_code(phone, LOGIN, None).await,
            (OtpPurpose::VerifyPhone, Some(caller)) => {
                self.require_own_number(caller, phone).await?;
                self.send_code(phone, VERIFY, Some(caller.user_id)).await
            }
            (OtpPurpose::VerifyPhone, None) => Err(CommandError::refused(
                RejectionKind::Unauthenticated,
                "unauthenticated",
                "log in to prove the number of your account",
            )),
        }
    }

    /// Sends a code to the number that the account shall have.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword`; [`CommandError::Rejected`] with
    /// `fresh_login_required`; [`CommandError::Limited`] with `rate_limited`;
    /// [`CommandError::IdempotencyKeyReused`]; [`CommandError::Unavailable`] when nobody sends text
    /// messages.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn change_phone(
        &self,
        caller: &Caller,
        phone: &Phone,
        password: Option<String>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<Verification>, CommandError> {
        let _timer = Timer::start("change_phone");
        let password = password.map(Zeroizing::new);
        if let Some(earlier) = self.earlier_phone_change(key.as_ref(), phone).await? {
            return Ok(earlier);
        }
        self.require_identity(caller, password).await?;
        self.require_country(phone)?;
        let (id, at) = (new_id(), self.now());
        let request = CodeRequest {
            id,
            purpose: CHANGES,
            scope: CHANGES,
            destination: &caller.user_id.to_string(),
            keep_destination: false,
            subject: Some(caller.user_id.0),
            decoy: false,
            at,
            expires_at: at + self.code_lifetime(),
            key: key.as_ref().map(|key| self.code_key(key)),
        };
        match self.begin_code(request, Some(self.send_limits())).await {
            // Asked twice at once: the other one was faster.
            Err(CommandError::Conflict) => {
                let earlier = self.earlier_phone_change(key.as_ref(), phone).await?;
                return earlier.ok_or(CommandError::Conflict);
            }
            begun => begun?,
        };
        let sent = self.send_code(phone, CHANGE, Some(caller.user_id)).await;
        if key.is_some() {
            match &sent {
                Ok(sent) => self.store().answer_code(id, sent.id).await?,
                Err(_) => self.forget_asking(id).await,
            }
        }
        Ok(Written { value: sent?, receipt: None, replayed: false })
    }

    /// Takes a code and lets its owner in.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `otp_invalid` for whatever does not work (any more),
    /// `phone_taken` when somebody else has proven the number meanwhile; [`CommandError::Limited`]
    /// with `otp_attempts_exceeded`.
    #[tracing::instrument(skip_all, fields(request.id = request_id))]
    pub async fn verify_otp(
        &self,
        target: OtpTarget,
        code: &str,
        user_agent: Option<&str>,
        request_id: &str,
    ) -> Result<Written<OtpSession>, CommandError> {
        let _timer = Timer::start("verify_otp");
        let id = match target {
            OtpTarget::Id(id) => id,
            OtpTarget::Phone(phone) => {
                let newest = self.store().newest_code(LOGIN, NUMBER, phone.as_str()).await?;
                newest.ok_or_else(otp_invalid)?
            }
        };
        let guess = self.count_guess(&[LOGIN, VERIFY, CHANGE], id).await?;
        let number = guess.destination.as_deref().ok_or_else(otp_invalid)?;
        let phone = Phone::parse(number).map_err(CommandError::unavailable)?;
        let right = match &self.inner.texts.twilio {
            // Twilio takes what cannot be a code for a mistake of ours.
            _ if !is_typed_whole(code) => false,
            Some(twilio) => twilio.check(&phone, code).await?,
            None => self.inner.links.is_code(&guess.purpose, id, code),
        };
        if !right || !self.store().use_code(id, self.now()).await? {
            return Err(otp_invalid());
        }
        let (user_id, created) = match guess.subject {
            Some(subject) => (UserId(subject), false),
            None => self.account_of(&phone, request_id).await?,
        };
        // The account itself knows which codes it takes no more, whenever they were looked at.
        let (sent_at, at) = (guess.sent_at, self.now());
        let command = CredentialsCommand::ProvePhone { phone: phone.clone(), sent_at, at };
        let proven = match self.on_account(user_id, command.clone(), request_id).await {
            Err(CommandError::Rejected { code: "phone_taken", .. }) => {
                self.free_number(&phone, request_id).await?;
                self.on_account(user_id, command, request_id).await?
            }
            proven => proven?,
        };
        let User::Active { credentials, .. } = proven.state else { return Err(otp_invalid()) };
        let proven = standing::admit(user_id, &credentials, LoginProof::Code, self.now())?;
        let session = self.start_session(proven, user_agent, request_id).await?;
        let value = OtpSession { session: session.value, created };
        Ok(Written { value, receipt: session.receipt, replayed: false })
    }

    /// The account that has proven this number, or a new one.
    async fn account_of(
        &self,
        phone: &Phone,
        request_id: &str,
    ) -> Result<(UserId, bool), CommandError> {
        if let Some(owner) = self.store().claim_owner(User::PHONE, phone.as_str()).await? {
            if let User::Active { user_id, credentials, .. } =
                self.inner.bus.state::<User>(&owner).await?
                && credentials.phone_verified
            {
                return Ok((user_id, false));
            }
            // Typed by somebody when they registered, and never proven: not theirs.
            self.free_number(phone, request_id).await?;
        }
        let user_id = UserId(new_id());
        let full_name = FullName::parse(NAMELESS).map_err(CommandError::unavailable)?;
        let (phone, at) = (phone.clone(), self.now());
        let command = UserCommand::RegisterWithPhone { user_id, phone, full_name, at };
        let context = Context::creating(metadata(Some(user_id), request_id));
        self.inner.bus.execute::<User>(&user_id.to_string(), command, context).await?;
        Ok((user_id, true))
    }

    /// Takes the number from an account that has never proven it.
    async fn free_number(&self, phone: &Phone, request_id: &str) -> Result<(), CommandError> {
        let owner = self.store().claim_owner(User::PHONE, phone.as_str()).await?;
        let Some(owner) = owner else { return Ok(()) };
        let owner: UserId = owner.parse().map_err(CommandError::unavailable)?;
        let command = CredentialsCommand::GiveUpPhone { phone: phone.clone(), at: self.now() };
        self.on_account(owner, command, request_id).await.map(drop)
    }

    async fn require_own_number(&self, caller: &Caller, phone: &Phone) -> Result<(), CommandError> {
        let account = self.inner.bus.state::<User>(&caller.user_id.to_string()).await?;
        let own = matches!(&account, User::Active { credentials, .. }
            if credentials.phone.known().and_then(Option::as_ref) == Some(phone));
        if own {
            return Ok(());
        }
        let message = "this is not the number of your account; change it first";
        Err(CommandError::refused(RejectionKind::Conflict, "not_your_number", message))
    }

    async fn send_code(
        &self,
        phone: &Phone,
        purpose: &'static str,
        owner: Option<UserId>,
    ) -> Result<Verification, CommandError> {
        self.require_country(phone)?;
        let (id, at) = (new_id(), self.now());
        let expires_at = at + self.code_lifetime();
        let request = CodeRequest {
            id,
            purpose,
            scope: NUMBER,
            destination: phone.as_str(),
            keep_destination: true,
            subject: owner.map(|user| user.0),
            decoy: false,
            at,
            expires_at,
            key: None,
        };
        let limits = CodeLimits {
            texts_per_day: Some(self.inner.phone.sends_per_day),
            ..self.send_limits()
        };
        self.begin_code(request, Some(limits)).await?;
        let code = self.inner.links.code(purpose, id);
        self.inner.texts.send(phone, id, &code).await?;
        Ok(texted(id, phone, expires_at, at + limits.gap))
    }

    fn require_country(&self, phone: &Phone) -> Result<(), CommandError> {
        let allowed = &self.inner.phone.allowed_prefixes;
        if allowed.is_empty() || allowed.iter().any(|prefix| phone.as_str().starts_with(prefix)) {
            return Ok(());
        }
        Err(CommandError::Invalid(vec![crate::FieldError {
            pointer: "/phone".to_owned(),
            code: "country_not_allowed",
            detail: "we send no text messages to this country".to_owned(),
        }]))
    }

    fn code_lifetime(&self) -> TimeDelta {
        TimeDelta::minutes(i64::from(self.inner.phone.code_minutes))
    }
}

/// Whether this can be a code at all.
fn is_typed_whole(code: &str) -> bool {
    code.len() == DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// A code went to this number.
pub(super) fn texted(
    id: Uuid,
    phone: &Phone,
    expires_at: DateTime<Utc>,
    resend_available_at: DateTime<Utc>,
) -> Verification {
    let masked_destination = mask_phone(phone);
    Verification { id, channel: "sms", masked_destination, expires_at, resend_available_at }
}

/// `+49***56`.
fn mask_phone(phone: &Phone) -> String {
    let digits = phone.as_str();
    let (first, last) = (digits.get(..3), digits.get(digits.len().saturating_sub(2)..));
    format!("{}***{}", first.unwrap_or_default(), last.unwrap_or_default())
}

/// How long a client waits that Twilio turned away.
pub(crate) const TWILIO_PAUSE: Duration = Duration::from_mins(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_masked_number_shows_its_country_and_its_end() {
        assert_eq!(mask_phone(&Phone::parse("+4930123456").unwrap()), "+49***56");
    }
}
