//! The REST API: routes, extractors, problem answers.
//!
//! A handler extracts, calls one method of `commands` or one query of `projections`, and answers.
//! Who may call what is in the route table ([`ROUTES`]) and in `access`; every error answer is a
//! [`Problem`]; what all requests have in common is in `frame`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

mod access;
mod archive;
mod endpoint;
mod etag;
mod extract;
mod frame;
mod headers;
mod internal;
mod limits;
mod min_position;
mod openapi;
mod page;
mod problem;
pub mod problems;
mod readiness;
mod room_events;
mod routes;
mod sockets;
mod state;
mod strays;
mod views;
mod writes;

pub use endpoint::Endpoint;
pub use extract::Access;
pub use frame::secured;
pub use internal::{health_routes, internal_routes, public_health_routes};
pub use problem::Problem;
pub use readiness::{Check, Readiness};
pub use room_events::{EventsError, RoomEvents};
pub use routes::{ROUTES, router};
pub use sockets::Sockets;
pub use state::ApiState;
