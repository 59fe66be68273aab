//! Settings of the stores and of the transport.

use secrecy::SecretString;
use serde::Deserialize;

use super::security::secret;

/// `[postgres]`: the event store and the relational read models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user:password@host:port/database`.
    #[serde(deserialize_with = "secret")]
    pub url: SecretString,
    /// Connections of the pool of one process.
    pub max_connections: u32,
    /// Longest wait for a connection, milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest time of one statement, milliseconds.
    pub statement_timeout_ms: u64,
}

/// `[mongodb]`: the document read models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mongodb {
    /// `mongodb://user:password@host:port`.
    #[serde(deserialize_with = "secret")]
    pub url: SecretString,
    /// Database of the read models.
    pub database: String,
}

/// `[redis]`: presence, rate limits, cached answers and the set read models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://:password@host:port/database`.
    #[serde(deserialize_with = "secret")]
    pub url: SecretString,
    /// Put before every key.
    pub key_prefix: String,
    /// How long answers of queries are kept, seconds; 0 keeps none.
    pub cache_seconds: u64,
}

/// `[nats]`: the transport of recorded events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// `nats://token@host:port`; several are separated by commas.
    #[serde(deserialize_with = "secret")]
    pub url: SecretString,
    /// Put before the names of streams and subjects: `[a-z0-9_-]*`.
    pub namespace: String,
    /// Age at which the stream drops an event, hours; 0 keeps everything.
    pub max_age_hours: u64,
    /// Where the NATS server keeps the stream.
    pub storage: NatsStorage,
    /// Copies of the stream in a cluster, 1 to 5.
    pub replicas: usize,
    /// Events published ahead of their acknowledgement.
    pub publish_window: usize,
}

/// Where the NATS server keeps the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatsStorage {
    /// On disk.
    File,
    /// In memory: lost with the server, rebuilt from the event store.
    Memory,
}
