//! Mutes: who may not speak in a room for a while.
//!
//! Who is muted reads and hears everything, and may take back what they said. A moderator who is muted keeps
//! order as before, but names nothing anew. A mute goes on for who
//! leaves and comes back, and ends for who becomes the owner.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Room, RoomError, RoomEvent, RoomState};
use crate::UserId;

/// That somebody may not speak for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Who decided it.
    pub by: UserId,
    /// They may speak again from then on.
    pub until: DateTime<Utc>,
    /// When it was decided.
    pub at: DateTime<Utc>,
}

impl Room {
    /// Most people that are muted in one room at the same time.
    pub const MAX_MUTES: u32 = 1000;

    /// Everyone who may not speak at that time, for those who decide it.
    ///
    /// # Errors
    /// As [`Room::require_member`]; [`RoomError::Forbidden`] for members who do not moderate.
    pub fn mutes(&self, by: UserId, at: DateTime<Utc>) -> Result<Vec<(UserId, Mute)>, RoomError> {
        let Self::Created(room) = self else { return Err(RoomError::NotFound) };
        room.require_moderator(by)?;
        let muted = room.muted.iter().filter(|(_, mute)| mute.until > at);
        Ok(muted.map(|(user_id, mute)| (*user_id, *mute)).collect())
    }

    /// Until when the person may not speak, if they may not at that time.
    #[must_use]
    pub fn muted_until(&self, user_id: UserId, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Absent => None,
            Self::Created(room) => room.muted_until(user_id, at),
        }
    }
}

impl RoomState {
    pub(super) fn muted_until(&self, user_id: UserId, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.muted.get(&user_id).map(|mute| mute.until).filter(|until| *until > at)
    }

    /// Checks that the person is not muted.
    pub(super) fn require_voice(
        &self,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<(), RoomError> {
        match self.muted_until(user_id, at) {
            Some(until) => Err(RoomError::Muted { until }),
            None => Ok(()),
        }
    }

    pub(super) fn mute(
        &self,
        by: UserId,
        user_id: UserId,
        until: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_above(by, user_id)?;
        self.require_active()?;
        if !self.members.contains_key(&user_id) {
            return Err(RoomError::MemberNotFound);
        }
        if self.muted.get(&user_id).is_some_and(|mute| mute.until == until) {
            return Ok(vec![]);
        }
        let most = Room::MAX_MUTES;
        let others = self.muted.iter().filter(|(id, mute)| **id != user_id && mute.until > at);
        if others.count() >= most as usize {
            return Err(RoomError::TooMany { most });
        }
        Ok(vec![RoomEvent::MemberMuted { room_id: self.room_id, user_id, by, until, at }])
    }

    pub(super) fn lift_mute(
        &self,
        by: UserId,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_above(by, user_id)?;
        if self.muted.get(&user_id).is_none_or(|mute| mute.until <= at) {
            return Ok(vec![]);
        }
        Ok(vec![RoomEvent::MuteLifted { room_id: self.room_id, user_id, by, at }])
    }

    /// Those that are over are forgotten, so that there are never many.
    pub(super) fn remember_mute(&mut self, user_id: UserId, mute: Mute) {
        self.muted.retain(|_, other| other.until > mute.at);
        self.muted.insert(user_id, mute);
    }
}
