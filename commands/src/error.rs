//! How a command can end without doing what was asked.
use std::{error::Error, time::Duration};

use domain::{Rejection, RejectionKind};
use eventstore::StoreError;

/// The failure below, whatever it is.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// When to come back after the store refused for want of room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a command was not carried out.
///
/// The first four are answers for the caller, as is `Limited`; the others are the server's own trouble.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The rules say no.
    #[error("{message}")]
    Rejected {
        /// Decides the status.
        kind: RejectionKind,
        /// The public code; never reworded.
        code: &'static str,
        /// The sentence shown to people.
        message: String,
    },
    /// Fields break their rules.
    #[error("{} of the fields are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// The idempotency key came with another request before.
    #[error("this idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The caller knows another version of what was to be changed.
    #[error("somebody else changed it meanwhile")]
    VersionMismatch {
        /// The version it has now.
        current: i64,
    },
    /// Every attempt lost its race; trying again later may help.
    #[error("too many changes at the same time")]
    Conflict,
    /// Asked for too often.
    #[error("{message}")]
    Limited {
        /// The public code.
        code: &'static str,
        /// The sentence shown to people.
        message: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// Too much is waiting already.
    #[error("too much to do at the moment")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something this server needs does not answer, or answers wrongly. To be logged once, where
    /// it is answered, and shown to nobody.
    #[error("a dependency is unavailable")]
    Unavailable(#[source] BoxError),
}

/// A field that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Where it stands in the request: a JSON pointer (RFC 6901), e.g. `/email`.
    pub pointer: String,
    /// Public code, e.g. `too_long`.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl CommandError {
    /// The refusal of an aggregate or a policy.
    #[must_use]
    pub fn rejected(refusal: &impl Rejection) -> Self {
        Self::refused(refusal.kind(), refusal.code(), refusal.to_string())
    }

    /// A refusal that no aggregate knows of.
    #[must_use]
    pub fn refused(kind: RejectionKind, code: &'static str, message: impl Into<String>) -> Self {
        Self::Rejected { kind, code, message: message.into() }
    }

    /// A failure of something this server needs.
    #[must_use]
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self::Unavailable(source.into())
    }

    /// The codes of the refusals that no aggregate knows of, for the problem registry.
    pub const CODES: &'static [&'static str] = &[
        "account_suspended",
        "email_not_verified",
        "invalid_credentials",
        "not_your_number",
        "otp_attempts_exceeded",
        "otp_invalid",
        "rate_limited",
        "refresh_token_invalid",
        "subject_not_found",
        "unauthenticated",
    ];

    /// Says which field the rules refused; other errors stay as they are. For commands with one
    /// field that the rules can find wrong.
    #[must_use]
    pub(crate) fn at(self, pointer: &str) -> Self {
        match self {
            Self::Rejected { kind: RejectionKind::Invalid, code, message } => {
                Self::Invalid(vec![FieldError {
                    pointer: pointer.to_owned(),
                    code,
                    detail: message,
                }])
            }
            other => other,
        }
    }

    /// Whether the same command may succeed later without anyone's doing. A store that answers
    /// wrongly is not transient: someone has to look.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rejected { .. }
            | Self::Invalid(_)
            | Self::IdempotencyKeyReused
            | Self::VersionMismatch { .. } => false,
            Self::Conflict | Self::Limited { .. } | Self::Overloaded { .. } => true,
            Self::Unavailable(source) => {
                source.downcast_ref::<StoreError>().is_none_or(StoreError::is_transient)
            }
        }
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict,
            StoreError::Overloaded => Self::Overloaded { retry_after: RETRY_AFTER },
            // It is always the caller whose data is to be sealed: someone who is no more.
            StoreError::SubjectErased => Self::refused(
                RejectionKind::Unauthenticated,
                "unauthenticated",
                "this account does not exist any more",
            ),
            other => Self::Unavailable(Box::new(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::RoomError;

    use super::*;

    #[test]
    fn a_refusal_keeps_its_kind_its_code_and_its_sentence() {
        let error = CommandError::rejected(&RoomError::Full { max: 10 });
        let CommandError::Rejected { kind, code, message } = error else { panic!("{error:?}") };
        assert_eq!((kind, code), (RejectionKind::Conflict, "room_full"));
        assert_eq!(message, "this room already has 10 of 10 members");
    }

    #[test]
    fn a_rule_about_a_field_names_the_field() {
        let error = CommandError::rejected(&RoomError::BadSize { min: 2, max: 500 });
        let CommandError::Invalid(fields) = error.at("/maxParticipants") else { panic!() };
        assert_eq!(
            (fields[0].pointer.as_str(), fields[0].code),
            ("/maxParticipants", "out_of_range")
        );
        let error = CommandError::rejected(&RoomError::NotFound).at("/maxParticipants");
        assert!(matches!(error, CommandError::Rejected { .. }));
    }

    #[test]
    fn a_store_that_is_full_says_when_to_come_back() {
        let error = CommandError::from(StoreError::Overloaded);
        assert!(matches!(error, CommandError::Overloaded { .. }) && error.is_transient());
        assert!(matches!(CommandError::from(StoreError::Conflict), CommandError::Conflict));
        assert!(CommandError::from(StoreError::Closed).is_transient());
        let error = CommandError::from(StoreError::Unreadable(String::new()));
        assert!(matches!(error, CommandError::Unavailable(_)) && !error.is_transient());
    }

    #[test]
    fn nobody_acts_for_an_erased_person() {
        let error = CommandError::from(StoreError::SubjectErased);
        let CommandError::Rejected { kind, code, .. } = error else { panic!("{error:?}") };
        assert_eq!((kind, code), (RejectionKind::Unauthenticated, "unauthenticated"));
    }

    #[test]
    fn a_refusal_stays_a_refusal_and_overload_passes() {
        assert!(!CommandError::rejected(&RoomError::NotFound).is_transient());
        assert!(CommandError::Overloaded { retry_after: Duration::from_secs(1) }.is_transient());
        assert!(CommandError::unavailable("the hashing thread is gone").is_transient());
    }
}
