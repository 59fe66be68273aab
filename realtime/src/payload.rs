//! What clients see of a recorded room event: the name, the envelope and the body.
use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use commands::SentMessage;
use domain::{
    AnyEvent, MemberRole, MessageId, MessageType, Recorded, RoomEvent, RoomId, UserId,
    text::{FullName, MessageBody},
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

/// The person of an event, as others see them. Names of erased people are `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// Who.
    pub id: UserId,
    /// The name they gave.
    pub full_name: Option<String>,
    /// The public handle.
    pub username: Option<String>,
    /// Where their picture is.
    pub profile_picture_url: Option<String>,
}

impl Person {
    /// Somebody of whom only the id is known.
    #[must_use]
    pub fn unknown(id: UserId) -> Self {
        Self { id, full_name: None, username: None, profile_picture_url: None }
    }
}

/// The `Message` object of clients, the same in acknowledgements and events.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView<'a> {
    id: MessageId,
    seq: Option<i64>,
    room_id: RoomId,
    sender_id: UserId,
    sender_name: Option<&'a str>,
    sender_avatar_url: Option<&'a str>,
    content: &'a str,
    message_type: &'static str,
    attachments: [(); 0],
    reply_to_id: Option<MessageId>,
    reactions: [(); 0],
    is_edited: bool,
    edited_at: Option<String>,
    is_deleted: bool,
    deleted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
    created_at: String,
    version: u32,
}

/// What makes one message different from another.
#[derive(Clone, Copy)]
struct MessageParts<'a> {
    id: MessageId,
    seq: Option<i64>,
    room_id: RoomId,
    sender_id: UserId,
    sender_name: Option<&'a str>,
    content: Option<&'a str>,
    message_type: MessageType,
    client_message_id: Option<&'a str>,
    created_at: DateTime<Utc>,
}

impl<'a> MessageView<'a> {
    /// The message of an acknowledgement to its sender. `seq` is `None` while its place in the
    /// room is not known yet.
    #[must_use]
    pub fn sent(message: &'a SentMessage, seq: Option<i64>) -> Self {
        Self::new(MessageParts {
            id: message.message_id,
            seq,
            room_id: message.room_id,
            sender_id: message.sender_id,
            sender_name: message.sender_name.as_deref(),
            content: Some(&message.content),
            message_type: message.message_type,
            client_message_id: message.client_message_id.as_deref(),
            created_at: message.created_at,
        })
    }

    fn new(parts: MessageParts<'a>) -> Self {
        Self {
            id: parts.id,
            seq: parts.seq,
            room_id: parts.room_id,
            sender_id: parts.sender_id,
            sender_name: parts.sender_name,
            sender_avatar_url: None,
            // What an erased person said reads like a deleted message: the number stays.
            content: parts.content.unwrap_or_default(),
            message_type: parts.message_type.as_str(),
            attachments: [],
            reply_to_id: None,
            reactions: [],
            is_edited: false,
            edited_at: None,
            is_deleted: parts.content.is_none(),
            deleted_at: None,
            client_message_id: parts.client_message_id,
            created_at: timestamp(parts.created_at),
            version: 1,
        }
    }
}

/// A durable event, written out once for everyone who gets it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) seq: i64,
    pub(crate) room_id: RoomId,
    pub(crate) event: &'static str,
    /// When the database accepted it; `None` for placeholders.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    payload: Box<RawValue>,
    /// What the sender's own sockets get instead.
    own: Option<(UserId, Box<RawValue>)>,
}

impl Prepared {
    /// The event of a room as its clients see it. `None` for events that are not a room's.
    pub(crate) fn new(recorded: &Recorded, people: &HashMap<UserId, Person>) -> Option<Self> {
        let AnyEvent::Room(event) = &recorded.event else { return None };
        let (_, seq) = *recorded.channel.as_ref()?;
        let (room_id, at) = place_and_time(event);
        let envelope = Envelope {
            event_id: Some(recorded.event_id),
            room_id,
            seq,
            occurred_at: Some(timestamp(at)),
            actor_id: recorded.metadata.actor_id,
        };
        let (name, payload, own) = match event {
            RoomEvent::MessagePosted { author_id, client_message_id, .. } => {
                let public = envelope.with(MessageBodyOf { message: message(event, seq, false)? });
                let own = client_message_id.is_some().then(|| {
                    let message = message(event, seq, true)?;
                    Some((*author_id, envelope.with(MessageBodyOf { message }).ok()?))
                });
                ("new_message", public.ok()?, own.flatten())
            }
            other => {
                let (name, body) = describe(other, people);
                (name, envelope.with(body).ok()?, None)
            }
        };
        let recorded_at = Some(recorded.recorded_at);
        Some(Self { seq, room_id, event: name, recorded_at, payload, own })
    }

    /// Stands for an event that this build cannot read, so that numbers stay without gaps.
    pub(crate) fn unavailable(room_id: RoomId, seq: i64) -> Option<Self> {
        let envelope = Envelope { event_id: None, room_id, seq, occurred_at: None, actor_id: None };
        let payload = envelope.with(json!({})).ok()?;
        let event = "event_unavailable";
        Some(Self { seq, room_id, event, recorded_at: None, payload, own: None })
    }

    /// The payload for sockets of this person.
    pub(crate) fn payload_for(&self, user_id: UserId) -> &RawValue {
        match &self.own {
            Some((owner, own)) if *owner == user_id => own,
            _ => &self.payload,
        }
    }
}

/// What every durable event says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    event_id: Option<Uuid>,
    room_id: RoomId,
    seq: i64,
    occurred_at: Option<String>,
    actor_id: Option<Uuid>,
}

impl Envelope {
    fn with(&self, body: impl Serialize) -> Result<Box<RawValue>, serde_json::Error> {
        #[derive(Serialize)]
        struct Whole<'a, B> {
            #[serde(flatten)]
            envelope: &'a Envelope,
            #[serde(flatten)]
            body: B,
        }
        serde_json::value::to_raw_value(&Whole { envelope: self, body })
    }
}

#[derive(Serialize)]
struct MessageBodyOf<'a> {
    message: MessageView<'a>,
}

fn message(event: &RoomEvent, seq: i64, own: bool) -> Option<MessageView<'_>> {
    let RoomEvent::MessagePosted {
        room_id,
        message_id,
        author_id,
        author_name,
        message_type,
        content,
        client_message_id,
        at,
        ..
    } = event
    else {
        return None;
    };
    Some(MessageView::new(MessageParts {
        id: *message_id,
        seq: Some(seq),
        room_id: *room_id,
        sender_id: *author_id,
        sender_name: author_name.known().map(FullName::as_str),
        content: content.known().map(MessageBody::as_str),
        message_type: *message_type,
        client_message_id: client_message_id.as_deref().filter(|_| own),
        created_at: *at,
    }))
}

/// Name and body of every event that is not a message.
fn describe(event: &RoomEvent, people: &HashMap<UserId, Person>) -> (&'static str, Value) {
    let person = |id: UserId| people.get(&id).cloned().unwrap_or_else(|| Person::unknown(id));
    match event {
        RoomEvent::RoomCreated {
            room_id,
            name,
            description,
            subject_id,
            room_type,
            max_participants,
            ..
        } => (
            "room_updated",
            json!({
                "kind": "created",
                "room": {
                    "id": room_id,
                    "name": name,
                    "description": description,
                    "subjectId": subject_id,
                    "roomType": room_type,
                    "maxParticipants": max_participants,
                },
            }),
        ),
        RoomEvent::MemberJoined { user_id, role, member_count, .. } => (
            "user_joined",
            json!({
                "kind": "membership",
                "user": person(*user_id),
                "role": role,
                "memberCount": member_count,
            }),
        ),
        RoomEvent::MemberLeft { user_id, member_count, .. } => (
            "user_left",
            json!({
                "kind": "membership",
                "user": person(*user_id),
                "memberCount": member_count,
            }),
        ),
        RoomEvent::OwnershipTransferred { from, to, .. } => (
            "member_role_changed",
            json!({
                "changes": [
                    { "userId": from, "role": MemberRole::Member },
                    { "userId": to, "role": MemberRole::Owner },
                ],
            }),
        ),
        RoomEvent::RoomArchived { .. } => ("room_updated", json!({ "kind": "archived" })),
        RoomEvent::MessagePosted { .. } => ("new_message", json!({})),
    }
}

/// The person whose name a room event's payload tells.
pub(crate) fn person_of(event: &AnyEvent) -> Option<UserId> {
    match event {
        AnyEvent::Room(
            RoomEvent::MemberJoined { user_id, .. } | RoomEvent::MemberLeft { user_id, .. },
        ) => Some(*user_id),
        _ => None,
    }
}

/// Which room, and when.
pub(crate) fn place_and_time(event: &RoomEvent) -> (RoomId, DateTime<Utc>) {
    match event {
        RoomEvent::RoomCreated { room_id, at, .. }
        | RoomEvent::MemberJoined { room_id, at, .. }
        | RoomEvent::MemberLeft { room_id, at, .. }
        | RoomEvent::OwnershipTransferred { room_id, at, .. }
        | RoomEvent::RoomArchived { room_id, at }
        | RoomEvent::MessagePosted { room_id, at, .. } => (*room_id, *at),
    }
}

/// RFC 3339, UTC, milliseconds.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
