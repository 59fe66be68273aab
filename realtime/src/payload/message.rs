//! Messages as clients see them, and what becomes of them.
use commands::SentMessage;
use domain::{
    AnyEvent, MessageFacts, MessageId, MessagePlace, RoomEvent, RoomId, UserId,
    message::ReactionKind,
    text::{FullName, MessageBody},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Now, timestamp};

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
    reactions: Vec<Value>,
    is_edited: bool,
    edited_at: Option<String>,
    is_deleted: bool,
    deleted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_message_id: Option<&'a str>,
    created_at: String,
    version: u64,
}

impl<'a> MessageView<'a> {
    /// The message of an acknowledgement to its sender. `seq` is `None` while its place in the
    /// room is not known yet.
    #[must_use]
    pub fn sent(message: &'a SentMessage, seq: Option<i64>) -> Self {
        Self {
            id: message.message_id,
            seq,
            room_id: message.room_id,
            sender_id: message.sender_id,
            sender_name: message.sender_name.as_deref(),
            sender_avatar_url: None,
            content: &message.content,
            message_type: message.message_type.as_str(),
            attachments: [],
            reply_to_id: message.reply_to_id,
            reactions: Vec::new(),
            is_edited: false,
            edited_at: None,
            is_deleted: false,
            deleted_at: None,
            client_message_id: message.client_message_id.as_deref(),
            created_at: timestamp(message.created_at),
            version: 1,
        }
    }

    /// The message as it is now.
    #[must_use]
    pub fn now(facts: &'a MessageFacts) -> Self {
        let MessagePlace::Room(room_id) = facts.place;
        Self {
            id: facts.message_id,
            seq: facts.seq,
            room_id,
            sender_id: facts.author_id,
            sender_name: facts.author_name.known().map(FullName::as_str),
            sender_avatar_url: None,
            content: "",
            message_type: facts.message_type.as_str(),
            attachments: [],
            reply_to_id: facts.reply_to_id,
            reactions: reactions(&facts.shown_reactions),
            is_edited: false,
            edited_at: None,
            is_deleted: false,
            deleted_at: None,
            client_message_id: facts.client_message_id.as_deref(),
            created_at: timestamp(facts.sent_at),
            version: facts.version,
        }
        .saying(facts)
    }

    /// With the words that it has now, or without any.
    fn saying(self, facts: &'a MessageFacts) -> Self {
        let content = facts.content.known().map(MessageBody::as_str);
        let deletion = facts.deletion.as_ref();
        Self {
            content: content.unwrap_or_default(),
            is_edited: facts.edited_at.is_some(),
            edited_at: facts.edited_at.map(timestamp),
            // What an erased person said reads like a deleted message: the number stays.
            is_deleted: content.is_none(),
            deleted_at: deletion.map(|deletion| timestamp(deletion.at)),
            ..self
        }
    }

    /// Without what is only the sender's business.
    fn for_others(self) -> Self {
        Self { client_message_id: None, ..self }
    }
}

/// Reactions as everyone sees them.
pub(crate) fn reactions(kinds: &[ReactionKind]) -> Vec<Value> {
    let one = |kind: &ReactionKind| json!({ "emoji": kind.emoji, "count": kind.count, "userIds": kind.user_ids });
    kinds.iter().map(one).collect()
}

/// Reactions as one person sees them.
pub(crate) fn reactions_of(facts: &MessageFacts, reader: UserId) -> Vec<Value> {
    let mut all = reactions(&facts.shown_reactions);
    for (shown, kind) in all.iter_mut().zip(&facts.shown_reactions) {
        shown["me"] = facts.reactions.has(&kind.emoji, reader).into();
    }
    all
}

/// What an event says beyond its envelope.
pub(super) struct Body {
    /// To everyone.
    pub(super) public: Value,
    /// To the sender's own sockets instead.
    pub(super) own: Option<(UserId, Value)>,
}

impl Body {
    fn of(message: MessageView<'_>, body: impl Fn(MessageView<'_>) -> Value) -> Self {
        let own = message.client_message_id.map(|_| (message.sender_id, body(message.clone())));
        Self { public: body(message.for_others()), own }
    }
}

/// `new_message`: what was said, with the words that the message has now.
pub(super) fn said(event: &RoomEvent, seq: i64, now: &Now) -> Option<Body> {
    let RoomEvent::MessagePosted {
        room_id,
        message_id,
        author_id,
        author_name,
        message_type,
        content,
        client_message_id,
        reply_to_id,
        at,
        ..
    } = event
    else {
        return None;
    };
    let content = content.known().map(MessageBody::as_str);
    let message = MessageView {
        id: *message_id,
        seq: Some(seq),
        room_id: *room_id,
        sender_id: *author_id,
        sender_name: author_name.known().map(FullName::as_str),
        sender_avatar_url: None,
        content: content.unwrap_or_default(),
        message_type: message_type.as_str(),
        attachments: [],
        reply_to_id: *reply_to_id,
        reactions: Vec::new(),
        is_edited: false,
        edited_at: None,
        is_deleted: content.is_none(),
        deleted_at: None,
        client_message_id: client_message_id.as_deref(),
        created_at: timestamp(*at),
        version: 1,
    };
    // Old words are for the sender and for those who keep order; nobody finds them in the past.
    let message = match now.get(message_id) {
        Some(facts) => message.saying(facts),
        None => message,
    };
    Some(Body::of(message, |message| json!({ "message": message })))
}

/// `message_updated`: what became of a message.
pub(super) fn updated(event: &RoomEvent, now: &Now) -> Option<Body> {
    let public = |public| Some(Body { public, own: None });
    let whole = |kind: &str, message_id: &MessageId, version: u64| {
        let facts = now.get(message_id)?;
        Some(Body::of(
            MessageView::now(facts),
            |message| json!({ "kind": kind, "messageId": message_id, "version": version, "message": message }),
        ))
    };
    match event {
        RoomEvent::MessageEdited { room_id, message_id, author_id, content, version, at } => {
            whole("edited", message_id, *version).or_else(|| {
                // The store could not be asked: what the event itself knows.
                let words = content.known().map(MessageBody::as_str);
                let mut message = sketch(*room_id, *message_id, *author_id, *version);
                message["content"] = json!(words.unwrap_or_default());
                message["isEdited"] = json!(true);
                message["editedAt"] = json!(timestamp(*at));
                message["isDeleted"] = json!(words.is_none());
                public(update("edited", *message_id, *version, &message))
            })
        }
        RoomEvent::MessageDeleted { room_id, message_id, author_id, version, at, .. } => {
            whole("deleted", message_id, *version).or_else(|| {
                let mut message = sketch(*room_id, *message_id, *author_id, *version);
                message["content"] = json!("");
                message["attachments"] = json!([]);
                message["reactions"] = json!([]);
                message["isDeleted"] = json!(true);
                message["deletedAt"] = json!(timestamp(*at));
                public(update("deleted", *message_id, *version, &message))
            })
        }
        RoomEvent::ReactionAdded { message_id, user_id, emoji, reactions, version, .. }
        | RoomEvent::ReactionRemoved { message_id, user_id, emoji, reactions, version, .. } => {
            let added = matches!(event, RoomEvent::ReactionAdded { .. });
            public(json!({
                "kind": "reactions",
                "messageId": message_id,
                "version": version,
                "reactions": self::reactions(reactions),
                "delta": { "emoji": emoji, "userId": user_id, "added": added },
            }))
        }
        _ => None,
    }
}

fn sketch(room_id: RoomId, id: MessageId, sender_id: UserId, version: u64) -> Value {
    json!({ "id": id, "roomId": room_id, "senderId": sender_id, "version": version })
}

fn update(kind: &str, message_id: MessageId, version: u64, message: &Value) -> Value {
    json!({ "kind": kind, "messageId": message_id, "version": version, "message": message })
}

/// The message whose words the event shows, if others may have taken their place since.
pub(crate) fn shows_words_of(event: &AnyEvent) -> Option<MessageId> {
    match event {
        AnyEvent::Room(
            RoomEvent::MessagePosted { .. }
            | RoomEvent::MessageEdited { .. }
            | RoomEvent::MessageDeleted { .. },
        ) => event.message_id(),
        _ => None,
    }
}
