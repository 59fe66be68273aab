//! Limits of rooms and messages.

use serde::Deserialize;

/// `[rooms]`: limits of rooms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rooms {
    /// Rooms one person may own.
    pub max_owned: u32,
    /// Participants a room takes if its owner does not say.
    pub default_participants: u32,
}

/// `[messages]`: limits of messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Messages {
    /// Longest body, Unicode scalar values.
    pub max_characters: usize,
    /// Longest body, bytes of UTF-8.
    pub max_bytes: usize,
}
