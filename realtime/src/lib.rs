//! Socket.IO: who may connect, what sockets may ask, and how recorded events reach them.
//!
//! Handlers never broadcast. A command is recorded first; every node then hears of it from the
//! feed and emits to its own sockets in the room. Durable events of a room carry its gap-free
//! `seq`, so that a client which was away names the last one it saw and gets the rest, in order,
//! before anything live.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod asyncapi;
mod broadcaster;
mod channel;
mod codes;
mod connection;
mod connections;
mod delivery;
mod departures;
mod direct;
mod expiry;
mod handshake;
mod history;
mod inbound;
mod line;
mod mutes;
mod node;
mod nodes;
mod origin;
mod payload;
mod people;
mod presence;
mod present;
mod read_state;
mod reaper;
mod reentry;
mod replay;
mod reply;
mod rooms;
mod server;
mod stats;
mod status;
mod strangers;
mod transport;
mod typing;
mod unread;
mod volatile;
mod worker;

pub use channel::{ChannelLog, LogError, Page};
pub use codes::CODES;
pub use history::{History, HistoryError};
pub use line::Line;
pub use nodes::Nodes;
pub use origin::{RealtimeLayer, RealtimeService};
pub use payload::{MessageView, Person};
pub use reaper::Reaper;
pub use server::{Parts, Realtime, SetupError};
