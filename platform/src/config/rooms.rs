//! Defaults of rooms.

use serde::Deserialize;

/// `[rooms]`: defaults of rooms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rooms {
    /// Participants a room takes if its owner does not say.
    pub default_participants: u32,
}
