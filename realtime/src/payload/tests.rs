//! Golden payloads: what clients rely on, event by event.
use commands::SentMessage;
use domain::{
    Emoji, LogPosition, MessageType, Metadata, Personal, RoomType, SubjectId,
    message::{Noted, ReactionKind},
    text::{FullName, MessageBody, RoomDescription, RoomName},
};

use super::*;

const ROOM: RoomId = RoomId(Uuid::from_u128(1));
const ANA: UserId = UserId(Uuid::from_u128(2));
const BEN: UserId = UserId(Uuid::from_u128(3));

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_123).unwrap()
}

fn recorded(event: RoomEvent) -> Recorded {
    Recorded {
        position: LogPosition(90),
        channel: Some((format!("room:{ROOM}"), 7)),
        event_id: Uuid::from_u128(4),
        aggregate_id: ROOM.to_string(),
        sequence: 7,
        recorded_at: at(),
        metadata: Metadata { actor_id: Some(ANA.0), ..Metadata::default() },
        event: AnyEvent::Room(event),
    }
}

fn people() -> HashMap<UserId, Person> {
    let person = Person {
        id: ANA,
        full_name: Some("Ana Example".to_owned()),
        username: Some("ana".to_owned()),
        profile_picture_url: None,
    };
    HashMap::from([(ANA, person)])
}

/// The event's name and payload for sockets of `reader`.
fn seen_by(reader: UserId, event: RoomEvent) -> (&'static str, Value) {
    seen_later_by(reader, event, &Now::new())
}

/// The same when the message reads like this now.
fn seen_later_by(reader: UserId, event: RoomEvent, now: &Now) -> (&'static str, Value) {
    let counts = Counts { online: Some(2), ..Counts::default() };
    let prepared = Prepared::new(&recorded(event), &people(), now, &counts).unwrap();
    assert_eq!(prepared.seq, 7);
    (prepared.event, serde_json::from_str(prepared.payload_for(reader).get()).unwrap())
}

/// `body` in the envelope of every event here.
fn enveloped(body: Value) -> Value {
    let mut whole = json!({
        "eventId": "00000000-0000-0000-0000-000000000004",
        "roomId": "00000000-0000-0000-0000-000000000001",
        "seq": 7,
        "occurredAt": "2027-01-15T08:00:00.123Z",
        "actorId": "00000000-0000-0000-0000-000000000002",
    });
    if let (Value::Object(whole), Value::Object(body)) = (&mut whole, body) {
        whole.extend(body);
    }
    whole
}

fn posted(content: Personal<MessageBody>, author_name: Personal<FullName>) -> RoomEvent {
    RoomEvent::MessagePosted {
        room_id: ROOM,
        message_id: MessageId(Uuid::from_u128(5)),
        author_id: ANA,
        author_name,
        message_type: MessageType::Text,
        content,
        client_message_id: Some("6f9619ff-8b86-d011-b42d-00c04fc964ff".to_owned()),
        reply_to_id: None,
        message_count: 3,
        at: at(),
    }
}

fn hello() -> RoomEvent {
    posted(
        MessageBody::parse("hello").unwrap().into(),
        FullName::parse("Ana Example").unwrap().into(),
    )
}

fn message_json() -> Value {
    json!({
        "id": "00000000-0000-0000-0000-000000000005",
        "seq": 7,
        "roomId": "00000000-0000-0000-0000-000000000001",
        "senderId": "00000000-0000-0000-0000-000000000002",
        "senderName": "Ana Example",
        "senderAvatarUrl": null,
        "content": "hello",
        "messageType": "text",
        "attachments": [],
        "replyToId": null,
        "reactions": [],
        "isEdited": false,
        "editedAt": null,
        "isDeleted": false,
        "deletedAt": null,
        "createdAt": "2027-01-15T08:00:00.123Z",
        "version": 1,
    })
}

#[test]
fn a_message_reaches_others_without_the_senders_own_id_of_it() {
    let expected = enveloped(json!({ "message": message_json() }));
    assert_eq!(seen_by(BEN, hello()), ("new_message", expected));
}

#[test]
fn the_senders_own_sockets_recognise_their_message() {
    let mut message = message_json();
    message["clientMessageId"] = json!("6f9619ff-8b86-d011-b42d-00c04fc964ff");
    assert_eq!(seen_by(ANA, hello()), ("new_message", enveloped(json!({ "message": message }))));
}

#[test]
fn a_message_of_an_erased_person_keeps_its_number_and_says_nothing() {
    let (name, payload) = seen_by(BEN, posted(Personal::Erased, Personal::Erased));
    assert_eq!((name, &payload["seq"]), ("new_message", &json!(7)));
    let message = &payload["message"];
    assert_eq!(message["content"], "");
    assert_eq!(message["senderName"], Value::Null);
    assert_eq!(message["isDeleted"], true);
}

const MESSAGE: MessageId = MessageId(Uuid::from_u128(5));

fn edited(content: &str) -> RoomEvent {
    let content = MessageBody::parse(content).unwrap().into();
    let (room_id, message_id, author_id, version) = (ROOM, MESSAGE, ANA, 2);
    RoomEvent::MessageEdited { room_id, message_id, author_id, content, version, at: at() }
}

fn deleted() -> RoomEvent {
    RoomEvent::MessageDeleted {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: ANA,
        deleted_by: BEN,
        reason: None.into(),
        version: 3,
        at: at(),
    }
}

fn reacted(added: bool) -> RoomEvent {
    let emoji = Emoji::parse("👍").unwrap();
    let reactions = vec![ReactionKind { emoji: emoji.clone(), count: 1, user_ids: vec![BEN] }];
    let (room_id, message_id, user_id, version, at) = (ROOM, MESSAGE, BEN, 4, at());
    if added {
        RoomEvent::ReactionAdded { room_id, message_id, user_id, emoji, reactions, version, at }
    } else {
        let reactions = vec![];
        RoomEvent::ReactionRemoved { room_id, message_id, user_id, emoji, reactions, version, at }
    }
}

/// How the message reads after these events.
fn after(events: &[RoomEvent]) -> Now {
    let noted = |event: &RoomEvent| Noted { event: AnyEvent::Room(event.clone()), seq: Some(7) };
    let events: Vec<_> = events.iter().map(noted).collect();
    Now::from([(MESSAGE, MessageFacts::fold(&events, 9).unwrap())])
}

#[test]
fn an_edit_comes_with_the_whole_message() {
    let now = after(&[hello(), edited("hello!"), reacted(true)]);
    let (name, payload) = seen_later_by(BEN, edited("hello!"), &now);
    let mut message = message_json();
    message["content"] = json!("hello!");
    message["isEdited"] = json!(true);
    message["editedAt"] = json!("2027-01-15T08:00:00.123Z");
    message["reactions"] = json!([{ "emoji": "👍", "count": 1, "userIds": [BEN] }]);
    message["version"] = json!(4);
    let body = json!({ "kind": "edited", "messageId": MESSAGE, "version": 2, "message": message });
    assert_eq!((name, payload), ("message_updated", enveloped(body)));
    let own = seen_later_by(ANA, edited("hello!"), &now).1;
    assert!(own["message"]["clientMessageId"].is_string(), "{own}");
}

#[test]
fn a_deletion_comes_with_an_empty_message() {
    let now = after(&[hello(), edited("hello!"), deleted()]);
    let (name, payload) = seen_later_by(BEN, deleted(), &now);
    assert_eq!((name, &payload["kind"]), ("message_updated", &json!("deleted")));
    let message = &payload["message"];
    assert_eq!((&message["content"], &message["isDeleted"]), (&json!(""), &json!(true)));
    assert_eq!((&message["seq"], &message["version"]), (&json!(7), &json!(3)));
    assert!(!payload.to_string().contains("hello"));
}

#[test]
fn without_the_store_updates_say_what_they_know() {
    let (_, edit) = seen_by(BEN, edited("hello!"));
    assert_eq!((&edit["message"]["content"], &edit["version"]), (&json!("hello!"), &json!(2)));
    let (_, deletion) = seen_by(BEN, deleted());
    assert_eq!(deletion["message"]["isDeleted"], true);
    assert_eq!(deletion["message"]["content"], "");
}

#[test]
fn reactions_come_with_what_changed_and_how_it_stands() {
    let (name, payload) = seen_by(ANA, reacted(true));
    let body = json!({
        "kind": "reactions", "messageId": MESSAGE, "version": 4,
        "reactions": [{ "emoji": "👍", "count": 1, "userIds": [BEN] }],
        "delta": { "emoji": "👍", "userId": BEN, "added": true },
    });
    assert_eq!((name, payload), ("message_updated", enveloped(body)));
    let (_, payload) = seen_by(ANA, reacted(false));
    assert_eq!((&payload["reactions"], &payload["delta"]["added"]), (&json!([]), &json!(false)));
}

#[test]
fn what_was_taken_back_is_not_found_in_the_past() {
    let now = after(&[hello(), edited("hello!"), deleted()]);
    for event in [hello(), edited("hello!"), deleted()] {
        for reader in [ANA, BEN] {
            let (_, payload) = seen_later_by(reader, event.clone(), &now);
            assert!(!payload.to_string().contains("hello"), "{payload}");
            assert_eq!(payload["message"]["isDeleted"], true);
        }
    }
}

#[test]
fn what_was_edited_reads_in_the_past_as_it_does_now() {
    let now = after(&[hello(), edited("goodbye")]);
    let (name, payload) = seen_later_by(BEN, hello(), &now);
    assert_eq!((name, &payload["message"]["content"]), ("new_message", &json!("goodbye")));
    assert_eq!(
        (&payload["message"]["isEdited"], &payload["message"]["version"]),
        (&json!(true), &json!(1))
    );
}

#[test]
fn an_acknowledged_message_looks_like_the_broadcast_one() {
    let sent = SentMessage {
        message_id: MessageId(Uuid::from_u128(5)),
        room_id: Some(ROOM),
        conversation_id: None,
        recipient_id: None,
        sender_id: ANA,
        sender_name: Some("Ana Example".to_owned()),
        content: "hello".to_owned(),
        message_type: MessageType::Text,
        client_message_id: Some("6f9619ff-8b86-d011-b42d-00c04fc964ff".to_owned()),
        reply_to_id: None,
        created_at: at(),
        now: None,
    };
    let acknowledged = serde_json::to_value(MessageView::sent(&sent, Some(7))).unwrap();
    assert_eq!(acknowledged, seen_by(ANA, hello()).1["message"]);
}

#[test]
fn joining_and_leaving_a_room_name_the_person_and_the_member_count() {
    let user = json!({
        "id": "00000000-0000-0000-0000-000000000002",
        "fullName": "Ana Example",
        "username": "ana",
        "profilePictureUrl": null,
    });
    let joined = RoomEvent::MemberJoined {
        room_id: ROOM,
        user_id: ANA,
        role: MemberRole::Member,
        member_count: 2,
        invite: None,
        muted_until: None,
        at: at(),
    };
    assert_eq!(
        seen_by(BEN, joined),
        (
            "user_joined",
            enveloped(json!({
                "kind": "membership", "user": user, "role": "member", "memberCount": 2,
                "onlineCount": 2,
            }))
        )
    );
    let left = RoomEvent::MemberLeft { room_id: ROOM, user_id: ANA, member_count: 1, at: at() };
    assert_eq!(
        seen_by(BEN, left),
        (
            "user_left",
            enveloped(json!({
                "kind": "membership", "user": user, "memberCount": 1, "onlineCount": 2,
            }))
        )
    );
}

#[test]
fn somebody_unknown_still_has_an_id() {
    let left = RoomEvent::MemberLeft { room_id: ROOM, user_id: BEN, member_count: 1, at: at() };
    assert_eq!(
        seen_by(ANA, left).1["user"],
        json!({
            "id": "00000000-0000-0000-0000-000000000003",
            "fullName": null,
            "username": null,
            "profilePictureUrl": null,
        })
    );
}

#[test]
fn a_change_of_owner_is_two_changes_of_role_in_one_event() {
    let event = RoomEvent::OwnershipTransferred {
        room_id: ROOM,
        from: ANA,
        to: BEN,
        from_slot: Some(0),
        to_slot: None,
        at: at(),
    };
    assert_eq!(
        seen_by(BEN, event),
        (
            "member_role_changed",
            enveloped(json!({ "changes": [
                { "userId": "00000000-0000-0000-0000-000000000002", "role": "member" },
                { "userId": "00000000-0000-0000-0000-000000000003", "role": "owner" },
            ]}))
        )
    );
}

#[test]
fn the_begin_and_the_end_of_a_room_are_updates() {
    let created = RoomEvent::RoomCreated {
        room_id: ROOM,
        created_by: ANA,
        name: RoomName::parse("Algebra").unwrap(),
        description: RoomDescription::parse("").unwrap(),
        subject_id: SubjectId(Uuid::from_u128(6)),
        room_type: RoomType::InviteOnly,
        max_participants: 10,
        owner_slot: Some(0),
        at: at(),
    };
    assert_eq!(
        seen_by(BEN, created),
        (
            "room_updated",
            enveloped(json!({
                "kind": "created",
                "room": {
                    "id": "00000000-0000-0000-0000-000000000001",
                    "name": "Algebra",
                    "description": "",
                    "subjectId": "00000000-0000-0000-0000-000000000006",
                    "roomType": "invite_only",
                    "maxParticipants": 10,
                },
            }))
        )
    );
    let archived = RoomEvent::RoomArchived { room_id: ROOM, released: None, at: at() };
    assert_eq!(seen_by(BEN, archived), ("room_updated", enveloped(json!({ "kind": "archived" }))));
}

#[test]
fn an_event_nobody_can_read_still_has_its_number() {
    let placeholder = Prepared::unavailable(MessagePlace::Room(ROOM), 9).unwrap();
    assert_eq!(placeholder.event, "event_unavailable");
    assert_eq!(
        serde_json::from_str::<Value>(placeholder.payload_for(ANA).get()).unwrap(),
        json!({
            "eventId": null,
            "roomId": "00000000-0000-0000-0000-000000000001",
            "seq": 9,
            "occurredAt": null,
            "actorId": null,
        })
    );
}

#[test]
fn a_removal_says_whom_and_why() {
    let event = RoomEvent::MemberRemoved {
        room_id: ROOM,
        user_id: ANA,
        by: BEN,
        reason: domain::room::RemovalReason::Kicked,
        member_count: 4,
        at: at(),
    };
    let user = json!({
        "id": ANA, "fullName": "Ana Example", "username": "ana", "profilePictureUrl": null,
    });
    let expected = enveloped(json!({ "user": user, "reason": "kicked", "memberCount": 4 }));
    assert_eq!(seen_by(BEN, event), ("member_removed", expected));
}

#[test]
fn an_edit_tells_what_is_different_and_nothing_else() {
    let event = RoomEvent::RoomEdited {
        room_id: ROOM,
        name: Some(RoomName::parse("Algebra by day").unwrap()),
        description: None,
        subject_id: None,
        room_type: None,
        max_participants: Some(7),
        revision: 2,
        at: at(),
    };
    let changes = json!({ "name": "Algebra by day", "maxParticipants": 7 });
    let expected = enveloped(json!({ "kind": "edited", "changes": changes, "version": 2 }));
    assert_eq!(seen_by(BEN, event), ("room_updated", expected));
}

#[test]
fn what_is_the_business_of_moderators_is_told_to_nobody() {
    let event = RoomEvent::BanLifted { room_id: ROOM, user_id: ANA, by: BEN, at: at() };
    let recorded = Recorded { channel: None, ..recorded(event) };
    let counts = Counts::default();
    assert!(Prepared::new(&recorded, &people(), &HashMap::new(), &counts).is_none());
}
