//! Who may see and do what, beyond being signed in. Rules of writing are in the aggregates; these
//! are the rules of reading, asked of the same aggregates and never of a read model.
//!
//! | Room | Members | Everyone else |
//! |---|---|---|
//! | public | see all | see the room and its members, not what was said |
//! | invite-only | see all | see that it exists and what it is about |
//! | private | see all | cannot tell it from a room that does not exist |
use commands::{Caller, CommandError};
use domain::{MemberRole, RejectionKind, RoomId, RoomType};

use crate::{ApiState, problem::Problem, problems};

/// What someone is to a room they may know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A member, now.
    Member(MemberRole),
    /// Not a member.
    Stranger,
}

impl Standing {
    /// What the caller is to the room.
    ///
    /// # Errors
    /// `not_found` where the caller may not know of it: the same answer, after the same work, as
    /// for a room that does not exist.
    pub(crate) async fn of(
        state: &ApiState,
        caller: &Caller,
        room_id: RoomId,
    ) -> Result<Self, Problem> {
        match state.commands().require_member(caller.user_id, room_id).await {
            Ok(role) => Ok(Self::Member(role)),
            Err(CommandError::Rejected { kind: RejectionKind::Forbidden, .. }) => {
                Ok(Self::Stranger)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a room of this type shows itself completely.
    pub(crate) fn sees_all_of(self, room_type: RoomType) -> bool {
        match (self, room_type) {
            (Self::Member(_), _) | (Self::Stranger, RoomType::Public) => true,
            (Self::Stranger, RoomType::InviteOnly | RoomType::Private) => false,
        }
    }

    /// Whether a room of this type shows who belongs to it.
    ///
    /// # Errors
    /// `not_a_member`.
    pub(crate) fn may_list_members(self, room_type: RoomType) -> Result<(), Problem> {
        if self.sees_all_of(room_type) {
            Ok(())
        } else {
            Err(Problem::new(&problems::NOT_A_MEMBER))
        }
    }
}

/// Lets members read what is said in a room, and nobody else.
///
/// # Errors
/// `not_a_member`, or `not_found` where the caller may not know of the room.
pub(crate) async fn may_read_messages(
    state: &ApiState,
    caller: &Caller,
    room_id: RoomId,
) -> Result<MemberRole, Problem> {
    Ok(state.commands().require_member(caller.user_id, room_id).await?)
}
