//! The stores of the read models, and the way to the queries.
use std::sync::Arc;
use std::time::Duration;

use eventstore::EventStore;
use mongodb::Database;
use mongodb::options::ClientOptions;
use platform::config::Config;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::ExposeSecret;
use sqlx::PgPool;

use crate::progress::Progress;
use crate::versions::Versions;
use crate::{
    ActiveMembers, Blocks, Conversations, Members, MessageSearch, Messages, Presence, ReadError,
    Reading, Reports, Rooms, Sessions, Subjects, Users, names,
};

/// How long a query waits for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The read models: queries, waiting for a position, state. Clones are the same.
#[derive(Clone)]
pub struct ReadModels(pub(crate) Arc<Inner>);

/// Connections and what is known about versions and positions.
pub(crate) struct Inner {
    pub(crate) store: EventStore,
    pub(crate) mongodb: Database,
    pub(crate) redis: ConnectionManager,
    pub(crate) key_prefix: String,
    /// How long answers are kept; `None` keeps none.
    pub(crate) cache_for: Option<Duration>,
    pub(crate) versions: Versions,
    pub(crate) progress: Progress,
}

impl ReadModels {
    /// Connects to the stores. MongoDB and Redis may still be away: queries then answer an error.
    ///
    /// # Errors
    /// [`ReadError`] if a URL is malformed, or PostgreSQL does not answer.
    pub async fn connect(config: &Config, store: &EventStore) -> Result<Self, ReadError> {
        let mut options = ClientOptions::parse(config.mongodb.url.expose_secret()).await?;
        options.server_selection_timeout = Some(PATIENCE);
        options.connect_timeout = Some(PATIENCE);
        let mongodb = mongodb::Client::with_options(options)?.database(&config.mongodb.database);

        let client = redis::Client::open(config.redis.url.expose_secret())?;
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(500));
        let redis = ConnectionManager::new_lazy_with_config(client, settings)?;

        let versions = Versions::read(store.pool()).await?;
        let models = Self(Arc::new(Inner {
            store: store.clone(),
            mongodb,
            redis,
            key_prefix: config.redis.key_prefix.clone(),
            cache_for: Some(config.redis.cache_seconds).filter(|s| *s > 0).map(Duration::from_secs),
            versions,
            progress: Progress::default(),
        }));
        models.keep_versions_fresh();
        Ok(models)
    }

    /// Accounts.
    #[must_use]
    pub fn users(&self) -> Users<'_> {
        Users(self)
    }

    /// Logins.
    #[must_use]
    pub fn sessions(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// Rooms.
    #[must_use]
    pub fn rooms(&self) -> Rooms<'_> {
        Rooms(self)
    }

    /// Who belongs to which room.
    #[must_use]
    pub fn members(&self) -> Members<'_> {
        Members(self)
    }

    /// What people have read, and what not.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        Reading(self)
    }

    /// What was said in rooms.
    #[must_use]
    pub fn messages(&self) -> Messages<'_> {
        Messages(self)
    }

    /// Who is there, and how they want to be seen.
    #[must_use]
    pub fn presence(&self) -> Presence<'_> {
        Presence(self)
    }

    /// Who writes to whom.
    #[must_use]
    pub fn conversations(&self) -> Conversations<'_> {
        Conversations(self)
    }

    /// Who wants nothing to do with whom.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'_> {
        Blocks(self)
    }

    /// The words of messages.
    #[must_use]
    pub fn message_search(&self) -> MessageSearch<'_> {
        MessageSearch(self)
    }

    /// Who is in which live room.
    #[must_use]
    pub fn active_members(&self) -> ActiveMembers<'_> {
        ActiveMembers(self)
    }

    /// What people reported to the moderators.
    #[must_use]
    pub fn reports(&self) -> Reports<'_> {
        Reports(self)
    }

    /// The catalogue of subjects.
    #[must_use]
    pub fn subjects(&self) -> Subjects<'_> {
        Subjects(self)
    }

    pub(crate) fn pool(&self) -> &PgPool {
        self.0.store.pool()
    }

    pub(crate) fn redis(&self) -> ConnectionManager {
        self.0.redis.clone()
    }

    /// The table or collection that is read now.
    pub(crate) fn stored(&self, name: &str) -> String {
        names::stored(name, self.0.versions.active(name))
    }

    /// A Redis key of the version of `name` that is read now.
    pub(crate) fn key(&self, name: &str, rest: &str) -> String {
        let version = names::key_prefix(self.0.versions.active(name));
        format!("{}{version}{rest}", self.0.key_prefix)
    }

    /// The Redis key that says that a partition of `name` is complete.
    pub(crate) fn fresh_key(&self, name: &str, partition: u16) -> String {
        let version = self.0.versions.active(name);
        names::fresh_key(&self.0.key_prefix, name, version, partition)
    }
}
