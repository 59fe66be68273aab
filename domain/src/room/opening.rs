//! Opening a room.
use super::{MemberRole, NewRoom, Room, RoomError, RoomEvent};

impl Room {
    /// The room exists, and whoever opened it is its owner and first member.
    pub(super) fn open(new: NewRoom) -> Result<Vec<RoomEvent>, RoomError> {
        let NewRoom { room_id, created_by, max_participants, at, .. } = new;
        let (min, max) = (Self::MIN_PARTICIPANTS, Self::MAX_PARTICIPANTS);
        if !(min..=max).contains(&max_participants) {
            return Err(RoomError::BadSize { min, max });
        }
        Ok(vec![
            RoomEvent::RoomCreated {
                room_id,
                created_by,
                name: new.name,
                description: new.description,
                subject_id: new.subject_id,
                room_type: new.room_type,
                max_participants,
                at,
            },
            RoomEvent::MemberJoined {
                room_id,
                user_id: created_by,
                role: MemberRole::Owner,
                member_count: 1,
                at,
            },
        ])
    }
}
