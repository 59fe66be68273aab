//! The parts that most commands need.
use std::sync::Arc;

use anyhow::{Context as _, Error};
use commands::{Bus, Commands};
use eventstore::EventStore;
use platform::{Config, ConfigError, Secrets, SystemClock};
use projections::ReadModels;

/// Settings and keys, checked.
pub(crate) struct Settings {
    /// Every setting.
    pub(crate) config: Config,
    /// Every key.
    pub(crate) secrets: Secrets,
}

impl Settings {
    /// Reads them, and starts the log.
    ///
    /// # Errors
    /// [`ConfigError`] for the first one that is missing or wrong.
    pub(crate) fn load() -> Result<Self, ConfigError> {
        let config = Config::load()?;
        let secrets = Secrets::from_config(&config.security)?;
        platform::telemetry::init(&config.log);
        Ok(Self { config, secrets })
    }

    /// The event store.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub(crate) async fn event_store(&self) -> Result<EventStore, Error> {
        EventStore::connect(&self.config, &self.secrets).await.context("PostgreSQL does not answer")
    }

    /// The read models.
    ///
    /// # Errors
    /// When a URL is malformed or PostgreSQL does not answer.
    pub(crate) async fn read_models(&self, store: &EventStore) -> Result<ReadModels, Error> {
        ReadModels::connect(&self.config, store).await.context("the read models cannot be opened")
    }

    /// What people can do.
    pub(crate) fn commands(&self, store: &EventStore) -> Commands {
        let bus = Bus::new(store.clone(), &self.config);
        Commands::new(bus, &self.config, &self.secrets, Arc::new(SystemClock))
    }
}
