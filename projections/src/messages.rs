//! `messages`: what was said in rooms, one document per message. MongoDB: `_id`, `roomId`, `seq`,
//! `senderId`, `senderName`, `content`, `messageType`, `attachments`, `reactions` (as they are shown),
//! `isEdited`, `isDeleted`, `clientMessageId`, `createdAt` (UTC), `version`, and `pos`, the log
//! position of the last change. Where there is something to say also `replyToId`, `editedAt`,
//! `deletedAt` (UTC) and `reactors.{userId}.{emoji}`, whether the person set the sign.
use bson::{DateTime as BsonDateTime, Document, doc};
use chrono::{DateTime, Utc};
use domain::message::{MessageFacts, ReactionKind};
use domain::{AnyEvent, Emoji, MessageId, MessagePlace, Recorded, RoomEvent, RoomId, UserId};
use serde_json::Value;

use crate::changes::DocumentChange;
use crate::projector::Projector;
use crate::{ReadModels, names};

mod pages;
#[cfg(test)]
mod tests;

/// The unique index that pages are read by.
pub(crate) const INDEX: &str = "roomId_seq";

/// Feeds `messages`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagesProjector;

impl Projector for MessagesProjector {
    type Change = DocumentChange;
    const NAME: &'static str = names::MESSAGES;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room"];

    fn project(&self, recorded: &Recorded) -> Vec<DocumentChange> {
        let AnyEvent::Room(event) = &recorded.event else { return vec![] };
        // The number in the room; every event of a room has one.
        let seq = recorded.channel.as_ref().map(|channel| channel.1);
        if let Some((id, fields)) = said(event, seq) {
            return vec![DocumentChange::Put { id: id.to_string(), fields }];
        }
        let change = changed(event).zip(event.message_id());
        let set = |(fields, id): (_, MessageId)| DocumentChange::Set { id: id.to_string(), fields };
        change.map(set).into_iter().collect()
    }
}

fn said(event: &RoomEvent, seq: Option<i64>) -> Option<(MessageId, Document)> {
    let RoomEvent::MessagePosted {
        room_id,
        message_id,
        author_id,
        author_name,
        message_type,
        content,
        client_message_id,
        reply_to_id,
        message_count: _,
        at,
    } = event
    else {
        return None;
    };
    let mut fields = doc! {
        "roomId": room_id.to_string(),
        "seq": seq,
        "senderId": author_id.to_string(),
        "senderName": author_name.known().map(domain::text::FullName::as_str),
        "content": content.known().map(domain::text::MessageBody::as_str),
        "messageType": message_type.as_str(),
        "attachments": [],
        "reactions": [],
        "isEdited": false,
        "isDeleted": false,
        "clientMessageId": client_message_id.as_deref(),
        "createdAt": BsonDateTime::from_chrono(*at),
        "version": 1_i64,
    };
    if let Some(reply_to_id) = reply_to_id {
        fields.insert("replyToId", reply_to_id.to_string());
    }
    Some((*message_id, fields))
}

/// The fields that an event about a message that exists changes.
fn changed(event: &RoomEvent) -> Option<Document> {
    let version = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
    Some(match event {
        RoomEvent::MessageEdited { content, version: v, at, .. } => doc! {
            "content": content.known().map(domain::text::MessageBody::as_str),
            "isEdited": true,
            "editedAt": BsonDateTime::from_chrono(*at),
            "version": version(*v),
        },
        // What was said, and who answered it, is gone; that something was said is not.
        RoomEvent::MessageDeleted { version: v, at, .. } => doc! {
            "content": null,
            "attachments": [],
            "reactions": [],
            "reactors": {},
            "isDeleted": true,
            "deletedAt": BsonDateTime::from_chrono(*at),
            "version": version(*v),
        },
        RoomEvent::ReactionAdded { user_id, emoji, reactions, version: v, .. } => {
            reacted(*user_id, emoji, true, reactions, version(*v))
        }
        RoomEvent::ReactionRemoved { user_id, emoji, reactions, version: v, .. } => {
            reacted(*user_id, emoji, false, reactions, version(*v))
        }
        _ => return None,
    })
}

fn reacted(
    user_id: UserId,
    emoji: &Emoji,
    set: bool,
    reactions: &[ReactionKind],
    version: i64,
) -> Document {
    let kind = |kind: &ReactionKind| {
        let user_ids: Vec<_> = kind.user_ids.iter().map(ToString::to_string).collect();
        doc! {"emoji": kind.emoji.as_str(), "count": i64::from(kind.count), "userIds": user_ids}
    };
    let reactions: Vec<_> = reactions.iter().map(kind).collect();
    let mut fields = doc! {"reactions": reactions, "version": version};
    // No emoji can be taken for a path: they have no dots and no dollars.
    fields.insert(format!("reactors.{user_id}.{}", emoji.as_str()), set);
    fields
}

/// A message as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRow {
    /// Which message.
    pub id: MessageId,
    /// In which room.
    pub room_id: RoomId,
    /// Its number among the room's events; 0 while that is not known.
    pub seq: i64,
    /// Who said it.
    pub sender_id: UserId,
    /// Their name at that time; `None` when the person was erased.
    pub sender_name: Option<String>,
    /// What was said; `None` when it was taken back, or the person was erased.
    pub content: Option<String>,
    /// `text` …
    pub message_type: String,
    /// Files that belong to it.
    pub attachments: Vec<Value>,
    /// What it answers.
    pub reply_to_id: Option<MessageId>,
    /// Who answered with which sign.
    pub reactions: Vec<ReactionKind>,
    /// The signs that the reader set.
    pub own_reactions: Vec<String>,
    /// When it got other words, UTC.
    pub edited_at: Option<DateTime<Utc>>,
    /// Whether it was taken back.
    pub is_deleted: bool,
    /// When, UTC.
    pub deleted_at: Option<DateTime<Utc>>,
    /// The sender's own id of it; nobody else's business.
    pub client_message_id: Option<String>,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// 1, and one more with every change.
    pub version: i64,
}

impl MessageRow {
    /// A message from its events rather than from the read model, as `reader` sees it.
    #[must_use]
    pub fn now(facts: &MessageFacts, reader: UserId) -> Self {
        let MessagePlace::Room(room_id) = facts.place;
        let own = |kind: &&ReactionKind| facts.reactions.has(&kind.emoji, reader);
        let own = facts.shown_reactions.iter().filter(own);
        Self {
            id: facts.message_id,
            room_id,
            seq: facts.seq.unwrap_or(0),
            sender_id: facts.author_id,
            sender_name: facts.author_name.known().map(|name| name.as_str().to_owned()),
            content: facts.content.known().map(|content| content.as_str().to_owned()),
            message_type: facts.message_type.as_str().to_owned(),
            attachments: vec![],
            reply_to_id: facts.reply_to_id,
            own_reactions: own.map(|kind| kind.emoji.as_str().to_owned()).collect(),
            reactions: facts.shown_reactions.clone(),
            edited_at: facts.edited_at,
            is_deleted: facts.deletion.is_some(),
            deleted_at: facts.deletion.as_ref().map(|deletion| deletion.at),
            client_message_id: facts.client_message_id.clone(),
            created_at: facts.sent_at,
            version: i64::try_from(facts.version).unwrap_or(i64::MAX),
        }
    }
}

/// Where in a room to read. Numbers are `seq`s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The last messages.
    Newest,
    /// The last messages with a smaller number.
    Before(i64),
    /// The first messages with a larger number.
    After(i64),
    /// Messages on both sides of this number.
    Around(i64),
}

/// Consecutive messages of a room.
#[derive(Clone, Debug, PartialEq)]
pub struct MessagePage {
    /// By number, the smallest first.
    pub messages: Vec<MessageRow>,
    /// Whether the room has none before these.
    pub found_oldest: bool,
    /// Whether the room has none after these.
    pub found_newest: bool,
}

/// Queries of `messages`.
#[derive(Clone, Copy)]
pub struct Messages<'a>(pub(crate) &'a ReadModels);
