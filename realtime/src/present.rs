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

/// Who is in the live rooms of this node, and whom the others there were told of: looked up when somebody
/// comes or goes for the first time while sockets of this node are there, and kept from then on.
#[derive(Default)]
pub(crate) struct Attendances(Mutex<HashMap<RoomId, Followed>>);

struct Followed {
    attendance: Attendance,
    /// Of the last event in it.
    sequence: i64,
    /// What is looked up is ahead of what is told: of what happened up to here nobody was told yet.
    looked_up_at: i64,
    /// Whom others believe to be there. Only a change of it is told, whoever finds it out.
    shown: HashSet<UserId>,
}

/// What others are told of somebody in a live room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whether they see them from now on.
    pub(crate) seen: bool,
    /// How many they see.
    pub(crate) count: u32,
}

impl Turn {
    /// The event that tells it.
    pub(crate) fn event(self) -> &'static str {
        if self.seen { "user_joined" } else { "user_left" }
    }
}

impl Followed {
    fn show(
        &mut self,
        user_id: UserId,
        seen: bool,
        was: bool,
        invisible: &HashSet<UserId>,
    ) -> Option<Turn> {
        if seen {
            self.shown.insert(user_id);
        } else {
            self.shown.remove(&user_id);
        }
        (seen != was).then(|| Turn { seen, count: count(self.attendance.present(), invisible) })
    }

    fn has(&self, user_id: UserId) -> bool {
        self.attendance.present().any(|id| id == user_id)
    }
}

impl Attendances {
    fn is_followed(&self, room_id: RoomId) -> bool {
        self.0.lock().contains_key(&room_id)
    }

    fn follow(
        &self,
        room_id: RoomId,
        attendance: Attendance,
        sequence: i64,
        shown: HashSet<UserId>,
    ) {
        let followed = Followed { attendance, sequence, looked_up_at: sequence, shown };
        self.0.lock().insert(room_id, followed);
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

    /// Somebody came or went, by the event with this sequence. What others are to be told of it.
    pub(crate) fn came_or_went(
        &self,
        room_id: RoomId,
        user_id: UserId,
        came: bool,
        sequence: i64,
        invisible: &HashSet<UserId>,
    ) -> Option<Turn> {
        let mut rooms = self.0.lock();
        let followed = rooms.get_mut(&room_id)?;
        let visible = !invisible.contains(&user_id);
        let was = if sequence > followed.looked_up_at {
            followed.shown.contains(&user_id)
        } else {
            visible && !came
        };
        followed.show(user_id, came && visible, was, invisible)
    }

    /// Somebody chose to be seen, or not to be. What others are to be told of it.
    pub(crate) fn turned(
        &self,
        room_id: RoomId,
        user_id: UserId,
        invisible: &HashSet<UserId>,
    ) -> Option<Turn> {
        let mut rooms = self.0.lock();
        let followed = rooms.get_mut(&room_id)?;
        let seen = followed.has(user_id) && !invisible.contains(&user_id);
        let was = followed.shown.contains(&user_id);
        followed.show(user_id, seen, was, invisible)
    }

    /// The rooms that the person is in, or is believed to be in.
    pub(crate) fn rooms_of(&self, user_id: UserId) -> Vec<RoomId> {
        let rooms = self.0.lock();
        let of = |followed: &Followed| followed.shown.contains(&user_id) || followed.has(user_id);
        rooms.iter().filter(|(_, followed)| of(followed)).map(|(id, _)| *id).collect()
    }

    /// How many people others believe to be there, but for who is on their way out; `None` if that has to
    /// be looked up.
    pub(crate) fn shown_in(&self, room_id: RoomId, leaving: Option<UserId>) -> Option<u32> {
        let rooms = self.0.lock();
        let shown = &rooms.get(&room_id)?.shown;
        let staying = shown.iter().filter(|id| Some(**id) != leaving).count();
        Some(u32::try_from(staying).unwrap_or(u32::MAX))
    }

    /// Who is there; `None` if that has to be looked up.
    pub(crate) fn people(&self, room_id: RoomId) -> Option<Vec<UserId>> {
        Some(self.0.lock().get(&room_id)?.attendance.present().collect())
    }
}

/// How many of these people others see.
pub(crate) fn count(people: impl Iterator<Item = UserId>, invisible: &HashSet<UserId>) -> u32 {
    u32::try_from(people.filter(|id| !invisible.contains(id)).count()).unwrap_or(u32::MAX)
}

impl Node {
    /// Looks up who is in these rooms, as far as that is not known. For the broadcaster only: the
    /// events that it tells after this are kept. A room that cannot be read keeps no other one waiting.
    pub(crate) async fn follow_attendance(&self, rooms: &[RoomId]) -> Result<(), LogError> {
        let unknown = rooms.iter().copied().filter(|id| !self.attendances.is_followed(*id));
        let unknown: Vec<_> = unknown.collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let looks = stream::iter(unknown).map(async |room_id| {
            let found = self.commands.attendance(room_id).await.inspect_err(|error| {
                tracing::warn!(error = %error, room.id = %room_id, "who is in a live room is unknown");
            });
            Some((room_id, found.ok()?))
        });
        let found: Vec<_> = looks.buffer_unordered(AT_ONCE).collect().await;
        let found: Vec<_> = found.into_iter().flatten().collect();
        let people: HashSet<_> = found.iter().flat_map(|(_, (it, _))| it.present()).collect();
        let people: Vec<_> = people.into_iter().collect();
        let invisible = self.read_models.presence().invisible(&people).await?;
        for (room_id, (attendance, sequence)) in found {
            let shown = attendance.present().filter(|id| !invisible.contains(id)).collect();
            self.attendances.follow(room_id, attendance, sequence, shown);
        }
        Ok(())
    }

    /// How many people others see in these live rooms now.
    pub(crate) async fn seen_in(&self, rooms: &[RoomId]) -> Result<HashMap<RoomId, u32>, LogError> {
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
        let seen =
            rooms.into_iter().map(|(id, people)| (id, count(people.into_iter(), &invisible)));
        Ok(seen.collect())
    }

    /// These people of a live room, without those whom others do not see.
    pub(crate) async fn seen_of(&self, mut people: Vec<UserId>) -> Result<Vec<UserId>, LogError> {
        let invisible = self.read_models.presence().invisible(&people).await?;
        people.retain(|id| !invisible.contains(id));
        Ok(people)
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

    fn exited(number: u128) -> AttendanceEvent {
        AttendanceEvent::ParticipantExited {
            room_id: ROOM,
            user_id: person(number),
            connection_id: ConnectionId(Uuid::from_u128(number)),
            last: true,
            online_count: 1,
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    /// A room with one person in it, who is seen.
    fn followed() -> Attendances {
        let rooms = Attendances::default();
        let mut attendance = Attendance::default();
        attendance.evolve(&entered(1));
        rooms.follow(ROOM, attendance, 1, HashSet::from([person(1)]));
        rooms
    }

    /// What is told of an event.
    fn tell(
        rooms: &Attendances,
        sequence: i64,
        number: u128,
        came: bool,
        hidden: &[u128],
    ) -> Option<(bool, u32)> {
        let event = if came { entered(number) } else { exited(number) };
        rooms.saw(ROOM, sequence, &event);
        let hidden = hidden.iter().copied().map(person).collect();
        let turn = rooms.came_or_went(ROOM, person(number), came, sequence, &hidden)?;
        Some((turn.seen, turn.count))
    }

    fn turn(rooms: &Attendances, number: u128, hidden: &[u128]) -> Option<(bool, u32)> {
        let hidden = hidden.iter().copied().map(person).collect();
        let turn = rooms.turned(ROOM, person(number), &hidden)?;
        Some((turn.seen, turn.count))
    }

    #[test]
    fn what_was_looked_up_is_kept_event_by_event() {
        let rooms = followed();
        rooms.saw(ROOM, 1, &entered(1));
        rooms.saw(ROOM, 2, &entered(2));
        assert_eq!(rooms.people(ROOM), Some(vec![person(1), person(2)]));
        rooms.saw(ROOM, 4, &entered(4));
        assert_eq!(rooms.people(ROOM), None, "something is missing");
    }

    #[test]
    fn who_is_invisible_comes_and_goes_unseen() {
        let rooms = followed();
        assert_eq!(tell(&rooms, 2, 2, true, &[2]), None);
        assert_eq!(tell(&rooms, 3, 3, true, &[2]), Some((true, 2)));
        assert_eq!(tell(&rooms, 4, 2, false, &[2]), None);
        assert_eq!(tell(&rooms, 5, 3, false, &[]), Some((false, 1)));
    }

    #[test]
    fn a_turn_is_told_once_whoever_finds_it_out_first() {
        let rooms = followed();
        assert_eq!(turn(&rooms, 1, &[1]), Some((false, 0)));
        assert_eq!(turn(&rooms, 1, &[1]), None);
        // Gone behind the choice, or the choice behind the leaving.
        assert_eq!(tell(&rooms, 2, 1, false, &[1]), None);
        assert_eq!(tell(&rooms, 3, 1, true, &[1]), None);
        assert_eq!(turn(&rooms, 1, &[]), Some((true, 1)));
        assert_eq!(tell(&rooms, 4, 1, false, &[]), Some((false, 0)));
        assert_eq!(turn(&rooms, 1, &[1]), None);
        // They choose to be seen before anybody hears that they came, or after they left unseen.
        assert_eq!(tell(&rooms, 5, 1, true, &[]), Some((true, 1)));
        assert_eq!(turn(&rooms, 1, &[]), None);
        assert_eq!(turn(&rooms, 1, &[1]), Some((false, 0)));
        assert_eq!(tell(&rooms, 6, 1, false, &[]), None);
    }

    #[test]
    fn those_who_are_shown_are_counted_without_looking() {
        let rooms = followed();
        assert_eq!(tell(&rooms, 2, 2, true, &[2]), None);
        assert_eq!(rooms.shown_in(ROOM, None), Some(1), "who is invisible does not count");
        assert_eq!(tell(&rooms, 3, 3, true, &[2]), Some((true, 2)));
        assert_eq!(rooms.shown_in(ROOM, None), Some(2));
        assert_eq!(rooms.shown_in(ROOM, Some(person(3))), Some(1), "nor does who is leaving");
        rooms.forget(ROOM);
        assert_eq!(rooms.shown_in(ROOM, None), None);
    }

    #[test]
    fn of_what_was_looked_up_ahead_nobody_was_told() {
        let rooms = followed();
        assert_eq!(tell(&rooms, 1, 1, true, &[]), Some((true, 1)));
        assert_eq!(rooms.rooms_of(person(1)), [ROOM]);
        assert_eq!(rooms.rooms_of(person(2)), []);
    }
}
