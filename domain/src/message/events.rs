//! The events about messages, whichever aggregate they happened to.
use chrono::{DateTime, Utc};

use super::ReactionKind;
use crate::{
    AnyEvent, Conversation, ConversationEvent, ConversationId, Emoji, MessageId, Personal, Room,
    RoomEvent, RoomId, UserId,
    room::MessageType,
    text::{DeletionReason, FullName, MessageBody},
};

/// Where a message was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessagePlace {
    /// In a room.
    Room(RoomId),
    /// Between two people.
    Conversation(ConversationId),
}

impl MessagePlace {
    /// The channel in which clients see its events numbered.
    #[must_use]
    pub fn channel(self) -> String {
        match self {
            Self::Room(id) => Room::channel_of(&id.to_string()),
            Self::Conversation(id) => Conversation::channel_of(&id.to_string()),
        }
    }

    /// The place with this channel; `None` if there is no such.
    #[must_use]
    pub fn of_channel(channel: &str) -> Option<Self> {
        match channel.split_once(':')? {
            ("room", id) => id.parse().ok().map(Self::Room),
            ("conversation", id) => id.parse().ok().map(Self::Conversation),
            _ => None,
        }
    }
}

/// An event about a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MessageEvent<'a> {
    /// It was said.
    Said(Said<'a>),
    /// It says something else.
    Edited {
        /// Where it was said.
        place: MessagePlace,
        /// Which message.
        message_id: MessageId,
        /// Whose it is.
        author_id: UserId,
        /// What it says now.
        content: &'a Personal<MessageBody>,
        /// Its version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// It says nothing any more.
    Deleted {
        /// Where it was said.
        place: MessagePlace,
        /// Which message.
        message_id: MessageId,
        /// Whose it was.
        author_id: UserId,
        /// Who took it back.
        deleted_by: UserId,
        /// Why.
        reason: &'a Personal<Option<DeletionReason>>,
        /// Its version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody set a sign or took it back.
    Reacted {
        /// Where it was said.
        place: MessagePlace,
        /// Which message.
        message_id: MessageId,
        /// Who.
        user_id: UserId,
        /// Which sign.
        emoji: &'a Emoji,
        /// Whether it is set.
        added: bool,
        /// All signs afterwards.
        reactions: &'a [ReactionKind],
        /// The message's version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Said<'a> {
    /// Where.
    pub place: MessagePlace,
    /// Which message.
    pub message_id: MessageId,
    /// Who said it.
    pub author_id: UserId,
    /// To whom, if to one person.
    pub recipient_id: Option<UserId>,
    /// What the author was called.
    pub author_name: &'a Personal<FullName>,
    /// What kind it is.
    pub message_type: MessageType,
    /// What was said.
    pub content: &'a Personal<MessageBody>,
    /// The client's own id of it.
    pub client_message_id: Option<&'a str>,
    /// What it answers.
    pub reply_to_id: Option<MessageId>,
    /// When.
    pub at: DateTime<Utc>,
}

impl MessageEvent<'_> {
    /// Which message.
    #[must_use]
    pub fn message_id(&self) -> MessageId {
        match self {
            Self::Said(Said { message_id, .. })
            | Self::Edited { message_id, .. }
            | Self::Deleted { message_id, .. }
            | Self::Reacted { message_id, .. } => *message_id,
        }
    }
}

macro_rules! about_message {
    ($event:expr, $enum:ident, $place:ident: $id:ident, $said:pat => $what:expr) => {
        match $event {
            $said => Some(MessageEvent::Said($what)),
            $enum::MessageEdited { $id, message_id, author_id, content, version, at, .. } => {
                Some(MessageEvent::Edited {
                    place: MessagePlace::$place(*$id),
                    message_id: *message_id,
                    author_id: *author_id,
                    content,
                    version: *version,
                    at: *at,
                })
            }
            $enum::MessageDeleted {
                $id,
                message_id,
                author_id,
                deleted_by,
                reason,
                version,
                at,
                ..
            } => Some(MessageEvent::Deleted {
                place: MessagePlace::$place(*$id),
                message_id: *message_id,
                author_id: *author_id,
                deleted_by: *deleted_by,
                reason,
                version: *version,
                at: *at,
            }),
            $enum::ReactionAdded {
                $id,
                message_id,
                user_id,
                emoji,
                reactions,
                version,
                at,
                ..
            } => Some(MessageEvent::Reacted {
                place: MessagePlace::$place(*$id),
                message_id: *message_id,
                user_id: *user_id,
                emoji,
                added: true,
                reactions,
                version: *version,
                at: *at,
            }),
            $enum::ReactionRemoved {
                $id,
                message_id,
                user_id,
                emoji,
                reactions,
                version,
                at,
                ..
            } => Some(MessageEvent::Reacted {
                place: MessagePlace::$place(*$id),
                message_id: *message_id,
                user_id: *user_id,
                emoji,
                added: false,
                reactions,
                version: *version,
                at: *at,
            }),
            _ => None,
        }
    };
}

impl RoomEvent {
    /// What the event says of a message, if it is about one.
    #[must_use]
    pub fn about_message(&self) -> Option<MessageEvent<'_>> {
        about_message!(self, RoomEvent, Room: room_id, RoomEvent::MessagePosted {
            room_id, message_id, author_id, author_name, message_type, content,
            client_message_id, reply_to_id, at, ..
        } => Said {
            place: MessagePlace::Room(*room_id),
            message_id: *message_id,
            author_id: *author_id,
            recipient_id: None,
            author_name,
            message_type: *message_type,
            content,
            client_message_id: client_message_id.as_deref(),
            reply_to_id: *reply_to_id,
            at: *at,
        })
    }
}

impl ConversationEvent {
    /// What the event says of a message, if it is about one.
    #[must_use]
    pub fn about_message(&self) -> Option<MessageEvent<'_>> {
        about_message!(
            self, ConversationEvent, Conversation: conversation_id,
            ConversationEvent::DirectMessageSent {
                conversation_id, message_id, author_id, recipient_id, author_name, message_type,
                content, client_message_id, reply_to_id, at, ..
            } => Said {
                place: MessagePlace::Conversation(*conversation_id),
                message_id: *message_id,
                author_id: *author_id,
                recipient_id: Some(*recipient_id),
                author_name,
                message_type: *message_type,
                content,
                client_message_id: client_message_id.as_deref(),
                reply_to_id: *reply_to_id,
                at: *at,
            }
        )
    }
}

impl AnyEvent {
    /// What the event says of a message, if it is about one.
    #[must_use]
    pub fn about_message(&self) -> Option<MessageEvent<'_>> {
        match self {
            Self::Room(event) => event.about_message(),
            Self::Conversation(event) => event.about_message(),
            _ => None,
        }
    }
}
