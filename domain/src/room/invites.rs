//! Invites: codes that let people into rooms which they could not join otherwise.
//!
//! Only hashes of codes are here. Uses are counted in the same decision that lets somebody in.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{NewInvite, Room, RoomError, RoomEvent, RoomState};
use crate::{InviteId, UserId};

/// A code that lets people in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    code_hash: String,
    /// Who made it.
    pub by: UserId,
    /// How many people it lets in; `None` for any number.
    pub max_uses: Option<u32>,
    /// How many it has let in.
    pub uses: u32,
    /// It lets nobody in from then on.
    pub expires_at: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

impl Invite {
    fn is_usable(&self, at: DateTime<Utc>) -> bool {
        at < self.expires_at && self.max_uses.is_none_or(|most| self.uses < most)
    }
}

impl Room {
    /// The invites that let people in at this time, oldest first, for those who may make them.
    ///
    /// # Errors
    /// As [`Room::require_member`]; [`RoomError::Forbidden`] for members who do not moderate.
    pub fn invites(
        &self,
        by: UserId,
        at: DateTime<Utc>,
    ) -> Result<Vec<(InviteId, Invite)>, RoomError> {
        let Self::Created(room) = self else { return Err(RoomError::NotFound) };
        room.require_moderator(by)?;
        let usable = room.invites.iter().filter(|(_, invite)| invite.is_usable(at));
        Ok(usable.map(|(id, invite)| (*id, invite.clone())).collect())
    }
}

impl RoomState {
    /// The invite of this code, if it lets somebody in at this time.
    pub(super) fn usable_invite(
        &self,
        code_hash: &str,
        at: DateTime<Utc>,
    ) -> Option<(InviteId, &Invite)> {
        let (id, invite) = self.invites.iter().find(|(_, one)| one.code_hash == code_hash)?;
        invite.is_usable(at).then_some((*id, invite))
    }

    pub(super) fn invite(&self, new: NewInvite) -> Result<Vec<RoomEvent>, RoomError> {
        let NewInvite { invite_id, by, code_hash, max_uses, expires_at, most, at } = new;
        self.require_moderator(by)?;
        self.require_active()?;
        let usable = self.invites.values().filter(|invite| invite.is_usable(at)).count();
        if usable >= most as usize {
            return Err(RoomError::TooMany { most });
        }
        Ok(vec![RoomEvent::InviteCreated {
            room_id: self.room_id,
            invite_id,
            by,
            code_hash,
            max_uses,
            expires_at,
            at,
        }])
    }

    pub(super) fn revoke_invite(
        &self,
        by: UserId,
        invite_id: InviteId,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_moderator(by)?;
        // What lets nobody in need not be revoked.
        if !self.invites.contains_key(&invite_id) {
            return Ok(vec![]);
        }
        Ok(vec![RoomEvent::InviteRevoked { room_id: self.room_id, invite_id, by, at }])
    }

    /// Takes note of a new invite, and forgets those that can let nobody in any more.
    pub(super) fn remember_invite(&mut self, event: &RoomEvent) {
        let RoomEvent::InviteCreated { invite_id, by, code_hash, max_uses, expires_at, at, .. } =
            event
        else {
            return;
        };
        self.invites.retain(|_, invite| invite.is_usable(*at));
        let invite = Invite {
            code_hash: code_hash.clone(),
            by: *by,
            max_uses: *max_uses,
            uses: 0,
            expires_at: *expires_at,
            created_at: *at,
        };
        self.invites.insert(*invite_id, invite);
    }
}
