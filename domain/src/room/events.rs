//! What happens to rooms: stored for ever.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MemberRole, MessageType, RoomType};
use crate::{
    MessageId, Personal, RoomId, SubjectId, UserId,
    macros::domain_event,
    text::{FullName, MessageBody, RoomDescription, RoomName},
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
        /// Messages of the room including this one.
        message_count: u64,
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
});
