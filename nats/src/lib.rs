//! Transport: from the event store through NATS JetStream to everyone who listens.
//!
//! [`Relay`] gives events their positions and publishes them; [`Feed`] hears them on every node and
//! fills from the store whatever NATS did not bring. NATS is a fast copy, never the truth: with it
//! stopped, wiped or rolled back, everything goes on from the store.

mod connection;
mod feed;
mod hint;
mod publisher;
mod relay;

pub use connection::{Nats, NatsError, StreamHead};
pub use feed::{Feed, Follower};
pub use hint::run_hints;
pub use relay::Relay;
