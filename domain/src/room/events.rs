//! What happens to rooms: stored for ever.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MemberRole, MessageType, RoomType};
use crate::{
    Emoji, MessageId, Personal, RoomId, SubjectId, UserId,
    macros::domain_event,
    message::ReactionKind,
    text::{DeletionReason, FullName, MessageBody, RoomDescription, RoomName},
};

/// What happened to a room. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum RoomEvent {
    /// The room exists.
    RoomCreated {
        /// Which room.
        room_id: RoomId,
        /// Who opened it.
        created_by: UserId,
        /// Its name.
        name: RoomName,
        /// What it is about.
        description: RoomDescription,
        /// What is studied in it.
        subject_id: SubjectId,
        /// Who may find and enter it.
        room_type: RoomType,
        /// 2 to 500.
        max_participants: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// Someone is a member.
    MemberJoined {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// What they may do.
        role: MemberRole,
        /// Members afterwards.
        member_count: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// Someone is not a member any more.
    MemberLeft {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Members afterwards.
        member_count: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// The room has another owner.
    OwnershipTransferred {
        /// Which room.
        room_id: RoomId,
        /// Who owned it.
        from: UserId,
        /// Who owns it now.
        to: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Nobody can enter or write any more.
    RoomArchived {
        /// Which room.
        room_id: RoomId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Someone said something.
    MessagePosted {
        /// Which room.
        room_id: RoomId,
        /// Which message.
        message_id: MessageId,
        /// Who said it.
        author_id: UserId,
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
        /// Messages of the room including this one.
        message_count: u64,
        /// When.
        at: DateTime<Utc>,
    },
    /// A message says something else now.
    MessageEdited {
        /// Which room.
        room_id: RoomId,
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
        /// Which room.
        room_id: RoomId,
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
    /// Somebody answered a message with a sign.
    ReactionAdded {
        /// Which room.
        room_id: RoomId,
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
    /// Somebody took a sign back.
    ReactionRemoved {
        /// Which room.
        room_id: RoomId,
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
}

domain_event!(RoomEvent {
    RoomCreated => "1.0",
    MemberJoined => "1.0",
    MemberLeft => "1.0",
    OwnershipTransferred => "1.0",
    RoomArchived => "1.0",
    MessagePosted => "1.0" seals "authorId": ["authorName", "content"],
    MessageEdited => "1.0" seals "authorId": ["content"],
    MessageDeleted => "1.0" seals "deletedBy": ["reason"],
    ReactionAdded => "1.0",
    ReactionRemoved => "1.0",
});
