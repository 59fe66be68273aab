//! A study room: who belongs to it and what was said in it, in one order.
//!
//! Messages stand in the room's own stream, so that membership is checked in the same decision
//! that records them: after someone's removal no message of theirs can follow.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AggregateRoot, ClaimChange, InviteId, RoomId, UserId, macros::aggregate, message::Touched,
};

mod changes;
mod commands;
mod errors;
mod events;
mod invites;
mod membership;
mod messages;
mod moderation;
mod mutes;
mod opening;
#[cfg(test)]
mod tests;

pub use commands::{EditRoom, NewInvite, NewRoom, PostMessage, RoomCommand};
pub use errors::RoomError;
pub use events::{InviteUse, OwnedSlot, RemovalReason, RoomEvent};
pub use invites::Invite;
pub use messages::MessageType;
pub use moderation::Ban;
pub use mutes::Mute;

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

/// Which messages of a room someone wants to be told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationLevel {
    /// Every message.
    #[default]
    All,
    /// Those that name them.
    Mentions,
    /// None of them.
    #[serde(rename = "none")]
    Nothing,
}

impl NotificationLevel {
    /// The stored and public name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Mentions => "mentions",
            Self::Nothing => "none",
        }
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
    /// How often the room was edited, and 1 for its beginning.
    revision: u32,
    /// Which of its owner's places for rooms it takes; rooms of the first days take none.
    owner_slot: Option<u32>,
    members: BTreeMap<UserId, Member>,
    banned: BTreeMap<UserId, Ban>,
    /// Members, and people who left meanwhile.
    muted: BTreeMap<UserId, Mute>,
    invites: BTreeMap<InviteId, Invite>,
    message_count: u64,
    /// The sequence of the last event.
    sequence: i64,
    /// Messages that changed lately.
    touched: Touched,
}

/// Someone who belongs to a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Member {
    role: MemberRole,
    level: NotificationLevel,
}

aggregate!(Room = "room", RoomCommand -> RoomEvent | RoomError);

impl AggregateRoot for Room {
    const STATE_VERSION: u32 = 4;
    const SNAPSHOTS: bool = true;

    /// What happens to a room is numbered for its clients, but for what is the business of one
    /// person or of the moderators.
    fn channel(aggregate_id: &str, event: &RoomEvent) -> Option<String> {
        match event {
            RoomEvent::MemberBanned { .. }
            | RoomEvent::BanLifted { .. }
            | RoomEvent::MemberMuted { .. }
            | RoomEvent::MuteLifted { .. }
            | RoomEvent::InviteCreated { .. }
            | RoomEvent::InviteRevoked { .. }
            | RoomEvent::NotificationLevelChanged { .. } => None,
            RoomEvent::RoomCreated { .. }
            | RoomEvent::RoomEdited { .. }
            | RoomEvent::RoomArchived { .. }
            | RoomEvent::MemberJoined { .. }
            | RoomEvent::MemberLeft { .. }
            | RoomEvent::MemberRemoved { .. }
            | RoomEvent::MemberRoleChanged { .. }
            | RoomEvent::OwnershipTransferred { .. }
            | RoomEvent::MessagePosted { .. }
            | RoomEvent::MessageEdited { .. }
            | RoomEvent::MessageDeleted { .. }
            | RoomEvent::ReactionAdded { .. }
            | RoomEvent::ReactionRemoved { .. } => Some(Self::channel_of(aggregate_id)),
        }
    }

    fn claims(event: &RoomEvent) -> Vec<ClaimChange> {
        let scope = Self::OWNER_SLOT;
        let value = |owner, slot| Self::slot_claim(owner, slot);
        let take = |owner, slot| ClaimChange::Take { scope, value: value(owner, slot) };
        let release = |owner, slot| ClaimChange::Release { scope, value: value(owner, slot) };
        match *event {
            RoomEvent::RoomCreated { created_by, owner_slot, .. } => {
                owner_slot.map(|slot| take(created_by, slot)).into_iter().collect()
            }
            RoomEvent::OwnershipTransferred { from, to, from_slot, to_slot, .. } => {
                let released = from_slot.map(|slot| release(from, slot));
                released.into_iter().chain(to_slot.map(|slot| take(to, slot))).collect()
            }
            RoomEvent::RoomArchived { released: Some(OwnedSlot { owner, slot }), .. } => {
                vec![release(owner, slot)]
            }
            _ => Vec::new(),
        }
    }

    fn claim_taken(scope: &str) -> Option<RoomError> {
        (scope == Self::OWNER_SLOT).then_some(RoomError::TooManyRooms)
    }
}

impl Room {
    /// Fewest places of a room.
    pub const MIN_PARTICIPANTS: u32 = 2;
    /// Most places of a room.
    pub const MAX_PARTICIPANTS: u32 = 500;
    /// The claim scope of the places that a person has for rooms of their own.
    pub const OWNER_SLOT: &'static str = "room_slot";

    /// The channel in which a room's clients see its events numbered.
    #[must_use]
    pub fn channel_of(room_id: &str) -> String {
        format!("room:{room_id}")
    }

    /// The claim of one place for a room.
    #[must_use]
    pub fn slot_claim(owner: UserId, slot: u32) -> String {
        format!("{owner}:{slot}")
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: RoomCommand) -> Result<Vec<RoomEvent>, RoomError> {
        match (self, command) {
            (Self::Absent, RoomCommand::Create(new)) => Self::open(new),
            // Leaving what one is not in succeeds and records nothing.
            (Self::Absent, RoomCommand::Leave { .. }) => Ok(vec![]),
            (Self::Absent, _) => Err(RoomError::NotFound),
            (Self::Created(room), command) => room.decide(command),
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &RoomEvent) {
        if let Some(opened) = RoomState::opened(event) {
            *self = Self::Created(opened);
        } else if let Self::Created(room) = self {
            room.evolve(event);
        }
    }
}

impl RoomState {
    fn decide(&self, command: RoomCommand) -> Result<Vec<RoomEvent>, RoomError> {
        use RoomCommand as C;
        match command {
            C::Create(_) => Err(RoomError::AlreadyCreated),
            C::Edit(edit) => self.edit(edit),
            C::Archive { by, expected, at } => self.archive(by, expected, at),
            C::Join { user_id, code_hash, at } => self.join(user_id, code_hash.as_deref(), at),
            C::Leave { user_id, transfer_to, slot, at } => {
                self.leave(user_id, transfer_to, slot, at)
            }
            C::ChangeRole { by, user_id, role, slot, at } => {
                self.change_role(by, user_id, role, slot, at)
            }
            C::Remove { by, user_id, at } => self.kick(by, user_id, at),
            C::Ban { by, user_id, at } => self.ban(by, user_id, at),
            C::LiftBan { by, user_id, at } => self.lift_ban(by, user_id, at),
            C::Mute { by, user_id, until, at } => self.mute(by, user_id, until, at),
            C::LiftMute { by, user_id, at } => self.lift_mute(by, user_id, at),
            C::CreateInvite(new) => self.invite(new),
            C::RevokeInvite { by, invite_id, at } => self.revoke_invite(by, invite_id, at),
            C::SetNotificationLevel { user_id, level, at } => {
                self.set_notification_level(user_id, level, at)
            }
            C::PostMessage(message) => self.post(message),
            C::ChangeMessage(change) => self.change(*change),
        }
    }

    fn evolve(&mut self, event: &RoomEvent) {
        self.sequence += 1;
        match *event {
            RoomEvent::RoomCreated { .. } => {}
            RoomEvent::RoomEdited { room_type, max_participants, revision, .. } => {
                self.room_type = room_type.unwrap_or(self.room_type);
                self.max_participants = max_participants.unwrap_or(self.max_participants);
                self.revision = revision;
            }
            RoomEvent::RoomArchived { .. } => {
                self.archived = true;
                self.owner_slot = None;
            }
            RoomEvent::MemberJoined { user_id, role, invite, .. } => {
                self.members.insert(user_id, Member { role, level: NotificationLevel::default() });
                if let Some(used) = invite
                    && let Some(invite) = self.invites.get_mut(&used.invite_id)
                {
                    invite.uses = used.uses;
                }
            }
            RoomEvent::MemberLeft { user_id, .. } | RoomEvent::MemberRemoved { user_id, .. } => {
                self.members.remove(&user_id);
            }
            RoomEvent::MemberRoleChanged { user_id, role, .. } => self.set_role(user_id, role),
            RoomEvent::OwnershipTransferred { from, to, to_slot, .. } => {
                self.set_role(from, MemberRole::Member);
                self.set_role(to, MemberRole::Owner);
                self.muted.remove(&to);
                self.owner_slot = to_slot;
            }
            RoomEvent::NotificationLevelChanged { user_id, level, .. } => {
                if let Some(member) = self.members.get_mut(&user_id) {
                    member.level = level;
                }
            }
            RoomEvent::MemberBanned { user_id, by, at, .. } => {
                self.banned.insert(user_id, Ban { by, at });
            }
            RoomEvent::BanLifted { user_id, .. } => {
                self.banned.remove(&user_id);
            }
            RoomEvent::MemberMuted { user_id, by, until, at, .. } => {
                self.remember_mute(user_id, Mute { by, until, at });
            }
            RoomEvent::MuteLifted { user_id, .. } => {
                self.muted.remove(&user_id);
            }
            RoomEvent::InviteCreated { .. } => self.remember_invite(event),
            RoomEvent::InviteRevoked { invite_id, .. } => {
                self.invites.remove(&invite_id);
            }
            RoomEvent::MessagePosted { message_count, .. } => self.message_count = message_count,
            RoomEvent::MessageEdited { message_id, .. }
            | RoomEvent::MessageDeleted { message_id, .. }
            | RoomEvent::ReactionAdded { message_id, .. }
            | RoomEvent::ReactionRemoved { message_id, .. } => {
                self.touched.note(message_id, self.sequence);
            }
        }
    }

    fn set_role(&mut self, user_id: UserId, role: MemberRole) {
        if let Some(member) = self.members.get_mut(&user_id) {
            member.role = role;
        }
    }
}
