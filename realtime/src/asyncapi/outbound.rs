//! Every event that the server sends.
use serde_json::{Value, json};

use super::{id, object, seq, text, time};

/// One of them.
pub(super) struct Outbound {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    kind: Kind,
    fields: fn() -> Value,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Recorded: with the envelope and a number in the room.
    Durable,
    /// Of the moment, or about the connection.
    Volatile,
    /// Some are recorded, some are of the moment.
    Either,
}

impl Outbound {
    /// The shape of its one argument. Events may gain fields.
    pub(super) fn payload(&self) -> Value {
        let envelope = json!({
            "eventId": nullable(&id()), "seq": seq(),
            "occurredAt": nullable(&time()), "actorId": nullable(&id()),
        });
        let mut fields = (self.fields)();
        // One of the two: where it was.
        if !matches!(self.kind, Kind::Volatile) {
            fields["roomId"] = id();
            fields["conversationId"] = id();
        }
        match self.kind {
            Kind::Volatile => object(&json!({}), &fields),
            Kind::Durable => object(&envelope, &fields),
            Kind::Either => {
                json!({ "anyOf": [object(&envelope, &fields), object(&json!({}), &fields)] })
            }
        }
    }
}

const fn event(
    name: &'static str,
    kind: Kind,
    summary: &'static str,
    fields: fn() -> Value,
) -> Outbound {
    Outbound { name, summary, kind, fields }
}

fn nullable(schema: &Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

fn any() -> Value {
    json!({ "type": "object" })
}

fn count() -> Value {
    json!({ "type": ["integer", "null"], "minimum": 0 })
}

#[rustfmt::skip] // a table reads by its columns
pub(super) static OUTBOUND: &[Outbound] = &[
    event("session_ready", Kind::Volatile, "The first event: who one is, and how the named rooms go on", || json!({
        "sessionId": id(), "userId": id(), "serverTime": time(), "protocol": { "type": "integer" },
        "cursor": seq(), "heartbeat": any(), "features": { "type": "array" }, "resume": { "type": "array" },
    })),
    event("new_message", Kind::Durable, "Something was said in the room", || json!({ "message": any() })),
    event("new_direct_message", Kind::Durable, "One of two people said something to the other", || json!({
        "message": any(),
        "conversation": object(&json!({ "id": id(), "unreadCount": count() }), &json!({})),
    })),
    event("message_updated", Kind::Durable, "A message was edited or deleted, or its reactions changed; it is the same for everyone, so reactions have no `me`: `delta` says whose changed", || json!({
        "kind": { "enum": ["edited", "deleted", "reactions"] }, "messageId": id(),
        "version": { "type": "integer" }, "message": any(), "reactions": { "type": "array" },
        "delta": any(),
    })),
    event("user_joined", Kind::Either, "Somebody became a member, or entered the live room", || json!({
        "kind": { "enum": ["membership", "presence"] }, "user": any(), "role": text(),
        "memberCount": count(), "onlineCount": count(),
    })),
    event("user_left", Kind::Either, "Somebody is no member any more, or left the live room", || json!({
        "kind": { "enum": ["membership", "presence"] }, "user": any(),
        "memberCount": count(), "onlineCount": count(),
    })),
    event("member_role_changed", Kind::Durable, "Somebody may do more or less in the room", || json!({
        "changes": { "type": "array" },
    })),
    event("member_removed", Kind::Durable, "Somebody was put out of the room", || json!({
        "user": any(), "reason": text(), "memberCount": count(),
    })),
    event("read_state_updated", Kind::Volatile, "How far one has read, for one's other devices; in a conversation also how far the other has", || json!({
        "roomId": id(), "conversationId": id(), "userId": id(), "lastReadSeq": seq(),
        "unreadCount": count(),
    })),
    event("mute_updated", Kind::Volatile, "Until when one may not speak in the room; null: one may", || json!({
        "roomId": id(), "mutedUntil": nullable(&time()),
    })),
    event("presence_update", Kind::Volatile, "Who is there, away, or not to be disturbed", || json!({
        "userId": id(), "status": text(), "lastSeenAt": nullable(&time()),
    })),
    event("room_updated", Kind::Durable, "The room itself changed", || json!({
        "kind": text(), "room": any(), "changes": any(), "version": { "type": "integer" },
    })),
    event("event_unavailable", Kind::Durable, "Keeps the number of an event that cannot be shown", || json!({})),
    event("removed_from_room", Kind::Volatile, "One is not in the live room any more", || json!({
        "roomId": id(), "reason": text(), "seq": seq(),
    })),
    event("user_typing", Kind::Volatile, "Somebody is typing, or stopped", || json!({
        "roomId": id(), "conversationId": id(), "userId": id(), "isTyping": { "type": "boolean" },
        "expiresInMs": { "type": "integer" },
    })),
    event("room_stats_updated", Kind::Volatile, "The numbers of the room, once in a while", || json!({
        "roomId": id(), "memberCount": count(), "onlineCount": count(), "messageCount": count(),
        "lastMessageAt": nullable(&time()),
    })),
    event("resync_required", Kind::Volatile, "Too much was missed: read the room anew", || json!({
        "roomId": nullable(&id()), "conversationId": nullable(&id()), "reason": text(),
        "fromSeq": seq(), "lastSeq": seq(),
    })),
    event("token_expiring", Kind::Volatile, "The access token ends soon: send `refresh_auth`", || json!({
        "expiresAt": time(),
    })),
    event("token_expired", Kind::Volatile, "The access token has ended; the socket closes", || json!({
        "expiredAt": time(),
    })),
    event("session_revoked", Kind::Volatile, "The session has ended; the socket closes", || json!({
        "reason": text(),
    })),
    event("replaced", Kind::Volatile, "A newer socket takes the place; this one closes", || json!({
        "reason": text(),
    })),
    event("server_draining", Kind::Volatile, "The node stops: connect again after this time", || json!({
        "reconnectInMs": { "type": "integer" },
    })),
];
