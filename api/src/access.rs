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
use futures::{StreamExt as _, TryStreamExt as _, stream};
use projections::RoomRow;

use crate::{ApiState, problem::Problem, problems};

/// Rooms of one list that are asked at the same time.
const ASKED_AT_ONCE: usize = 8;

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
        Ok(Self::told(state.commands().require_member(caller.user_id, room_id).await)?)
    }

    fn told(answer: Result<MemberRole, CommandError>) -> Result<Self, CommandError> {
        match answer {
            Ok(role) => Ok(Self::Member(role)),
            Err(CommandError::Rejected { kind: RejectionKind::Forbidden, .. }) => {
                Ok(Self::Stranger)
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Self::told`], for a room of a list: `None` where the room must not be on it.
    fn told_of_listed(
        answer: Result<MemberRole, CommandError>,
    ) -> Result<Option<Self>, CommandError> {
        match Self::told(answer) {
            Err(CommandError::Rejected { kind: RejectionKind::NotFound, .. }) => Ok(None),
            standing => standing.map(Some),
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

/// What the caller is to each room of a list; `None` for rooms that must not be on it. A read model
/// found the rooms, and may lag: where membership decides what is shown, the aggregate is asked.
///
/// # Errors
/// When the aggregates cannot be asked.
pub(crate) async fn listed(
    state: &ApiState,
    caller: &Caller,
    rooms: &[RoomRow],
) -> Result<Vec<Option<Standing>>, Problem> {
    let rows: Vec<_> =
        rooms.iter().map(|room| (room.id, room.room_type, room.my.map(|my| my.role))).collect();
    let standings = rows.into_iter().map(|(id, room_type, shown_as)| async move {
        if membership_decides(room_type, shown_as) {
            let answer = state.commands().require_member(caller.user_id, id).await;
            return Standing::told_of_listed(answer);
        }
        Ok(Some(shown_as.map_or(Standing::Stranger, Standing::Member)))
    });
    Ok(stream::iter(standings).buffered(ASKED_AT_ONCE).try_collect().await?)
}

/// Whether a row shows more than anyone may see, if the read model is right about the membership.
fn membership_decides(room_type: RoomType, shown_as: Option<MemberRole>) -> bool {
    match room_type {
        RoomType::Public => false,
        RoomType::InviteOnly => shown_as.is_some(),
        RoomType::Private => true,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: RejectionKind) -> Result<MemberRole, CommandError> {
        Err(CommandError::Rejected { kind, code: "any", message: String::new() })
    }

    #[test]
    fn the_aggregate_decides_who_sees_a_room_on_a_list() {
        let owner = Standing::Member(MemberRole::Owner);
        let listed = |answer| Standing::told_of_listed(answer).ok();
        assert_eq!(listed(Ok(MemberRole::Owner)), Some(Some(owner)));
        assert_eq!(listed(refused(RejectionKind::Forbidden)), Some(Some(Standing::Stranger)));
        assert_eq!(listed(refused(RejectionKind::NotFound)), Some(None));
        assert_eq!(listed(Err(CommandError::Conflict)), None, "not knowing is not a no");
    }

    #[test]
    fn it_is_asked_where_its_answer_matters() {
        let member = Some(MemberRole::Member);
        for (room_type, shown_as, asked) in [
            (RoomType::Private, member, true),
            (RoomType::Private, None, true),
            (RoomType::InviteOnly, member, true),
            (RoomType::InviteOnly, None, false),
            (RoomType::Public, member, false),
        ] {
            assert_eq!(membership_decides(room_type, shown_as), asked, "{room_type:?}");
        }
    }
}
