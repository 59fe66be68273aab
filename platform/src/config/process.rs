//! Settings of the process itself: listeners, name, log.

use std::net::SocketAddr;

use serde::Deserialize;

/// `[server]`: listeners and limits of HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Listener of HTTP and Socket.IO; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Internal listener: metrics and health.
    pub internal_bind: SocketAddr,
    /// Scheme, host and port under which browsers reach this server, without a final slash.
    pub public_origin: String,
    /// Origins whose pages may call the API and open sockets.
    pub allowed_origins: Vec<String>,
    /// Longest time of one request, milliseconds.
    pub request_timeout_ms: u64,
    /// Largest request body, bytes.
    pub body_limit_bytes: usize,
    /// Time to finish running work at shutdown, milliseconds.
    pub shutdown_grace_ms: u64,
    /// How long a write endpoint waits for the read models it touches, milliseconds.
    pub write_wait_ms: u64,
    /// How long an endpoint that puts sockets out waits until they are out on every node, milliseconds.
    pub removal_wait_ms: u64,
}

/// `[node]`: this process among its peers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Name of this process. Never empty once loaded: an empty setting becomes a random name.
    pub id: String,
}

/// `[log]`: log lines.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The shape of a line.
    pub format: LogFormat,
    /// Which lines are written: directives of tracing-subscriber's `EnvFilter`.
    pub filter: String,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
