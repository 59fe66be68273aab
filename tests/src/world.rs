//! What one test has for itself in every store, and the settings that say so.
use std::collections::BTreeMap;

use futures::StreamExt as _;
use platform::{Config, Secrets, ids};

use crate::{Servers, database::Database};

/// Base64 of 32 bytes: the keys of every test.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A database, a namespace, a prefix: nothing of it is shared with another test.
#[derive(Clone, Debug)]
pub struct World {
    /// The servers it is on.
    pub servers: Servers,
    /// In PostgreSQL.
    pub database: Database,
    /// Names it in the other stores.
    pub name: String,
    settings: BTreeMap<String, String>,
}

impl World {
    /// On the shared servers.
    pub async fn create() -> Self {
        Self::create_on(Servers::from_environment()).await
    }

    /// On these servers.
    pub async fn create_on(servers: Servers) -> Self {
        let database = Database::create(&servers.postgres).await;
        let name = format!("t{}", &ids::new_id().simple().to_string()[12..]);
        let mut world = Self { servers, database, name, settings: BTreeMap::new() };
        let (servers, name, url) =
            (world.servers.clone(), world.name.clone(), world.database.url.clone());
        for (setting, value) in [
            ("POSTGRES__URL", url.as_str()),
            ("POSTGRES__MAX_CONNECTIONS", "8"),
            ("MONGODB__URL", &servers.mongodb),
            ("MONGODB__DATABASE", &name),
            ("REDIS__URL", &servers.redis),
            ("REDIS__KEY_PREFIX", &format!("{name}:")),
            ("NATS__URL", &servers.nats),
            ("NATS__NAMESPACE", &name),
            ("SECURITY__MASTER_KEY", KEY),
            ("SECURITY__JWT_KEYS", &format!("k1:{KEY}")),
            // Cheap hashes: what is slow on purpose would only slow the tests.
            ("ACCOUNTS__ARGON2_MEMORY_KIB", "64"),
            ("ACCOUNTS__ARGON2_ITERATIONS", "1"),
            // The stories of it turn it on: reading a mail for every room of the others shows nothing.
            ("ROOMS__REQUIRE_VERIFIED_EMAIL", "false"),
            // Everyone in a test has the same address. The tests of limits turn them on.
            ("LIMITS__ENABLED", "false"),
            ("SERVER__BIND", "127.0.0.1:0"),
            ("SERVER__INTERNAL_BIND", "127.0.0.1:0"),
            ("SERVER__WRITE_WAIT_MS", "8000"),
            ("RELAY__LEASE_TTL_MS", "1500"),
            ("PROJECTIONS__LEASE_TTL_MS", "1500"),
            ("LOG__FORMAT", "json"),
            ("LOG__FILTER", "info"),
        ] {
            world.set(setting, value);
        }
        if let Some(smtp) = &servers.smtp {
            world.set("MAIL__URL", smtp);
        }
        world
    }

    /// Changes a setting: `world.set("RELAY__BATCH", "7")`.
    pub fn set(&mut self, setting: &str, value: &str) {
        self.settings.insert(format!("STUDYHALL_{setting}"), value.to_owned());
    }

    /// The settings as environment variables.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// The settings as a process of this world reads them.
    ///
    /// # Panics
    /// When they are wrong.
    #[must_use]
    pub fn config(&self) -> Config {
        let variables = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Config::from_sources(None, variables).expect("the settings of a test are right")
    }

    /// The keys of a process of this world.
    ///
    /// # Panics
    /// When the settings are wrong.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets::from_config(&self.config().security).unwrap()
    }

    /// This world's MongoDB database.
    ///
    /// # Panics
    /// When the URL is malformed.
    pub async fn mongodb(&self) -> mongodb::Database {
        mongodb::Client::with_uri_str(&self.servers.mongodb).await.unwrap().database(&self.name)
    }

    /// A connection to Redis; keys start with `{name}:`.
    ///
    /// # Panics
    /// When the server is away.
    pub async fn redis(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.servers.redis.as_str()).unwrap();
        client.get_multiplexed_async_connection().await.expect("Redis answers")
    }

    /// This world's keys in Redis.
    ///
    /// # Panics
    /// When the server is away.
    pub async fn redis_keys(&self) -> Vec<String> {
        let mut redis = self.redis().await;
        let found = redis::AsyncCommands::keys(&mut redis, format!("{}:*", self.name)).await;
        found.expect("Redis answers")
    }

    /// `JetStream`, and the names of this world's streams.
    ///
    /// # Panics
    /// When the server is away.
    pub async fn streams(&self) -> (async_nats::jetstream::Context, Vec<String>) {
        let client = async_nats::connect(&self.servers.nats).await.expect("NATS answers");
        let jetstream = async_nats::jetstream::new(client);
        let all: Vec<String> =
            jetstream.stream_names().filter_map(|name| async { name.ok() }).collect().await;
        let ours = all.into_iter().filter(|name| name.to_ascii_lowercase().contains(&self.name));
        let ours = ours.collect();
        (jetstream, ours)
    }

    /// Drops what is left in every store.
    ///
    /// # Panics
    /// When a server refuses.
    pub async fn clean(&self) {
        self.mongodb().await.drop().await.expect("MongoDB drops a database");
        let keys = self.redis_keys().await;
        if !keys.is_empty() {
            let mut redis = self.redis().await;
            redis::AsyncCommands::del::<_, i64>(&mut redis, keys).await.expect("Redis answers");
        }
        let (jetstream, streams) = self.streams().await;
        for stream in streams {
            jetstream.delete_stream(stream).await.expect("NATS drops a stream");
        }
        self.database.drop().await;
    }
}
