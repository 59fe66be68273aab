//! `messages`: what was said in rooms, one document per message. MongoDB: `_id`, `roomId`, `seq`,
//! `senderId`, `senderName`, `content`, `messageType`, `attachments`, `reactions`, `isEdited`,
//! `isDeleted`, `clientMessageId`, `createdAt` (UTC), `version`, and `pos`, the log position of the
//! last change.
use bson::{DateTime as BsonDateTime, doc};
use chrono::{DateTime, Utc};
use domain::{AnyEvent, MessageId, Recorded, RoomEvent, RoomId, UserId};
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
        let AnyEvent::Room(RoomEvent::MessagePosted {
            room_id,
            message_id,
            author_id,
            author_name,
            message_type,
            content,
            client_message_id,
            message_count: _,
            at,
        }) = &recorded.event
        else {
            return vec![];
        };
        // The number in the room; every event of a room has one.
        let seq = recorded.channel.as_ref().map(|channel| channel.1);
        vec![DocumentChange::Put {
            id: message_id.to_string(),
            fields: doc! {
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
            },
        }]
    }
}

/// A message as it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRow {
    /// Which message.
    pub id: MessageId,
    /// In which room.
    pub room_id: RoomId,
    /// Its number among the room's events.
    pub seq: i64,
    /// Who said it.
    pub sender_id: UserId,
    /// Their name at that time; `None` when the person was erased.
    pub sender_name: Option<String>,
    /// What was said; `None` when the person was erased.
    pub content: Option<String>,
    /// `text` …
    pub message_type: String,
    /// Files that belong to it.
    pub attachments: Vec<Value>,
    /// What others answered with a sign.
    pub reactions: Vec<Value>,
    /// Whether it was changed.
    pub is_edited: bool,
    /// Whether it was taken back.
    pub is_deleted: bool,
    /// The sender's own id of it; nobody else's business.
    pub client_message_id: Option<String>,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// 1, and one more with every change.
    pub version: i64,
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
