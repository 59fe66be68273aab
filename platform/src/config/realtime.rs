//! Settings of sockets.

use serde::Deserialize;

/// `[realtime]`: sockets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Realtime {
    /// Time between two pings, milliseconds.
    pub ping_interval_ms: u64,
    /// How long a client may take to answer a ping, milliseconds.
    pub ping_timeout_ms: u64,
    /// How long a new connection may take to join a namespace, milliseconds.
    pub connect_timeout_ms: u64,
    /// Largest packet from a client, bytes.
    pub max_payload_bytes: usize,
    /// Binary attachments of one packet.
    pub max_binaries: usize,
    /// Commands of one socket that may wait.
    pub command_queue: usize,
    /// Packets that may wait to be sent to one socket.
    pub send_buffer: usize,
    /// Sockets of one person.
    pub max_sockets_per_user: usize,
    /// Rooms one socket may be in.
    pub max_rooms_per_socket: usize,
    /// How long a person must be gone before others are told, milliseconds.
    pub presence_debounce_ms: u64,
    /// How long updates of presence are gathered before others are told the latest, milliseconds.
    pub presence_interval_ms: u64,
    /// How often a node refreshes its sockets, milliseconds.
    pub heartbeat_ms: u64,
    /// When sockets that nobody refreshed count as gone, milliseconds.
    pub socket_ttl_ms: u64,
    /// Within which time the clients of a node that ends come back, milliseconds.
    pub reconnect_within_ms: u64,
    /// Time between two room statistics, milliseconds.
    pub stats_interval_ms: u64,
    /// Least time between two typing notices of one person, milliseconds.
    pub typing_interval_ms: u64,
    /// When a typing notice expires, milliseconds.
    pub typing_expiry_ms: u64,
    /// Missed events read in one step when a client resumes.
    pub resume_page: u32,
    /// The most missed events a client gets.
    pub max_replay: u32,
    /// How many events a client may be behind and still read them all in pieces.
    pub max_sync_behind: u32,
}
