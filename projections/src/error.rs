//! What can go wrong with reading.
use eventstore::StoreError;

use crate::sinks::WriteError;

/// A read model could not answer. The store it lives in is away, or holds what we did not write.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// PostgreSQL.
    #[error("the read models in PostgreSQL are unavailable")]
    Postgres(#[from] sqlx::Error),
    /// MongoDB.
    #[error("the read models in MongoDB are unavailable")]
    Mongodb(#[source] Box<mongodb::error::Error>),
    /// A document without the fields we write.
    #[error("unreadable document: {0}")]
    Document(String),
    /// Redis.
    #[error("the read models in Redis are unavailable")]
    Redis(#[from] redis::RedisError),
    /// Writing to the store of a read model.
    #[error("the read model could not be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The event store, while reading the log.
    #[error("the event log is unavailable")]
    Store(#[from] StoreError),
    /// No read model of this name.
    #[error("there is no read model `{0}`")]
    UnknownModel(String),
    /// What was asked of a version cannot be done with this one.
    #[error("{0}")]
    Version(String),
}

impl From<mongodb::error::Error> for ReadError {
    fn from(error: mongodb::error::Error) -> Self {
        Self::Mongodb(Box::new(error))
    }
}

impl From<WriteError> for ReadError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Failed(source) => Self::Write(source),
            other => Self::Write(Box::new(other)),
        }
    }
}
