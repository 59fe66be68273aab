//! What is known of one message, from its own events.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{MessageEvent, MessagePlace, ReactionKind, Reactions};
use crate::{
    AnyEvent, MessageId, Personal, UserId,
    room::MessageType,
    text::{DeletionReason, FullName, MessageBody},
};

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
    /// To whom, if it was said to one person.
    pub recipient_id: Option<UserId>,
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
    /// How many wordings it had. Complete only if all events were folded.
    pub wordings: u64,
    /// Whether it was taken back.
    pub deletion: Option<Deletion>,
    /// Who answered with which sign. Complete only if all events were folded.
    pub reactions: Reactions,
    /// How often each person set a sign or took one back. Complete only if all events were folded.
    pub reaction_changes: BTreeMap<UserId, u64>,
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
        let words = |noted: &Noted| match noted.event.about_message()? {
            MessageEvent::Said(said) => {
                Some(MessageVersion { version: 1, content: said.content.clone(), at: said.at })
            }
            MessageEvent::Edited { content, version, at, .. } => {
                Some(MessageVersion { version, content: content.clone(), at })
            }
            MessageEvent::Deleted { .. } | MessageEvent::Reacted { .. } => None,
        };
        events.iter().filter_map(words).collect()
    }

    /// How often the person set a sign or took one back.
    pub(crate) fn reaction_changes_of(&self, user_id: UserId) -> u64 {
        self.reaction_changes.get(&user_id).copied().unwrap_or(0)
    }

    fn said(noted: &Noted, as_of: i64) -> Option<Self> {
        let MessageEvent::Said(said) = noted.event.about_message()? else { return None };
        Some(Self {
            place: said.place,
            message_id: said.message_id,
            seq: noted.seq,
            author_id: said.author_id,
            recipient_id: said.recipient_id,
            author_name: said.author_name.clone(),
            message_type: said.message_type,
            content: said.content.clone(),
            client_message_id: said.client_message_id.map(str::to_owned),
            reply_to_id: said.reply_to_id,
            sent_at: said.at,
            version: 1,
            edited_at: None,
            wordings: 1,
            deletion: None,
            reactions: Reactions::default(),
            reaction_changes: BTreeMap::new(),
            shown_reactions: Vec::new(),
            as_of,
        })
    }

    /// Folds one more event of this message.
    pub fn apply(&mut self, noted: &Noted) {
        match noted.event.about_message() {
            None | Some(MessageEvent::Said(_)) => {}
            Some(MessageEvent::Edited { content, version, at, .. }) => {
                self.version = version;
                self.content = content.clone();
                self.edited_at = Some(at);
                self.wordings += 1;
            }
            Some(MessageEvent::Deleted { deleted_by, reason, version, at, .. }) => {
                self.version = version;
                self.content = Personal::Erased;
                self.reactions = Reactions::default();
                self.shown_reactions.clear();
                let reason = reason.clone();
                self.deletion = Some(Deletion { by: deleted_by, reason, at, seq: noted.seq });
            }
            Some(MessageEvent::Reacted { user_id, emoji, added, reactions, version, .. }) => {
                self.version = version;
                *self.reaction_changes.entry(user_id).or_default() += 1;
                self.shown_reactions = reactions.to_vec();
                if added {
                    self.reactions.add(emoji.clone(), user_id);
                } else {
                    self.reactions.remove(emoji, user_id);
                }
            }
        }
    }
}
