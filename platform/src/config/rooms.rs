//! Defaults and limits of rooms.

use serde::Deserialize;

/// `[rooms]`: defaults and limits of rooms.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rooms {
    /// Participants a room takes if its owner does not say.
    pub default_participants: u32,
    /// Whether only people who have proven their e-mail address may open rooms.
    pub require_verified_email: bool,
    /// Rooms that one person may own at the same time.
    pub max_owned: u32,
    /// Invites that one room may have at the same time.
    pub max_invites: u32,
    /// How long an invite works if whoever makes it does not say, seconds.
    pub invite_seconds: u32,
    /// How long an invite may work at most, seconds.
    pub max_invite_seconds: u32,
    /// How long somebody is muted if whoever does it does not say, seconds.
    pub mute_seconds: u32,
    /// How long somebody may be muted at most, seconds.
    pub max_mute_seconds: u32,
}
