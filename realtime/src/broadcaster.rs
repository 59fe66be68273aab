//! From recorded events to the sockets of this node: one task, in the order of the log.
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use domain::{
    AnyEvent, AttendanceEvent, LogPosition, Recorded, RoomEvent, RoomId, SessionEvent, UserId,
    message::MessageEvent, session::RevocationReason,
};
use nats::Feed;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::LogError,
    connection::{Connection, EmitFailure},
    node::{Absence, Node},
    payload::{Counts, Now, Person, Prepared, counts_people_of, person_of, place_and_time},
    present::Turn,
    rooms::{Delivered, Stream},
};

/// Events taken from the feed in one step.
const BATCH: usize = 256;
/// Longest wait for whole messages: an update without one is better than a late one.
const PATIENCE: Duration = Duration::from_millis(500);

/// Follows the feed after `after` until `stop`.
pub(crate) async fn run(node: Arc<Node>, feed: Feed, after: LogPosition, stop: CancellationToken) {
    let mut follower = feed.follow(after);
    node.telling.store(after.0, Ordering::Release);
    // There was no socket to tell of what came before.
    node.told_up_to(after);
    while let Some(batch) = stop.run_until_cancelled(follower.next(BATCH)).await {
        platform::crash_point!("broadcaster.batch");
        if let Some(last) = batch.last() {
            node.telling.store(last.position.0, Ordering::Release);
        }
        let readable = || batch.iter().filter_map(|opened| opened.outcome.as_ref().ok());
        // One look-up for all names of the batch; events of rooms without sockets here cost none.
        let named = readable().filter_map(|recorded| node.named(&recorded.event));
        let people = node.history.people.find(named).await;
        let now = node.now(readable().map(|recorded| &recorded.event)).await;
        let unseen = node.unseen(readable().map(|recorded| &recorded.event)).await;
        let background = Background { people, now, unseen };
        for recorded in readable() {
            node.broadcast(recorded, &background).await;
        }
        if let Some(last) = batch.last() {
            node.told_up_to(last.position);
        }
    }
}

/// What it takes to tell a batch of events, looked up once.
struct Background {
    /// Names.
    people: HashMap<UserId, Person>,
    /// How messages read now.
    now: Now,
    /// `None` when nobody can tell.
    unseen: Option<Unseen>,
}

/// Who wants to look as if they were not there.
#[derive(Default)]
struct Unseen {
    /// Of those who come and go, and those who are there.
    people: HashSet<UserId>,
    /// In these live rooms.
    rooms: HashSet<RoomId>,
}

impl Node {
    /// Whose name it takes to tell the sockets of this node of the event.
    fn named(&self, event: &AnyEvent) -> Option<UserId> {
        let (room_id, user_id) = match event {
            AnyEvent::Room(room) => (place_and_time(room).0, person_of(event)?),
            AnyEvent::Attendance(attendance) => {
                let change = Change::of(attendance)?;
                (change.room_id, change.user_id)
            }
            _ => return None,
        };
        self.rooms.contains(room_id).then_some(user_id)
    }

    /// How the messages read now of which there is something new to tell here. What was said this
    /// moment is told as it was said; what becomes of it is told with the whole message.
    async fn now(&self, events: impl Iterator<Item = &AnyEvent>) -> Now {
        let heard = |event: &AnyEvent| match event {
            AnyEvent::Room(room) => self.rooms.contains(place_and_time(room).0),
            AnyEvent::Conversation(event) => self.hears(event),
            _ => false,
        };
        let updates = events.filter(|event| match event.about_message() {
            Some(MessageEvent::Edited { .. } | MessageEvent::Deleted { .. }) => heard(event),
            _ => false,
        });
        match tokio::time::timeout(PATIENCE, self.history.now(updates)).await {
            Ok(Ok(now)) => now,
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "updates of messages are told without the message");
                Now::new()
            }
            Err(_) => {
                tracing::warn!("updates of messages are told without the message: no answer");
                Now::new()
            }
        }
    }

    /// Who of those who come to the live rooms of this node, or go, or are there, is not to be seen. From
    /// here on it is known how many are seen there, and in rooms with new members.
    async fn unseen(&self, events: impl Iterator<Item = &AnyEvent>) -> Option<Unseen> {
        let (mut people, mut rooms, mut counted) = (Vec::new(), HashSet::new(), HashSet::new());
        for event in events {
            counted.extend(counts_people_of(event).filter(|id| self.rooms.contains(*id)));
            let AnyEvent::Attendance(
                AttendanceEvent::ParticipantEntered { room_id, user_id, .. }
                | AttendanceEvent::ParticipantExited { room_id, user_id, .. },
            ) = event
            else {
                continue;
            };
            if self.rooms.contains(*room_id) {
                people.push(*user_id);
                rooms.insert(*room_id);
            }
        }
        let listed: Vec<RoomId> = rooms.iter().copied().collect();
        counted.extend(&listed);
        if counted.is_empty() {
            return Some(Unseen::default());
        }
        let counted: Vec<RoomId> = counted.into_iter().collect();
        let look_up = async {
            // Known of most: only what is not is looked up.
            self.follow_attendance(&counted).await?;
            if listed.is_empty() {
                return Ok(HashSet::new());
            }
            people.extend(listed.iter().filter_map(|id| self.attendances.people(*id)).flatten());
            people.sort_unstable();
            people.dedup();
            Ok::<_, LogError>(self.read_models.presence().invisible(&people).await?)
        };
        match tokio::time::timeout(PATIENCE, look_up).await {
            Ok(Ok(people)) => Some(Unseen { people, rooms }),
            Ok(Err(error)) => {
                tracing::warn!(error = %error, "who comes and goes is not told");
                None
            }
            Err(_) => {
                tracing::warn!("who comes and goes is not told: no answer");
                None
            }
        }
    }

    async fn broadcast(self: &Arc<Self>, recorded: &Recorded, background: &Background) {
        let Background { people, now, unseen } = background;
        self.stop_typing_of(&recorded.event);
        match &recorded.event {
            AnyEvent::Room(event) => self.broadcast_room(recorded, event, people, now),
            AnyEvent::Conversation(event) => self.broadcast_direct(recorded, event, now).await,
            AnyEvent::Attendance(event) => {
                self.broadcast_presence(recorded.sequence, event, people, unseen.as_ref());
            }
            AnyEvent::Session(SessionEvent::SessionRevoked { session_id, reason, .. }) => {
                self.end_sockets(self.connections.revoke(*session_id), *reason);
            }
            AnyEvent::User(event) => {
                // Its sessions end one after the other, later: their sockets do not wait for that.
                if let Some((user_id, cutoff, reason)) = event.cutoff() {
                    self.end_sockets(self.connections.cut_off(user_id, cutoff), reason);
                }
                self.history.people.learn(event);
                if let Ok(user_id) = recorded.aggregate_id.parse() {
                    self.commands.forget_person(user_id);
                }
            }
            AnyEvent::ReadMarker(event) => self.tell_own_devices(event),
            AnyEvent::Session(_) | AnyEvent::Subject(_) | AnyEvent::Reports(_) => {}
        }
    }

    /// Closes sockets whose login has ended, before they are told of anything later.
    fn end_sockets(self: &Arc<Self>, ended: Vec<Arc<Connection>>, reason: RevocationReason) {
        for connection in ended {
            connection.discard_waiting();
            let payload = json!({ "reason": reason });
            self.dismiss(&connection, Absence::Meant, "session_revoked", &payload);
        }
    }

    fn broadcast_room(
        self: &Arc<Self>,
        recorded: &Recorded,
        event: &RoomEvent,
        people: &HashMap<UserId, Person>,
        now: &Now,
    ) {
        let (room_id, _) = place_and_time(event);
        if let (Some((user_id, reason)), Some((_, seq))) = (ended(event), &recorded.channel) {
            self.put_out(room_id, user_id, *seq, reason);
        }
        self.hear_of_mute(event);
        if !self.rooms.contains(room_id) {
            return;
        }
        self.stats.saw(room_id, event);
        let counted = counts_people_of(&recorded.event);
        let leaving = ended(event).map(|(user_id, _)| user_id);
        let online = counted.and_then(|room_id| self.attendances.shown_in(room_id, leaving));
        let counts = Counts { online, ..Counts::default() };
        if let Some(prepared) = Prepared::new(recorded, people, now, &counts).map(Arc::new) {
            self.deliver(&prepared, self.rooms.subscriptions(room_id));
        }
    }

    /// Offers an event to everyone who is to hear it.
    pub(crate) fn deliver<S>(self: &Arc<Self>, prepared: &Arc<Prepared>, to: Vec<Arc<S>>)
    where
        S: AsRef<Stream> + Send + Sync + 'static,
    {
        let mut sent = false;
        for subscription in to {
            let stream: &Stream = (*subscription).as_ref();
            match stream.offer(prepared) {
                Delivered::Sent => sent = true,
                Delivered::Nothing | Delivered::Failed(EmitFailure::Closed) => {}
                Delivered::Behind => self.catch_up_later(subscription),
                Delivered::Failed(EmitFailure::Full) => self.drop_slow(&stream.connection),
            }
        }
        if let Some(recorded_at) = prepared.recorded_at.filter(|_| sent) {
            let took = (self.clock.now() - recorded_at).to_std().unwrap_or_default();
            metrics::histogram!("socket_delivery_seconds").record(took);
        }
    }

    /// Takes the sockets of somebody who is not a member any more out of the room, before anyone
    /// hears of anything later. Those that were elsewhere hear of it too.
    fn put_out(&self, room_id: RoomId, user_id: UserId, seq: i64, reason: &str) {
        let payload = json!({ "roomId": room_id, "reason": reason, "seq": seq });
        for connection in self.connections.of_user(user_id) {
            if let Some(subscription) = self.rooms.get(room_id, connection.id) {
                // A socket that joined after a later event is a member's again.
                if subscription.floor().is_some_and(|floor| floor >= seq) {
                    continue;
                }
                self.unsubscribe(&subscription);
                self.departures.add(room_id, connection.id, Absence::Meant);
            }
            connection.emit_volatile("removed_from_room", &payload);
        }
    }

    fn broadcast_presence(
        self: &Arc<Self>,
        sequence: i64,
        event: &AttendanceEvent,
        people: &HashMap<UserId, Person>,
        unseen: Option<&Unseen>,
    ) {
        let (AttendanceEvent::ParticipantEntered { room_id, .. }
        | AttendanceEvent::ParticipantExited { room_id, .. }) = *event;
        if !self.rooms.contains(room_id) {
            self.attendances.forget(room_id);
            return;
        }
        self.attendances.saw(room_id, sequence, event);
        if let AttendanceEvent::ParticipantExited { connection_id, .. } = *event
            && let Some(subscription) = self.rooms.get(room_id, connection_id)
        {
            self.enter_again(subscription);
        }
        let Some(change) = Change::of(event) else {
            self.stats.saw_connection(room_id);
            return;
        };
        self.stats.saw_people_change(room_id);
        let Some(unseen) = unseen.filter(|unseen| unseen.rooms.contains(&room_id)) else { return };
        let Change { user_id, came, .. } = change;
        let turn = self.attendances.came_or_went(room_id, user_id, came, sequence, &unseen.people);
        if let Some(turn) = turn {
            self.tell_turn(room_id, user_id, people.get(&user_id).cloned(), turn);
        }
    }

    /// Tells the others in a live room of somebody whom they see from now on, or do not see any more.
    pub(crate) fn tell_turn(
        &self,
        room_id: RoomId,
        user_id: UserId,
        person: Option<Person>,
        turn: Turn,
    ) {
        let payload = json!({
            "roomId": room_id,
            "kind": "presence",
            "user": person.unwrap_or_else(|| Person::unknown(user_id)),
            "onlineCount": turn.count,
        });
        self.emit_to_others(room_id, user_id, turn.event(), &payload);
    }
}

/// Whose membership the event ends, and why.
fn ended(event: &RoomEvent) -> Option<(UserId, &'static str)> {
    match *event {
        RoomEvent::MemberLeft { user_id, .. } => Some((user_id, "left")),
        RoomEvent::MemberRemoved { user_id, reason, .. } => Some((user_id, reason.as_str())),
        _ => None,
    }
}

/// Somebody came to a live room, or is gone from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    came: bool,
    room_id: RoomId,
    user_id: UserId,
}

impl Change {
    /// Others hear of a person's first and last connection only.
    fn of(event: &AttendanceEvent) -> Option<Self> {
        match *event {
            AttendanceEvent::ParticipantEntered { room_id, user_id, first: true, .. } => {
                Some(Self { came: true, room_id, user_id })
            }
            AttendanceEvent::ParticipantExited { room_id, user_id, last: true, .. } => {
                Some(Self { came: false, room_id, user_id })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::ConnectionId;
    use uuid::Uuid;

    use super::*;

    const ROOM: RoomId = RoomId(Uuid::from_u128(1));
    const ANA: UserId = UserId(Uuid::from_u128(2));

    fn entered(first: bool) -> AttendanceEvent {
        AttendanceEvent::ParticipantEntered {
            room_id: ROOM,
            user_id: ANA,
            connection_id: ConnectionId(Uuid::from_u128(3)),
            first,
            online_count: 4,
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    #[test]
    fn a_second_device_is_no_arrival() {
        let arrival = Change { came: true, room_id: ROOM, user_id: ANA };
        assert_eq!(Change::of(&entered(true)), Some(arrival));
        assert_eq!(Change::of(&entered(false)), None);
    }
}
