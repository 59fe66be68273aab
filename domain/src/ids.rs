//! Ids of everything that has one.
use uuid::Uuid;

use crate::macros::id_type;

id_type! {
    /// A person with an account.
    UserId
}
id_type! {
    /// A login on one device, from login to logout.
    SessionId
}
id_type! {
    /// A study room.
    RoomId
}
id_type! {
    /// A message in a room or conversation.
    MessageId
}
id_type! {
    /// Two people who write to each other.
    ConversationId
}

/// Names conversations by their people. Never changed: it would be another conversation.
const CONVERSATIONS: Uuid = Uuid::from_u128(0x5b5e_3c1e_8f0a_4d57_9c1b_2f6d_70a4_e913);

impl ConversationId {
    /// The one conversation of two people, whoever begins.
    #[must_use]
    pub fn between(one: UserId, other: UserId) -> Self {
        let (low, high) = (one.min(other).0, one.max(other).0);
        Self(Uuid::new_v5(&CONVERSATIONS, &[low.into_bytes(), high.into_bytes()].concat()))
    }
}
id_type! {
    /// A subject of study.
    SubjectId
}
id_type! {
    /// A report to the moderators.
    ReportId
}
id_type! {
    /// One live connection of a client to one node.
    ConnectionId
}
id_type! {
    /// An invite to a room.
    InviteId
}
