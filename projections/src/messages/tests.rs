//! From events to documents, and back.
use domain::Personal;

use super::*;
use crate::samples::{ANA, MESSAGE, ROOM, at, created, in_room, said};

fn project(event: RoomEvent) -> Vec<DocumentChange> {
    MessagesProjector.project(&in_room(12, event))
}

/// As it would be stored and read.
fn read(event: RoomEvent) -> MessageRow {
    let Ok([DocumentChange::Put { id, mut fields }]) =
        <[DocumentChange; 1]>::try_from(project(event))
    else {
        panic!("not one whole document")
    };
    fields.insert("_id", id);
    pages::message_row(&fields).unwrap()
}

#[test]
fn a_message_is_read_as_it_was_said() {
    assert_eq!(
        read(said("x² = 1")),
        MessageRow {
            id: MESSAGE,
            room_id: ROOM,
            seq: 12,
            sender_id: ANA,
            sender_name: Some("Ana López".into()),
            content: Some("x² = 1".into()),
            message_type: "text".into(),
            attachments: vec![],
            reactions: vec![],
            is_edited: false,
            is_deleted: false,
            client_message_id: Some("c-1".into()),
            created_at: at(3),
            version: 1,
        }
    );
}

#[test]
fn of_an_erased_person_only_the_message_s_place_remains() {
    let mut event = said("secret");
    if let RoomEvent::MessagePosted { author_name, content, .. } = &mut event {
        *author_name = Personal::Erased;
        *content = Personal::Erased;
    }
    let message = read(event);
    assert_eq!((message.sender_name, message.content), (None, None));
    assert_eq!((message.seq, message.sender_id), (12, ANA));
}

#[test]
fn other_events_of_a_room_are_no_messages() {
    assert_eq!(project(created()), []);
}

#[test]
fn a_document_without_its_number_is_an_error_not_a_guess() {
    let created_at = BsonDateTime::from_chrono(at(0));
    let document =
        doc! {"_id": MESSAGE.to_string(), "roomId": ROOM.to_string(), "createdAt": created_at};
    let error = pages::message_row(&document).unwrap_err();
    assert_eq!(error.to_string(), "unreadable document: a message without `seq`");
}
