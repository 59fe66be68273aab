//! Changing what a room is like, and closing it.
use chrono::{DateTime, Utc};

use super::{EditRoom, Room, RoomError, RoomEvent, RoomState};
use crate::UserId;

impl RoomState {
    pub(super) fn edit(&self, edit: EditRoom) -> Result<Vec<RoomEvent>, RoomError> {
        let EditRoom { by, expected, name, description, subject_id, room_type, .. } = edit;
        self.require_moderator(by)?;
        self.require_revision(expected)?;
        self.require_active()?;
        // Everyone hears what the room is called now.
        if name.is_some() || description.is_some() {
            self.require_voice(by, edit.at)?;
        }
        if let Some(places) = edit.max_participants {
            let (min, max) = (Room::MIN_PARTICIPANTS, Room::MAX_PARTICIPANTS);
            if !(min..=max).contains(&places) {
                return Err(RoomError::BadSize { min, max });
            }
            let members = self.member_count();
            if places < members {
                return Err(RoomError::BelowMemberCount { members });
            }
        }
        // What the state knows already is no change.
        let room_type = room_type.filter(|it| *it != self.room_type);
        let max_participants = edit.max_participants.filter(|it| *it != self.max_participants);
        if name.is_none()
            && description.is_none()
            && subject_id.is_none()
            && room_type.is_none()
            && max_participants.is_none()
        {
            return Ok(vec![]);
        }
        Ok(vec![RoomEvent::RoomEdited {
            room_id: self.room_id,
            name,
            description,
            subject_id,
            room_type,
            max_participants,
            revision: self.revision + 1,
            at: edit.at,
        }])
    }

    pub(super) fn archive(
        &self,
        by: UserId,
        expected: Option<u32>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_moderator(by)?;
        if self.archived {
            return Ok(vec![]);
        }
        self.require_revision(expected)?;
        Ok(vec![self.archived_at(at)])
    }

    fn require_revision(&self, expected: Option<u32>) -> Result<(), RoomError> {
        let current = self.revision;
        match expected {
            Some(expected) if expected != current => Err(RoomError::VersionMismatch { current }),
            _ => Ok(()),
        }
    }
}
