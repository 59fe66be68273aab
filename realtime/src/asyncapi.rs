//! The description of the socket events, in the form of `AsyncAPI` 3.0.
use serde_json::{Map, Value, json};

use crate::{codes, handshake::Refused, inbound::Inbound};

mod outbound;

use outbound::OUTBOUND;

const DESCRIPTION: &str = "\
Socket.IO (protocol 5) at `/socket.io/`, namespace `/`. Connect with `auth: { token, protocol: 1, rooms: \
[{ roomId, afterSeq }], conversations: [{ conversationId, afterSeq }], userCursor }`. All but the token may be left \
out. `userCursor` is the `cursor` of the last connection's `session_ready`: what came since in conversations that \
are not named is told, too. The new `cursor`, as `X-Min-Position`, makes a read show all that is not told. A refused connection hears `CONNECT_ERROR` with `{ message, data: { code, retryable \
} }`, as in the schema `Refusal`. Where `retryable` is false, the same handshake is of no use: after \
`token_expired` connect with a newer token, after the others do not. Where trouble of the server passes \
(`dependency_unavailable`, `server_draining`), it says nothing and ends the transport: official clients then \
come back by themselves, which they do not after `CONNECT_ERROR`.

Every event that clients send takes one object and is acknowledged: `{ ok: true, data }` or `{ ok: false, \
error }`. Durable events carry an envelope with `seq`, their number in the room, without gaps: apply \
`last + 1`, drop what is not newer, and ask `sync` for what is missing. Their numbers \
of the moment (`onlineCount`, `unreadCount`) are of when they are told. Volatile events carry no `seq`.";

/// The whole document. `origin` is where browsers reach the server.
#[must_use]
pub fn document(origin: &str) -> Value {
    let (scheme, host) = origin.split_once("://").unwrap_or(("http", origin));
    let protocol = if scheme == "https" { "wss" } else { "ws" };
    let (mut messages, mut listed, mut operations) = (Map::new(), Map::new(), Map::new());
    let mut add = |name: &str, summary: &str, payload: Value| {
        let message =
            json!({ "name": name, "title": name, "summary": summary, "payload": payload });
        messages.insert(name.to_owned(), message);
        let reference = json!({ "$ref": format!("#/components/messages/{name}") });
        listed.insert(name.to_owned(), reference);
    };
    let operation = |action: &str, name: &str, summary: &str| {
        json!({
            "action": action,
            "summary": summary,
            "channel": { "$ref": "#/channels/socket" },
            "messages": [{ "$ref": format!("#/channels/socket/messages/{name}") }],
        })
    };
    for event in Inbound::ALL {
        let (name, (summary, payload, data)) = (event.name(), described(event));
        let answer = format!("{name}_ack");
        add(name, summary, payload);
        add(&answer, "The acknowledgement", acknowledgement(&data));
        let mut receive = operation("receive", name, summary);
        receive["reply"] = json!({
            "channel": { "$ref": "#/channels/socket" },
            "messages": [{ "$ref": format!("#/channels/socket/messages/{answer}") }],
        });
        operations.insert(format!("receive_{name}"), receive);
    }
    for event in OUTBOUND {
        add(event.name, event.summary, event.payload());
        operations
            .insert(format!("send_{}", event.name), operation("send", event.name, event.summary));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Studyhall, live",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": {
            "studyhall": { "host": host, "pathname": "/socket.io/", "protocol": protocol },
        },
        "channels": {
            "socket": {
                "address": "/",
                "description": "The one namespace.",
                "messages": listed,
            },
        },
        "operations": operations,
        "components": { "messages": messages, "schemas": { "Error": error(), "Refusal": refusal() } },
    })
}

/// Summary, payload and data of the acknowledgement.
#[expect(clippy::too_many_lines, reason = "a table: one entry for each event")]
fn described(event: Inbound) -> (&'static str, Value, Value) {
    let message = || json!({ "messageId": id() });
    match event {
        Inbound::JoinRoom => (
            "Enter the live room; missed events come first",
            object(&json!({ "roomId": id() }), &json!({ "afterSeq": seq() })),
            object(
                &json!({
                    "room": { "type": "object" }, "lastSeq": seq(), "status": text(),
                    "replayed": { "type": "integer" }, "activeUsers": { "type": "array" },
                }),
                &json!({ "onlineCount": { "type": ["integer", "null"] } }),
            ),
        ),
        Inbound::LeaveRoom => (
            "Leave the live room; the membership stays",
            object(&json!({ "roomId": id() }), &json!({})),
            object(&json!({}), &json!({})),
        ),
        Inbound::SendMessage => (
            "Say something in a room",
            object(
                &json!({ "roomId": id(), "content": content() }),
                &json!({
                    "clientMessageId": id(), "messageType": { "enum": ["text"] }, "replyToId": id(),
                }),
            ),
            object(
                &json!({ "message": { "type": "object" }, "duplicate": { "type": "boolean" } }),
                &json!({}),
            ),
        ),
        Inbound::SendDirectMessage => (
            "Say something to one person",
            object(
                &json!({ "recipientId": id(), "content": content() }),
                &json!({
                    "clientMessageId": id(), "messageType": { "enum": ["text"] }, "replyToId": id(),
                }),
            ),
            object(
                &json!({
                    "message": { "type": "object" }, "conversationId": id(),
                    "duplicate": { "type": "boolean" },
                }),
                &json!({}),
            ),
        ),
        Inbound::EditMessage => (
            "Change what one said",
            object(
                &json!({ "messageId": id(), "content": content() }),
                &json!({ "expectedVersion": version() }),
            ),
            object(&json!({ "message": { "type": "object" } }), &json!({})),
        ),
        Inbound::DeleteMessage => (
            "Take back what was said; its number stays",
            object(&message(), &json!({ "reason": text(), "expectedVersion": version() })),
            object(&message(), &json!({ "seq": seq() })),
        ),
        Inbound::AddReaction | Inbound::RemoveReaction => (
            "Set or remove a reaction; repeating changes nothing",
            object(&json!({ "messageId": id(), "emoji": text() }), &json!({})),
            object(
                &json!({
                    "messageId": id(), "reactions": { "type": "array" },
                    "version": { "type": "integer" },
                }),
                &json!({}),
            ),
        ),
        Inbound::MarkRead => (
            "Say how far one has read; a lower number changes nothing",
            object(
                &json!({ "lastReadSeq": seq() }),
                &json!({ "roomId": id(), "conversationId": id() }),
            ),
            object(
                &json!({ "lastReadSeq": seq(), "unreadCount": { "type": ["integer", "null"] } }),
                &json!({}),
            ),
        ),
        Inbound::SetPresence => (
            "Say how one wants to be seen",
            object(
                &json!({ "status": { "enum": ["online", "away", "dnd", "invisible"] } }),
                &json!({}),
            ),
            object(&json!({}), &json!({})),
        ),
        Inbound::Typing => (
            "Tell the others that one is typing, or stopped",
            object(
                &json!({ "isTyping": { "type": "boolean" } }),
                &json!({ "roomId": id(), "recipientId": id() }),
            ),
            object(&json!({}), &json!({})),
        ),
        Inbound::Sync => (
            "Ask for the events of a room or a conversation behind a number",
            object(
                &json!({ "afterSeq": seq() }),
                &json!({ "roomId": id(), "conversationId": id(), "limit": seq() }),
            ),
            object(
                &json!({
                    "events": { "type": "array" }, "lastSeq": seq(), "hasMore": { "type": "boolean" },
                }),
                &json!({}),
            ),
        ),
        Inbound::RefreshAuth => (
            "Go on with a newer token of the same session",
            object(&json!({ "token": text() }), &json!({})),
            object(&json!({ "expiresAt": time() }), &json!({})),
        ),
    }
}

fn acknowledgement(data: &Value) -> Value {
    let error = json!({ "$ref": "#/components/schemas/Error" });
    json!({ "oneOf": [
        object(&json!({ "ok": { "const": true }, "data": data }), &json!({})),
        object(&json!({ "ok": { "const": false }, "error": error }), &json!({})),
    ] })
}

fn error() -> Value {
    let description = format!("Among others: {}.", codes::CODES.join(", "));
    object(
        &json!({
            "code": { "type": "string", "description": description },
            "message": text(),
            "retryable": { "type": "boolean" },
            "retryAfterMs": { "type": ["integer", "null"] },
            "errors": { "type": "array", "items": object(
                &json!({ "pointer": text(), "code": text(), "detail": text() }), &json!({}),
            ) },
        }),
        // The version that the message has, where another one was expected.
        &json!({ "currentVersion": { "type": "integer" } }),
    )
}

/// What `CONNECT_ERROR` says.
fn refusal() -> Value {
    let code = json!({ "type": "string", "enum": Refused::CODES });
    let data = json!({ "code": code, "retryable": { "type": "boolean" } });
    object(&json!({ "message": code, "data": object(&data, &json!({})) }), &json!({}))
}

/// An object with fields that are there and fields that may be.
fn object(required: &Value, optional: &Value) -> Value {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let names: Vec<_> = fields(required).keys().cloned().collect();
    let mut properties = fields(required);
    properties.extend(fields(optional));
    json!({ "type": "object", "required": names, "properties": properties })
}

fn id() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn content() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 4000 })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn seq() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn version() -> Value {
    json!({ "type": "integer", "minimum": 1 })
}

#[cfg(test)]
mod tests;
