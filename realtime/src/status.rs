//! `presence_update`: who came, went, or wants to be seen otherwise, told to those who share a room or a
//! conversation with them. Never recorded; the last one counts.
//!
//! A person has one status, however many devices: the last that any of them chose. What others
//! are told is kept in Redis, so that a change is told once, by whichever node sees it. Notices have no
//! order: each node tells what is kept at the moment of telling. Who becomes invisible, or visible
//! again, is seen to leave the live rooms they are in, or to come.
use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{RoomId, UserId};
use nats::Nats;
use parking_lot::Mutex;
use platform::Clock;
use projections::{PresenceChoice, ReadModels, presence::status_name};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    channel::LogError,
    node::Node,
    payload::{Person, timestamp},
    presence::Presence,
    present::Present,
    reply::Refusal,
    volatile,
};

const TOPIC: &str = "presence";
/// People that are told for a conversation: those whom somebody talked with last.
const PARTNERS: i64 = 500;
/// Longest wait for what is to be told: it is told the next time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a device of a person chose just now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chosen {
    /// Whether others saw the person before.
    seen_before: bool,
    /// The live rooms they were in, if they turned from being seen to not being seen, or back.
    turned_in: Vec<RoomId>,
}

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notice {
    user_id: UserId,
    /// When the person was there last.
    at: DateTime<Utc>,
    /// Who is to be told; `None` if it is what they were told before.
    audience: Option<Audience>,
    /// If the person chose it.
    chosen: Option<Chosen>,
}

/// Whom a change of status is of interest to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Audience {
    /// Everyone who belongs to one of these,
    rooms: Vec<RoomId>,
    /// and these,
    partners: Vec<UserId>,
    /// but not these.
    blocked: HashSet<UserId>,
}

/// What was not told yet of each person.
#[derive(Default)]
pub(crate) struct Updates(Mutex<HashMap<UserId, Update>>);

/// What was not told yet of one person, of any number of notices. They have no order: what is told is
/// what is kept in Redis by then.
struct Update {
    at: DateTime<Utc>,
    audience: Option<Audience>,
    /// Whether the person's own devices are to be told.
    own: bool,
    /// The live rooms in which they turned from being seen to not being seen, or back: whether they were
    /// seen there before.
    turned: HashMap<RoomId, bool>,
}

impl Update {
    fn merge(&mut self, other: Self) {
        let newer = other.at >= self.at;
        if other.audience.is_some() && (newer || self.audience.is_none()) {
            self.audience = other.audience;
        }
        self.at = self.at.max(other.at);
        self.own |= other.own;
        for (room_id, seen_before) in other.turned {
            self.turned.entry(room_id).or_insert(seen_before);
        }
    }
}

impl From<Notice> for Update {
    fn from(Notice { at, audience, chosen, .. }: Notice) -> Self {
        let own = chosen.is_some();
        let turned = chosen.into_iter().flat_map(|Chosen { seen_before, turned_in }| {
            turned_in.into_iter().map(move |room_id| (room_id, seen_before))
        });
        Self { at, audience, own, turned: turned.collect() }
    }
}

impl Updates {
    fn add(&self, user_id: UserId, update: Update) {
        match self.0.lock().entry(user_id) {
            Entry::Occupied(mut waiting) => waiting.get_mut().merge(update),
            Entry::Vacant(place) => {
                place.insert(update);
            }
        }
    }

    fn take(&self) -> HashMap<UserId, Update> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// What others in a live room are told of somebody who turned, by whether they saw them before, and whether
/// they see them now; `None` for now if the person is not there any more: nobody was told of their
/// leaving, since they were invisible by then.
fn turn(seen_before: bool, seen_now: Option<bool>) -> Option<&'static str> {
    match (seen_before, seen_now) {
        (true, Some(true)) | (false, Some(false) | None) => None,
        (true, Some(false) | None) => Some("user_left"),
        (false, Some(true)) => Some("user_joined"),
    }
}

/// Finds out what others see of people, and has it told.
#[derive(Clone)]
pub(crate) struct Announcer {
    pub(crate) presence: Presence,
    pub(crate) read_models: ReadModels,
    pub(crate) nats: Nats,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Announcer {
    /// Tells others what they see of a person after a while, if it is not what they were told last.
    /// With `chosen`, the person's own devices are told in any case.
    pub(crate) fn announce(&self, user_id: UserId, after: Duration, chosen: Option<Chosen>) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Err(error) = this.announce_now(user_id, chosen).await {
                tracing::debug!(error = %error, "a presence update was lost");
            }
        });
    }

    async fn announce_now(&self, user_id: UserId, chosen: Option<Chosen>) -> Result<(), LogError> {
        let (told, status) = self.presence.note_told(user_id).await?;
        let changed = told != status;
        if !changed && chosen.is_none() {
            return Ok(());
        }
        let (at, mut audience) = (self.clock.now(), None);
        if changed {
            if status.is_none() {
                self.presence.was_seen(user_id, at).await?;
            }
            audience = Some(Audience {
                rooms: self.rooms_of(user_id).await?,
                partners: self.read_models.conversations().partners(user_id, PARTNERS).await?,
                blocked: self.read_models.blocks().by(user_id).await?.into_iter().collect(),
            });
        }
        let notice = Notice { user_id, at, audience, chosen };
        let topic = format!("{TOPIC}.user.{user_id}");
        volatile::tell(&self.nats, &topic, serde_json::to_vec(&notice)?).await;
        Ok(())
    }

    async fn rooms_of(&self, user_id: UserId) -> Result<Vec<RoomId>, LogError> {
        let memberships = self.read_models.members().rooms_of(user_id).await?;
        Ok(memberships.into_iter().map(|membership| membership.room_id).collect())
    }

    /// The live rooms that the person is in, on all nodes.
    async fn live_rooms_of(&self, user_id: UserId) -> Result<Vec<RoomId>, LogError> {
        let rooms = self.rooms_of(user_id).await?;
        Ok(self.read_models.active_members().rooms_with(user_id, &rooms).await?)
    }
}

impl Node {
    /// Chooses what others see of a person.
    pub(crate) async fn choose_presence(
        &self,
        user_id: UserId,
        choice: PresenceChoice,
    ) -> Result<(), Refusal> {
        // Before the choice: who leaves a room after it is not seen leaving any more.
        let live = self.live_rooms_of(user_id).await;
        let before = self.presence.choose(user_id, choice).await.map_err(|error| {
            tracing::warn!(error = %error, "a presence status cannot be kept");
            Refusal::unavailable()
        })?;
        let visible = |choice| choice != PresenceChoice::Invisible;
        let seen_before = visible(before);
        let turned = seen_before != visible(choice);
        let turned_in = if turned { live } else { Vec::new() };
        let chosen = Chosen { seen_before, turned_in };
        self.announcer.announce(user_id, Duration::ZERO, Some(chosen));
        Ok(())
    }

    async fn live_rooms_of(&self, user_id: UserId) -> Vec<RoomId> {
        let elsewhere = self.announcer.live_rooms_of(user_id).await.unwrap_or_else(|error| {
            tracing::debug!(error = %error, "who turns is seen turning on their node only");
            Vec::new()
        });
        // Of this node more is known than the read model may show yet.
        let own = self.connections.of_user(user_id);
        let own = own.iter().flat_map(|connection| connection.joined_rooms());
        let rooms: HashSet<RoomId> = elsewhere.into_iter().chain(own).collect();
        rooms.into_iter().collect()
    }

    fn take_notice(&self, payload: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(payload) else { return };
        self.updates.add(notice.user_id, notice.into());
    }

    /// Tells the sockets of this node what was not told yet. What cannot be told waits for the next time.
    async fn show_updates(&self) {
        let updates = self.updates.take();
        if updates.is_empty() {
            return;
        }
        let known = match timeout(PATIENCE, self.known_of(&updates)).await {
            Ok(Ok(known)) => known,
            outcome => {
                if let Ok(Err(error)) = outcome {
                    tracing::debug!(error = %error, "presence updates wait");
                }
                for (user_id, update) in updates {
                    self.updates.add(user_id, update);
                }
                return;
            }
        };
        for (user_id, update) in updates {
            if let Err(error) = self.show_status(user_id, &update, &known).await {
                tracing::debug!(error = %error, "a presence update waits");
                let update = Update { own: false, turned: HashMap::new(), ..update };
                self.updates.add(user_id, update);
            }
        }
    }

    /// What it takes to tell these updates, all of it as it is now.
    async fn known_of(&self, updates: &HashMap<UserId, Update>) -> Result<Known, LogError> {
        let people: Vec<UserId> = updates.keys().copied().collect();
        let own = updates.iter().filter(|(_, update)| update.own).map(|(id, _)| *id);
        let own: Vec<UserId> = own.collect();
        let turned = updates.iter().filter(|(_, update)| !update.turned.is_empty());
        let rooms: HashSet<RoomId> = turned
            .clone()
            .flat_map(|(_, update)| update.turned.keys().copied())
            .filter(|room_id| self.rooms.contains(*room_id))
            .collect();
        let rooms: Vec<RoomId> = rooms.into_iter().collect();
        Ok(Known {
            told: self.presence.told(&people).await?,
            choices: self.presence.choices(&own).await?,
            people: self.history.people.find(turned.map(|(id, _)| *id)).await,
            present: self.present_in(&rooms).await?,
        })
    }

    /// Tells everyone on this node whom it is of interest to.
    async fn show_status(
        &self,
        user_id: UserId,
        update: &Update,
        known: &Known,
    ) -> Result<(), LogError> {
        if let Some(choice) = known.choices.get(&user_id) {
            let payload = payload(user_id, choice.as_str(), update.at);
            for connection in self.connections.of_user(user_id) {
                connection.emit_volatile("presence_update", &payload);
            }
        }
        self.show_turned(user_id, update, known);
        let Some(Audience { rooms, partners, blocked }) = &update.audience else { return Ok(()) };
        let mut told: HashSet<UserId> = partners.iter().copied().collect();
        for room_id in rooms {
            let present = self.rooms.subscriptions(*room_id);
            told.extend(present.iter().map(|subscription| subscription.connection.user_id));
        }
        // Members who look at something else: only the read model knows them.
        let mut others = self.connections.people();
        others.retain(|id| !told.contains(id) && !blocked.contains(id) && *id != user_id);
        told.extend(self.read_models.members().among(rooms, &others).await?);
        let payload = payload(user_id, status_name(known.told.get(&user_id).copied()), update.at);
        for other in told {
            if other == user_id || blocked.contains(&other) {
                continue;
            }
            for connection in self.connections.of_user(other) {
                connection.emit_volatile("presence_update", &payload);
            }
        }
        Ok(())
    }

    /// Shows a person who wants to be seen again, or not any more, in the live rooms they are in.
    fn show_turned(&self, user_id: UserId, update: &Update, known: &Known) {
        for (room_id, seen_before) in &update.turned {
            let Some(present) = known.present.get(room_id) else { continue };
            self.stats.saw_people_change(*room_id);
            let Some(event) = turn(*seen_before, present.shows(user_id)) else { continue };
            let person = known.people.get(&user_id).cloned();
            let payload = json!({
                "roomId": room_id,
                "kind": "presence",
                "user": person.unwrap_or_else(|| Person::unknown(user_id)),
                "onlineCount": present.count(),
            });
            self.emit_to_others(*room_id, user_id, event, &payload);
        }
    }
}

/// What is so at the moment of telling.
struct Known {
    /// What others are told of people; those who are gone are missing.
    told: HashMap<UserId, PresenceChoice>,
    /// What people chose, for their own devices.
    choices: HashMap<UserId, PresenceChoice>,
    /// Names of those who turned.
    people: HashMap<UserId, Person>,
    /// The live rooms of this node in which they turned.
    present: HashMap<RoomId, Present>,
}

fn payload(user_id: UserId, status: &str, last_seen_at: DateTime<Utc>) -> Value {
    json!({
        "userId": user_id,
        "status": status,
        "lastSeenAt": timestamp(last_seen_at),
    })
}

/// Takes what the nodes tell each other.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    volatile::hear(node, TOPIC, stop, |node, _, payload| node.take_notice(payload)).await;
}

/// Shows what was taken to the sockets of this node, once in a while.
pub(crate) async fn show(node: Arc<Node>, stop: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(node.settings.presence_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        node.show_updates().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_being_seen_or_not_is_coming_or_going() {
        assert_eq!(turn(true, Some(false)), Some("user_left"));
        assert_eq!(turn(false, Some(true)), Some("user_joined"));
        // Who left behind their choice was not seen leaving.
        assert_eq!(turn(true, None), Some("user_left"));
        // There and back again.
        assert_eq!((turn(true, Some(true)), turn(false, Some(false))), (None, None));
        assert_eq!(turn(false, None), None);
    }

    fn update(second: i64, rooms: Option<&[u128]>, turned: &[(u128, bool)]) -> Update {
        let id = |number: u128| RoomId(uuid::Uuid::from_u128(number));
        let audience = rooms.map(|rooms| Audience {
            rooms: rooms.iter().copied().map(id).collect(),
            partners: vec![],
            blocked: HashSet::new(),
        });
        let turned = turned.iter().map(|(room, before)| (id(*room), *before)).collect();
        let at = DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        Update { at, audience, own: false, turned }
    }

    #[test]
    fn of_two_notices_the_newer_says_whom_to_tell_and_the_first_what_was_before() {
        let mut waiting = update(2, Some(&[2]), &[(7, true)]);
        waiting.merge(update(1, Some(&[1]), &[(7, false), (8, false)]));
        let rooms = |update: &Update| update.audience.as_ref().unwrap().rooms[0].0.as_u128();
        assert_eq!((rooms(&waiting), waiting.at), (2, update(2, None, &[]).at));
        assert_eq!(waiting.turned, update(0, None, &[(7, true), (8, false)]).turned);
        waiting.merge(update(3, Some(&[3]), &[]));
        waiting.merge(update(4, None, &[]));
        assert_eq!((rooms(&waiting), waiting.at), (3, update(4, None, &[]).at));
    }
}
