//! Two people: what they say to each other, and whether one of them wants none of it.
//!
//! Blocks stand in the same stream as the messages, so that none can follow a block, whatever
//! happens at once. They have no number: nobody but who blocks need know.
use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AggregateRoot, ClaimChange, ConversationId, MessageError, MessageId, Personal, UserId,
    macros::{aggregate, rejection},
    message::{ChangeMessage, MessageChange, MessagePlace, Outcome, Touched},
    room::MessageType,
    text::{FullName, MessageBody},
};

mod events;
#[cfg(test)]
mod tests;

pub use events::ConversationEvent;

/// What someone asks of a pair of people. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum ConversationCommand {
    /// Say something to the other.
    Send(SendDirect),
    /// Change what was said.
    ChangeMessage(Box<ChangeMessage>),
    /// Want no more messages.
    Block {
        /// Who wants none.
        by: UserId,
        /// From whom.
        blocked: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Allow messages again.
    LiftBlock {
        /// Who wanted none.
        by: UserId,
        /// From whom.
        blocked: UserId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Be told of what is said between them, or not.
    SetMuted {
        /// Who.
        by: UserId,
        /// Whether they want quiet.
        muted: bool,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What someone wants to say to someone.
#[derive(Clone, Debug)]
pub struct SendDirect {
    /// A fresh id.
    pub message_id: MessageId,
    /// Who says it.
    pub author_id: UserId,
    /// To whom.
    pub recipient_id: UserId,
    /// Whether the recipient lets the author write: what their account says, not their blocks.
    pub reachable: bool,
    /// The author's name at this time.
    pub author_name: Personal<FullName>,
    /// What kind it is.
    pub message_type: MessageType,
    /// What is said.
    pub content: MessageBody,
    /// The client's own id of the message.
    pub client_message_id: Option<String>,
    /// What it answers: a message between the same people.
    pub reply_to_id: Option<MessageId>,
    /// Which of the author's beginnings of the day this would be; `None` where they are not counted.
    pub beginning: Option<Beginning>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One of the conversations that a person begins with strangers on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beginning {
    /// The day, UTC.
    pub day: NaiveDate,
    /// Its number on that day, from 1.
    pub number: u32,
}

/// Why a pair of people refuses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConversationError {
    /// There is no such person, or they want no messages from this one: nobody can tell which.
    #[error("this person cannot be written to")]
    RecipientUnavailable,
    /// A pair is two people.
    #[error("this takes two people")]
    Yourself,
    /// They have not talked, or who asks is none of the two.
    #[error("there is no such conversation")]
    NotFound,
    /// The number of beginnings is used up, as far as this one was asked for.
    #[error("too many new conversations for today")]
    TooManyBeginnings,
    /// The message refuses.
    #[error(transparent)]
    Message(#[from] MessageError),
}

rejection!(ConversationError {
    RecipientUnavailable => NotFound, "recipient_unavailable";
    Yourself => Invalid, "yourself";
    NotFound => NotFound, "not_found";
    TooManyBeginnings => Conflict, "limit_reached";
    ; Message
});

/// What a decision about a pair needs to know, and no more. Holds no personal data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Conversation {
    /// Nothing happened between them.
    #[default]
    Absent,
    /// Something did: a message, or a block.
    Between(Pair),
}

/// Two people between whom something happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    conversation_id: ConversationId,
    participants: [UserId; 2],
    started: bool,
    blocked_by: BTreeSet<UserId>,
    muted_by: BTreeSet<UserId>,
    message_count: u64,
    /// The sequence of the last event.
    sequence: i64,
    /// Messages that changed lately.
    touched: Touched,
}

aggregate!(
    Conversation = "conversation",
    ConversationCommand -> ConversationEvent | ConversationError
);

/// The uniqueness rule by which beginnings are counted.
const BEGINNING: &str = "conversation_beginning";

impl AggregateRoot for Conversation {
    const STATE_VERSION: u32 = 2;
    const SNAPSHOTS: bool = true;

    /// What was said is numbered. The rest is not: nobody hears of it.
    fn channel(aggregate_id: &str, event: &ConversationEvent) -> Option<String> {
        event.about_message().map(|_| Self::channel_of(aggregate_id))
    }

    fn claims(event: &ConversationEvent) -> Vec<ClaimChange> {
        let ConversationEvent::ConversationStarted { started_by, beginning: Some(it), .. } = event
        else {
            return Vec::new();
        };
        let value = format!("{started_by}:{}:{}", it.day, it.number);
        vec![ClaimChange::Take { scope: BEGINNING, value }]
    }

    fn claim_taken(scope: &str) -> Option<ConversationError> {
        (scope == BEGINNING).then_some(ConversationError::TooManyBeginnings)
    }
}

impl Conversation {
    /// The channel in which both see their messages numbered.
    #[must_use]
    pub fn channel_of(conversation_id: &str) -> String {
        format!("conversation:{conversation_id}")
    }

    /// Whether something was said between them.
    #[must_use]
    pub fn has_started(&self) -> bool {
        matches!(self, Self::Between(pair) if pair.started)
    }

    /// The other one of the two. `None` for everyone else, and before anything was said: that
    /// one of them placed a block is not for the other to know.
    #[must_use]
    pub fn partner_of(&self, user_id: UserId) -> Option<UserId> {
        match self {
            Self::Between(pair) if pair.started => pair.partner_of(user_id),
            Self::Absent | Self::Between(_) => None,
        }
    }

    /// Whether one of the two wants no messages from the other.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Between(pair) if !pair.blocked_by.is_empty())
    }

    /// Whether this one of the two wants no messages from the other.
    #[must_use]
    pub fn is_blocked_by(&self, user_id: UserId) -> bool {
        matches!(self, Self::Between(pair) if pair.blocked_by.contains(&user_id))
    }

    /// Whether both can say something to each other, and have.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.has_started() && !self.is_blocked()
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(
        &self,
        command: ConversationCommand,
    ) -> Result<Vec<ConversationEvent>, ConversationError> {
        match command {
            ConversationCommand::Send(message) => self.send(message),
            ConversationCommand::ChangeMessage(change) => match self {
                Self::Absent => Err(MessageError::NotFound.into()),
                Self::Between(pair) => pair.change(*change),
            },
            ConversationCommand::Block { by, blocked, at } => {
                if by == blocked {
                    return Err(ConversationError::Yourself);
                }
                if self.is_blocked_by(by) {
                    return Ok(vec![]);
                }
                let conversation_id = ConversationId::between(by, blocked);
                Ok(vec![ConversationEvent::BlockPlaced { conversation_id, by, blocked, at }])
            }
            ConversationCommand::LiftBlock { by, blocked, at } => {
                if !self.is_blocked_by(by) {
                    return Ok(vec![]);
                }
                let conversation_id = ConversationId::between(by, blocked);
                Ok(vec![ConversationEvent::BlockLifted { conversation_id, by, blocked, at }])
            }
            ConversationCommand::SetMuted { by, muted, at } => match self {
                Self::Between(pair) if self.partner_of(by).is_some() => {
                    Ok(pair.set_muted(by, muted, at).into_iter().collect())
                }
                Self::Absent | Self::Between(_) => Err(ConversationError::NotFound),
            },
        }
    }

    fn send(&self, message: SendDirect) -> Result<Vec<ConversationEvent>, ConversationError> {
        let (author_id, recipient_id, at) = (message.author_id, message.recipient_id, message.at);
        if author_id == recipient_id {
            return Err(ConversationError::Yourself);
        }
        if self.is_blocked() || !message.reachable {
            return Err(ConversationError::RecipientUnavailable);
        }
        let conversation_id = ConversationId::between(author_id, recipient_id);
        let mut events = Vec::new();
        if !self.has_started() {
            events.push(ConversationEvent::ConversationStarted {
                conversation_id,
                started_by: author_id,
                with: recipient_id,
                beginning: message.beginning,
                at,
            });
        }
        let said = match self {
            Self::Absent => 0,
            Self::Between(pair) => pair.message_count,
        };
        events.push(ConversationEvent::DirectMessageSent {
            conversation_id,
            message_id: message.message_id,
            author_id,
            recipient_id,
            author_name: message.author_name,
            message_type: message.message_type,
            content: message.content.into(),
            client_message_id: message.client_message_id,
            reply_to_id: message.reply_to_id,
            message_count: said + 1,
            at,
        });
        Ok(events)
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &ConversationEvent) {
        if let Self::Absent = self
            && let Some((conversation_id, participants)) = event.first_of()
        {
            *self = Self::Between(Pair {
                conversation_id,
                participants,
                started: false,
                blocked_by: BTreeSet::new(),
                muted_by: BTreeSet::new(),
                message_count: 0,
                sequence: 0,
                touched: Touched::default(),
            });
        }
        let Self::Between(pair) = self else { return };
        pair.sequence += 1;
        match event {
            ConversationEvent::ConversationStarted { .. } => pair.started = true,
            ConversationEvent::DirectMessageSent { message_count, .. } => {
                pair.message_count = *message_count;
            }
            ConversationEvent::MessageEdited { message_id, .. }
            | ConversationEvent::MessageDeleted { message_id, .. }
            | ConversationEvent::ReactionAdded { message_id, .. }
            | ConversationEvent::ReactionRemoved { message_id, .. } => {
                pair.touched.note(*message_id, pair.sequence);
            }
            ConversationEvent::BlockPlaced { by, .. } => {
                pair.blocked_by.insert(*by);
            }
            ConversationEvent::BlockLifted { by, .. } => {
                pair.blocked_by.remove(by);
            }
            ConversationEvent::ConversationMuted { muted_by, .. }
            | ConversationEvent::ConversationUnmuted { muted_by, .. } => {
                pair.muted_by = muted_by.iter().copied().collect();
            }
        }
    }
}

impl Pair {
    fn partner_of(&self, user_id: UserId) -> Option<UserId> {
        match self.participants {
            [one, other] if one == user_id => Some(other),
            [other, one] if one == user_id => Some(other),
            _ => None,
        }
    }

    /// `None` where it holds already.
    fn set_muted(&self, by: UserId, muted: bool, at: DateTime<Utc>) -> Option<ConversationEvent> {
        use ConversationEvent as E;
        let mut all = self.muted_by.clone();
        let changes = if muted { all.insert(by) } else { all.remove(&by) };
        let (conversation_id, participants) = (self.conversation_id, self.participants);
        let muted_by = all.into_iter().collect();
        match (changes, muted) {
            (false, _) => None,
            (true, true) => {
                Some(E::ConversationMuted { conversation_id, participants, by, muted_by, at })
            }
            (true, false) => {
                Some(E::ConversationUnmuted { conversation_id, participants, by, muted_by, at })
            }
        }
    }

    /// Changes what was said. To everyone else the message does not exist. After a block nothing new
    /// reaches the other, not as an edit either; what was said can still be taken back.
    fn change(&self, wish: ChangeMessage) -> Result<Vec<ConversationEvent>, ConversationError> {
        let ChangeMessage { facts, by: user_id, change, at } = wish;
        let (conversation_id, participants) = (self.conversation_id, self.participants);
        let here = facts.place == MessagePlace::Conversation(conversation_id);
        if self.partner_of(user_id).is_none() || !here {
            return Err(MessageError::NotFound.into());
        }
        let says = matches!(change, MessageChange::Edit { .. } | MessageChange::AddReaction { .. });
        if says && !self.blocked_by.is_empty() {
            return Err(ConversationError::RecipientUnavailable);
        }
        let (message_id, author_id) = (facts.message_id, facts.author_id);
        self.touched.require_unchanged(message_id, facts.as_of)?;
        let Some(outcome) = facts.decide(user_id, false, change, at)? else { return Ok(vec![]) };
        let version = facts.version + 1;
        Ok(vec![match outcome {
            Outcome::Edited { content } => ConversationEvent::MessageEdited {
                conversation_id,
                participants,
                message_id,
                author_id,
                content: content.into(),
                version,
                at,
            },
            Outcome::Deleted { reason } => ConversationEvent::MessageDeleted {
                conversation_id,
                participants,
                message_id,
                author_id,
                deleted_by: user_id,
                reason: reason.into(),
                version,
                at,
            },
            Outcome::ReactionAdded { emoji, reactions } => ConversationEvent::ReactionAdded {
                conversation_id,
                participants,
                message_id,
                user_id,
                emoji,
                reactions,
                version,
                at,
            },
            Outcome::ReactionRemoved { emoji, reactions } => ConversationEvent::ReactionRemoved {
                conversation_id,
                participants,
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
