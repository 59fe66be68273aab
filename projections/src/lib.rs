//! The read side: projectors turn recorded events into read models, queries read them.
//!
//! Each read model is one file with its projector, its row type and its queries. A projector is a
//! pure function from one recorded event to changes; [`Runner`] writes them together with a
//! checkpoint, so that redelivery, two workers at once and a crash between any two steps change
//! nothing. [`Rebuilder`] builds the same model again beside the live one.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod active_members;
pub mod blocks;
mod cache;
mod changes;
mod checkpoints;
pub mod conversations;
mod engine;
mod error;
pub mod last_changes;
pub mod live_sessions;
pub mod message_numbers;
pub mod message_search;
pub mod messages;
mod models;
pub mod names;
mod page;
mod prepare;
pub mod presence;
mod progress;
mod projector;
pub mod read_markers;
mod read_models;
mod rebuild;
pub mod reports;
pub mod room_members;
mod runner;
#[cfg(test)]
mod samples;
pub mod sessions;
mod sinks;
mod status;
pub mod study_rooms;
pub mod subjects;
pub mod users;
mod versions;
mod worker;

pub use active_members::ActiveMembers;
pub use blocks::Blocks;
pub use changes::{DocumentChange, KeyChange, RowChange, Table};
pub use conversations::{ConversationRow, Conversations};
pub use error::ReadError;
pub use message_numbers::{Reading, Unread};
pub use message_search::{FoundMessage, MessageSearch, SearchFilter};
pub use messages::{Anchor, MessagePage, MessageRow, Messages};
pub use page::{Page, PageRequest, SortKey, SortValue};
pub use presence::{Presence, PresenceChoice, Seen};
pub use progress::Lagging;
pub use projector::Projector;
pub use read_models::ReadModels;
pub use rebuild::Rebuilder;
pub use reports::{ReportRow, Reports};
pub use room_members::{MemberFilter, MemberRow, Members};
pub use runner::Runner;
pub use sessions::{SessionRow, Sessions};
pub use status::{ModelStatus, ParkedEvent};
pub use study_rooms::{My, RoomFilter, RoomRow, RoomSort, Rooms};
pub use subjects::{SubjectRow, Subjects};
pub use users::{PeopleFilter, Profile, UserRow, UserShort, Users};
