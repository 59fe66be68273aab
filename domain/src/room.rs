//! A study room: who belongs to it and what was said in it, in one order.
//!
//! Messages stand in the room's own stream, so that membership is checked in the same decision
//! that records them: after someone's removal no message of theirs can follow.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{AggregateRoot, RoomId, UserId, macros::aggregate, message::Touched};

mod commands;
mod errors;
mod events;
mod membership;
mod messages;
mod opening;
#[cfg(test)]
mod tests;

pub use commands::{NewRoom, PostMessage, RoomCommand};
pub use errors::RoomError;
pub use events::RoomEvent;
pub use messages::MessageType;

/// Who may find and enter a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomType {
    /// Everyone may find and join it.
    Public,
    /// Only members know of it.
    Private,
    /// Everyone may find it; joining takes an invite.
    InviteOnly,
}

impl RoomType {
    /// The stored and public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::InviteOnly => "invite_only",
        }
    }
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Everything; exactly one per room.
    Owner,
    /// Keep order.
    Moderator,
    /// Take part.
    Member,
}

impl MemberRole {
    /// The stored and public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Moderator => "moderator",
            Self::Member => "member",
        }
    }

    /// Whether they may take back what others said.
    #[must_use]
    pub fn keeps_order(self) -> bool {
        matches!(self, Self::Owner | Self::Moderator)
    }
}

/// What a decision about a room needs to know, and no more. Holds no personal data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Room {
    /// Never created.
    #[default]
    Absent,
    /// Created, perhaps archived since.
    Created(RoomState),
}

/// The state of a room that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomState {
    room_id: RoomId,
    room_type: RoomType,
    max_participants: u32,
    archived: bool,
    members: BTreeMap<UserId, MemberRole>,
    message_count: u64,
    /// The sequence of the last event.
    sequence: i64,
    /// Messages that changed lately.
    touched: Touched,
}

aggregate!(Room = "room", RoomCommand -> RoomEvent | RoomError);

impl AggregateRoot for Room {
    const STATE_VERSION: u32 = 2;
    const SNAPSHOTS: bool = true;

    /// Everything that happens to a room is numbered for its clients.
    fn channel(aggregate_id: &str, _event: &RoomEvent) -> Option<String> {
        Some(Self::channel_of(aggregate_id))
    }
}

impl Room {
    /// Fewest places of a room.
    pub const MIN_PARTICIPANTS: u32 = 2;
    /// Most places of a room.
    pub const MAX_PARTICIPANTS: u32 = 500;

    /// The channel in which a room's clients see its events numbered.
    #[must_use]
    pub fn channel_of(room_id: &str) -> String {
        format!("room:{room_id}")
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: RoomCommand) -> Result<Vec<RoomEvent>, RoomError> {
        use RoomCommand as C;
        match (self, command) {
            (Self::Absent, C::Create(new)) => Self::open(new),
            (Self::Created(_), C::Create(_)) => Err(RoomError::AlreadyCreated),
            (Self::Absent, C::Join { .. } | C::PostMessage(_) | C::ChangeMessage(_)) => {
                Err(RoomError::NotFound)
            }
            // Leaving what one is not in succeeds and records nothing.
            (Self::Absent, C::Leave { .. }) => Ok(vec![]),
            (Self::Created(room), C::Join { user_id, at }) => room.join(user_id, at),
            (Self::Created(room), C::Leave { user_id, transfer_to, at }) => {
                room.leave(user_id, transfer_to, at)
            }
            (Self::Created(room), C::PostMessage(message)) => room.post(message),
            (Self::Created(room), C::ChangeMessage(change)) => room.change(*change),
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &RoomEvent) {
        if let &RoomEvent::RoomCreated { room_id, room_type, max_participants, .. } = event {
            *self = Self::Created(RoomState {
                room_id,
                room_type,
                max_participants,
                archived: false,
                members: BTreeMap::new(),
                message_count: 0,
                sequence: 0,
                touched: Touched::default(),
            });
        }
        let Self::Created(room) = self else { return };
        room.sequence += 1;
        match *event {
            RoomEvent::RoomCreated { .. } => {}
            RoomEvent::MemberJoined { user_id, role, .. } => {
                room.members.insert(user_id, role);
            }
            RoomEvent::MemberLeft { user_id, .. } => {
                room.members.remove(&user_id);
            }
            RoomEvent::OwnershipTransferred { from, to, .. } => {
                room.members.insert(from, MemberRole::Member);
                room.members.insert(to, MemberRole::Owner);
            }
            RoomEvent::RoomArchived { .. } => room.archived = true,
            RoomEvent::MessagePosted { message_count, .. } => room.message_count = message_count,
            RoomEvent::MessageEdited { message_id, .. }
            | RoomEvent::MessageDeleted { message_id, .. }
            | RoomEvent::ReactionAdded { message_id, .. }
            | RoomEvent::ReactionRemoved { message_id, .. } => {
                room.touched.note(message_id, room.sequence);
            }
        }
    }
}
