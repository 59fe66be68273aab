//! What is said in a room.
use serde::{Deserialize, Serialize};

use super::{RoomError, RoomEvent, RoomState, commands::PostMessage};

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
    /// Says something: for members only, and only while the room is open.
    pub(super) fn post(&self, message: PostMessage) -> Result<Vec<RoomEvent>, RoomError> {
        self.require_member(message.author_id)?;
        self.require_active()?;
        Ok(vec![RoomEvent::MessagePosted {
            room_id: self.room_id,
            message_id: message.message_id,
            author_id: message.author_id,
            author_name: message.author_name,
            message_type: message.message_type,
            content: message.content.into(),
            client_message_id: message.client_message_id,
            message_count: self.message_count + 1,
            at: message.at,
        }])
    }
}
