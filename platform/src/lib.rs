//! What every part of Studyhall stands on: configuration, secrets, clock and ids, telemetry,
//! shutdown, backoff and crash points. It knows nothing of study rooms.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod backoff;
pub mod clock;
pub mod config;
pub mod failpoint;
pub mod ids;
pub mod secrets;
pub mod shutdown;
pub mod telemetry;

pub use backoff::Backoff;
pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{Config, ConfigError};
pub use secrets::Secrets;
pub use shutdown::Shutdown;
