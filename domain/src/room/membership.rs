//! Who belongs to a room: joining and leaving it.
use chrono::{DateTime, Utc};

use super::{
    InviteUse, MemberRole, NotificationLevel, OwnedSlot, Room, RoomError, RoomEvent, RoomState,
    RoomType,
};
use crate::UserId;

impl Room {
    /// What the person may do in the room; `None` for people who are not members.
    #[must_use]
    pub fn role_of(&self, user_id: UserId) -> Option<MemberRole> {
        match self {
            Self::Absent => None,
            Self::Created(room) => room.members.get(&user_id).map(|member| member.role),
        }
    }

    /// How often the room was edited, and 1 for its beginning; 0 if there is no room.
    #[must_use]
    pub fn revision(&self) -> u32 {
        match self {
            Self::Absent => 0,
            Self::Created(room) => room.revision,
        }
    }

    /// What the person wants to be told of; `None` for people who are not members.
    #[must_use]
    pub fn notification_level_of(&self, user_id: UserId) -> Option<NotificationLevel> {
        match self {
            Self::Absent => None,
            Self::Created(room) => room.members.get(&user_id).map(|member| member.level),
        }
    }

    /// Checks that the person is a member now: the one rule of who reads and hears a room.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] where the person may not know of the room,
    /// [`RoomError::Banned`] or [`RoomError::NotAMember`] otherwise.
    pub fn require_member(&self, user_id: UserId) -> Result<MemberRole, RoomError> {
        match self {
            Self::Absent => Err(RoomError::NotFound),
            Self::Created(room) => room.require_member(user_id),
        }
    }

    /// Who could own the room in somebody's place: who keeps order there before the others, and who has
    /// had an account for longer before who has not.
    #[must_use]
    pub fn successors(&self, of: UserId) -> Vec<UserId> {
        let Self::Created(room) = self else { return vec![] };
        let others = room.members.iter().filter(|(id, _)| **id != of);
        // Ids sort by the time they were made.
        let mut others: Vec<_> = others.map(|(id, member)| (*id, member.role)).collect();
        others.sort_by_key(|(_, role)| *role != MemberRole::Moderator);
        others.into_iter().map(|(id, _)| id).collect()
    }
}

impl RoomState {
    pub(super) fn require_member(&self, user_id: UserId) -> Result<MemberRole, RoomError> {
        match self.members.get(&user_id) {
            Some(member) => Ok(member.role),
            None if self.room_type == RoomType::Private => Err(RoomError::NotFound),
            None if self.banned.contains_key(&user_id) => Err(RoomError::Banned),
            None => Err(RoomError::NotAMember),
        }
    }

    pub(super) fn require_active(&self) -> Result<(), RoomError> {
        if self.archived { Err(RoomError::Inactive) } else { Ok(()) }
    }

    pub(super) fn join(
        &self,
        user_id: UserId,
        code_hash: Option<&str>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        // Asking for what already holds succeeds and records nothing.
        if self.members.contains_key(&user_id) {
            return Ok(vec![]);
        }
        let invite = code_hash.and_then(|hash| self.usable_invite(hash, at));
        let banned = self.banned.contains_key(&user_id);
        match (self.room_type, invite) {
            // Who brings no good code learns nothing of a private room, not even that they are banned.
            (RoomType::Private, None) => return Err(RoomError::NotFound),
            _ if banned => return Err(RoomError::Banned),
            (RoomType::InviteOnly, None) if code_hash.is_some() => {
                return Err(RoomError::InviteInvalid);
            }
            (RoomType::InviteOnly, None) => return Err(RoomError::InviteRequired),
            (RoomType::Public, _) | (RoomType::Private | RoomType::InviteOnly, Some(_)) => {}
        }
        self.require_active()?;
        if self.member_count() >= self.max_participants {
            return Err(RoomError::Full { max: self.max_participants });
        }
        // What everyone may do uses no invite up.
        let invite = invite
            .filter(|_| self.room_type != RoomType::Public)
            .map(|(invite_id, invite)| InviteUse { invite_id, uses: invite.uses + 1 });
        Ok(vec![RoomEvent::MemberJoined {
            room_id: self.room_id,
            user_id,
            role: MemberRole::Member,
            member_count: self.member_count() + 1,
            invite,
            muted_until: self.muted_until(user_id, at),
            at,
        }])
    }

    pub(super) fn leave(
        &self,
        user_id: UserId,
        transfer_to: Option<UserId>,
        slot: Option<u32>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        let Some(member) = self.members.get(&user_id) else { return Ok(vec![]) };
        let room_id = self.room_id;
        let member_count = self.member_count() - 1;
        let left = RoomEvent::MemberLeft { room_id, user_id, member_count, at };
        match (member.role, transfer_to) {
            // Nobody needs to own what is closed.
            _ if self.archived => Ok(vec![left]),
            (MemberRole::Owner, _) if member_count == 0 => Ok(vec![left, self.archived_at(at)]),
            (MemberRole::Owner, None) => Err(RoomError::OwnerMustTransfer),
            (MemberRole::Owner, Some(to)) if to != user_id && self.members.contains_key(&to) => {
                Ok(vec![self.transferred(user_id, to, slot, at), left])
            }
            (MemberRole::Owner, Some(_)) => Err(RoomError::SuccessorNotAMember),
            (MemberRole::Moderator | MemberRole::Member, _) => Ok(vec![left]),
        }
    }

    pub(super) fn set_notification_level(
        &self,
        user_id: UserId,
        level: NotificationLevel,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_member(user_id)?;
        if self.members.get(&user_id).is_some_and(|member| member.level == level) {
            return Ok(vec![]);
        }
        let room_id = self.room_id;
        Ok(vec![RoomEvent::NotificationLevelChanged { room_id, user_id, level, at }])
    }

    /// The room is closed, and its owner's place for a room is free.
    pub(super) fn archived_at(&self, at: DateTime<Utc>) -> RoomEvent {
        let owner = self.members.iter().find(|(_, member)| member.role == MemberRole::Owner);
        let released =
            owner.zip(self.owner_slot).map(|((&owner, _), slot)| OwnedSlot { owner, slot });
        RoomEvent::RoomArchived { room_id: self.room_id, released, at }
    }

    pub(super) fn transferred(
        &self,
        from: UserId,
        to: UserId,
        to_slot: Option<u32>,
        at: DateTime<Utc>,
    ) -> RoomEvent {
        let (room_id, from_slot) = (self.room_id, self.owner_slot);
        RoomEvent::OwnershipTransferred { room_id, from, to, from_slot, to_slot, at }
    }

    pub(super) fn member_count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }
}
