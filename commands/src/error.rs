//! How a command can end without doing what was asked.
use std::{error::Error, time::Duration};

use domain::{Rejection, RejectionKind};
use eventstore::StoreError;

/// The failure below, whatever it is.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a command was not carried out.
///
/// The first three are answers for the caller; the others are the server's own trouble.
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
    /// Every attempt lost its race; trying again later may help.
    #[error("too many changes at the same time")]
    Conflict,
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
            Self::Rejected { .. } | Self::Invalid(_) | Self::IdempotencyKeyReused => false,
            Self::Conflict | Self::Overloaded { .. } => true,
            Self::Unavailable(source) => {
                source.downcast_ref::<StoreError>().is_none_or(StoreError::is_transient)
            }
        }
    }
}

impl From<StoreError> for CommandError {
    /// A store in trouble is unavailable; [`CommandError::is_transient`] tells trouble that passes
    /// from trouble that does not.
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Box::new(error))
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
    fn a_refusal_stays_a_refusal_and_overload_passes() {
        assert!(!CommandError::rejected(&RoomError::NotFound).is_transient());
        assert!(CommandError::Overloaded { retry_after: Duration::from_secs(1) }.is_transient());
        assert!(CommandError::unavailable("the hashing thread is gone").is_transient());
    }
}
