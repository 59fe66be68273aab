//! Which messages of a stream changed lately.
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::MessageError;
use crate::MessageId;

/// Messages that are remembered. More only means that facts are read again less often.
const CAPACITY: usize = 256;

/// The last changes of messages in a stream, and up to where nothing is known about others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// Every change at or before this sequence may be forgotten.
    floor: i64,
    /// The last change of each message, the oldest first.
    last: VecDeque<(MessageId, i64)>,
}

impl Touched {
    /// The event with this sequence changed the message.
    pub(crate) fn note(&mut self, message_id: MessageId, sequence: i64) {
        self.last.retain(|(other, _)| *other != message_id);
        self.last.push_back((message_id, sequence));
        if self.last.len() > CAPACITY
            && let Some((_, forgotten)) = self.last.pop_front()
        {
            self.floor = forgotten;
        }
    }

    /// Whether the message did not change after sequence `as_of`.
    ///
    /// # Errors
    /// [`MessageError::Stale`] when it did, or when nobody remembers.
    pub(crate) fn require_unchanged(
        &self,
        message_id: MessageId,
        as_of: i64,
    ) -> Result<(), MessageError> {
        let known = self.last.iter().find(|(other, _)| *other == message_id);
        let changed = known.map_or(self.floor, |(_, sequence)| *sequence);
        if changed > as_of { Err(MessageError::Stale) } else { Ok(()) }
    }
}
