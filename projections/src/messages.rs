//! `messages`: what was said in rooms, one document per message; `direct_messages`: what people said
//! to each other, with `conversationId`, `participants`, `recipientId` and `isRead` (by the recipient,
//! whoever may know of it) in place of `roomId`.
//! MongoDB: `_id`, `roomId`, `seq`,
//! `senderId`, `senderName`, `content`, `messageType`, `attachments`, `reactions` (as they are shown),
//! `isEdited`, `isDeleted`, `clientMessageId`, `createdAt` (UTC), `version`, and `pos`, the log
//! position of the last change. Where there is something to say also `replyToId`, `editedAt`,
//! `deletedAt` (UTC) and `reactors.{userId}.{emoji}`, whether the person set the sign.
use bson::{DateTime as BsonDateTime, Document, doc};
use chrono::{DateTime, Utc};
use domain::message::{MessageEvent, MessageFacts, ReactionKind, Said};
use domain::{
    AnyEvent, ConversationId, Emoji, MessageId, MessagePlace, ReadMarkerEvent, Recorded, RoomId,
    UserId,
};
use serde_json::Value;

use crate::changes::DocumentChange;
use crate::projector::Projector;
use crate::{ReadModels, names};

mod pages;
#[cfg(test)]
mod tests;

/// What one of the two collections has of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The field with the room or conversation. With `seq` it is the unique index that pages are read by.
    pub(crate) place: &'static str,
    /// The name of that index.
    pub(crate) index: &'static str,
    /// Whether documents say that their recipient has read them.
    pub(crate) has_recipients: bool,
}

pub(crate) const IN_ROOMS: Layout =
    Layout { place: "roomId", index: "roomId_seq", has_recipients: false };
pub(crate) const DIRECT: Layout =
    Layout { place: "conversationId", index: "conversationId_seq", has_recipients: true };

/// Feeds `messages`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagesProjector;

impl Projector for MessagesProjector {
    type Change = DocumentChange;
    const NAME: &'static str = names::MESSAGES;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room"];

    fn project(&self, recorded: &Recorded) -> Vec<DocumentChange> {
        changes(recorded)
    }
}

/// Feeds `direct_messages`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirectMessagesProjector;

impl Projector for DirectMessagesProjector {
    type Change = DocumentChange;
    const NAME: &'static str = names::DIRECT_MESSAGES;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["conversation", "read_marker"];

    fn project(&self, recorded: &Recorded) -> Vec<DocumentChange> {
        match &recorded.event {
            AnyEvent::ReadMarker(event) => read(event).into_iter().collect(),
            _ => changes(recorded),
        }
    }
}

/// What somebody read of what was said to them. How far they read in rooms is no document's business.
fn read(event: &ReadMarkerEvent) -> Option<DocumentChange> {
    let ReadMarkerEvent::ChannelRead { user_id, channel, last_read_seq, .. } = event;
    let MessagePlace::Conversation(id) = MessagePlace::of_channel(channel)? else { return None };
    let (place, reader) = (id.to_string(), user_id.to_string());
    Some(DocumentChange::Read { place, reader, seq: *last_read_seq })
}

fn changes(recorded: &Recorded) -> Vec<DocumentChange> {
    let Some(about) = recorded.event.about_message() else { return vec![] };
    // The number in the room or conversation; every event about a message has one.
    let seq = recorded.channel.as_ref().map(|channel| channel.1);
    let id = about.message_id().to_string();
    vec![match about {
        MessageEvent::Said(said) => DocumentChange::Put { id, fields: whole(&said, seq) },
        changed => DocumentChange::Set { id, fields: changed_by(&changed) },
    }]
}

fn whole(said: &Said<'_>, seq: Option<i64>) -> Document {
    let mut fields = match said.place {
        MessagePlace::Room(room_id) => doc! {"roomId": room_id.to_string()},
        MessagePlace::Conversation(id) => {
            let people = said.recipient_id.into_iter().chain([said.author_id]);
            let people: Vec<_> = people.map(|id| id.to_string()).collect();
            doc! {"conversationId": id.to_string(), "participants": people}
        }
    };
    fields.extend(doc! {
        "seq": seq,
        "senderId": said.author_id.to_string(),
        "senderName": said.author_name.known().map(domain::text::FullName::as_str),
        "content": said.content.known().map(domain::text::MessageBody::as_str),
        "messageType": said.message_type.as_str(),
        "attachments": [],
        "reactions": [],
        "isEdited": false,
        "isDeleted": false,
        "clientMessageId": said.client_message_id,
        "createdAt": BsonDateTime::from_chrono(said.at),
        "version": 1_i64,
    });
    if let Some(recipient_id) = said.recipient_id {
        fields.insert("recipientId", recipient_id.to_string());
        fields.insert("isRead", false);
    }
    if let Some(reply_to_id) = said.reply_to_id {
        fields.insert("replyToId", reply_to_id.to_string());
    }
    fields
}

/// The fields that an event about a message that exists changes.
fn changed_by(event: &MessageEvent<'_>) -> Document {
    let number = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
    match event {
        MessageEvent::Said(_) => Document::new(),
        MessageEvent::Edited { content, version, at, .. } => doc! {
            "content": content.known().map(domain::text::MessageBody::as_str),
            "isEdited": true,
            "editedAt": BsonDateTime::from_chrono(*at),
            "version": number(*version),
        },
        // What was said, and who answered it, is gone; that something was said is not.
        MessageEvent::Deleted { version, at, .. } => doc! {
            "content": null,
            "attachments": [],
            "reactions": [],
            "reactors": {},
            "isDeleted": true,
            "deletedAt": BsonDateTime::from_chrono(*at),
            "version": number(*version),
        },
        MessageEvent::Reacted { user_id, emoji, added, reactions, version, .. } => {
            reacted(*user_id, emoji, *added, reactions, number(*version))
        }
    }
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
    /// Where it was said.
    pub place: MessagePlace,
    /// To whom, if it was said to one person.
    pub recipient_id: Option<UserId>,
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
        let own = |kind: &&ReactionKind| facts.reactions.has(&kind.emoji, reader);
        let own = facts.shown_reactions.iter().filter(own);
        Self {
            id: facts.message_id,
            place: facts.place,
            recipient_id: facts.recipient_id,
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

impl MessageRow {
    /// In which room, if in one.
    #[must_use]
    pub fn room_id(&self) -> Option<RoomId> {
        match self.place {
            MessagePlace::Room(room_id) => Some(room_id),
            MessagePlace::Conversation(_) => None,
        }
    }

    /// In which conversation, if in one.
    #[must_use]
    pub fn conversation_id(&self) -> Option<ConversationId> {
        match self.place {
            MessagePlace::Room(_) => None,
            MessagePlace::Conversation(id) => Some(id),
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

/// Consecutive messages of a room or conversation.
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
