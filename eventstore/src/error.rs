//! What can go wrong with the event store, by what the caller can do about it.
use std::sync::Arc;

use cqrs_es::AggregateError;

/// A failure of the event store. Refusals and lost races are outcomes, not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another writer was faster; load again and decide again.
    #[error("another writer was faster")]
    Conflict,
    /// Too much is waiting to be written.
    #[error("the append queue is full")]
    Overloaded,
    /// The database is away, restarting or out of connections.
    #[error("the event store is unavailable")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// The person's key was destroyed: nothing more is recorded about them.
    #[error("the person was erased")]
    SubjectErased,
    /// Stored data that this build cannot read.
    #[error("unreadable stored data: {0}")]
    Unreadable(String),
    /// A statement failed for a reason that is our fault.
    #[error("the event store failed")]
    Database(#[source] sqlx::Error),
    /// The group committer is gone: the process is stopping.
    #[error("the event store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the same call may succeed later without anybody mending anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Conflict | Self::Overloaded | Self::Unavailable(_) | Self::Closed)
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match sqlstate(&error).as_deref() {
            // Serialization failure and deadlock (PostgreSQL manual, appendix A).
            Some("40001" | "40P01") => Self::Conflict,
            // Connection trouble, resources, operator intervention.
            Some(code) if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => {
                Self::Unavailable(Arc::new(error))
            }
            Some(_) => Self::Database(error),
            None => match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_) => Self::Unavailable(Arc::new(error)),
                other => Self::Database(other),
            },
        }
    }
}

/// The SQLSTATE of a database error.
pub(crate) fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).map(Into::into)
}

impl<E: std::error::Error> From<StoreError> for AggregateError<E> {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::AggregateConflict,
            StoreError::Unreadable(_) => Self::DeserializationError(Box::new(error)),
            StoreError::Unavailable(_) => Self::DatabaseConnectionError(Box::new(error)),
            other => Self::UnexpectedError(Box::new(other)),
        }
    }
}
