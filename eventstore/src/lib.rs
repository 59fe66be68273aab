//! The event store on PostgreSQL: append, read, order, claims, idempotency, personal-data keys.
//!
//! All SQL of the write side lives here. [`EventStore`] is the entry; [`Sequencer`] gives recorded
//! events their dense positions; [`Leases`] decides who may run it.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod append;
mod chain;
mod claims;
mod code_keys;
mod cqrs;
mod departures;
mod error;
mod group_commit;
mod keyring;
mod lease;
mod mail_outbox;
mod messages;
mod one_time_codes;
mod placements;
mod process_positions;
mod read;
mod record;
mod sealing;
mod sequencer;
mod snapshot;
mod stall;
mod store;
mod stream;
mod upcast;

pub use append::{AppendOutcome, AppendRequest, Claim, KeyRecord, NewEvent, Receipt, Seen};
pub use chain::{ChainReport, GENESIS};
pub use code_keys::{AskedCode, CodeKey};
pub use cqrs::StreamContext;
pub use error::StoreError;
pub use keyring::Keyring;
pub use lease::{Lease, Leases};
pub use mail_outbox::{DeadMail, MailStatus, OutgoingMail};
pub use messages::MessageStream;
pub use one_time_codes::{CodeAttempt, CodeBegun, CodeLimits, CodeRequest};
pub use placements::{Placed, Placements};
pub use record::{Opened, StoredRecord, Unreadable, partition_of};
pub use sequencer::{Backlog, Sequencer};
pub use stall::Stall;
pub use store::EventStore;
pub use stream::Loaded;
pub use upcast::{Upcast, upcast_with};

/// In how many parts the log is divided for parallel readers. Never changed: checkpoints are per part.
pub const PARTITIONS: u16 = 16;
