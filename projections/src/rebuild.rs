//! The same read model once more, beside the one that is read: to prove that it can come back from
//! the log, and to change its shape without anybody waiting.
use std::collections::BTreeMap;

use domain::LogPosition;
use eventstore::{EventStore, PARTITIONS};
use serde_json::Value;

use crate::engine::{self, Engine};
use crate::models::Visitor;
use crate::projector::Projector;
use crate::sinks::{Sink, WriteError};
use crate::{ReadError, ReadModels, names};

/// Events read and written in one step.
const BATCH: i64 = 2000;

/// Builds, compares, flips and drops versions of read models.
#[derive(Clone)]
pub struct Rebuilder {
    models: ReadModels,
    store: EventStore,
}

impl Rebuilder {
    /// Rebuilds from the log of `store`.
    #[must_use]
    pub fn new(models: ReadModels, store: EventStore) -> Self {
        Self { models, store }
    }

    /// The version that is read.
    ///
    /// # Errors
    /// [`ReadError::UnknownModel`], or [`ReadError`] when PostgreSQL is unavailable.
    pub async fn active_version(&self, name: &str) -> Result<u32, ReadError> {
        known(name)?;
        self.models.0.versions.refresh(self.models.pool()).await?;
        Ok(self.models.0.versions.active(name))
    }

    /// Builds `version` from nothing, through the same projector and the same writes as the live
    /// one, up to where the log ends. Answers up to where.
    ///
    /// # Errors
    /// [`ReadError::Version`] if this version is read now, or somebody else writes it;
    /// [`ReadError`] when a store is unavailable.
    pub async fn shadow(&self, name: &str, version: u32) -> Result<LogPosition, ReadError> {
        self.require_spare(name, version).await?;
        self.drop_version(name, version).await?;
        self.catch_up(name, version).await
    }

    /// Brings a spare version up to where the log ends now.
    ///
    /// # Errors
    /// As [`Rebuilder::shadow`].
    pub async fn catch_up(&self, name: &str, version: u32) -> Result<LogPosition, ReadError> {
        self.require_spare(name, version).await?;
        let outcome = self.models.visit(name, version, CatchUp { store: &self.store }).await?;
        match outcome {
            Err(WriteError::Moved) => {
                Err(ReadError::Version(format!("somebody else writes {name} version {version}")))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Lets `version` be read and fed from now on. Within a second or two all nodes do so. Catch it
    /// up before: until it is, readers see what it has.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn activate(&self, name: &str, version: u32) -> Result<(), ReadError> {
        known(name)?;
        sqlx::query(
            "insert into projection_versions (projector, active_version) values ($1, $2) \
             on conflict (projector) do update set active_version = excluded.active_version",
        )
        .bind(name)
        .bind(i32::try_from(version).unwrap_or(i32::MAX))
        .execute(self.models.pool())
        .await?;
        Ok(self.models.0.versions.refresh(self.models.pool()).await?)
    }

    /// Everything a version stores, by key. Two versions at the same position give the same.
    ///
    /// # Errors
    /// [`ReadError`] when a store is unavailable, or the version was never built.
    pub async fn dump(
        &self,
        name: &str,
        version: u32,
    ) -> Result<BTreeMap<String, Value>, ReadError> {
        Ok(self.models.visit(name, version, Dump).await??)
    }

    /// Up to where a version is complete.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn position(&self, name: &str, version: u32) -> Result<LogPosition, ReadError> {
        Ok(LogPosition(self.models.visit(name, version, Position).await??))
    }

    /// Removes a version that is not read.
    ///
    /// # Errors
    /// [`ReadError::Version`] if it is read; [`ReadError`] when a store is unavailable.
    pub async fn drop_version(&self, name: &str, version: u32) -> Result<(), ReadError> {
        self.require_spare(name, version).await?;
        Ok(self.models.visit(name, version, Destroy).await??)
    }

    async fn require_spare(&self, name: &str, version: u32) -> Result<(), ReadError> {
        if self.active_version(name).await? == version {
            return Err(ReadError::Version(format!("{name} version {version} is being read")));
        }
        if version == 0 {
            return Err(ReadError::Version("versions count from 1".to_owned()));
        }
        Ok(())
    }
}

fn known(name: &str) -> Result<(), ReadError> {
    names::find(name).map(drop).ok_or_else(|| ReadError::UnknownModel(name.to_owned()))
}

fn all_partitions() -> Vec<u16> {
    (0..PARTITIONS).collect()
}

struct CatchUp<'a> {
    store: &'a EventStore,
}

impl Visitor for CatchUp<'_> {
    type Output = Result<LogPosition, WriteError>;

    async fn visit<P, S>(self, engine: Engine<P, S>) -> Result<LogPosition, WriteError>
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        let mut held = engine.take_over(&all_partitions()).await?;
        let mut position = LogPosition(held.reached());
        loop {
            let mut records =
                self.store.read_log(position, BATCH).await.map_err(WriteError::failed)?;
            let Some(last) = records.last().map(|record| record.position) else { break };
            // Opening is the expensive part: only what the projector reads, and who is forgotten.
            records.retain(|record| {
                P::READS.contains(&record.aggregate_type.as_str()) || engine::concerns_all(record)
            });
            let events = self.store.open(records).await.map_err(WriteError::failed)?;
            engine.apply(&mut held, &events).await?;
            held.reach(last.0);
            position = last;
        }
        engine.flush(&mut held).await?;
        engine.sink.prepare_for_readers().await?;
        Ok(position)
    }
}

struct Dump;

impl Visitor for Dump {
    type Output = Result<BTreeMap<String, Value>, WriteError>;

    async fn visit<P, S>(self, engine: Engine<P, S>) -> Self::Output
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        engine.sink.dump().await
    }
}

struct Position;

impl Visitor for Position {
    type Output = Result<i64, WriteError>;

    async fn visit<P, S>(self, engine: Engine<P, S>) -> Result<i64, WriteError>
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        let positions = engine.checkpoints.read(&all_partitions()).await?;
        let complete = positions.len() == usize::from(PARTITIONS);
        Ok(positions.into_values().min().filter(|_| complete).unwrap_or(0))
    }
}

struct Destroy;

impl Visitor for Destroy {
    type Output = Result<(), WriteError>;

    async fn visit<P, S>(self, engine: Engine<P, S>) -> Result<(), WriteError>
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        engine.sink.destroy().await
    }
}
