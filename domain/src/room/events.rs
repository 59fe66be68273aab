//! What happens to rooms: stored for ever.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MemberRole, MessageType, NotificationLevel, RoomType};
use crate::{
    Emoji, InviteId, MessageId, Personal, RoomId, SubjectId, UserId,
    macros::domain_event,
    message::ReactionKind,
    text::{DeletionReason, FullName, MessageBody, RoomDescription, RoomName},
};

/// Which of someone's places for rooms a room took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedSlot {
    /// Whose place.
    pub owner: UserId,
    /// Its number.
    pub slot: u32,
}

/// The invite that let someone in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InviteUse {
    /// Which invite.
    pub invite_id: InviteId,
    /// How many people it has let in, this one included.
    pub uses: u32,
}

/// Why somebody else ended a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// They may come back.
    Kicked,
    /// They may not.
    Banned,
}

impl RemovalReason {
    /// The stored and public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kicked => "kicked",
            Self::Banned => "banned",
        }
    }
}

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
        /// Which of the creator's places for rooms it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner_slot: Option<u32>,
        /// When.
        at: DateTime<Utc>,
    },
    /// The room is different; what is `None` stayed as it was.
    RoomEdited {
        /// Which room.
        room_id: RoomId,
        /// Its name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<RoomName>,
        /// What it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<RoomDescription>,
        /// What is studied in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subject_id: Option<SubjectId>,
        /// Who may find and enter it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        room_type: Option<RoomType>,
        /// 2 to 500.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_participants: Option<u32>,
        /// 1 for the room as it was opened, one more for each edit.
        revision: u32,
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
        /// The invite that let them in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invite: Option<InviteUse>,
        /// Until when they may not speak: they were muted before they left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        muted_until: Option<DateTime<Utc>>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Someone is not a member any more, and wanted it so.
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
    /// Someone is not a member any more because others wanted it so.
    MemberRemoved {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Who decided.
        by: UserId,
        /// Whether they may come back.
        reason: RemovalReason,
        /// Members afterwards.
        member_count: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// A member may do more, or less.
    MemberRoleChanged {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Who decided.
        by: UserId,
        /// What they may do.
        role: MemberRole,
        /// When.
        at: DateTime<Utc>,
    },
    /// A member wants to be told of other things.
    NotificationLevelChanged {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Of what.
        level: NotificationLevel,
        /// When.
        at: DateTime<Utc>,
    },
    /// Someone may not become a member.
    MemberBanned {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Who decided.
        by: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Someone may become a member again.
    BanLifted {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Who decided.
        by: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// A member may not speak for a while.
    MemberMuted {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Who decided.
        by: UserId,
        /// They may speak again from then on.
        until: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody may speak again, earlier than was decided.
    MuteLifted {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Who decided.
        by: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// There is a code that lets people in.
    InviteCreated {
        /// Which room.
        room_id: RoomId,
        /// Which invite.
        invite_id: InviteId,
        /// Who made it.
        by: UserId,
        /// The hash of its code.
        code_hash: String,
        /// How many people it lets in; `None` for any number.
        max_uses: Option<u32>,
        /// It lets nobody in from then on.
        expires_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// A code lets nobody in any more.
    InviteRevoked {
        /// Which room.
        room_id: RoomId,
        /// Which invite.
        invite_id: InviteId,
        /// Who decided.
        by: UserId,
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
        /// Which of the former owner's places for rooms it took.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from_slot: Option<u32>,
        /// Which of the new owner's places for rooms it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to_slot: Option<u32>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Nobody can enter or write any more.
    RoomArchived {
        /// Which room.
        room_id: RoomId,
        /// Which of its owner's places for rooms is free again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        released: Option<OwnedSlot>,
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
    RoomEdited => "1.0",
    MemberJoined => "1.0",
    MemberLeft => "1.0",
    MemberRemoved => "1.0",
    MemberRoleChanged => "1.0",
    NotificationLevelChanged => "1.0",
    MemberBanned => "1.0",
    BanLifted => "1.0",
    MemberMuted => "1.0",
    MuteLifted => "1.0",
    InviteCreated => "1.0",
    InviteRevoked => "1.0",
    OwnershipTransferred => "1.0",
    RoomArchived => "1.0",
    MessagePosted => "1.0" seals "authorId": ["authorName", "content"],
    MessageEdited => "1.0" seals "authorId": ["content"],
    MessageDeleted => "1.0" seals "deletedBy": ["reason"],
    ReactionAdded => "1.0",
    ReactionRemoved => "1.0",
});
