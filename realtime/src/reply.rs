//! Acknowledgements: one shape for every event, and refusals with the codes of the HTTP side.
use std::time::Duration;

use commands::{CommandError, FieldError};
use serde::Serialize;
use serde_json::{Value, json};

use crate::codes;

/// How soon a client may try again when its queue is full.
const QUEUE_RETRY: Duration = Duration::from_millis(500);

/// Why something a socket asked for was not done.
#[derive(Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) retryable: bool,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) errors: Vec<FieldError>,
    /// The version that the thing has now, where another one was expected.
    pub(crate) current_version: Option<i64>,
}

impl Refusal {
    /// A refusal that stays one.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            code,
            message,
            retryable: false,
            retry_after: None,
            errors: Vec::new(),
            current_version: None,
        }
    }

    /// Fields break their rules, or do not belong there.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let (code, message) = if errors.iter().any(|error| error.code == codes::UNKNOWN_FIELD) {
            (codes::UNKNOWN_FIELD, "there is a field that does not belong here")
        } else {
            (codes::VALIDATION_FAILED, "some values are not acceptable")
        };
        Self { errors, ..Self::new(code, message) }
    }

    /// A fault of ours.
    pub(crate) fn internal() -> Self {
        Self::new(codes::INTERNAL, "something went wrong on our side")
    }

    /// Too many commands of this socket are waiting.
    pub(crate) fn queue_full() -> Self {
        Self {
            retryable: true,
            retry_after: Some(QUEUE_RETRY),
            ..Self::new(codes::OVERLOADED, "too many commands of this socket are waiting")
        }
    }

    /// This was asked too often.
    pub(crate) fn too_often(retry_after: Duration) -> Self {
        Self {
            retryable: true,
            retry_after: Some(retry_after),
            ..Self::new(codes::RATE_LIMITED, "too many requests")
        }
    }

    /// Something this server needs does not answer.
    pub(crate) fn unavailable() -> Self {
        Self {
            retryable: true,
            ..Self::new(codes::DEPENDENCY_UNAVAILABLE, "a dependency is unavailable")
        }
    }

    pub(crate) fn body(&self) -> Value {
        let errors: Vec<_> = self
            .errors
            .iter()
            .map(|e| json!({ "pointer": e.pointer, "code": e.code, "detail": e.detail }))
            .collect();
        let retry_after =
            self.retry_after.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let mut body = json!({
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
            "retryAfterMs": retry_after,
            "errors": errors,
        });
        if let Some(version) = self.current_version {
            body["currentVersion"] = json!(version);
        }
        body
    }
}

impl From<CommandError> for Refusal {
    fn from(error: CommandError) -> Self {
        let message = error.to_string();
        let retryable = error.is_transient();
        match error {
            CommandError::Rejected { code, message, .. } => Self::new(code, message),
            CommandError::Invalid(errors) => Self::invalid(errors),
            CommandError::IdempotencyKeyReused => Self::new(codes::IDEMPOTENCY_KEY_REUSED, message),
            CommandError::VersionMismatch { .. } => Self::new(codes::VERSION_MISMATCH, message),
            CommandError::Conflict => Self { retryable, ..Self::new(codes::CONFLICT, message) },
            CommandError::Limited { code, message, retry_after } => {
                Self { retryable, retry_after: Some(retry_after), ..Self::new(code, message) }
            }
            CommandError::Overloaded { retry_after } => Self {
                retryable,
                retry_after: Some(retry_after),
                ..Self::new(codes::OVERLOADED, message)
            },
            CommandError::Unavailable(source) => {
                tracing::error!(error = %source, "a socket command failed");
                Self { retryable, ..Self::unavailable() }
            }
        }
    }
}

/// What an acknowledgement says.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Reply(Value);

impl From<Result<Value, Refusal>> for Reply {
    fn from(outcome: Result<Value, Refusal>) -> Self {
        Self(match outcome {
            Ok(data) => json!({ "ok": true, "data": data }),
            Err(refusal) => json!({ "ok": false, "error": refusal.body() }),
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::RejectionKind;

    use super::*;

    fn refused(error: CommandError) -> Value {
        serde_json::to_value(Reply::from(Err(Refusal::from(error)))).unwrap()
    }

    #[test]
    fn success_carries_data() {
        let reply = Reply::from(Ok(json!({ "a": 1 })));
        let expected = json!({ "ok": true, "data": { "a": 1 } });
        assert_eq!(serde_json::to_value(reply).unwrap(), expected);
    }

    #[test]
    fn a_refusal_carries_the_code_of_the_rule() {
        let error = CommandError::refused(RejectionKind::Forbidden, "not_a_member", "members only");
        assert_eq!(
            refused(error),
            json!({ "ok": false, "error": {
                "code": "not_a_member", "message": "members only",
                "retryable": false, "retryAfterMs": null, "errors": [],
            }})
        );
    }

    #[test]
    fn broken_fields_are_listed() {
        let field = FieldError {
            pointer: "/content".to_owned(),
            code: "blank",
            detail: "must not be blank".to_owned(),
        };
        assert_eq!(
            refused(CommandError::Invalid(vec![field]))["error"]["errors"],
            json!([{ "pointer": "/content", "code": "blank", "detail": "must not be blank" }])
        );
    }

    #[test]
    fn trouble_that_passes_says_so_and_shows_no_cause() {
        let overloaded =
            refused(CommandError::Overloaded { retry_after: Duration::from_millis(1500) });
        assert_eq!(overloaded["error"]["retryAfterMs"], 1500);
        assert_eq!(refused(CommandError::Conflict)["error"]["retryable"], true);
        let unavailable = refused(CommandError::unavailable("password=hush"));
        assert_eq!(unavailable["error"]["code"], "dependency_unavailable");
        assert_eq!(unavailable["error"]["retryable"], true);
        assert!(!unavailable.to_string().contains("hush"));
    }
}
