//! Keeping order: roles, removals and bans.
//!
//! | Who | May |
//! |---|---|
//! | owner | everything: appoint and dismiss moderators, hand the room over, mute, remove and ban anyone |
//! | moderator | edit the room, make invites, mute, remove and ban members; step down |
//! | member | none of it |
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MemberRole, RemovalReason, Room, RoomError, RoomEvent, RoomState};
use crate::UserId;

/// That somebody may not become a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// Who decided it.
    pub by: UserId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Room {
    /// Most people that one room bans.
    pub const MAX_BANS: u32 = 1000;

    /// Everyone who may not become a member, for those who decide it.
    ///
    /// # Errors
    /// As [`Room::require_member`]; [`RoomError::Forbidden`] for members who do not moderate.
    pub fn bans(&self, by: UserId) -> Result<Vec<(UserId, Ban)>, RoomError> {
        let Self::Created(room) = self else { return Err(RoomError::NotFound) };
        room.require_moderator(by)?;
        Ok(room.banned.iter().map(|(user_id, ban)| (*user_id, *ban)).collect())
    }
}

impl RoomState {
    /// Checks that the person keeps order here.
    pub(super) fn require_moderator(&self, by: UserId) -> Result<MemberRole, RoomError> {
        match self.require_member(by)? {
            role @ (MemberRole::Owner | MemberRole::Moderator) => Ok(role),
            MemberRole::Member => Err(RoomError::Forbidden),
        }
    }

    /// Checks that `by` keeps order over this person, member or not.
    pub(super) fn require_above(&self, by: UserId, user_id: UserId) -> Result<(), RoomError> {
        let own = self.require_moderator(by)?;
        let theirs = self.members.get(&user_id).map(|member| member.role);
        match (own, theirs) {
            _ if by == user_id => Err(RoomError::Forbidden),
            (MemberRole::Owner, _) | (MemberRole::Moderator, None | Some(MemberRole::Member)) => {
                Ok(())
            }
            _ => Err(RoomError::Forbidden),
        }
    }

    pub(super) fn change_role(
        &self,
        by: UserId,
        user_id: UserId,
        role: MemberRole,
        slot: Option<u32>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        let own = self.require_member(by)?;
        let steps_down =
            by == user_id && (own, role) == (MemberRole::Moderator, MemberRole::Member);
        if own != MemberRole::Owner && !steps_down {
            return Err(RoomError::Forbidden);
        }
        self.require_active()?;
        let current = self.members.get(&user_id).ok_or(RoomError::MemberNotFound)?.role;
        match (current, role) {
            _ if current == role => Ok(vec![]),
            (MemberRole::Owner, _) => Err(RoomError::OwnerMustTransfer),
            (_, MemberRole::Owner) => Ok(vec![self.transferred(by, user_id, slot, at)]),
            _ => {
                let room_id = self.room_id;
                Ok(vec![RoomEvent::MemberRoleChanged { room_id, user_id, by, role, at }])
            }
        }
    }

    pub(super) fn kick(
        &self,
        by: UserId,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_above(by, user_id)?;
        Ok(self.removed(by, user_id, RemovalReason::Kicked, at).into_iter().collect())
    }

    pub(super) fn ban(
        &self,
        by: UserId,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_above(by, user_id)?;
        if self.banned.contains_key(&user_id) {
            return Ok(vec![]);
        }
        let most = Room::MAX_BANS;
        if self.banned.len() >= most as usize {
            return Err(RoomError::TooMany { most });
        }
        let removed = self.removed(by, user_id, RemovalReason::Banned, at);
        let room_id = self.room_id;
        let banned = RoomEvent::MemberBanned { room_id, user_id, by, at };
        Ok(removed.into_iter().chain([banned]).collect())
    }

    pub(super) fn lift_ban(
        &self,
        by: UserId,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_moderator(by)?;
        if !self.banned.contains_key(&user_id) {
            return Ok(vec![]);
        }
        Ok(vec![RoomEvent::BanLifted { room_id: self.room_id, user_id, by, at }])
    }

    /// The end of a membership, if there is one.
    fn removed(
        &self,
        by: UserId,
        user_id: UserId,
        reason: RemovalReason,
        at: DateTime<Utc>,
    ) -> Option<RoomEvent> {
        self.members.contains_key(&user_id).then(|| RoomEvent::MemberRemoved {
            room_id: self.room_id,
            user_id,
            by,
            reason,
            member_count: self.member_count() - 1,
            at,
        })
    }
}
