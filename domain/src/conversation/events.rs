//! What happens between two people: stored for ever.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Beginning;
use crate::{
    ConversationId, Emoji, MessageId, Personal, UserId,
    macros::domain_event,
    message::ReactionKind,
    room::MessageType,
    text::{DeletionReason, FullName, MessageBody},
};

/// What happened between two people. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum ConversationEvent {
    /// One of them is about to say the first thing.
    ConversationStarted {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Who begins.
        started_by: UserId,
        /// With whom.
        with: UserId,
        /// Which of their beginnings of the day it is; `None` where they are not counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beginning: Option<Beginning>,
        /// When.
        at: DateTime<Utc>,
    },
    /// One said something to the other.
    DirectMessageSent {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Which message.
        message_id: MessageId,
        /// Who said it.
        author_id: UserId,
        /// To whom.
        recipient_id: UserId,
        /// The author's name at that time.
        author_name: Personal<FullName>,
        /// What kind it is.
        message_type: MessageType,
        /// What was said.
        content: Personal<MessageBody>,
        /// The client's own id of the message.
        client_message_id: Option<String>,
        /// What it answers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to_id: Option<MessageId>,
        /// Messages between the two including this one.
        message_count: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// A message says something else now.
    MessageEdited {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whose it is.
        participants: [UserId; 2],
        /// Which message.
        message_id: MessageId,
        /// Whose it is.
        author_id: UserId,
        /// What it says now.
        content: Personal<MessageBody>,
        /// Its version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// A message says nothing any more.
    MessageDeleted {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whose it is.
        participants: [UserId; 2],
        /// Which message.
        message_id: MessageId,
        /// Whose it was.
        author_id: UserId,
        /// Who took it back.
        deleted_by: UserId,
        /// Why.
        reason: Personal<Option<DeletionReason>>,
        /// Its version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// One answered a message with a sign.
    ReactionAdded {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whose it is.
        participants: [UserId; 2],
        /// Which message.
        message_id: MessageId,
        /// Who.
        user_id: UserId,
        /// Which sign.
        emoji: Emoji,
        /// All signs of the message afterwards.
        reactions: Vec<ReactionKind>,
        /// Its version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// One took a sign back.
    ReactionRemoved {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whose it is.
        participants: [UserId; 2],
        /// Which message.
        message_id: MessageId,
        /// Who.
        user_id: UserId,
        /// Which sign.
        emoji: Emoji,
        /// All signs of the message afterwards.
        reactions: Vec<ReactionKind>,
        /// Its version afterwards.
        version: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// One wants no messages from the other.
    BlockPlaced {
        /// Of which pair.
        conversation_id: ConversationId,
        /// Who.
        by: UserId,
        /// From whom.
        blocked: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// One allows messages of the other again.
    BlockLifted {
        /// Of which pair.
        conversation_id: ConversationId,
        /// Who.
        by: UserId,
        /// From whom.
        blocked: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// One does not want to be told of what is said.
    ConversationMuted {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whose it is.
        participants: [UserId; 2],
        /// Who.
        by: UserId,
        /// All who do not want to be told, afterwards.
        muted_by: Vec<UserId>,
        /// When.
        at: DateTime<Utc>,
    },
    /// One wants to be told again.
    ConversationUnmuted {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whose it is.
        participants: [UserId; 2],
        /// Who.
        by: UserId,
        /// All who do not want to be told, afterwards.
        muted_by: Vec<UserId>,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(ConversationEvent {
    ConversationStarted => "1.0",
    DirectMessageSent => "1.0" seals "authorId": ["authorName", "content"],
    MessageEdited => "1.0" seals "authorId": ["content"],
    MessageDeleted => "1.0" seals "deletedBy": ["reason"],
    ReactionAdded => "1.0",
    ReactionRemoved => "1.0",
    BlockPlaced => "1.0",
    BlockLifted => "1.0",
    ConversationMuted => "1.0",
    ConversationUnmuted => "1.0",
});

impl ConversationEvent {
    /// The two people.
    #[must_use]
    pub fn participants(&self) -> [UserId; 2] {
        match self {
            Self::ConversationStarted { started_by: one, with: other, .. }
            | Self::DirectMessageSent { author_id: one, recipient_id: other, .. }
            | Self::BlockPlaced { by: one, blocked: other, .. }
            | Self::BlockLifted { by: one, blocked: other, .. } => [*one, *other],
            Self::MessageEdited { participants, .. }
            | Self::MessageDeleted { participants, .. }
            | Self::ReactionAdded { participants, .. }
            | Self::ReactionRemoved { participants, .. }
            | Self::ConversationMuted { participants, .. }
            | Self::ConversationUnmuted { participants, .. } => *participants,
        }
    }

    /// Which conversation, and when.
    #[must_use]
    pub fn place_and_time(&self) -> (ConversationId, DateTime<Utc>) {
        match self {
            Self::ConversationStarted { conversation_id, at, .. }
            | Self::DirectMessageSent { conversation_id, at, .. }
            | Self::MessageEdited { conversation_id, at, .. }
            | Self::MessageDeleted { conversation_id, at, .. }
            | Self::ReactionAdded { conversation_id, at, .. }
            | Self::ReactionRemoved { conversation_id, at, .. }
            | Self::BlockPlaced { conversation_id, at, .. }
            | Self::BlockLifted { conversation_id, at, .. }
            | Self::ConversationMuted { conversation_id, at, .. }
            | Self::ConversationUnmuted { conversation_id, at, .. } => (*conversation_id, *at),
        }
    }

    /// The pair, from an event that can be its first.
    pub(super) fn first_of(&self) -> Option<(ConversationId, [UserId; 2])> {
        let (one, other) = match self {
            Self::ConversationStarted { started_by, with, .. } => (*started_by, *with),
            Self::BlockPlaced { by, blocked, .. } => (*by, *blocked),
            _ => return None,
        };
        Some((self.place_and_time().0, [one.min(other), one.max(other)]))
    }
}
