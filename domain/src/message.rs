//! What may become of a message once it was said: the rules of rooms and conversations alike.
//!
//! An aggregate does not hold its messages. A command brings what is known of the one message, its
//! [`MessageFacts`], folded from that message's own events, and says how far they were read. The
//! aggregate remembers which messages changed lately ([`Touched`]), and refuses facts that may be
//! out of date: then they are read again.
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Emoji, UserId,
    macros::rejection,
    text::{DeletionReason, MessageBody},
};

mod events;
mod facts;
mod reactions;
#[cfg(test)]
mod tests;
mod touched;

pub use events::{MessageEvent, MessagePlace, Said};
pub use facts::{Deletion, MessageFacts, MessageVersion, Noted};
pub use reactions::{ReactionKind, Reactions};
pub use touched::Touched;

/// What someone wants to become of a message.
#[derive(Clone, Debug)]
pub struct ChangeMessage {
    /// What is known of it.
    pub facts: MessageFacts,
    /// Who wants it.
    pub by: UserId,
    /// What.
    pub change: MessageChange,
    /// When.
    pub at: DateTime<Utc>,
}

/// A change of a message.
#[derive(Clone, Debug)]
pub enum MessageChange {
    /// Other words. For its author, for a while.
    Edit {
        /// What it shall say.
        content: MessageBody,
        /// The version that the author knows.
        expected_version: Option<u64>,
        /// How long after sending it may be changed.
        window: TimeDelta,
        /// Wordings that a message may have, the first one among them: they are read together.
        most: u64,
    },
    /// No words. For its author, and for those who keep order.
    Delete {
        /// Why.
        reason: Option<DeletionReason>,
        /// The version that the person knows.
        expected_version: Option<u64>,
    },
    /// A sign. Setting it twice is setting it.
    AddReaction {
        /// Which.
        emoji: Emoji,
        /// The version that the person knows.
        expected_version: Option<u64>,
        /// Bounds of all reactions to one message.
        limits: ReactionLimits,
    },
    /// No sign any more. Without one this is done already.
    RemoveReaction {
        /// Which.
        emoji: Emoji,
        /// The version that the person knows.
        expected_version: Option<u64>,
    },
}

impl MessageChange {
    /// Whether others hear something by it; what is taken back says nothing.
    pub(crate) fn says_something(&self) -> bool {
        match self {
            Self::Edit { .. } | Self::AddReaction { .. } => true,
            Self::Delete { .. } | Self::RemoveReaction { .. } => false,
        }
    }
}

/// How far reactions to one message may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReactionLimits {
    /// Different emoji.
    pub kinds: usize,
    /// How often one person may set a sign or take one back. Of one person, so that nobody uses up what
    /// is there for everyone; the people of a place are not endless, so neither are the events.
    pub of_one: u64,
}

/// What the rules make of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It says something else now.
    Edited {
        /// What.
        content: MessageBody,
    },
    /// It says nothing any more.
    Deleted {
        /// Why.
        reason: Option<DeletionReason>,
    },
    /// Somebody set a sign.
    ReactionAdded {
        /// Which.
        emoji: Emoji,
        /// All signs afterwards.
        reactions: Vec<ReactionKind>,
    },
    /// Somebody took a sign back.
    ReactionRemoved {
        /// Which.
        emoji: Emoji,
        /// All signs afterwards.
        reactions: Vec<ReactionKind>,
    },
}

/// Why a change of a message was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Absent, or none of the caller's business.
    #[error("there is no such message")]
    NotFound,
    /// Only its author may change it; only they, and who keeps order, may take it back.
    #[error("only the author of the message may do this")]
    NotTheAuthor,
    /// Too long ago.
    #[error("the message is too old to be changed")]
    WindowClosed,
    /// It was taken back.
    #[error("the message was deleted")]
    Gone,
    /// It is not what the caller believes.
    #[error("the message has version {current} by now")]
    VersionConflict {
        /// Its version.
        current: u64,
    },
    /// No room for more reactions.
    #[error("the message has all the reactions it takes")]
    TooManyReactions,
    /// One person has set signs and taken them back for long enough.
    #[error("you have changed your reactions to this message often enough")]
    TooManyChanges,
    /// It has had enough wordings.
    #[error("the message was edited often enough")]
    TooManyEdits,
    /// The facts may be out of date: to be read again. Shown only when that never ends.
    #[error("the message changes too fast; try again")]
    Stale,
}

rejection!(MessageError {
    NotFound => NotFound, "not_found";
    NotTheAuthor => Forbidden, "forbidden";
    WindowClosed => Forbidden, "edit_window_closed";
    Gone => Gone, "gone";
    VersionConflict => Conflict, "version_conflict";
    TooManyReactions => Conflict, "limit_reached";
    TooManyChanges => Conflict, "limit_reached";
    TooManyEdits => Conflict, "limit_reached";
    Stale => Conflict, "conflict";
});

impl MessageFacts {
    /// The rules. `None`: what is asked for holds already.
    pub(crate) fn decide(
        &self,
        by: UserId,
        keeps_order: bool,
        change: MessageChange,
        at: DateTime<Utc>,
    ) -> Result<Option<Outcome>, MessageError> {
        match change {
            MessageChange::Edit { content, expected_version, window, most } => {
                if self.author_id != by {
                    return Err(MessageError::NotTheAuthor);
                }
                self.require_words()?;
                // Before the rest: a repeat of an edit that went through is done already.
                if self.content.known() == Some(&content) {
                    return Ok(None);
                }
                self.require_version(expected_version)?;
                if at - self.sent_at > window {
                    return Err(MessageError::WindowClosed);
                }
                if self.wordings >= most {
                    return Err(MessageError::TooManyEdits);
                }
                Ok(Some(Outcome::Edited { content }))
            }
            MessageChange::Delete { reason, expected_version } => {
                if self.author_id != by && !keeps_order {
                    return Err(MessageError::NotTheAuthor);
                }
                if self.deletion.is_some() {
                    return Ok(None);
                }
                self.require_version(expected_version)?;
                Ok(Some(Outcome::Deleted { reason }))
            }
            MessageChange::AddReaction { emoji, expected_version, limits } => {
                self.require_words()?;
                if self.reactions.has(&emoji, by) {
                    return Ok(None);
                }
                self.require_version(expected_version)?;
                let mut after = self.reactions.clone();
                after.add(emoji.clone(), by);
                if after.kinds() > limits.kinds {
                    return Err(MessageError::TooManyReactions);
                }
                if self.reaction_changes_of(by) >= limits.of_one {
                    return Err(MessageError::TooManyChanges);
                }
                Ok(Some(Outcome::ReactionAdded { emoji, reactions: after.summary() }))
            }
            // Never too often: nothing is taken back that was not set.
            MessageChange::RemoveReaction { emoji, expected_version } => {
                self.require_words()?;
                if !self.reactions.has(&emoji, by) {
                    return Ok(None);
                }
                self.require_version(expected_version)?;
                let mut after = self.reactions.clone();
                after.remove(&emoji, by);
                Ok(Some(Outcome::ReactionRemoved { emoji, reactions: after.summary() }))
            }
        }
    }

    fn require_words(&self) -> Result<(), MessageError> {
        if self.deletion.is_some() { Err(MessageError::Gone) } else { Ok(()) }
    }

    fn require_version(&self, expected: Option<u64>) -> Result<(), MessageError> {
        match expected {
            Some(expected) if expected != self.version => {
                Err(MessageError::VersionConflict { current: self.version })
            }
            _ => Ok(()),
        }
    }
}
