//! `room_stats_updated`: the numbers of a room, once in a while, the latest only.
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{RoomEvent, RoomId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{node::Node, payload::timestamp};

/// Longest wait for the numbers of people: statistics without one are better than late ones.
const PATIENCE: Duration = Duration::from_millis(500);

/// The numbers of rooms that sockets of this node are in.
#[derive(Default)]
pub(crate) struct Stats(Mutex<Table>);

#[derive(Default)]
struct Table {
    rooms: HashMap<RoomId, RoomStats>,
    changed: HashSet<RoomId>,
    /// Of those, where somebody came, went, or is seen otherwise than before.
    recount: HashSet<RoomId>,
    /// What was told last.
    told: HashMap<RoomId, Value>,
}

/// What is known of a room. `None` is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RoomStats {
    members: Option<u32>,
    /// Those whom others see.
    online: Option<u32>,
    messages: Option<Messages>,
}

/// How much was said, and when last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Messages {
    count: u64,
    last_at: Option<DateTime<Utc>>,
}

impl RoomStats {
    fn saw(&mut self, event: &RoomEvent) {
        match *event {
            RoomEvent::MemberJoined { member_count, .. }
            | RoomEvent::MemberLeft { member_count, .. }
            | RoomEvent::MemberRemoved { member_count, .. } => self.members = Some(member_count),
            RoomEvent::MessagePosted { message_count, at, .. } => {
                self.messages = Some(Messages { count: message_count, last_at: Some(at) });
            }
            RoomEvent::RoomCreated { .. }
            | RoomEvent::RoomEdited { .. }
            | RoomEvent::MemberRoleChanged { .. }
            | RoomEvent::NotificationLevelChanged { .. }
            | RoomEvent::MemberBanned { .. }
            | RoomEvent::BanLifted { .. }
            | RoomEvent::MemberMuted { .. }
            | RoomEvent::MuteLifted { .. }
            | RoomEvent::InviteCreated { .. }
            | RoomEvent::InviteRevoked { .. }
            | RoomEvent::OwnershipTransferred { .. }
            | RoomEvent::RoomArchived { .. }
            | RoomEvent::MessageEdited { .. }
            | RoomEvent::MessageDeleted { .. }
            | RoomEvent::ReactionAdded { .. }
            | RoomEvent::ReactionRemoved { .. } => {}
        }
    }

    /// Takes what is not known from elsewhere; what was seen is newer.
    fn fill(&mut self, other: Self) {
        self.members = self.members.or(other.members);
        self.online = self.online.or(other.online);
        self.messages = self.messages.or(other.messages);
    }

    fn is_complete(&self) -> bool {
        self.members.is_some() && self.messages.is_some()
    }

    fn payload(&self, room_id: RoomId) -> Value {
        json!({
            "roomId": room_id,
            "memberCount": self.members,
            "onlineCount": self.online,
            "messageCount": self.messages.map(|messages| messages.count),
            "lastMessageAt": self.messages.and_then(|messages| messages.last_at).map(timestamp),
        })
    }
}

impl Stats {
    /// Something happened to a room that sockets of this node are in.
    pub(crate) fn saw(&self, room_id: RoomId, event: &RoomEvent) {
        self.change(room_id, |stats| stats.saw(event));
    }

    /// A connection came or went, of a person who is there with another one: whoever is new hears the
    /// numbers, which are what they were.
    pub(crate) fn saw_connection(&self, room_id: RoomId) {
        self.change(room_id, |_| {});
    }

    /// Somebody came or went, or is seen otherwise than before.
    pub(crate) fn saw_people_change(&self, room_id: RoomId) {
        self.0.lock().recount.insert(room_id);
        self.change(room_id, |_| {});
    }

    /// No socket of this node is in the room any more.
    pub(crate) fn forget(&self, room_id: RoomId) {
        let mut table = self.0.lock();
        table.rooms.remove(&room_id);
        table.changed.remove(&room_id);
        table.recount.remove(&room_id);
        table.told.remove(&room_id);
    }

    fn change(&self, room_id: RoomId, change: impl FnOnce(&mut RoomStats)) {
        let mut table = self.0.lock();
        change(table.rooms.entry(room_id).or_default());
        table.changed.insert(room_id);
    }

    fn take_changed(&self) -> Vec<RoomId> {
        let Table { rooms, changed, recount, .. } = &mut *self.0.lock();
        for room_id in recount.drain() {
            if let Some(stats) = rooms.get_mut(&room_id) {
                stats.online = None;
            }
        }
        changed.drain().collect()
    }

    /// Whether these numbers are others than were told last. Who comes or goes unseen changes none, and
    /// is not to be noticed by a statistic that comes all the same.
    fn is_news(&self, room_id: RoomId, payload: &Value) -> bool {
        let last = self.0.lock().told.insert(room_id, payload.clone());
        last.as_ref() != Some(payload)
    }

    fn get(&self, room_id: RoomId) -> Option<RoomStats> {
        self.0.lock().rooms.get(&room_id).copied()
    }

    fn fill(&self, room_id: RoomId, other: RoomStats) -> Option<RoomStats> {
        let mut table = self.0.lock();
        let stats = table.rooms.get_mut(&room_id)?;
        stats.fill(other);
        Some(*stats)
    }
}

/// Tells the sockets of this node what changed since the last time.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(node.settings.stats_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let mut changed = node.stats.take_changed();
        changed.retain(|room_id| {
            let here = node.rooms.contains(*room_id);
            if !here {
                node.stats.forget(*room_id);
            }
            here
        });
        let mut online = count(&node, &changed).await;
        for room_id in changed {
            let Some(stats) = node.stats.get(room_id) else { continue };
            let mut known = RoomStats { online: online.remove(&room_id), ..RoomStats::default() };
            if !stats.is_complete() {
                look_up(&node, room_id, &mut known).await;
            }
            let Some(stats) = node.stats.fill(room_id, known) else { continue };
            if stats.online.is_none() {
                // They are counted again the next time.
                node.stats.saw_people_change(room_id);
            }
            let payload = stats.payload(room_id);
            let is_news = node.stats.is_news(room_id, &payload);
            let mut subscriptions = node.rooms.subscriptions(room_id);
            // Before that nothing is told, and what they do not hear they do not know.
            subscriptions.retain(|subscription| subscription.connection.is_greeted());
            for subscription in subscriptions {
                let is_new = !subscription.knows_numbers.swap(true, Ordering::AcqRel);
                if is_news || is_new {
                    subscription.connection.emit_volatile("room_stats_updated", &payload);
                }
            }
        }
    }
}

/// Those whom others see, of rooms that are to be counted.
async fn count(node: &Node, rooms: &[RoomId]) -> HashMap<RoomId, u32> {
    let uncounted = |id: &RoomId| node.stats.get(*id).is_some_and(|stats| stats.online.is_none());
    let rooms: Vec<RoomId> = rooms.iter().copied().filter(uncounted).collect();
    match timeout(PATIENCE, node.seen_in(&rooms)).await {
        Ok(Ok(counts)) => counts,
        Ok(Err(error)) => {
            tracing::debug!(error = %error, "room statistics are incomplete");
            HashMap::new()
        }
        Err(_) => {
            tracing::debug!("room statistics are incomplete: no answer");
            HashMap::new()
        }
    }
}

/// What a read model says of a room that this node has not seen everything of.
async fn look_up(node: &Node, room_id: RoomId, stats: &mut RoomStats) {
    match node.read_models.rooms().get(room_id).await {
        Ok(Some(room)) => {
            stats.members = Some(room.member_count);
            let count = u64::try_from(room.message_count).ok();
            let last_at = room.last_message_at;
            stats.messages = count.map(|count| Messages { count, last_at });
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(error = %error, "room statistics are incomplete"),
    }
}

#[cfg(test)]
mod tests {
    use domain::UserId;
    use uuid::Uuid;

    use super::*;

    const ROOM: RoomId = RoomId(Uuid::from_u128(1));

    fn left(member_count: u32) -> RoomEvent {
        let at = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        RoomEvent::MemberLeft { room_id: ROOM, user_id: UserId(Uuid::nil()), member_count, at }
    }

    #[test]
    fn the_latest_wins_and_is_told_once() {
        let stats = Stats::default();
        stats.saw(ROOM, &left(3));
        stats.saw(ROOM, &left(2));
        assert_eq!(stats.take_changed(), [ROOM]);
        assert_eq!(stats.get(ROOM).unwrap().members, Some(2));
        assert!(stats.take_changed().is_empty());
    }

    #[test]
    fn what_was_seen_is_newer_than_what_is_looked_up() {
        let stats = Stats::default();
        stats.saw(ROOM, &left(2));
        let looked_up = RoomStats {
            members: Some(9),
            online: Some(3),
            messages: Some(Messages { count: 5, last_at: None }),
        };
        let filled = stats.fill(ROOM, looked_up).unwrap();
        assert!(filled.is_complete());
        assert_eq!(
            filled.payload(ROOM),
            json!({
                "roomId": ROOM, "memberCount": 2, "onlineCount": 3, "messageCount": 5,
                "lastMessageAt": null,
            })
        );
    }

    #[test]
    fn people_are_counted_anew_when_one_of_them_came_or_went() {
        let stats = Stats::default();
        let three = RoomStats { online: Some(3), ..RoomStats::default() };
        stats.saw(ROOM, &left(2));
        stats.take_changed();
        assert_eq!(stats.fill(ROOM, three).unwrap().online, Some(3));
        stats.saw(ROOM, &left(1));
        stats.take_changed();
        assert_eq!(stats.get(ROOM).unwrap().online, Some(3));
        stats.saw_people_change(ROOM);
        // Who comes while people are counted is counted the next time.
        assert_eq!(stats.take_changed(), [ROOM]);
        stats.saw_people_change(ROOM);
        assert_eq!(stats.fill(ROOM, three).unwrap().online, Some(3));
        assert_eq!(stats.take_changed(), [ROOM]);
        assert_eq!(stats.get(ROOM).unwrap().online, None);
    }

    #[test]
    fn a_forgotten_room_is_not_told() {
        let stats = Stats::default();
        stats.saw(ROOM, &left(2));
        stats.forget(ROOM);
        assert!(stats.take_changed().is_empty());
        assert_eq!(stats.fill(ROOM, RoomStats::default()), None);
    }
}
