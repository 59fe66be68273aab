//! How failures and refusals become problems. A failure is logged here, once, and shown to nobody.
use std::error::Error;

use axum::http::StatusCode;
use commands::CommandError;
use domain::RejectionKind;
use projections::{Lagging, ReadError};

use super::Problem;
use crate::{
    etag,
    problems::{self, Kind},
};

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected { kind, code, message } => refusal(kind, code).detail(message),
            CommandError::Invalid(errors) => Self::new(&problems::VALIDATION_FAILED).errors(errors),
            CommandError::IdempotencyKeyReused => Self::new(&problems::IDEMPOTENCY_KEY_REUSED)
                .detail("this Idempotency-Key came with another request before"),
            CommandError::VersionMismatch { current } => Self::new(&problems::VERSION_MISMATCH)
                .detail("somebody else changed it; read it again")
                .tag(etag::of_version(current)),
            CommandError::Conflict => {
                Self::new(&problems::CONFLICT).detail("changed meanwhile; try again")
            }
            CommandError::Limited { code, message, retry_after } => {
                let kind = problems::find(code).unwrap_or(&problems::RATE_LIMITED);
                Self::new(kind).detail(message).retry_after(retry_after)
            }
            CommandError::Overloaded { retry_after } => {
                Self::new(&problems::OVERLOADED).retry_after(retry_after)
            }
            CommandError::Unavailable(source) => {
                let error: &dyn Error = &*source;
                tracing::error!(error, "a command found a dependency away");
                Self::new(&problems::DEPENDENCY_UNAVAILABLE).detail("try again in a moment")
            }
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::unavailable(&error)
    }
}

impl Problem {
    /// A read model cannot answer.
    pub(crate) fn unavailable(error: &ReadError) -> Self {
        tracing::error!(error = error as &dyn Error, "a query found a read model away");
        Self::new(&problems::DEPENDENCY_UNAVAILABLE).detail("try again in a moment")
    }
}

impl From<Lagging> for Problem {
    fn from(lagging: Lagging) -> Self {
        Self::new(&problems::PROJECTION_LAGGING)
            .detail(format!("`{}` is {} events behind", lagging.model, lagging.lag_events))
    }
}

/// The kind decides the status, the code names it.
fn refusal(kind: RejectionKind, code: &'static str) -> Problem {
    let status = match kind {
        RejectionKind::BadRequest => StatusCode::BAD_REQUEST,
        RejectionKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        RejectionKind::Forbidden => StatusCode::FORBIDDEN,
        RejectionKind::NotFound => StatusCode::NOT_FOUND,
        RejectionKind::Conflict => StatusCode::CONFLICT,
        RejectionKind::Gone => StatusCode::GONE,
        RejectionKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        RejectionKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
    };
    let title = problems::find(code).map_or("Refused", |kind| kind.title);
    Problem::new(&Kind { code, status, title })
}
