//! Why rooms refuse.
use crate::{MessageError, macros::rejection};

/// Why a command to a room was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The id is in use.
    #[error("this room exists already")]
    AlreadyCreated,
    /// Absent, or none of the caller's business.
    #[error("there is no such room")]
    NotFound,
    /// Only members may.
    #[error("only members of the room may do this")]
    NotAMember,
    /// Every place is taken.
    #[error("this room already has {max} of {max} members")]
    Full {
        /// Places.
        max: u32,
    },
    /// Joining takes an invite.
    #[error("joining this room takes an invite")]
    InviteRequired,
    /// The room is archived.
    #[error("the room is archived")]
    Inactive,
    /// An owner with other members around names a successor first.
    #[error("name another member as owner before leaving")]
    OwnerMustTransfer,
    /// The successor is not a member.
    #[error("the new owner must be a member of the room")]
    SuccessorNotAMember,
    /// A room has 2 to 500 places.
    #[error("a room has {min} to {max} places")]
    BadSize {
        /// Fewest.
        min: u32,
        /// Most.
        max: u32,
    },
    /// The message refuses.
    #[error(transparent)]
    Message(#[from] MessageError),
}

rejection!(RoomError {
    AlreadyCreated => Conflict, "already_created";
    NotFound => NotFound, "not_found";
    NotAMember => Forbidden, "not_a_member";
    Full => Conflict, "room_full";
    InviteRequired => Forbidden, "invite_required";
    Inactive => Conflict, "room_inactive";
    OwnerMustTransfer => Conflict, "owner_must_transfer";
    SuccessorNotAMember => Invalid, "successor_not_a_member";
    BadSize => Invalid, "out_of_range";
    ; Message
});
