//! How far someone has read a room or a conversation: one stream per person and channel.
//!
//! A marker only moves forward. Who reads on two devices at once has read as far as the farther one.
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AggregateRoot, UserId,
    macros::{aggregate, domain_event, rejection},
};

/// What someone asks of their marker. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum ReadMarkerCommand {
    /// Move it forward.
    MarkRead {
        /// Whose it is.
        user_id: UserId,
        /// What they read: `room:{id}` or `conversation:{id}`.
        channel: String,
        /// The number of the last event they have seen.
        last_read_seq: i64,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What happened to a marker. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum ReadMarkerEvent {
    /// The person has read farther than before.
    ChannelRead {
        /// Who.
        user_id: UserId,
        /// What: `room:{id}` or `conversation:{id}`.
        channel: String,
        /// The number of the last event they have seen.
        last_read_seq: i64,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(ReadMarkerEvent { ChannelRead => "1.0" });

/// Why a marker was not moved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadMarkerError {
    /// Numbers begin at 0, which is before the first event.
    #[error("must be 0 or more")]
    Negative,
}

rejection!(ReadMarkerError { Negative => Invalid, "out_of_range"; });

/// What a decision about a marker needs to know, and no more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMarker {
    last_read_seq: i64,
}

aggregate!(ReadMarker = "read_marker", ReadMarkerCommand -> ReadMarkerEvent | ReadMarkerError);

impl AggregateRoot for ReadMarker {
    const STATE_VERSION: u32 = 1;
    const SNAPSHOTS: bool = true;
}

impl ReadMarker {
    /// The marker of a person in a channel.
    #[must_use]
    pub fn id_of(user_id: UserId, channel: &str) -> Uuid {
        Uuid::new_v5(&user_id.0, channel.as_bytes())
    }

    /// The number of the last event that the person has seen; 0 if none.
    #[must_use]
    pub fn last_read_seq(&self) -> i64 {
        self.last_read_seq
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: ReadMarkerCommand) -> Result<Vec<ReadMarkerEvent>, ReadMarkerError> {
        let ReadMarkerCommand::MarkRead { user_id, channel, last_read_seq, at } = command;
        if last_read_seq < 0 {
            return Err(ReadMarkerError::Negative);
        }
        // What was read stays read.
        if last_read_seq <= self.last_read_seq {
            return Ok(vec![]);
        }
        Ok(vec![ReadMarkerEvent::ChannelRead { user_id, channel, last_read_seq, at }])
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &ReadMarkerEvent) {
        let ReadMarkerEvent::ChannelRead { last_read_seq, .. } = event;
        self.last_read_seq = *last_read_seq;
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    const ANA: UserId = UserId(Uuid::from_u128(1));

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn mark(last_read_seq: i64) -> ReadMarkerCommand {
        let channel = "room:1".to_owned();
        ReadMarkerCommand::MarkRead { user_id: ANA, channel, last_read_seq, at: at() }
    }

    fn read(last_read_seq: i64) -> ReadMarkerEvent {
        let channel = "room:1".to_owned();
        ReadMarkerEvent::ChannelRead { user_id: ANA, channel, last_read_seq, at: at() }
    }

    fn marker() -> TestFramework<ReadMarker> {
        TestFramework::with(())
    }

    #[test]
    fn a_marker_only_moves_forward() {
        marker().given_no_previous_events().when(mark(7)).then_expect_events(vec![read(7)]);
        marker().given(vec![read(7)]).when(mark(9)).then_expect_events(vec![read(9)]);
        for lower in [0, 6, 7] {
            marker().given(vec![read(7)]).when(mark(lower)).then_expect_events(vec![]);
        }
    }

    #[test]
    fn there_is_nothing_before_the_beginning() {
        marker().given(vec![]).when(mark(0)).then_expect_events(vec![]);
        marker().given(vec![]).when(mark(-1)).then_expect_error(ReadMarkerError::Negative);
    }

    #[test]
    fn everyone_has_a_marker_of_their_own_in_every_channel() {
        let of = ReadMarker::id_of;
        assert_eq!(of(ANA, "room:1"), of(ANA, "room:1"));
        assert_ne!(of(ANA, "room:1"), of(ANA, "room:2"));
        assert_ne!(of(ANA, "room:1"), of(UserId(Uuid::from_u128(2)), "room:1"));
    }
}
