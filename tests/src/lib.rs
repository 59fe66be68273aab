//! The harness of the stories: the real `studyhall` on real servers, one fresh world per test.
//!
//! [`TestApp`] runs the executable as child processes on a database, a NATS namespace, a MongoDB
//! database and a Redis prefix of its own. [`TestStore`] is the event store alone, in this process.
//! Tests poll ([`eventually`]) and never sleep for a fixed time. `make test` brings up the servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the harness of tests: it fails by panicking"
)]

pub mod app;
pub mod attacks;
pub mod database;
mod description;
pub mod frames;
pub mod http;
pub mod mails;
pub mod node;
pub mod partition;
pub mod poll;
pub mod samples;
pub mod servers;
pub mod smtp;
pub mod socket;
pub mod spare;
pub mod store;
pub mod token;
pub mod world;

pub use app::{Builder, TestApp};
pub use http::{Answer, Client};
pub use mails::Mail;
pub use node::Node;
pub use partition::Partition;
pub use poll::{A_SECOND, LIMIT, eventually};
pub use servers::Servers;
pub use smtp::SmtpServer;
pub use socket::{Heard, Socket};
pub use spare::SpareServer;
pub use store::TestStore;
pub use world::World;
