//! What is said in a room.
use serde::{Deserialize, Serialize};

use super::{RoomError, RoomEvent, RoomState, commands::PostMessage};
use crate::{
    MessageError,
    message::{ChangeMessage, MessageChange, MessagePlace, Outcome},
};

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageType {
    /// Words.
    Text,
}

impl MessageType {
    /// The stored and public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
        }
    }
}

impl RoomState {
    /// Says something: for members who are not muted, and only while the room is open. Who is banned may
    /// not speak here, which is less than they are told when they ask to come in.
    pub(super) fn post(&self, message: PostMessage) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_member(message.author_id).map_err(|refusal| match refusal {
            RoomError::Banned => RoomError::Forbidden,
            other => other,
        })?;
        self.require_active()?;
        self.require_voice(message.author_id, message.at)?;
        Ok(vec![RoomEvent::MessagePosted {
            room_id: self.room_id,
            message_id: message.message_id,
            author_id: message.author_id,
            author_name: message.author_name,
            message_type: message.message_type,
            content: message.content.into(),
            client_message_id: message.client_message_id,
            reply_to_id: message.reply_to_id,
            message_count: self.message_count + 1,
            at: message.at,
        }])
    }

    /// Changes what was said. To everyone who may not read here the message does not exist.
    pub(super) fn change(&self, wish: ChangeMessage) -> Result<Vec<RoomEvent>, RoomError> {
        let ChangeMessage { facts, by: user_id, change, at } = wish;
        let room_id = self.room_id;
        let role = self.members.get(&user_id).map(|member| member.role);
        let (Some(role), true) = (role, facts.place == MessagePlace::Room(room_id)) else {
            return Err(MessageError::NotFound.into());
        };
        // What was said in a room that is archived can still be taken back.
        if !matches!(change, MessageChange::Delete { .. }) {
            self.require_active()?;
        }
        if change.says_something() {
            self.require_voice(user_id, at)?;
        }
        let (message_id, author_id) = (facts.message_id, facts.author_id);
        self.touched.require_unchanged(message_id, facts.as_of)?;
        let Some(outcome) = facts.decide(user_id, role.keeps_order(), change, at)? else {
            return Ok(vec![]);
        };
        let version = facts.version + 1;
        Ok(vec![match outcome {
            Outcome::Edited { content } => {
                let content = content.into();
                RoomEvent::MessageEdited { room_id, message_id, author_id, content, version, at }
            }
            Outcome::Deleted { reason } => RoomEvent::MessageDeleted {
                room_id,
                message_id,
                author_id,
                deleted_by: user_id,
                reason: reason.into(),
                version,
                at,
            },
            Outcome::ReactionAdded { emoji, reactions } => RoomEvent::ReactionAdded {
                room_id,
                message_id,
                user_id,
                emoji,
                reactions,
                version,
                at,
            },
            Outcome::ReactionRemoved { emoji, reactions } => RoomEvent::ReactionRemoved {
                room_id,
                message_id,
                user_id,
                emoji,
                reactions,
                version,
                at,
            },
        }])
    }
}
