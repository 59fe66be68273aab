//! `active_members`: who is in which live room, and who is not to be seen anywhere. Redis, four kinds of
//! keys: `room:{roomId}:active`, the set of people; `room:{roomId}:connections`, a hash from connection to
//! person; `rooms:active`, the set of rooms that somebody is in; `users:invisible`, the set of those who
//! want to look as if they were not there.
use std::collections::HashMap;

use domain::{AnyEvent, AttendanceEvent, ConnectionId, Recorded, RoomId, UserEvent, UserId};
use redis::AsyncCommands;

use crate::changes::KeyChange;
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

/// The keys of a version, for those who look at all of them.
pub(crate) const PATTERNS: &[&str] = &["room:*:active", "room:*:connections", ROOMS, INVISIBLE];

const ROOMS: &str = "rooms:active";
const INVISIBLE: &str = "users:invisible";

/// Feeds `active_members`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ActiveMembersProjector;

impl Projector for ActiveMembersProjector {
    type Change = KeyChange;
    const NAME: &'static str = names::ACTIVE_MEMBERS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["attendance", "user"];

    fn project(&self, recorded: &Recorded) -> Vec<KeyChange> {
        let event = match &recorded.event {
            AnyEvent::Attendance(event) => event,
            AnyEvent::User(event) => return visibility(event).into_iter().collect(),
            _ => return vec![],
        };
        match *event {
            AttendanceEvent::ParticipantEntered { room_id, user_id, connection_id, .. } => vec![
                KeyChange::HashSet {
                    key: connections(room_id),
                    field: connection_id.to_string(),
                    value: user_id.to_string(),
                },
                KeyChange::SetAdd { key: people(room_id), member: user_id.to_string() },
                KeyChange::SetAdd { key: ROOMS.into(), member: room_id.to_string() },
            ],
            AttendanceEvent::ParticipantExited {
                room_id,
                user_id,
                connection_id,
                last,
                online_count,
                ..
            } => {
                let field = connection_id.to_string();
                let mut changes = vec![KeyChange::HashDelete { key: connections(room_id), field }];
                if last {
                    let member = user_id.to_string();
                    changes.push(KeyChange::SetRemove { key: people(room_id), member });
                }
                if online_count == 0 {
                    let member = room_id.to_string();
                    changes.push(KeyChange::SetRemove { key: ROOMS.into(), member });
                }
                changes
            }
        }
    }
}

fn visibility(event: &UserEvent) -> Option<KeyChange> {
    let (user_id, visible) = match event {
        UserEvent::PresenceVisibilityChanged { user_id, visible, .. } => (user_id, *visible),
        UserEvent::AccountErased { user_id, .. } => (user_id, true),
        _ => return None,
    };
    let (key, member) = (INVISIBLE.to_owned(), user_id.to_string());
    Some(if visible {
        KeyChange::SetRemove { key, member }
    } else {
        KeyChange::SetAdd { key, member }
    })
}

fn people(room_id: RoomId) -> String {
    format!("room:{room_id}:active")
}

fn connections(room_id: RoomId) -> String {
    format!("room:{room_id}:connections")
}

/// Queries of `active_members`.
#[derive(Clone, Copy)]
pub struct ActiveMembers<'a>(pub(crate) &'a ReadModels);

impl ActiveMembers<'_> {
    fn key(self, rest: &str) -> String {
        self.0.key(names::ACTIVE_MEMBERS, rest)
    }

    /// The key of the set of those who want to look as if they were not there.
    #[must_use]
    pub fn invisible_key(self) -> String {
        self.key(INVISIBLE)
    }

    /// How many people others see in each of several live rooms.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn count_many(&self, room_ids: &[RoomId]) -> Result<HashMap<RoomId, u32>, ReadError> {
        if room_ids.is_empty() {
            return Ok(HashMap::new());
        }
        let invisible = self.invisible_key();
        // In one step: somebody invisible who goes in between would be counted as seen.
        let mut pipe = redis::pipe();
        pipe.atomic();
        for room_id in room_ids {
            let people = self.key(&people(*room_id));
            pipe.scard(&people).cmd("SINTERCARD").arg(2).arg(people).arg(&invisible);
        }
        let counts: Vec<u32> = pipe.query_async(&mut self.0.redis()).await?;
        let seen = counts.chunks_exact(2).map(|both| both[0].saturating_sub(both[1]));
        Ok(room_ids.iter().copied().zip(seen).collect())
    }

    /// The live rooms that somebody is in.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn rooms(&self) -> Result<Vec<RoomId>, ReadError> {
        let rooms: Vec<String> = self.0.redis().smembers(self.key(ROOMS)).await?;
        Ok(rooms.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Every connection in a live room with its person.
    ///
    /// # Errors
    /// [`ReadError`] when Redis is unavailable.
    pub async fn connections(
        &self,
        room_id: RoomId,
    ) -> Result<HashMap<ConnectionId, UserId>, ReadError> {
        let all: HashMap<String, String> =
            self.0.redis().hgetall(self.key(&connections(room_id))).await?;
        let parse = |(connection, user): (String, String)| {
            Some((connection.parse().ok()?, user.parse().ok()?))
        };
        Ok(all.into_iter().filter_map(parse).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ANA, PHONE, ROOM, at, recorded};

    fn project(event: AttendanceEvent) -> Vec<KeyChange> {
        ActiveMembersProjector.project(&recorded(&ROOM, 1, AnyEvent::Attendance(event)))
    }

    fn exited(last: bool, online_count: u32) -> AttendanceEvent {
        AttendanceEvent::ParticipantExited {
            room_id: ROOM,
            user_id: ANA,
            connection_id: PHONE,
            last,
            online_count,
            at: at(1),
        }
    }

    fn gone(key: String, member: &impl ToString) -> KeyChange {
        KeyChange::SetRemove { key, member: member.to_string() }
    }

    #[test]
    fn who_wants_not_to_be_seen_is_among_the_invisible_until_they_do_or_are_forgotten() {
        let project =
            |event| ActiveMembersProjector.project(&recorded(&ANA, 1, AnyEvent::User(event)));
        let (key, member) = (INVISIBLE.to_owned(), ANA.to_string());
        let change =
            |visible| UserEvent::PresenceVisibilityChanged { user_id: ANA, visible, at: at(1) };
        let hidden = KeyChange::SetAdd { key: key.clone(), member };
        assert_eq!(project(change(false)), [hidden]);
        assert_eq!(project(change(true)), [gone(key.clone(), &ANA)]);
        let erased = UserEvent::AccountErased {
            user_id: ANA,
            email: None.into(),
            username: None.into(),
            phone: None.into(),
            at: at(1),
        };
        assert_eq!(project(erased), [gone(key, &ANA)]);
    }

    #[test]
    fn who_enters_is_in_the_room_and_the_room_is_live() {
        let entered = AttendanceEvent::ParticipantEntered {
            room_id: ROOM,
            user_id: ANA,
            connection_id: PHONE,
            first: true,
            online_count: 1,
            at: at(0),
        };
        let add = |key: String, member: String| KeyChange::SetAdd { key, member };
        assert_eq!(
            project(entered),
            [
                KeyChange::HashSet {
                    key: connections(ROOM),
                    field: PHONE.to_string(),
                    value: ANA.to_string()
                },
                add(people(ROOM), ANA.to_string()),
                add(ROOMS.into(), ROOM.to_string()),
            ]
        );
    }

    #[test]
    fn a_person_is_gone_with_the_last_connection_and_a_room_with_the_last_person() {
        let disconnected =
            KeyChange::HashDelete { key: connections(ROOM), field: PHONE.to_string() };
        assert_eq!(project(exited(false, 2)), std::slice::from_ref(&disconnected));
        assert_eq!(project(exited(true, 1)), [disconnected.clone(), gone(people(ROOM), &ANA)]);
        assert_eq!(
            project(exited(true, 0)),
            [disconnected, gone(people(ROOM), &ANA), gone(ROOMS.into(), &ROOM)]
        );
    }
}
