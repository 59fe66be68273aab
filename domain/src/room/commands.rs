//! What people ask of rooms.
use chrono::{DateTime, Utc};

use super::{MessageType, RoomType};
use crate::{
    MessageId, Personal, RoomId, SubjectId, UserId,
    message::ChangeMessage,
    text::{FullName, MessageBody, RoomDescription, RoomName},
};

/// What someone asks of a room. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum RoomCommand {
    /// Open it; the creator becomes its owner.
    Create(NewRoom),
    /// Become a member.
    Join {
        /// Who.
        user_id: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Stop being a member.
    Leave {
        /// Who.
        user_id: UserId,
        /// Who owns the room afterwards, if the owner leaves.
        transfer_to: Option<UserId>,
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
