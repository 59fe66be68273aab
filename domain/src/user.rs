//! A person with an account.
use serde::{Deserialize, Serialize};

use crate::{AggregateRoot, ClaimChange, Personal, UserId, macros::aggregate, text::FullName};

mod claims;
mod commands;
mod credentials;
mod cutoff;
mod education;
mod errors;
mod events;
mod opening;
pub mod profile;
mod standing;
#[cfg(test)]
mod tests;

pub use commands::{Registration, UserCommand};
pub use credentials::{Credentials, CredentialsCommand, EmailChange, LinkRequest, Pending, Side};
pub use cutoff::Cutoff;
pub use education::EducationLevel;
pub use errors::UserError;
pub use events::UserEvent;
pub use profile::{DmPolicy, Preferences, PreferencesEdit, Profile, ProfileCommand, ProfileEdit};
pub use standing::{Role, Standing};

/// What a decision about an account needs to know, and no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub enum User {
    /// Never registered.
    #[default]
    Absent,
    /// Registered.
    Active {
        /// Whose account.
        user_id: UserId,
        /// PHC string; erased with the person.
        password_hash: Personal<String>,
        /// Shown to others.
        full_name: Personal<FullName>,
        /// How the person gets in.
        credentials: Box<Credentials>,
        /// What they show, study and allow.
        profile: Box<Profile>,
    },
}

aggregate!(User = "user", UserCommand -> UserEvent | UserError);

impl AggregateRoot for User {
    const STATE_VERSION: u32 = 5;

    fn claims(event: &UserEvent) -> Vec<ClaimChange> {
        claims::of(event)
    }

    fn claim_taken(scope: &str) -> Option<UserError> {
        match scope {
            Self::EMAIL => Some(UserError::EmailTaken),
            Self::USERNAME => Some(UserError::UsernameTaken),
            Self::PHONE => Some(UserError::PhoneTaken),
            _ => None,
        }
    }
}

impl User {
    /// The claim scope of e-mail addresses (canonical form).
    pub const EMAIL: &'static str = "email";
    /// The claim scope of handles.
    pub const USERNAME: &'static str = "username";
    /// The claim scope of phone numbers.
    pub const PHONE: &'static str = "phone";

    /// What the person shows, studies and allows; `None` without an account.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        match self {
            Self::Absent => None,
            Self::Active { profile, .. } => Some(profile),
        }
    }

    /// Whether the account is open; `None` without one.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        match self {
            Self::Absent => None,
            Self::Active { credentials, .. } => Some(credentials.standing),
        }
    }

    /// Whether there is no account, or one that was closed and is to look like none.
    #[must_use]
    pub fn looks_like_none(&self) -> bool {
        self.standing().is_none_or(Standing::looks_like_none)
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: UserCommand) -> Result<Vec<UserEvent>, UserError> {
        use {UserCommand as C, UserEvent as E};
        match (self, command) {
            (Self::Absent, C::Register { user_id, registration, verification, at }) => {
                Ok(Self::open(user_id, *registration, verification, at))
            }
            (Self::Absent, C::RegisterWithPhone { user_id, phone, full_name, at }) => {
                let (phone, full_name) = (phone.into(), full_name.into());
                Ok(vec![E::UserRegisteredWithPhone { user_id, phone, full_name, at }])
            }
            (Self::Active { .. }, C::Register { .. } | C::RegisterWithPhone { .. }) => {
                Err(UserError::AlreadyRegistered)
            }
            (
                Self::Absent,
                C::RehashPassword { .. } | C::Erase { .. } | C::Credentials(_) | C::Profile(_),
            ) => Err(UserError::NotFound),
            (Self::Active { credentials, .. }, C::RehashPassword { .. } | C::Profile(_))
                if credentials.standing == Standing::Erased =>
            {
                Err(UserError::NotFound)
            }
            (Self::Active { user_id, full_name, profile, .. }, C::Profile(command)) => {
                profile.decide(*user_id, full_name, command)
            }
            (&Self::Active { user_id, .. }, C::RehashPassword { password_hash, at }) => {
                Ok(vec![E::PasswordRehashed { user_id, password_hash: password_hash.into(), at }])
            }
            (Self::Active { user_id, credentials, profile, .. }, C::Erase { at }) => {
                Ok(credentials.erase(*user_id, &profile.username, at))
            }
            (Self::Active { user_id, credentials, .. }, C::Credentials(command)) => {
                credentials.decide(*user_id, command)
            }
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserRegistered { .. } | UserEvent::UserRegisteredWithPhone { .. } => {
                if let Some(opened) = Self::opened(event) {
                    *self = opened;
                }
            }
            UserEvent::PasswordRehashed { password_hash: newer, .. } => {
                if let Self::Active { password_hash, .. } = self {
                    *password_hash = newer.clone();
                }
            }
            UserEvent::UsernameChanged { .. }
            | UserEvent::ProfileChanged { .. }
            | UserEvent::PreferencesChanged { .. }
            | UserEvent::PresenceVisibilityChanged { .. }
            | UserEvent::StudySubjectSet { .. }
            | UserEvent::StudySubjectRemoved { .. } => {
                if let Self::Active { full_name, profile, .. } = self {
                    if let UserEvent::ProfileChanged { full_name: name, .. } = event {
                        name.apply_to(full_name);
                    }
                    profile.evolve(event);
                }
            }
            UserEvent::PasswordChanged { password_hash: newer, .. }
            | UserEvent::PasswordReset { password_hash: newer, .. } => {
                if let Self::Active { password_hash, credentials, .. } = self {
                    *password_hash = newer.clone();
                    credentials.evolve(event);
                }
            }
            UserEvent::AccountErased { .. } => {
                if let Self::Active { password_hash, full_name, credentials, profile, .. } = self {
                    *password_hash = Personal::Erased;
                    *full_name = Personal::Erased;
                    **profile = Profile::new(Personal::Erased, Personal::Erased, Personal::Erased);
                    credentials.evolve(event);
                }
            }
            UserEvent::RoleChanged { .. }
            | UserEvent::AccountSuspended { .. }
            | UserEvent::AccountDeactivated { .. }
            | UserEvent::AccountReinstated { .. }
            | UserEvent::AccountDeletionRequested { .. }
            | UserEvent::DataExportRequested { .. }
            | UserEvent::PhoneVerified { .. }
            | UserEvent::PhoneChanged { .. }
            | UserEvent::PhoneGivenUp { .. }
            | UserEvent::EmailVerificationRequested { .. }
            | UserEvent::EmailVerified { .. }
            | UserEvent::RegistrationRepeated { .. }
            | UserEvent::PasswordResetRequested { .. }
            | UserEvent::EmailChangeRequested { .. }
            | UserEvent::EmailChangeConfirmed { .. }
            | UserEvent::EmailChanged { .. } => {
                if let Self::Active { credentials, .. } = self {
                    credentials.evolve(event);
                }
            }
        }
    }
}
