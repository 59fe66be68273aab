//! What is known of one message, from its own events.
use chrono::{DateTime, Utc};

use super::{ReactionKind, Reactions};
use crate::{
    AnyEvent, MessageId, Personal, RoomEvent, RoomId, UserId,
    room::MessageType,
    text::{DeletionReason, FullName, MessageBody},
};

/// Where a message was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessagePlace {
    /// In a room.
    Room(RoomId),
}

/// One message, as of a place in its stream.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageFacts {
    /// Where it was said.
    pub place: MessagePlace,
    /// Which message.
    pub message_id: MessageId,
    /// Its number in the room or conversation; `None` while that is not known.
    pub seq: Option<i64>,
    /// Who said it.
    pub author_id: UserId,
    /// What they were called then.
    pub author_name: Personal<FullName>,
    /// What kind it is.
    pub message_type: MessageType,
    /// What it says now. Erased: nobody can tell.
    pub content: Personal<MessageBody>,
    /// The author's own id of it.
    pub client_message_id: Option<String>,
    /// What it answers.
    pub reply_to_id: Option<MessageId>,
    /// When it was said.
    pub sent_at: DateTime<Utc>,
    /// 1, and one more with every change.
    pub version: u64,
    /// When it got other words.
    pub edited_at: Option<DateTime<Utc>>,
    /// Whether it was taken back.
    pub deletion: Option<Deletion>,
    /// Who answered with which sign. Complete only if all events were folded.
    pub reactions: Reactions,
    /// The same as it is shown, which the last reaction alone tells.
    pub shown_reactions: Vec<ReactionKind>,
    /// The sequence up to which its stream was read for this.
    pub as_of: i64,
}

/// That a message was taken back.
#[derive(Clone, Debug, PartialEq)]
pub struct Deletion {
    /// By whom.
    pub by: UserId,
    /// Why.
    pub reason: Personal<Option<DeletionReason>>,
    /// When.
    pub at: DateTime<Utc>,
    /// The number of the event that says so; `None` while that is not known.
    pub seq: Option<i64>,
}

/// Words that a message had.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageVersion {
    /// The version in which it got them.
    pub version: u64,
    /// The words.
    pub content: Personal<MessageBody>,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// One event of the message, with its number in the channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// The fact.
    pub event: AnyEvent,
    /// Its number; `None` while the relay has not given it one.
    pub seq: Option<i64>,
}

impl AnyEvent {
    /// The message that the event is about, if it is about one.
    #[must_use]
    pub fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::Room(event) => event.message_id(),
            _ => None,
        }
    }
}

impl RoomEvent {
    /// The message that the event is about, if it is about one.
    #[must_use]
    pub fn message_id(&self) -> Option<MessageId> {
        match self {
            Self::MessagePosted { message_id, .. }
            | Self::MessageEdited { message_id, .. }
            | Self::MessageDeleted { message_id, .. }
            | Self::ReactionAdded { message_id, .. }
            | Self::ReactionRemoved { message_id, .. } => Some(*message_id),
            _ => None,
        }
    }
}

impl MessageFacts {
    /// Folds the events of one message, in order. `None` if it was never said.
    #[must_use]
    pub fn fold(events: &[Noted], as_of: i64) -> Option<Self> {
        let mut facts: Option<Self> = None;
        for noted in events {
            match &mut facts {
                None => facts = Self::said(noted, as_of),
                Some(facts) => facts.apply(noted),
            }
        }
        facts
    }

    /// Every wording it had, the first one first.
    #[must_use]
    pub fn versions(events: &[Noted]) -> Vec<MessageVersion> {
        let words = |noted: &Noted| match &noted.event {
            AnyEvent::Room(RoomEvent::MessagePosted { content, at, .. }) => {
                Some(MessageVersion { version: 1, content: content.clone(), at: *at })
            }
            AnyEvent::Room(RoomEvent::MessageEdited { content, version, at, .. }) => {
                Some(MessageVersion { version: *version, content: content.clone(), at: *at })
            }
            _ => None,
        };
        events.iter().filter_map(words).collect()
    }

    fn said(noted: &Noted, as_of: i64) -> Option<Self> {
        let AnyEvent::Room(RoomEvent::MessagePosted {
            room_id,
            message_id,
            author_id,
            author_name,
            message_type,
            content,
            client_message_id,
            reply_to_id,
            at,
            ..
        }) = &noted.event
        else {
            return None;
        };
        Some(Self {
            place: MessagePlace::Room(*room_id),
            message_id: *message_id,
            seq: noted.seq,
            author_id: *author_id,
            author_name: author_name.clone(),
            message_type: *message_type,
            content: content.clone(),
            client_message_id: client_message_id.clone(),
            reply_to_id: *reply_to_id,
            sent_at: *at,
            version: 1,
            edited_at: None,
            deletion: None,
            reactions: Reactions::default(),
            shown_reactions: Vec::new(),
            as_of,
        })
    }

    /// Folds one more event of this message.
    pub fn apply(&mut self, noted: &Noted) {
        let AnyEvent::Room(event) = &noted.event else { return };
        match event {
            RoomEvent::MessageEdited { content, version, at, .. } => {
                self.version = *version;
                self.content = content.clone();
                self.edited_at = Some(*at);
            }
            RoomEvent::MessageDeleted { deleted_by, reason, version, at, .. } => {
                self.version = *version;
                self.content = Personal::Erased;
                self.reactions = Reactions::default();
                self.shown_reactions.clear();
                let reason = reason.clone();
                self.deletion = Some(Deletion { by: *deleted_by, reason, at: *at, seq: noted.seq });
            }
            RoomEvent::ReactionAdded { user_id, emoji, reactions, version, .. } => {
                self.version = *version;
                self.shown_reactions.clone_from(reactions);
                self.reactions.add(emoji.clone(), *user_id);
            }
            RoomEvent::ReactionRemoved { user_id, emoji, reactions, version, .. } => {
                self.version = *version;
                self.shown_reactions.clone_from(reactions);
                self.reactions.remove(emoji, *user_id);
            }
            _ => {}
        }
    }
}
