//! Configuration: the embedded defaults, then one optional file, then the environment.
//!
//! `defaults.toml` beside `src/` documents every setting and its unit. A setting that is missing,
//! unknown or wrong ends the start with one line that names it and says how to set it.

mod environment;
mod error;
pub mod limits;
mod messages;
mod pipeline;
mod process;
mod realtime;
mod rooms;
mod security;
mod stores;
#[cfg(test)]
mod tests;
mod users;
mod validate;

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::{Figment, Provider};
use serde::Deserialize;

pub use error::ConfigError;
pub use limits::{Limits, Network, Rate};
pub use messages::Messages;
pub use pipeline::{Eventstore, Projections, Relay};
pub use process::{Log, LogFormat, Node, Server};
pub use realtime::Realtime;
pub use rooms::Rooms;
pub use security::{
    Accounts, MAX_REFRESH_TOKEN_SECONDS, MAX_SESSIONS, Mail, Phone, RegistrationMode, Security,
};
pub use stores::{Mongodb, Nats, NatsStorage, Postgres, Redis};
pub use users::Users;

use environment::Environment;

/// The embedded defaults: every setting with its meaning and unit.
pub const DEFAULTS: &str = include_str!("../defaults.toml");

/// The file that is read from the working directory when `STUDYHALL_CONFIG` names none.
const FILE: &str = "studyhall.toml";

/// The whole configuration of one process, complete and in range.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Listeners and limits of HTTP.
    pub server: Server,
    /// This process among its peers.
    pub node: Node,
    /// The event store and the relational read models.
    pub postgres: Postgres,
    /// The document read models.
    pub mongodb: Mongodb,
    /// Presence, rate limits and the set read models.
    pub redis: Redis,
    /// The transport of recorded events.
    pub nats: Nats,
    /// Keys and tokens.
    pub security: Security,
    /// Registration, sessions and password hashing.
    pub accounts: Accounts,
    /// E-mail.
    pub mail: Mail,
    /// One-time codes by text message.
    pub phone: Phone,
    /// Limits of profiles and reports.
    pub users: Users,
    /// Limits of rooms.
    pub rooms: Rooms,
    /// Limits of messages.
    pub messages: Messages,
    /// How often people may ask.
    pub limits: Limits,
    /// The write side.
    pub eventstore: Eventstore,
    /// From the event store to NATS.
    pub relay: Relay,
    /// From events to read models.
    pub projections: Projections,
    /// Sockets.
    pub realtime: Realtime,
    /// Log lines.
    pub log: Log,
}

impl Config {
    /// Reads the defaults, the file and the environment of this process.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is missing, unknown or wrong.
    pub fn load() -> Result<Self, ConfigError> {
        let environment = Environment::of_process()?;
        Self::from_file_and_environment(configured_file(), environment)
    }

    /// Reads the defaults, `file` if there is one, and `variables` as if they were the environment.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_sources<'a>(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        Self::from_file_and_environment(
            file.map(Path::to_path_buf),
            variables.into_iter().collect(),
        )
    }

    /// Takes the settings of `overrides` where it has any, and the defaults elsewhere:
    /// `Figment::new().merge(("postgres.url", "postgres://…"))`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_figment(overrides: Figment) -> Result<Self, ConfigError> {
        let mut config: Self = Figment::from(Toml::string(DEFAULTS))
            .merge(overrides)
            .extract()
            .map_err(|error| ConfigError::from_figment(&error))?;
        config.validate()?;
        if config.node.id.is_empty() {
            config.node.id = random_node_id();
        }
        Ok(config)
    }

    fn from_file_and_environment(
        file: Option<PathBuf>,
        environment: Environment,
    ) -> Result<Self, ConfigError> {
        let mut overrides = Figment::new();
        if let Some(path) = file {
            let text = std::fs::read_to_string(&path).map_err(|error| ConfigError::File {
                path: path.clone(),
                reason: error.to_string(),
            })?;
            check_syntax(&text).map_err(|reason| ConfigError::File { path, reason })?;
            overrides = overrides.merge(Toml::string(&text));
        }
        Self::from_figment(overrides.merge(environment))
    }
}

/// The file to read: the one `STUDYHALL_CONFIG` names, else `studyhall.toml` if it is there.
#[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn configured_file() -> Option<PathBuf> {
    match std::env::var_os("STUDYHALL_CONFIG").filter(|path| !path.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => Some(PathBuf::from(FILE)).filter(|path| path.exists()),
    }
}

/// Refuses a file that is not TOML, on one line and without the text in question: it may be a secret.
fn check_syntax(text: &str) -> Result<(), String> {
    let Err(error) = Toml::string(text).data() else { return Ok(()) };
    let report = error.to_string();
    let kept = report.lines().map(str::trim).filter(|line| !line.contains('|') && !line.is_empty());
    Err(kept.collect::<Vec<_>>().join(": "))
}

/// Sixteen hexadecimal digits that no other process has.
fn random_node_id() -> String {
    format!("{:016x}", u64::from_be_bytes(crate::ids::random_bytes()))
}
