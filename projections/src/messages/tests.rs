//! From events to documents, and back.
use domain::{Personal, RoomEvent};

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
            place: MessagePlace::Room(ROOM),
            recipient_id: None,
            seq: 12,
            sender_id: ANA,
            sender_name: Some("Ana López".into()),
            content: Some("x² = 1".into()),
            message_type: "text".into(),
            attachments: vec![],
            reply_to_id: None,
            reactions: vec![],
            own_reactions: vec![],
            edited_at: None,
            is_deleted: false,
            deleted_at: None,
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

/// The change that the event makes to the message.
fn set(event: RoomEvent) -> bson::Document {
    let Ok([DocumentChange::Set { id, fields }]) = <[DocumentChange; 1]>::try_from(project(event))
    else {
        panic!("not one changed document")
    };
    assert_eq!(id, MESSAGE.to_string());
    fields
}

#[test]
fn of_a_deleted_message_no_words_remain() {
    let fields = set(RoomEvent::MessageDeleted {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: ANA,
        deleted_by: ANA,
        reason: Some(domain::text::DeletionReason::parse("oops").unwrap()).into(),
        version: 4,
        at: at(9),
    });
    let expected = doc! {
        "content": null, "attachments": [], "reactions": [], "reactors": {}, "isDeleted": true,
        "deletedAt": BsonDateTime::from_chrono(at(9)), "version": 4_i64,
    };
    assert_eq!(fields, expected);
}

#[test]
fn an_edited_message_says_so() {
    let fields = set(RoomEvent::MessageEdited {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: ANA,
        content: domain::text::MessageBody::parse("x = ±1").unwrap().into(),
        version: 2,
        at: at(9),
    });
    let expected = doc! {
        "content": "x = ±1", "isEdited": true, "editedAt": BsonDateTime::from_chrono(at(9)),
        "version": 2_i64,
    };
    assert_eq!(fields, expected);
}

#[test]
fn a_reader_sees_which_signs_are_theirs() {
    let emoji = Emoji::parse("👍").unwrap();
    let reactions = vec![ReactionKind { emoji: emoji.clone(), count: 1, user_ids: vec![ANA] }];
    let (room_id, message_id, version, at) = (ROOM, MESSAGE, 2, at(9));
    let event = RoomEvent::ReactionAdded {
        room_id,
        message_id,
        user_id: ANA,
        emoji,
        reactions: reactions.clone(),
        version,
        at,
    };
    let changes = [project(said("x")).remove(0), project(event).remove(0)];
    let folded = crate::changes::fold_documents((1..).zip(changes)).remove(0);
    let mut document = folded.fields;
    document.insert("_id", MESSAGE.to_string());
    let row = pages::message_row(&document).unwrap();
    assert_eq!((row.reactions, row.own_reactions), (reactions, vec!["👍".to_owned()]));
    assert_eq!(row.version, 2);
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
