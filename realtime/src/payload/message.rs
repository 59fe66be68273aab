//! Messages as clients see them, and what becomes of them.
use std::collections::HashMap;

use commands::SentMessage;
use domain::{
    AnyEvent, MessageFacts, MessageId, MessagePlace, RoomId, UserId,
    message::{MessageEvent, ReactionKind, Said},
    text::{FullName, MessageBody},
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Now, Place, timestamp};

/// The `Message` object of clients, the same in acknowledgements and events.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView<'a> {
    id: MessageId,
    seq: Option<i64>,
    #[serde(flatten)]
    place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<UserId>,
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
        if let Some(facts) = &message.now {
            let now = Self::now_for(facts, message.sender_id);
            return Self { seq: now.seq.or(seq), ..now };
        }
        Self {
            id: message.message_id,
            seq,
            place: match (message.conversation_id, message.room_id) {
                (Some(conversation_id), _) => Place::Conversation { conversation_id },
                // One of the two is always there.
                (None, room_id) => Place::Room { room_id: room_id.unwrap_or(RoomId(Uuid::nil())) },
            },
            recipient_id: message.recipient_id,
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
        Self {
            id: facts.message_id,
            seq: facts.seq,
            place: facts.place.into(),
            recipient_id: facts.recipient_id,
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

    /// The message as it is now, with which signs are the reader's.
    #[must_use]
    pub fn now_for(facts: &'a MessageFacts, reader: UserId) -> Self {
        let now = Self::now(facts);
        let reactions = if now.is_deleted { vec![] } else { reactions_of(facts, reader) };
        Self { reactions, ..now }
    }

    /// With the words that it has now, or without any.
    fn saying(self, facts: &'a MessageFacts) -> Self {
        let content = facts.content.known().map(MessageBody::as_str);
        let deletion = facts.deletion.as_ref();
        Self {
            content: content.unwrap_or_default(),
            reactions: if content.is_some() { self.reactions } else { vec![] },
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

/// The name and body of an event about a message, with the words that the message has now.
pub(super) fn told(
    event: &MessageEvent<'_>,
    seq: i64,
    now: &Now,
    unread: &HashMap<UserId, i64>,
) -> (&'static str, Body) {
    let whole = |kind: &str, id: MessageId, version: u64| {
        let facts = now.get(&id)?;
        Some(Body::of(
            MessageView::now(facts),
            |message| json!({ "kind": kind, "messageId": id, "version": version, "message": message }),
        ))
    };
    // The store could not be asked: what the event itself knows.
    let sketch = |kind: &str, place: MessagePlace, id: MessageId, by: UserId, version, rest| {
        let mut message = json!({ "id": id, "senderId": by, "version": version });
        merge(&mut message, json!(Place::from(place)));
        merge(&mut message, rest);
        let public =
            json!({ "kind": kind, "messageId": id, "version": version, "message": message });
        Body { public, own: None }
    };
    match *event {
        MessageEvent::Said(ref said) => self::said(said, seq, now, unread),
        MessageEvent::Edited { place, message_id, author_id, content, version, at } => {
            let body = whole("edited", message_id, version).unwrap_or_else(|| {
                let words = content.known().map(MessageBody::as_str);
                let rest = json!({
                    "content": words.unwrap_or_default(), "isEdited": true,
                    "editedAt": timestamp(at), "isDeleted": words.is_none(),
                });
                sketch("edited", place, message_id, author_id, version, rest)
            });
            ("message_updated", body)
        }
        MessageEvent::Deleted { place, message_id, author_id, version, at, .. } => {
            let body = whole("deleted", message_id, version).unwrap_or_else(|| {
                let rest = json!({
                    "content": "", "attachments": [], "reactions": [], "isDeleted": true,
                    "deletedAt": timestamp(at),
                });
                sketch("deleted", place, message_id, author_id, version, rest)
            });
            ("message_updated", body)
        }
        MessageEvent::Reacted { message_id, user_id, emoji, added, reactions, version, .. } => {
            let public = json!({
                "kind": "reactions",
                "messageId": message_id,
                "version": version,
                "reactions": self::reactions(reactions),
                "delta": { "emoji": emoji, "userId": user_id, "added": added },
            });
            ("message_updated", Body { public, own: None })
        }
    }
}

fn said(
    said: &Said<'_>,
    seq: i64,
    now: &Now,
    unread: &HashMap<UserId, i64>,
) -> (&'static str, Body) {
    let content = said.content.known().map(MessageBody::as_str);
    let message = MessageView {
        id: said.message_id,
        seq: Some(seq),
        place: said.place.into(),
        recipient_id: said.recipient_id,
        sender_id: said.author_id,
        sender_name: said.author_name.known().map(FullName::as_str),
        sender_avatar_url: None,
        content: content.unwrap_or_default(),
        message_type: said.message_type.as_str(),
        attachments: [],
        reply_to_id: said.reply_to_id,
        reactions: Vec::new(),
        is_edited: false,
        edited_at: None,
        is_deleted: content.is_none(),
        deleted_at: None,
        client_message_id: said.client_message_id,
        created_at: timestamp(said.at),
        version: 1,
    };
    // Old words are for the sender and for those who keep order; nobody finds them in the past.
    let message = match now.get(&said.message_id) {
        Some(facts) => message.saying(facts),
        None => message,
    };
    match said.place {
        MessagePlace::Room(_) => {
            ("new_message", Body::of(message, |message| json!({ "message": message })))
        }
        MessagePlace::Conversation(id) => {
            let author = said.author_id;
            let count_of = |person: Option<UserId>| person.and_then(|it| unread.get(&it));
            let body = |message: MessageView<'_>, of| {
                json!({
                    "message": message,
                    "conversation": { "id": id, "unreadCount": count_of(of) },
                })
            };
            let public = body(message.clone().for_others(), said.recipient_id);
            let own = body(message, Some(author));
            ("new_direct_message", Body { public, own: Some((author, own)) })
        }
    }
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// The message whose words the event shows, if others may have taken their place since.
pub(crate) fn shows_words_of(event: &AnyEvent) -> Option<MessageId> {
    match event.about_message()? {
        MessageEvent::Reacted { .. } => None,
        about => Some(about.message_id()),
    }
}
