//! From events to rows.
use domain::MemberRole;

use super::*;
use crate::samples::{
    ANA, BEN, ROOM, assert_whole, at, created, in_room, joined, left, removed, said, transferred,
};

fn project(sequence: i64, event: RoomEvent) -> RowChange {
    StudyRoomsProjector.project(&in_room(sequence, event)).remove(0)
}

fn set(changed: Value) -> RowChange {
    RowChange::Set { key: fields(json!({"id": ROOM})), fields: fields(changed) }
}

#[test]
fn a_new_room_is_a_whole_row() {
    let RowChange::Put { row } = project(1, created()) else { panic!("not a whole row") };
    assert_whole(&TABLE, &row);
    assert_eq!(row["room_type"], "public");
    assert_eq!(row["active_at"], json!(at(0)));
    assert_eq!((&row["last_seq"], &row["version"]), (&json!(1), &json!(1)));
}

#[test]
fn every_event_of_a_room_moves_its_version_and_its_last_number() {
    for (event, changed) in [
        (
            joined(BEN, MemberRole::Member, 2),
            json!({"member_count": 2, "version": 5, "last_seq": 5}),
        ),
        (left(ANA, 1), json!({"member_count": 1, "version": 5, "last_seq": 5})),
        (
            said("hello"),
            json!({"message_count": 7, "last_message_at": at(3), "active_at": at(3), "version": 5, "last_seq": 5}),
        ),
        (
            RoomEvent::RoomArchived { room_id: ROOM, released: None, at: at(9) },
            json!({"is_active": false, "updated_at": at(9), "version": 5, "last_seq": 5}),
        ),
        (transferred(), json!({"updated_at": at(2), "version": 5, "last_seq": 5})),
        (removed(BEN, 1), json!({"member_count": 1, "version": 5, "last_seq": 5})),
        (
            RoomEvent::RoomEdited {
                room_id: ROOM,
                name: None,
                description: None,
                subject_id: None,
                room_type: Some(domain::RoomType::Private),
                max_participants: Some(7),
                revision: 2,
                at: at(9),
            },
            json!({
                "room_type": "private", "max_participants": 7, "revision": 2,
                "updated_at": at(9), "version": 5, "last_seq": 5,
            }),
        ),
    ] {
        assert_eq!(project(5, event), set(changed));
    }
}
