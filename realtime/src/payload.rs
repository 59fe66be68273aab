//! What clients see of a recorded room event: the name, the envelope and the body.
use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    AnyEvent, ConversationEvent, ConversationId, MemberRole, MessageFacts, MessageId, MessagePlace,
    Recorded, RoomEvent, RoomId, UserId,
};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use uuid::Uuid;

mod message;

pub use message::MessageView;
pub(crate) use message::{reactions_of, shows_words_of};

/// How messages read now, those that an old event of them must not show otherwise.
pub(crate) type Now = HashMap<MessageId, MessageFacts>;

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

/// Numbers of the moment, which an event tells beside what was recorded. What is missing is told as
/// null: nobody can tell now.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// How much each of the two has not read, for a direct message.
    pub(crate) unread: HashMap<UserId, i64>,
    /// How many people are seen in the live room, for a membership.
    pub(crate) online: Option<u32>,
}

/// A durable event, written out once for everyone who gets it.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) seq: i64,
    pub(crate) event: &'static str,
    /// When the database accepted it; `None` for placeholders.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    payload: Box<RawValue>,
    /// What the sender's own sockets get instead.
    own: Option<(UserId, Box<RawValue>)>,
}

impl Prepared {
    /// The event of a room or conversation as its clients see it. `None` for all others.
    pub(crate) fn new(
        recorded: &Recorded,
        people: &HashMap<UserId, Person>,
        now: &Now,
        counts: &Counts,
    ) -> Option<Self> {
        let (_, seq) = *recorded.channel.as_ref()?;
        let (place, at) = match &recorded.event {
            AnyEvent::Room(event) => {
                let (room_id, at) = place_and_time(event);
                (MessagePlace::Room(room_id), at)
            }
            AnyEvent::Conversation(event) => {
                let (id, at) = event.place_and_time();
                (MessagePlace::Conversation(id), at)
            }
            _ => return None,
        };
        let envelope = Envelope {
            event_id: Some(recorded.event_id),
            place: place.into(),
            seq,
            occurred_at: Some(timestamp(at)),
            actor_id: recorded.metadata.actor_id,
        };
        let (event, payload, own) = if let Some(about) = recorded.event.about_message() {
            let (name, body) = message::told(&about, seq, now, &counts.unread);
            let own = body.own.map(|(owner, body)| Some((owner, envelope.with(body).ok()?)));
            (name, envelope.with(body.public).ok()?, own.flatten())
        } else {
            let AnyEvent::Room(event) = &recorded.event else { return None };
            let (name, body) = describe(event, people, counts.online)?;
            (name, envelope.with(body).ok()?, None)
        };
        let recorded_at = Some(recorded.recorded_at);
        Some(Self { seq, event, recorded_at, payload, own })
    }

    /// Stands for an event that this build cannot read, so that numbers stay without gaps.
    pub(crate) fn unavailable(place: MessagePlace, seq: i64) -> Option<Self> {
        let (event_id, occurred_at, actor_id) = (None, None, None);
        let envelope = Envelope { event_id, place: place.into(), seq, occurred_at, actor_id };
        let payload = envelope.with(json!({})).ok()?;
        let event = "event_unavailable";
        Some(Self { seq, event, recorded_at: None, payload, own: None })
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
    #[serde(flatten)]
    place: Place,
    seq: i64,
    occurred_at: Option<String>,
    actor_id: Option<Uuid>,
}

/// Where a client finds what an event is about: a room or a conversation.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all_fields = "camelCase", untagged)]
pub(crate) enum Place {
    Room { room_id: RoomId },
    Conversation { conversation_id: ConversationId },
}

impl From<MessagePlace> for Place {
    fn from(place: MessagePlace) -> Self {
        match place {
            MessagePlace::Room(room_id) => Self::Room { room_id },
            MessagePlace::Conversation(conversation_id) => Self::Conversation { conversation_id },
        }
    }
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

/// Name and body of every event that is not a message. `None` for those that nobody is told of.
fn describe(
    event: &RoomEvent,
    people: &HashMap<UserId, Person>,
    online: Option<u32>,
) -> Option<(&'static str, Value)> {
    let person = |id: UserId| people.get(&id).cloned().unwrap_or_else(|| Person::unknown(id));
    Some(match event {
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
                "onlineCount": online,
            }),
        ),
        RoomEvent::MemberLeft { user_id, member_count, .. } => (
            "user_left",
            json!({
                "kind": "membership",
                "user": person(*user_id),
                "memberCount": member_count,
                "onlineCount": online,
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
        RoomEvent::RoomEdited {
            name,
            description,
            subject_id,
            room_type,
            max_participants,
            revision,
            ..
        } => {
            let mut changes = json!({
                "name": name,
                "description": description,
                "subjectId": subject_id,
                "roomType": room_type,
                "maxParticipants": max_participants,
            });
            // What is null stayed as it was.
            if let Some(changes) = changes.as_object_mut() {
                changes.retain(|_, value| !value.is_null());
            }
            ("room_updated", json!({ "kind": "edited", "changes": changes, "version": revision }))
        }
        RoomEvent::MemberRemoved { user_id, reason, member_count, .. } => (
            "member_removed",
            json!({
                "user": person(*user_id),
                "reason": reason,
                "memberCount": member_count,
            }),
        ),
        RoomEvent::MemberRoleChanged { user_id, role, .. } => {
            ("member_role_changed", json!({ "changes": [{ "userId": user_id, "role": role }] }))
        }
        RoomEvent::RoomArchived { .. } => ("room_updated", json!({ "kind": "archived" })),
        RoomEvent::MessagePosted { .. }
        | RoomEvent::MessageEdited { .. }
        | RoomEvent::MessageDeleted { .. }
        | RoomEvent::ReactionAdded { .. }
        | RoomEvent::ReactionRemoved { .. }
        | RoomEvent::NotificationLevelChanged { .. }
        | RoomEvent::MemberBanned { .. }
        | RoomEvent::BanLifted { .. }
        | RoomEvent::MemberMuted { .. }
        | RoomEvent::MuteLifted { .. }
        | RoomEvent::InviteCreated { .. }
        | RoomEvent::InviteRevoked { .. } => return None,
    })
}

/// The person whose name a room event's payload tells.
pub(crate) fn person_of(event: &AnyEvent) -> Option<UserId> {
    match event {
        AnyEvent::Room(
            RoomEvent::MemberJoined { user_id, .. }
            | RoomEvent::MemberLeft { user_id, .. }
            | RoomEvent::MemberRemoved { user_id, .. },
        ) => Some(*user_id),
        _ => None,
    }
}

/// The live room whose people are counted beside the event.
pub(crate) fn counts_people_of(event: &AnyEvent) -> Option<RoomId> {
    match event {
        AnyEvent::Room(
            RoomEvent::MemberJoined { room_id, .. } | RoomEvent::MemberLeft { room_id, .. },
        ) => Some(*room_id),
        _ => None,
    }
}

/// The conversation whose unread messages are counted beside the event.
pub(crate) fn counts_unread_of(event: &AnyEvent) -> Option<ConversationId> {
    match event {
        AnyEvent::Conversation(ConversationEvent::DirectMessageSent {
            conversation_id, ..
        }) => Some(*conversation_id),
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
        | RoomEvent::RoomEdited { room_id, at, .. }
        | RoomEvent::MemberRemoved { room_id, at, .. }
        | RoomEvent::MemberRoleChanged { room_id, at, .. }
        | RoomEvent::NotificationLevelChanged { room_id, at, .. }
        | RoomEvent::MemberBanned { room_id, at, .. }
        | RoomEvent::BanLifted { room_id, at, .. }
        | RoomEvent::MemberMuted { room_id, at, .. }
        | RoomEvent::MuteLifted { room_id, at, .. }
        | RoomEvent::InviteCreated { room_id, at, .. }
        | RoomEvent::InviteRevoked { room_id, at, .. }
        | RoomEvent::RoomArchived { room_id, at, .. }
        | RoomEvent::MessagePosted { room_id, at, .. }
        | RoomEvent::MessageEdited { room_id, at, .. }
        | RoomEvent::MessageDeleted { room_id, at, .. }
        | RoomEvent::ReactionAdded { room_id, at, .. }
        | RoomEvent::ReactionRemoved { room_id, at, .. } => (*room_id, *at),
    }
}

/// RFC 3339, UTC, milliseconds.
pub(crate) fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests;
