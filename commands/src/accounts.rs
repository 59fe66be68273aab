//! Accounts: opening one and getting in.
mod email;
mod identity;
mod leaving;
mod password;
pub(crate) mod phone;
mod recovery;
mod repeats;
mod sessions;
pub(crate) mod standing;
pub(crate) mod verification;

pub use leaving::ExportLink;
pub use password::ChangePassword;
pub use phone::{OtpPurpose, OtpSession, OtpTarget};
pub use sessions::LogoutScope;
pub use verification::{CodeTarget, Entrance, Proof, Verification};

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use domain::{
    EducationLevel, RejectionKind, SessionId, User, UserCommand, UserError, UserEvent, UserId,
    password::NewPassword,
    session::LoginProof,
    text::{Email, FullName, Institution, Phone, Username},
    user::{CredentialsCommand, Registration},
};
use platform::{config::RegistrationMode, ids::new_id};
use tokio::sync::OwnedSemaphorePermit;
use tracing::field;
use zeroize::Zeroizing;

use sessions::Proven;

use crate::{
    CommandError, Commands, Written, bus::Context, metadata, passwords::Verdict, requests::Timer,
};

/// What someone says about themselves to get an account.
#[derive(Clone)]
pub struct RegisterRequest {
    /// Unique.
    pub email: Email,
    /// What will open the account.
    pub password: NewPassword,
    /// Shown to others.
    pub full_name: FullName,
    /// Public handle; unique.
    pub username: Option<Username>,
    /// Unique.
    pub phone: Option<Phone>,
    /// How far their education has come.
    pub education_level: Option<EducationLevel>,
    /// Where they study or work.
    pub institution: Option<Institution>,
    /// What the client calls itself.
    pub user_agent: Option<String>,
}

/// What someone says to get in.
#[derive(Clone)]
pub struct LoginRequest {
    /// Who: see [`Commands::owner_of_name`]. `None` for a name that is nobody's.
    pub owner: Option<UserId>,
    /// As typed.
    pub password: String,
    /// What the client calls itself.
    pub user_agent: Option<String>,
    /// Whether there were too many attempts at the account: then no password is right.
    pub spent: bool,
}

/// What somebody with a password logs in by, as typed.
#[derive(Clone, Debug)]
pub enum LoginName {
    /// The e-mail address.
    Email(String),
    /// The phone number.
    Phone(String),
}

/// A session and its tokens. Not printed by `Debug`.
#[derive(Clone)]
pub struct LoggedIn {
    /// Who.
    pub user_id: UserId,
    /// The login on this device.
    pub session_id: SessionId,
    /// A signed JWT.
    pub access_token: String,
    /// How long the access token works, seconds.
    pub expires_in: u64,
    /// Gets the next pair, once.
    pub refresh_token: String,
    /// The end of the session: no refresh works after this.
    pub refresh_expires_at: DateTime<Utc>,
}

impl fmt::Debug for LoggedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedIn").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}

/// The account that an address opens.
struct Found {
    admitted: Result<Proven, CommandError>,
    password_hash: String,
    email_verified: bool,
}

impl Commands {
    /// Opens an account and, where accounts work at once, a first session in it. Where they do not,
    /// an address that has an account gets the answer of one that has none, and a mail that says so.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `username_taken`, and where accounts work at once with
    /// `email_taken` or `phone_taken`; [`CommandError::Overloaded`] when too many passwords
    /// wait to be hashed.
    #[tracing::instrument(skip_all, fields(request.id = request_id, user.id = field::Empty))]
    pub async fn register(
        &self,
        request: RegisterRequest,
        request_id: &str,
    ) -> Result<Written<Entrance>, CommandError> {
        let _timer = Timer::start("register");
        // Hashed before anyone knows whether the address is taken: both answers take as long.
        let password_hash = self.inner.passwords.hash(request.password.expose()).await?;
        let user_id = UserId(new_id());
        tracing::Span::current().record("user.id", field::display(user_id));
        let (email, username) = (request.email.clone(), request.username.clone());
        let must_verify = self.inner.accounts.registration_mode == RegistrationMode::Verified;
        // Who has a number is told to nobody who has only typed it: the account begins without.
        let phone = match request.phone {
            Some(phone) if must_verify && self.is_taken(&phone).await? => None,
            phone => phone,
        };
        let registration = Box::new(Registration {
            email: request.email,
            password_hash,
            full_name: request.full_name,
            username: request.username,
            phone,
            education_level: request.education_level,
            institution: request.institution,
        });
        let verification = self.new_link(self.inner.accounts.verification_minutes);
        let at = verification.at;
        let command = UserCommand::Register { user_id, registration, verification, at };
        let context = Context::creating(metadata(Some(user_id), request_id));
        let executed = self.inner.bus.execute::<User>(&user_id.to_string(), command, context).await;
        let owner = match executed {
            Ok(_) => Some(user_id),
            Err(CommandError::Rejected { code: "email_taken", .. }) if must_verify => {
                self.note_registration(&email, username, request_id).await?;
                None
            }
            Err(error) => return Err(error),
        };
        // Codes for nobody look like all others.
        self.begin_email_code(verification, &email, owner, None).await?;
        if must_verify {
            // Without a place in the log: an address that has an account has none to tell.
            return Ok(Written {
                value: Entrance::MustVerify(self.sent_to(verification, &email)),
                receipt: None,
                replayed: false,
            });
        }
        // Two aggregates, two appends. A crash between them leaves an account without a session,
        // which is what every account is after its last logout: the person logs in.
        let proof = LoginProof::Password;
        let proven = Proven { user_id, token_version: 0, proof, returns: false };
        let session = self.start_session(proven, request.user_agent.as_deref(), request_id).await?;
        Ok(Written {
            value: Entrance::In(session.value),
            receipt: session.receipt,
            replayed: session.replayed,
        })
    }

    /// The address has an account: its owner is told, and the caller only of what everybody may
    /// know, whether the address is free or not.
    async fn note_registration(
        &self,
        email: &Email,
        username: Option<Username>,
        request_id: &str,
    ) -> Result<(), CommandError> {
        if let Some(username) = username
            && self.store().claim_owner(User::USERNAME, username.as_str()).await?.is_some()
        {
            return Err(CommandError::rejected(&UserError::UsernameTaken));
        }
        if let Some(owner) = self.owner_of_email(email).await? {
            let gap = self.send_limits().gap;
            let command = CredentialsCommand::NoteRegistration { gap, at: self.now() };
            self.in_background(owner, command, request_id)?;
        }
        Ok(())
    }

    async fn is_taken(&self, phone: &Phone) -> Result<bool, CommandError> {
        Ok(self.store().claim_owner(User::PHONE, phone.as_str()).await?.is_some())
    }

    /// A place among what is done after its answer.
    fn place_in_background(&self) -> Result<OwnedSemaphorePermit, CommandError> {
        let retry_after = std::time::Duration::from_secs(1);
        Arc::clone(&self.inner.background)
            .try_acquire_owned()
            .map_err(|_| CommandError::Overloaded { retry_after })
    }

    /// Starts a session for someone who knows the password.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `invalid_credentials` for anything that is wrong, after the
    /// same work, and only then `email_not_verified`; [`CommandError::Overloaded`] when too many passwords wait to be hashed.
    #[tracing::instrument(skip_all, fields(request.id = request_id, user.id = field::Empty))]
    pub async fn login(
        &self,
        request: LoginRequest,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let _timer = Timer::start("login");
        let password = Zeroizing::new(request.password);
        let account = self.find_account(request.owner).await?;
        let stored = account.as_ref().map(|found| found.password_hash.as_str());
        let stored = stored.filter(|_| !request.spent);
        let verdict = self.inner.passwords.verify(&password, stored).await?;
        let (Some(Found { admitted, email_verified, .. }), Verdict::Right { outdated }) =
            (account, verdict)
        else {
            return Err(invalid_credentials());
        };
        let proven = admitted?;
        if !email_verified && self.inner.accounts.registration_mode == RegistrationMode::Verified {
            return Err(CommandError::refused(
                RejectionKind::Forbidden,
                "email_not_verified",
                "follow the link in the e-mail that was sent to you, or ask for another one",
            ));
        }
        let user_id = proven.user_id;
        tracing::Span::current().record("user.id", field::display(user_id));
        if outdated && let Err(error) = self.rehash(user_id, &password, request_id).await {
            // The old hash still works, and the next login tries again.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not renew a password hash"
            );
        }
        self.start_session(proven, request.user_agent.as_deref(), request_id).await
    }

    /// The account that a name opens, with its stored hash. Asks the store the same questions whether
    /// there is one or not.
    async fn find_account(&self, owner: Option<UserId>) -> Result<Option<Found>, CommandError> {
        let id = owner.unwrap_or_else(|| UserId(new_id()));
        Ok(match self.inner.bus.state::<User>(&id.to_string()).await? {
            User::Active { user_id, password_hash, credentials, .. } => {
                let admitted =
                    standing::admit(user_id, &credentials, LoginProof::Password, self.now());
                let email_verified = credentials.email_verified;
                password_hash.known().cloned().map(|password_hash| Found {
                    admitted,
                    password_hash,
                    email_verified,
                })
            }
            User::Absent => None,
        })
    }

    /// Whose account somebody logs in to by this name. Asks the same whether there is one or not.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    pub async fn owner_of_name(&self, name: &LoginName) -> Result<Option<UserId>, CommandError> {
        // What is no address belongs to nobody, and nobody's address is the empty one.
        let (scope, value) = match name {
            LoginName::Email(email) => {
                (User::EMAIL, Email::parse(email).map(|email| email.canonical()))
            }
            LoginName::Phone(phone) => {
                (User::PHONE, Phone::parse(phone).map(|phone| phone.as_str().to_owned()))
            }
        };
        let owner = self.store().claim_owner(scope, &value.unwrap_or_default()).await?;
        owner.map(|id| id.parse().map_err(CommandError::unavailable)).transpose()
    }

    /// The sequence of an account's last event, from the truth.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    pub async fn account_version(&self, user_id: UserId) -> Result<i64, CommandError> {
        self.inner.bus.version::<User>(&user_id.to_string()).await
    }

    /// What happened to an account, with the sequence of each event.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    pub async fn account_events(
        &self,
        user_id: UserId,
    ) -> Result<Vec<(i64, UserEvent)>, CommandError> {
        let events = self.store().stream::<User>(&user_id.to_string()).await?;
        let sequence = |number| i64::try_from(number).unwrap_or(i64::MAX);
        Ok(events.into_iter().map(|event| (sequence(event.sequence), event.payload)).collect())
    }

    async fn rehash(
        &self,
        user_id: UserId,
        password: &str,
        request_id: &str,
    ) -> Result<(), CommandError> {
        let password_hash = self.inner.passwords.hash(password).await?;
        let command = UserCommand::RehashPassword { password_hash, at: self.now() };
        let context = Context::new(metadata(Some(user_id), request_id));
        self.inner.bus.execute::<User>(&user_id.to_string(), command, context).await?;
        Ok(())
    }
}

/// One refusal for unknown, wrong and absent credentials alike.
fn invalid_credentials() -> CommandError {
    CommandError::refused(
        RejectionKind::Unauthenticated,
        "invalid_credentials",
        "the e-mail address or the password is wrong",
    )
}
