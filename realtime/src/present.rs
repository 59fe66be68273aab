//! Whom others see in the live rooms of this node: those who are there, without those who want to look
//! as if they were not. Who is there is known from the events and not from a read model: one that is behind
//! by the person who came last would count them as seen, and so tell of somebody who is invisible.
use std::collections::{HashMap, HashSet};

use domain::{Attendance, AttendanceEvent, RoomId, UserId};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;

use crate::{channel::LogError, node::Node};

/// Rooms that are looked up side by side.
const AT_ONCE: usize = 8;

/// Who is in the live rooms that somebody came to or left while sockets of this node were there: looked up
/// once, and kept by the broadcaster, event by event.
#[derive(Default)]
pub(crate) struct Attendances(Mutex<HashMap<RoomId, Followed>>);

struct Followed {
    attendance: Attendance,
    /// Of the last event in it.
    sequence: i64,
}

impl Attendances {
    fn is_followed(&self, room_id: RoomId) -> bool {
        self.0.lock().contains_key(&room_id)
    }

    fn follow(&self, room_id: RoomId, attendance: Attendance, sequence: i64) {
        self.0.lock().insert(room_id, Followed { attendance, sequence });
    }

    /// No socket of this node is in the room any more.
    pub(crate) fn forget(&self, room_id: RoomId) {
        self.0.lock().remove(&room_id);
    }

    /// Takes the next event. What was looked up may know it already; if one is missing, the room is
    /// looked up anew the next time.
    pub(crate) fn saw(&self, room_id: RoomId, sequence: i64, event: &AttendanceEvent) {
        let mut rooms = self.0.lock();
        let Some(followed) = rooms.get_mut(&room_id) else { return };
        if sequence == followed.sequence + 1 {
            followed.attendance.evolve(event);
            followed.sequence = sequence;
        } else if sequence > followed.sequence {
            rooms.remove(&room_id);
        }
    }

    /// Who is there; `None` if that has to be looked up.
    pub(crate) fn people(&self, room_id: RoomId) -> Option<Vec<UserId>> {
        Some(self.0.lock().get(&room_id)?.attendance.present().collect())
    }
}

/// A live room as others see it.
#[derive(Debug, Default)]
pub(crate) struct Present {
    /// Who is seen there.
    pub(crate) seen: Vec<UserId>,
    /// Who is there without being seen.
    hidden: HashSet<UserId>,
}

impl Present {
    fn new(mut people: Vec<UserId>, invisible: &HashSet<UserId>) -> Self {
        let hidden = people.iter().copied().filter(|id| invisible.contains(id)).collect();
        people.retain(|id| !invisible.contains(id));
        Self { seen: people, hidden }
    }

    /// How many are seen.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.seen.len()).unwrap_or(u32::MAX)
    }

    /// Whether others see the person there; `None` if they are not there.
    pub(crate) fn shows(&self, user_id: UserId) -> Option<bool> {
        if self.hidden.contains(&user_id) {
            return Some(false);
        }
        self.seen.contains(&user_id).then_some(true)
    }
}

impl Node {
    /// Looks up who is in these rooms, as far as that is not known. For the broadcaster only: the
    /// events that it tells after this are kept.
    pub(crate) async fn follow_attendance(&self, rooms: &[RoomId]) -> Result<(), LogError> {
        let unknown = rooms.iter().copied().filter(|id| !self.attendances.is_followed(*id));
        let unknown: Vec<_> = unknown.collect();
        let looks = stream::iter(unknown).map(async |room_id| {
            let (attendance, sequence) = self.commands.attendance(room_id).await?;
            self.attendances.follow(room_id, attendance, sequence);
            Ok::<_, LogError>(())
        });
        looks.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// These live rooms as others see them now.
    pub(crate) async fn present_in(
        &self,
        rooms: &[RoomId],
    ) -> Result<HashMap<RoomId, Present>, LogError> {
        let looks = stream::iter(rooms.to_vec()).map(async |room_id| {
            let people = match self.attendances.people(room_id) {
                Some(people) => people,
                None => self.commands.attendance(room_id).await?.0.present().collect(),
            };
            Ok::<_, LogError>((room_id, people))
        });
        let rooms: Vec<_> = looks.buffer_unordered(AT_ONCE).try_collect().await?;
        let everyone: HashSet<_> = rooms.iter().flat_map(|(_, people)| people).copied().collect();
        let everyone: Vec<_> = everyone.into_iter().collect();
        let invisible = self.read_models.presence().invisible(&everyone).await?;
        let present = rooms.into_iter().map(|(id, people)| (id, Present::new(people, &invisible)));
        Ok(present.collect())
    }

    /// These people of a live room, by whether others see them.
    pub(crate) async fn present_of(&self, people: Vec<UserId>) -> Result<Present, LogError> {
        let invisible = self.read_models.presence().invisible(&people).await?;
        Ok(Present::new(people, &invisible))
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::ConnectionId;
    use uuid::Uuid;

    use super::*;

    const ROOM: RoomId = RoomId(Uuid::nil());

    fn person(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn entered(number: u128) -> AttendanceEvent {
        AttendanceEvent::ParticipantEntered {
            room_id: ROOM,
            user_id: person(number),
            connection_id: ConnectionId(Uuid::from_u128(number)),
            first: true,
            online_count: 1,
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn what_was_looked_up_is_kept_event_by_event() {
        let rooms = Attendances::default();
        rooms.saw(ROOM, 1, &entered(1));
        assert_eq!(rooms.people(ROOM), None, "nobody looked");
        let mut attendance = Attendance::default();
        attendance.evolve(&entered(1));
        rooms.follow(ROOM, attendance, 1);
        rooms.saw(ROOM, 1, &entered(1));
        rooms.saw(ROOM, 2, &entered(2));
        assert_eq!(rooms.people(ROOM), Some(vec![person(1), person(2)]));
        rooms.saw(ROOM, 4, &entered(4));
        assert_eq!(rooms.people(ROOM), None, "something is missing");
    }

    #[test]
    fn who_is_invisible_is_there_and_not_counted() {
        let present = Present::new(vec![person(1), person(2)], &HashSet::from([person(2)]));
        assert_eq!((present.count(), present.shows(person(1))), (1, Some(true)));
        assert_eq!((present.shows(person(2)), present.shows(person(3))), (Some(false), None));
    }
}
