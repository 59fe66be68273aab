//! Who belongs to a room: joining and leaving it.
use chrono::{DateTime, Utc};

use super::{MemberRole, Room, RoomError, RoomEvent, RoomState, RoomType};
use crate::UserId;

impl Room {
    /// What the person may do in the room; `None` for people who are not members.
    #[must_use]
    pub fn role_of(&self, user_id: UserId) -> Option<MemberRole> {
        match self {
            Self::Absent => None,
            Self::Created(room) => room.members.get(&user_id).copied(),
        }
    }

    /// Checks that the person is a member now: the one rule of who reads and hears a room.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] where the person may not know of the room,
    /// [`RoomError::NotAMember`] otherwise.
    pub fn require_member(&self, user_id: UserId) -> Result<MemberRole, RoomError> {
        match self {
            Self::Absent => Err(RoomError::NotFound),
            Self::Created(room) => room.require_member(user_id),
        }
    }
}

impl RoomState {
    pub(super) fn require_member(&self, user_id: UserId) -> Result<MemberRole, RoomError> {
        self.members.get(&user_id).copied().ok_or(match self.room_type {
            RoomType::Private => RoomError::NotFound,
            RoomType::Public | RoomType::InviteOnly => RoomError::NotAMember,
        })
    }

    pub(super) fn require_active(&self) -> Result<(), RoomError> {
        if self.archived { Err(RoomError::Inactive) } else { Ok(()) }
    }

    pub(super) fn join(
        &self,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        // Asking for what already holds succeeds and records nothing.
        if self.members.contains_key(&user_id) {
            return Ok(vec![]);
        }
        match self.room_type {
            RoomType::Public => {}
            RoomType::Private => return Err(RoomError::NotFound),
            RoomType::InviteOnly => return Err(RoomError::InviteRequired),
        }
        self.require_active()?;
        if self.member_count() >= self.max_participants {
            return Err(RoomError::Full { max: self.max_participants });
        }
        Ok(vec![RoomEvent::MemberJoined {
            room_id: self.room_id,
            user_id,
            role: MemberRole::Member,
            member_count: self.member_count() + 1,
            at,
        }])
    }

    pub(super) fn leave(
        &self,
        user_id: UserId,
        transfer_to: Option<UserId>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        let Some(role) = self.members.get(&user_id) else { return Ok(vec![]) };
        let room_id = self.room_id;
        let member_count = self.member_count() - 1;
        let left = RoomEvent::MemberLeft { room_id, user_id, member_count, at };
        match (role, transfer_to) {
            (MemberRole::Owner, _) if member_count == 0 => {
                Ok(vec![left, RoomEvent::RoomArchived { room_id, at }])
            }
            (MemberRole::Owner, None) => Err(RoomError::OwnerMustTransfer),
            (MemberRole::Owner, Some(to)) if to != user_id && self.members.contains_key(&to) => {
                let from = user_id;
                Ok(vec![RoomEvent::OwnershipTransferred { room_id, from, to, at }, left])
            }
            (MemberRole::Owner, Some(_)) => Err(RoomError::SuccessorNotAMember),
            (MemberRole::Moderator | MemberRole::Member, _) => Ok(vec![left]),
        }
    }

    pub(super) fn member_count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }
}
