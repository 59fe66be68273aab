//! Who is in a live room right now: one stream per room, apart from membership and messages.
//!
//! A person is present while at least one of their connections is. Others hear of the first and
//! of the last one only.
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AggregateRoot, ConnectionId, RoomId, UserId,
    macros::{aggregate, domain_event, rejection},
};

/// What a connection asks of a live room. Imperative; never persisted.
#[derive(Clone, Copy, Debug)]
pub enum AttendanceCommand {
    /// Come in. Whether the person may is decided by the room.
    Enter {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Through which connection.
        connection_id: ConnectionId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Go out.
    Exit {
        /// Which connection.
        connection_id: ConnectionId,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What happened in a live room. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum AttendanceEvent {
    /// A connection of a person is in the room.
    ParticipantEntered {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Through which connection.
        connection_id: ConnectionId,
        /// Whether the person was not there before.
        first: bool,
        /// People in the room afterwards.
        online_count: u32,
        /// When.
        at: DateTime<Utc>,
    },
    /// A connection of a person is gone from the room.
    ParticipantExited {
        /// Which room.
        room_id: RoomId,
        /// Who.
        user_id: UserId,
        /// Which connection.
        connection_id: ConnectionId,
        /// Whether the person is not there any more.
        last: bool,
        /// People in the room afterwards.
        online_count: u32,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(AttendanceEvent { ParticipantEntered => "1.0", ParticipantExited => "1.0" });

/// Why a command to a live room was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttendanceError {
    /// More connections than one room takes.
    #[error("too many connections in this room")]
    TooManyConnections,
}

rejection!(AttendanceError { TooManyConnections => Conflict, "too_many_connections"; });

/// What a decision about a live room needs to know, and no more.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attendance {
    room_id: Option<RoomId>,
    present: BTreeMap<UserId, BTreeSet<ConnectionId>>,
}

aggregate!(Attendance = "attendance", AttendanceCommand -> AttendanceEvent | AttendanceError);

impl AggregateRoot for Attendance {
    const STATE_VERSION: u32 = 1;
    const SNAPSHOTS: bool = true;
}

impl Attendance {
    /// Most connections that one room takes: 500 members with ten devices each.
    pub const MAX_CONNECTIONS: usize = 5000;

    /// The people who are in the room.
    pub fn present(&self) -> impl Iterator<Item = UserId> + '_ {
        self.present.keys().copied()
    }

    /// Every connection in the room with its person.
    pub fn connections(&self) -> impl Iterator<Item = (UserId, ConnectionId)> + '_ {
        self.present.iter().flat_map(|(user, all)| all.iter().map(|c| (*user, *c)))
    }

    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: AttendanceCommand) -> Result<Vec<AttendanceEvent>, AttendanceError> {
        match command {
            AttendanceCommand::Enter { room_id, user_id, connection_id, at } => {
                let own = self.present.get(&user_id);
                if own.is_some_and(|own| own.contains(&connection_id)) {
                    return Ok(vec![]);
                }
                if self.connections().count() >= Self::MAX_CONNECTIONS {
                    return Err(AttendanceError::TooManyConnections);
                }
                let first = own.is_none();
                let online_count = self.count() + u32::from(first);
                Ok(vec![AttendanceEvent::ParticipantEntered {
                    room_id,
                    user_id,
                    connection_id,
                    first,
                    online_count,
                    at,
                }])
            }
            AttendanceCommand::Exit { connection_id, at } => {
                let person = self.connections().find(|(_, c)| *c == connection_id);
                // Going out twice records one exit.
                let (Some((user_id, _)), Some(room_id)) = (person, self.room_id) else {
                    return Ok(vec![]);
                };
                let last = self.present.get(&user_id).is_some_and(|own| own.len() == 1);
                let online_count = self.count() - u32::from(last);
                Ok(vec![AttendanceEvent::ParticipantExited {
                    room_id,
                    user_id,
                    connection_id,
                    last,
                    online_count,
                    at,
                }])
            }
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    pub fn evolve(&mut self, event: &AttendanceEvent) {
        match *event {
            AttendanceEvent::ParticipantEntered { room_id, user_id, connection_id, .. } => {
                self.room_id = Some(room_id);
                self.present.entry(user_id).or_default().insert(connection_id);
            }
            AttendanceEvent::ParticipantExited { user_id, connection_id, .. } => {
                if let Some(own) = self.present.get_mut(&user_id) {
                    own.remove(&connection_id);
                    if own.is_empty() {
                        self.present.remove(&user_id);
                    }
                }
            }
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.present.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;
    use uuid::Uuid;

    use super::*;

    const ROOM: RoomId = RoomId(Uuid::nil());

    fn room() -> TestFramework<Attendance> {
        TestFramework::with(())
    }

    fn user(n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    fn device(n: u128) -> ConnectionId {
        ConnectionId(Uuid::from_u128(n))
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn enter(person: u128, connection: u128) -> AttendanceCommand {
        AttendanceCommand::Enter {
            room_id: ROOM,
            user_id: user(person),
            connection_id: device(connection),
            at: at(),
        }
    }

    fn exit(connection: u128) -> AttendanceCommand {
        AttendanceCommand::Exit { connection_id: device(connection), at: at() }
    }

    fn entered(person: u128, connection: u128, first: bool, online_count: u32) -> AttendanceEvent {
        AttendanceEvent::ParticipantEntered {
            room_id: ROOM,
            user_id: user(person),
            connection_id: device(connection),
            first,
            online_count,
            at: at(),
        }
    }

    fn exited(person: u128, connection: u128, last: bool, online_count: u32) -> AttendanceEvent {
        AttendanceEvent::ParticipantExited {
            room_id: ROOM,
            user_id: user(person),
            connection_id: device(connection),
            last,
            online_count,
            at: at(),
        }
    }

    #[test]
    fn only_the_first_connection_is_an_arrival() {
        room()
            .given_no_previous_events()
            .when(enter(1, 10))
            .then_expect_events(vec![entered(1, 10, true, 1)]);
        room()
            .given(vec![entered(1, 10, true, 1)])
            .when(enter(1, 11))
            .then_expect_events(vec![entered(1, 11, false, 1)]);
    }

    #[test]
    fn only_the_last_connection_is_a_departure() {
        let both = vec![entered(1, 10, true, 1), entered(1, 11, false, 1)];
        room().given(both.clone()).when(exit(10)).then_expect_events(vec![exited(1, 10, false, 1)]);
        room()
            .given(both)
            .and(vec![exited(1, 10, false, 1)])
            .when(exit(11))
            .then_expect_events(vec![exited(1, 11, true, 0)]);
    }

    #[test]
    fn entering_or_leaving_twice_records_nothing() {
        room().given(vec![entered(1, 10, true, 1)]).when(enter(1, 10)).then_expect_events(vec![]);
        room()
            .given(vec![entered(1, 10, true, 1), exited(1, 10, true, 0)])
            .when(exit(10))
            .then_expect_events(vec![]);
    }
}
