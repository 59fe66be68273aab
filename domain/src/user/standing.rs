//! What someone may do in general, and whether their account is open.
use serde::{Deserialize, Serialize};

/// What someone may do beyond their own affairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Learns.
    #[default]
    Student,
    /// Gives lectures.
    Instructor,
    /// Runs the place.
    Admin,
}

/// Whether an account is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is.
    #[default]
    Open,
    /// Closed by whoever runs the place, until they open it again.
    Suspended,
    /// Closed, until whoever runs the place opens it again: looks like no account.
    Deactivated,
    /// Closed by its owner, who is to be forgotten, and may come back until then: looks like no account.
    Leaving,
    /// Its owner was forgotten. Nothing opens it again.
    Erased,
}

impl Standing {
    /// Whether others are to see no account.
    #[must_use]
    pub fn looks_like_none(self) -> bool {
        matches!(self, Self::Deactivated | Self::Leaving | Self::Erased)
    }
}
