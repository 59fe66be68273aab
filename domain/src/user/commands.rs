//! What people ask of accounts.
use chrono::{DateTime, Utc};

use super::{CredentialsCommand, EducationLevel, LinkRequest, ProfileCommand};
use crate::{
    UserId,
    text::{Email, FullName, Institution, Phone, Username},
};

/// What someone says about themselves when they register.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// Where to reach them; unique.
    pub email: Email,
    /// A PHC string made by the hasher.
    pub password_hash: String,
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
}

/// What someone asks of an account. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum UserCommand {
    /// Open the account.
    Register {
        /// A fresh id.
        user_id: UserId,
        /// What the person said.
        registration: Box<Registration>,
        /// The link that will prove the address.
        verification: LinkRequest,
        /// When.
        at: DateTime<Utc>,
    },
    /// Open an account for somebody who has shown that a number is theirs.
    RegisterWithPhone {
        /// A fresh id.
        user_id: UserId,
        /// The number.
        phone: Phone,
        /// What they are called until they say.
        full_name: FullName,
        /// When.
        at: DateTime<Utc>,
    },
    /// Store the password under newer hash parameters.
    RehashPassword {
        /// A PHC string of the same password.
        password_hash: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Forget who wanted to be forgotten, if it is time.
    Erase {
        /// When.
        at: DateTime<Utc>,
    },
    /// Something about how the person gets in.
    Credentials(CredentialsCommand),
    /// Something about what the person shows, studies or allows.
    Profile(ProfileCommand),
}
