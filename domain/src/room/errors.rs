//! Why rooms refuse.
use chrono::{DateTime, SecondsFormat, Utc};

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
    /// The code lets nobody in: unknown, expired, used up or revoked.
    #[error("this invite is not valid, or not any more")]
    InviteInvalid,
    /// The moderators do not want them here.
    #[error("you are banned from this room")]
    Banned,
    /// The moderators let them not speak for a while.
    #[error(
        "you are muted in this room until {}",
        until.to_rfc3339_opts(SecondsFormat::Millis, true)
    )]
    Muted {
        /// They may speak again from then on.
        until: DateTime<Utc>,
    },
    /// Only the owner or moderators may, and not to each other.
    #[error("your role in this room does not allow this")]
    Forbidden,
    /// The person is not a member.
    #[error("there is no such member of the room")]
    MemberNotFound,
    /// Somebody else was faster.
    #[error("the room was changed since; its revision is {current}")]
    VersionMismatch {
        /// The revision now.
        current: u32,
    },
    /// More members than places.
    #[error("the room has {members} members already")]
    BelowMemberCount {
        /// Members now.
        members: u32,
    },
    /// Every place that the owner has for rooms is taken.
    #[error("the owner of this room has too many rooms already")]
    TooManyRooms,
    /// There are too many of them in this room.
    #[error("a room has at most {most} of these")]
    TooMany {
        /// Most.
        most: u32,
    },
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
    InviteInvalid => Forbidden, "invite_invalid";
    Banned => Forbidden, "banned";
    Muted => Forbidden, "forbidden";
    Forbidden => Forbidden, "forbidden";
    MemberNotFound => NotFound, "member_not_found";
    VersionMismatch => Conflict, "version_mismatch";
    BelowMemberCount => Conflict, "below_member_count";
    TooManyRooms => Conflict, "limit_reached";
    TooMany => Conflict, "limit_reached";
    Inactive => Conflict, "room_inactive";
    OwnerMustTransfer => Conflict, "owner_must_transfer";
    SuccessorNotAMember => Invalid, "successor_not_a_member";
    BadSize => Invalid, "out_of_range";
    ; Message
});
