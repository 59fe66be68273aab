//! What people ask of rooms.
use chrono::{DateTime, Utc};

use super::{MemberRole, MessageType, NotificationLevel, RoomType};
use crate::{
    InviteId, MessageId, Personal, RoomId, SubjectId, UserId,
    message::ChangeMessage,
    text::{FullName, MessageBody, RoomDescription, RoomName},
};

/// What someone asks of a room. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum RoomCommand {
    /// Open it; the creator becomes its owner.
    Create(NewRoom),
    /// Change what it is like.
    Edit(EditRoom),
    /// Close it for good.
    Archive {
        /// Who.
        by: UserId,
        /// The revision that they know; `None` closes any.
        expected: Option<u32>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Become a member.
    Join {
        /// Who.
        user_id: UserId,
        /// The hash of the invite code that they brought.
        code_hash: Option<String>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Stop being a member.
    Leave {
        /// Who.
        user_id: UserId,
        /// Who owns the room afterwards, if the owner leaves.
        transfer_to: Option<UserId>,
        /// The place for a room that the new owner gives to it.
        slot: Option<u32>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let a member do more, or less. Making another member the owner hands the room over.
    ChangeRole {
        /// Who decides.
        by: UserId,
        /// About whom.
        user_id: UserId,
        /// What they may do from now on.
        role: MemberRole,
        /// The place for a room that a new owner gives to it.
        slot: Option<u32>,
        /// When.
        at: DateTime<Utc>,
    },
    /// End someone else's membership.
    Remove {
        /// Who decides.
        by: UserId,
        /// About whom.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// End someone else's membership, if there is one, and let them in no more.
    Ban {
        /// Who decides.
        by: UserId,
        /// About whom.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let someone in again.
    LiftBan {
        /// Who decides.
        by: UserId,
        /// About whom.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let a member not speak for a while.
    Mute {
        /// Who decides.
        by: UserId,
        /// About whom.
        user_id: UserId,
        /// They may speak again from then on.
        until: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let someone speak again.
    LiftMute {
        /// Who decides.
        by: UserId,
        /// About whom.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Make a code that lets people in.
    CreateInvite(NewInvite),
    /// Make a code useless.
    RevokeInvite {
        /// Who.
        by: UserId,
        /// Which invite.
        invite_id: InviteId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Choose what to be told of.
    SetNotificationLevel {
        /// Who, for themselves.
        user_id: UserId,
        /// What.
        level: NotificationLevel,
        /// When.
        at: DateTime<Utc>,
    },
    /// Say something.
    PostMessage(PostMessage),
    /// Change what was said.
    ChangeMessage(Box<ChangeMessage>),
}

/// What a new room shall be like.
#[derive(Clone, Debug)]
pub struct NewRoom {
    /// A fresh id.
    pub room_id: RoomId,
    /// Who opens it.
    pub created_by: UserId,
    /// Its name.
    pub name: RoomName,
    /// What it is about.
    pub description: RoomDescription,
    /// What is studied in it.
    pub subject_id: SubjectId,
    /// Who may find and enter it.
    pub room_type: RoomType,
    /// 2 to 500.
    pub max_participants: u32,
    /// Which of the creator's places for rooms it takes.
    pub owner_slot: Option<u32>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What shall be different about a room; `None` stays as it is.
#[derive(Clone, Debug)]
pub struct EditRoom {
    /// Who.
    pub by: UserId,
    /// The revision that they know; `None` changes any.
    pub expected: Option<u32>,
    /// Its name.
    pub name: Option<RoomName>,
    /// What it is about.
    pub description: Option<RoomDescription>,
    /// What is studied in it.
    pub subject_id: Option<SubjectId>,
    /// Who may find and enter it.
    pub room_type: Option<RoomType>,
    /// 2 to 500, and not less than it has members.
    pub max_participants: Option<u32>,
    /// When.
    pub at: DateTime<Utc>,
}

/// An invite to be made.
#[derive(Clone, Debug)]
pub struct NewInvite {
    /// A fresh id.
    pub invite_id: InviteId,
    /// Who.
    pub by: UserId,
    /// The hash of its code.
    pub code_hash: String,
    /// How many people it lets in; `None` for any number.
    pub max_uses: Option<u32>,
    /// It lets nobody in from then on.
    pub expires_at: DateTime<Utc>,
    /// Most invites that a room may have at the same time.
    pub most: u32,
    /// When.
    pub at: DateTime<Utc>,
}

/// What someone wants to say.
#[derive(Clone, Debug)]
pub struct PostMessage {
    /// A fresh id.
    pub message_id: MessageId,
    /// Who says it.
    pub author_id: UserId,
    /// The author's name at this time.
    pub author_name: Personal<FullName>,
    /// What kind it is.
    pub message_type: MessageType,
    /// What is said.
    pub content: MessageBody,
    /// The client's own id of the message.
    pub client_message_id: Option<String>,
    /// What it answers: a message of the same room.
    pub reply_to_id: Option<MessageId>,
    /// When.
    pub at: DateTime<Utc>,
}
