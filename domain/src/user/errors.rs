//! Why accounts refuse.
use crate::macros::rejection;

/// Why a command to an account was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The id is in use.
    #[error("this account exists already")]
    AlreadyRegistered,
    /// No such account.
    #[error("there is no such account")]
    NotFound,
    /// Another account has this address.
    #[error("this e-mail address already has an account")]
    EmailTaken,
    /// Another account has this handle.
    #[error("this username is taken")]
    UsernameTaken,
    /// Another account has this number.
    #[error("this phone number already has an account")]
    PhoneTaken,
    /// The profile has as many subjects as it may have.
    #[error("a profile has at most {most} subjects")]
    TooManySubjects {
        /// How many.
        most: usize,
    },
    /// Used, replaced, too old, or never ours.
    #[error("the link does not work any more; ask for another one")]
    LinkInvalid,
    /// Wrong, used, replaced, too old, or never ours.
    #[error("this code does not work; ask for another one")]
    CodeInvalid,
    /// Nothing would change.
    #[error("this is the account's address already")]
    EmailUnchanged,
}

rejection!(UserError {
    AlreadyRegistered => Conflict, "already_registered";
    NotFound => NotFound, "not_found";
    EmailTaken => Conflict, "email_taken";
    UsernameTaken => Conflict, "username_taken";
    PhoneTaken => Conflict, "phone_taken";
    TooManySubjects => Conflict, "limit_reached";
    LinkInvalid => BadRequest, "token_invalid";
    CodeInvalid => BadRequest, "otp_invalid";
    EmailUnchanged => Invalid, "unchanged";
});
