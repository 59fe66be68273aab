//! A study room: who belongs to it and what was said in it, in one order.
//!
//! Messages stand in the room's own stream, so that membership is checked in the same decision
//! that records them: after someone's removal no message of theirs can follow.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AggregateRoot, MessageId, Personal, RoomId, SubjectId, UserId,
    macros::{aggregate, domain_event, rejection},
    text::{FullName, MessageBody, RoomDescription, RoomName},
};

#[cfg(test)]
mod tests;

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
}

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

/// What someone asks of a room. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum RoomCommand {
    /// Open it; the creator becomes its owner.
    Create {
        /// A fresh id.
        room_id: RoomId,
        /// Who opens it.
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
    PostMessage {
        /// A fresh id.
        message_id: MessageId,
        /// Who says it.
        author_id: UserId,
        /// The author's name at this time.
        author_name: Personal<FullName>,
        /// What kind it is.
        message_type: MessageType,
        /// What is said.
        content: MessageBody,
        /// The client's own id of the message.
        client_message_id: Option<String>,
        /// When.
        at: DateTime<Utc>,
    },
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

/// Why a command to a room was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The id is in use.
    #[error("this room exists already")]
    AlreadyCreated,
    /// Absent, or none of the caller's business.
    #[error("there is no such room")]
    NotFound,
    /// Only members may.
    #[error("only members of the room may do this")]
    NotAMember,
    /// Every place is taken.
    #[error("this room already has {max} of {max} members")]
    Full {
        /// Places.
        max: u32,
    },
    /// Joining takes an invite.
    #[error("joining this room takes an invite")]
    InviteRequired,
    /// The room is archived.
    #[error("the room is archived")]
    Inactive,
    /// An owner with other members around names a successor first.
    #[error("name another member as owner before leaving")]
    OwnerMustTransfer,
    /// The successor is not a member.
    #[error("the new owner must be a member of the room")]
    SuccessorNotAMember,
    /// A room has 2 to 500 places.
    #[error("a room has {min} to {max} places")]
    BadSize {
        /// Fewest.
        min: u32,
        /// Most.
        max: u32,
    },
}

rejection!(RoomError {
    AlreadyCreated => Conflict, "already_created";
    NotFound => NotFound, "not_found";
    NotAMember => Forbidden, "not_a_member";
    Full => Conflict, "room_full";
    InviteRequired => Forbidden, "invite_required";
    Inactive => Conflict, "room_inactive";
    OwnerMustTransfer => Conflict, "owner_must_transfer";
    SuccessorNotAMember => Invalid, "successor_not_a_member";
    BadSize => Invalid, "out_of_range";
});

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
}

aggregate!(Room = "room", RoomCommand -> RoomEvent | RoomError);

impl AggregateRoot for Room {
    const STATE_VERSION: u32 = 1;
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

    /// What the person may do in the room; `None` for people who are not members.
    #[must_use]
    pub fn role_of(&self, user_id: UserId) -> Option<MemberRole> {
        match self {
            Self::Absent => None,
            Self::Created(room) => room.members.get(&user_id).copied(),
        }
    }

    /// Checks that the person is a member now: the one rule of who reads and hears a room.
    ///
    /// # Errors
    /// [`RoomError::NotFound`] where the person may not know of the room,
    /// [`RoomError::NotAMember`] otherwise.
    pub fn require_member(&self, user_id: UserId) -> Result<MemberRole, RoomError> {
        let Self::Created(room) = self else { return Err(RoomError::NotFound) };
        room.members.get(&user_id).copied().ok_or(match room.room_type {
            RoomType::Private => RoomError::NotFound,
            RoomType::Public | RoomType::InviteOnly => RoomError::NotAMember,
        })
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: RoomCommand) -> Result<Vec<RoomEvent>, RoomError> {
        use RoomCommand as C;
        match (self, command) {
            (
                Self::Absent,
                C::Create {
                    room_id,
                    created_by,
                    name,
                    description,
                    subject_id,
                    room_type,
                    max_participants,
                    at,
                },
            ) => {
                let (min, max) = (Self::MIN_PARTICIPANTS, Self::MAX_PARTICIPANTS);
                if !(min..=max).contains(&max_participants) {
                    return Err(RoomError::BadSize { min, max });
                }
                Ok(vec![
                    RoomEvent::RoomCreated {
                        room_id,
                        created_by,
                        name,
                        description,
                        subject_id,
                        room_type,
                        max_participants,
                        at,
                    },
                    RoomEvent::MemberJoined {
                        room_id,
                        user_id: created_by,
                        role: MemberRole::Owner,
                        member_count: 1,
                        at,
                    },
                ])
            }
            (Self::Created(_), C::Create { .. }) => Err(RoomError::AlreadyCreated),
            (Self::Absent, C::Join { .. } | C::PostMessage { .. }) => Err(RoomError::NotFound),
            // Leaving what one is not in succeeds and records nothing.
            (Self::Absent, C::Leave { .. }) => Ok(vec![]),
            (Self::Created(room), C::Join { user_id, at }) => room.join(user_id, at),
            (Self::Created(room), C::Leave { user_id, transfer_to, at }) => {
                room.leave(user_id, transfer_to, at)
            }
            (
                Self::Created(room),
                C::PostMessage {
                    message_id,
                    author_id,
                    author_name,
                    message_type,
                    content,
                    client_message_id,
                    at,
                },
            ) => {
                self.require_member(author_id)?;
                room.require_active()?;
                Ok(vec![RoomEvent::MessagePosted {
                    room_id: room.room_id,
                    message_id,
                    author_id,
                    author_name,
                    message_type,
                    content: content.into(),
                    client_message_id,
                    message_count: room.message_count + 1,
                    at,
                }])
            }
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
            });
        }
        let Self::Created(room) = self else { return };
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
        }
    }
}

impl RoomState {
    fn require_active(&self) -> Result<(), RoomError> {
        if self.archived { Err(RoomError::Inactive) } else { Ok(()) }
    }

    fn join(&self, user_id: UserId, at: DateTime<Utc>) -> Result<Vec<RoomEvent>, RoomError> {
        // Asking for what already holds succeeds and records nothing.
        if self.members.contains_key(&user_id) {
            return Ok(vec![]);
        }
        match self.room_type {
            RoomType::Public => {}
            RoomType::Private => return Err(RoomError::NotFound),
            RoomType::InviteOnly => return Err(RoomError::InviteRequired),
        }
        self.require_active()?;
        if self.member_count() >= self.max_participants {
            return Err(RoomError::Full { max: self.max_participants });
        }
        Ok(vec![RoomEvent::MemberJoined {
            room_id: self.room_id,
            user_id,
            role: MemberRole::Member,
            member_count: self.member_count() + 1,
            at,
        }])
    }

    fn leave(
        &self,
        user_id: UserId,
        transfer_to: Option<UserId>,
        at: DateTime<Utc>,
    ) -> Result<Vec<RoomEvent>, RoomError> {
        let Some(role) = self.members.get(&user_id) else { return Ok(vec![]) };
        let room_id = self.room_id;
        let member_count = self.member_count() - 1;
        let left = RoomEvent::MemberLeft { room_id, user_id, member_count, at };
        match (role, transfer_to) {
            (MemberRole::Owner, _) if member_count == 0 => {
                Ok(vec![left, RoomEvent::RoomArchived { room_id, at }])
            }
            (MemberRole::Owner, None) => Err(RoomError::OwnerMustTransfer),
            (MemberRole::Owner, Some(to)) if to != user_id && self.members.contains_key(&to) => {
                let from = user_id;
                Ok(vec![RoomEvent::OwnershipTransferred { room_id, from, to, at }, left])
            }
            (MemberRole::Owner, Some(_)) => Err(RoomError::SuccessorNotAMember),
            (MemberRole::Moderator | MemberRole::Member, _) => Ok(vec![left]),
        }
    }

    fn member_count(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }
}
