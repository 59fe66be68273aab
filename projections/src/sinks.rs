//! Writing changes: one way per store, all of them safe to repeat and against a second writer.
use std::collections::BTreeMap;

use serde_json::Value;

use crate::checkpoints::Step;

mod mongodb;
mod postgres;
mod redis;

pub(crate) use mongodb::MongodbSink;
pub(crate) use postgres::PostgresSink;
pub(crate) use redis::RedisSink;

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// A checkpoint is not where we left it: somebody else writes, or the store was emptied.
    #[error("a checkpoint was moved by somebody else")]
    Moved,
    /// The store does not take these values, and never will. Holds none of them.
    #[error("{0}")]
    Refused(String),
    /// Anything else. The next try may succeed.
    #[error(transparent)]
    Failed(#[from] Box<dyn std::error::Error + Send + Sync>),
}

impl WriteError {
    pub(crate) fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// Where one version of a read model is stored.
pub(crate) trait Sink<C>: Send + Sync + 'static {
    /// Makes what is missing to write into. If something was there and is lost, the checkpoint that
    /// speaks of it is taken back first.
    fn prepare(&self) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Makes what only readers need. Separate, because a rebuild is faster without.
    fn prepare_for_readers(&self) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// The checkpoints that the store itself keeps; `None` for PostgreSQL, which has no others.
    fn mirror(
        &self,
        partitions: &[u16],
    ) -> impl Future<Output = Result<Option<BTreeMap<u16, i64>>, WriteError>> + Send;

    /// Writes the changes, each with its log position, and takes the step: both, or for other
    /// observers neither, or, after a crash, a part that the same call repeats without harm.
    fn write(
        &self,
        changes: Vec<(i64, C)>,
        step: &Step,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Tells readers that nothing older than a moment is missing from these partitions, for stores
    /// whose readers must not take a model that is being filled again for a complete one.
    fn confirm(&self, _: &[u16]) -> impl Future<Output = Result<(), WriteError>> + Send {
        async { Ok(()) }
    }

    /// Everything that is stored, comparable between versions.
    fn dump(&self) -> impl Future<Output = Result<BTreeMap<String, Value>, WriteError>> + Send;

    /// Removes everything, checkpoints included.
    fn destroy(&self) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// SQLSTATE classes 22 (data exception) and 23 (integrity constraint violation): the values are at
/// fault (PostgreSQL manual, appendix A). Everything else is the server's or the schema's.
impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(database) = &error
            && let Some(code) = database.code()
            && (code.starts_with("22") || code.starts_with("23"))
        {
            let constraint = database.constraint().unwrap_or("none");
            // Not the server's sentence: it quotes values.
            return Self::Refused(format!("SQLSTATE {code}, constraint {constraint}"));
        }
        Self::failed(error)
    }
}
