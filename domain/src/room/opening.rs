//! Opening a room.
use std::collections::BTreeMap;

use super::{MemberRole, NewRoom, Room, RoomError, RoomEvent, RoomState};
use crate::message::Touched;

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
                owner_slot: new.owner_slot,
                at,
            },
            RoomEvent::MemberJoined {
                room_id,
                user_id: created_by,
                role: MemberRole::Owner,
                member_count: 1,
                invite: None,
                muted_until: None,
                at,
            },
        ])
    }
}

impl RoomState {
    /// The state that begins with this event; `None` for every event but the first.
    pub(super) fn opened(event: &RoomEvent) -> Option<Self> {
        let &RoomEvent::RoomCreated { room_id, room_type, max_participants, owner_slot, .. } =
            event
        else {
            return None;
        };
        Some(Self {
            room_id,
            room_type,
            max_participants,
            archived: false,
            revision: 1,
            owner_slot,
            members: BTreeMap::new(),
            banned: BTreeMap::new(),
            muted: BTreeMap::new(),
            invites: BTreeMap::new(),
            message_count: 0,
            sequence: 1,
            touched: Touched::default(),
        })
    }
}
