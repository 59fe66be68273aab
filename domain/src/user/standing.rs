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
    /// Closed by its owner: looks like no account.
    Deactivated,
}
