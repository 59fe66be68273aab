//! The stories: what people and operators may rely on, on the real executable and real servers.
//!
//! One binary, so that it links once. Needs the servers that `make test` brings up, and `studyhall`
//! beside it: `cargo nextest run -p cli -p tests` builds both.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod accounts;
mod cache;
mod chat;
mod cli;
mod conventions;
mod cross_site;
mod direct;
mod documentation;
mod eventstore_append;
mod eventstore_order;
mod eventstore_races;
mod eventstore_recovery;
mod eventstore_sealing;
mod eventstore_stream;
mod faults;
mod golden;
mod limits;
mod messages;
mod mutes;
mod outbox;
mod parked;
mod partitions;
mod presence;
mod privacy;
mod read_paths;
mod removals;
mod room_invites;
mod room_order;
mod room_races;
mod room_reading;
mod room_secrecy;
mod rooms;
mod sealing;
mod search;
mod silent_losses;
mod socket_attacks;
mod socket_ends;
mod socket_facts;
mod socket_tokens;
mod stopped_clients;
mod users;
