//! Accounts: opening one and getting in.
mod password;
mod sessions;

pub use password::ChangePassword;
pub use sessions::LogoutScope;

use std::fmt;

use chrono::{DateTime, Utc};
use domain::{
    EducationLevel, RejectionKind, SessionId, User, UserCommand, UserId,
    password::NewPassword,
    text::{Email, FullName, Institution, Phone, Username},
    user::Registration,
};
use platform::ids::new_id;
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
    /// As typed.
    pub email: String,
    /// As typed.
    pub password: String,
    /// What the client calls itself.
    pub user_agent: Option<String>,
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

impl Commands {
    /// Opens an account and a first session in it.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `email_taken`, `username_taken` or `phone_taken`;
    /// [`CommandError::Overloaded`] when too many passwords wait to be hashed.
    #[tracing::instrument(skip_all, fields(request.id = request_id, user.id = field::Empty))]
    pub async fn register(
        &self,
        request: RegisterRequest,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let _timer = Timer::start("register");
        // Hashed before anyone knows whether the address is taken: both answers take as long.
        let password_hash = self.inner.passwords.hash(request.password.expose()).await?;
        let user_id = UserId(new_id());
        tracing::Span::current().record("user.id", field::display(user_id));
        let registration = Box::new(Registration {
            email: request.email,
            password_hash,
            full_name: request.full_name,
            username: request.username,
            phone: request.phone,
            education_level: request.education_level,
            institution: request.institution,
        });
        let command = UserCommand::Register { user_id, registration, at: self.now() };
        let context = Context::creating(metadata(Some(user_id), request_id));
        self.inner.bus.execute::<User>(&user_id.to_string(), command, context).await?;
        // Two aggregates, two appends. A crash between them leaves an account without a session,
        // which is what every account is after its last logout: the person logs in.
        let proven = Proven { user_id, token_version: 0 };
        self.start_session(proven, request.user_agent.as_deref(), request_id).await
    }

    /// Starts a session for someone who knows the password.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `invalid_credentials` for anything that is wrong, after the
    /// same work; [`CommandError::Overloaded`] when too many passwords wait to be hashed.
    #[tracing::instrument(skip_all, fields(request.id = request_id, user.id = field::Empty))]
    pub async fn login(
        &self,
        request: LoginRequest,
        request_id: &str,
    ) -> Result<Written<LoggedIn>, CommandError> {
        let _timer = Timer::start("login");
        let password = Zeroizing::new(request.password);
        let account = self.find_account(&request.email).await?;
        let stored = account.as_ref().map(|(_, hash)| hash.as_str());
        let verdict = self.inner.passwords.verify(&password, stored).await?;
        let (Some((proven, _)), Verdict::Right { outdated }) = (account, verdict) else {
            return Err(invalid_credentials());
        };
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

    /// The account that this address opens, with its stored hash. Asks the store the same
    /// questions whether there is one or not.
    async fn find_account(&self, email: &str) -> Result<Option<(Proven, String)>, CommandError> {
        // What is no address belongs to nobody, and nobody's address is the empty one.
        let canonical = Email::parse(email).map(|email| email.canonical()).unwrap_or_default();
        let owner = self.store().claim_owner(User::EMAIL, &canonical).await?;
        let id = owner.unwrap_or_else(|| new_id().to_string());
        Ok(match self.inner.bus.state::<User>(&id).await? {
            User::Active { user_id, password_hash, credentials, .. } => {
                let token_version = credentials.token_version;
                password_hash.known().map(|hash| (Proven { user_id, token_version }, hash.clone()))
            }
            User::Absent => None,
        })
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
