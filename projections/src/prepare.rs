//! Making what read models are stored in.
use crate::engine::Engine;
use crate::models::{DeclaredVersion, Visitor};
use crate::projector::Projector;
use crate::sinks::{Sink, WriteError};
use crate::{ReadError, ReadModels, names};

impl ReadModels {
    /// Makes the tables, collections and indexes of the versions that are read, and says which
    /// these are where nobody has said so yet. Doing it again, or twice at once, changes nothing.
    ///
    /// # Errors
    /// [`ReadError`] when a store is unavailable or the migrations are missing.
    pub async fn prepare(&self) -> Result<(), ReadError> {
        for name in names::ALL {
            let declared = self.visit(name, 1, DeclaredVersion).await?;
            sqlx::query(
                "insert into projection_versions (projector, active_version) values ($1, $2) \
                 on conflict do nothing",
            )
            .bind(name)
            .bind(i32::try_from(declared).unwrap_or(i32::MAX))
            .execute(self.pool())
            .await?;
        }
        self.0.versions.refresh(self.pool()).await?;
        for name in names::ALL {
            let version = self.0.versions.active(name);
            self.visit(name, version, Prepare).await??;
        }
        Ok(())
    }
}

struct Prepare;

impl Visitor for Prepare {
    type Output = Result<(), WriteError>;

    async fn visit<P, S>(self, engine: Engine<P, S>) -> Result<(), WriteError>
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        engine.sink.prepare().await?;
        engine.sink.prepare_for_readers().await
    }
}
