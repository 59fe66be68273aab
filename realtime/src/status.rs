//! `presence_update`: who came, went, or wants to be seen otherwise, told to those who share a room or a
//! conversation with them. Never recorded; the last one counts.
//!
//! A person has one status, however many devices: the last that any of them chose. What others
//! are told is kept in Redis, so that a change is told once, by whichever node sees it. Notices have no
//! order: each node tells what is kept at the moment of telling. Who becomes invisible, or visible
//! again, is seen to leave the live rooms they are in, or to come.
mod missed;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use commands::Caller;
use domain::{RoomId, UserId};
use nats::Nats;
use parking_lot::Mutex;
use platform::Clock;
use projections::{PresenceChoice, ReadModels, presence::status_name};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use missed::Missed;

use crate::{
    channel::LogError,
    node::Node,
    payload::{Person, timestamp},
    presence::Presence,
    reply::Refusal,
    volatile,
};

const TOPIC: &str = "presence";
/// People that are told for a conversation: those whom somebody talked with last.
const PARTNERS: i64 = 500;
/// People that are told of in one go, so that what is told is as it is now.
const AT_ONCE: usize = 200;
/// When an announcement that failed is tried again.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Longest wait for what is to be told: it is told the next time.
const PATIENCE: Duration = Duration::from_secs(1);

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notice {
    user_id: UserId,
    /// When the person was there last.
    at: DateTime<Utc>,
    /// Who is to be told; `None` if it is what they were told before.
    audience: Option<Audience>,
    /// If a device of the person chose it just now.
    chosen: bool,
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
    /// Whether a device of the person chose: all of theirs are to be told, and the live rooms they are in.
    chosen: bool,
}

impl Update {
    fn merge(&mut self, other: Self) {
        let newer = other.at >= self.at;
        if other.audience.is_some() && (newer || self.audience.is_none()) {
            self.audience = other.audience;
        }
        self.at = self.at.max(other.at);
        self.chosen |= other.chosen;
    }
}

impl From<Notice> for Update {
    fn from(Notice { at, audience, chosen, .. }: Notice) -> Self {
        Self { at, audience, chosen }
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

    /// So many of them; the others wait for the next time.
    fn take(&self, most: usize) -> HashMap<UserId, Update> {
        let mut waiting = self.0.lock();
        if waiting.len() <= most {
            return std::mem::take(&mut *waiting);
        }
        let taken: Vec<UserId> = waiting.keys().take(most).copied().collect();
        taken.into_iter().filter_map(|id| waiting.remove_entry(&id)).collect()
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
    /// Tells others what they see of a person after a while, if it is not what they were told last. Where
    /// the person `chose` it just now, their own devices are told in any case.
    pub(crate) fn announce(&self, user_id: UserId, after: Duration, chosen: bool) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let mut pauses = RETRIES.iter();
            while let Err(error) = this.announce_now(user_id, chosen).await {
                tracing::debug!(error = %error, "a presence update is not announced yet");
                let Some(pause) = pauses.next() else { return };
                tokio::time::sleep(*pause).await;
            }
        });
    }

    /// Does so now, and once.
    pub(crate) async fn announce_now(&self, user_id: UserId, chosen: bool) -> Result<(), LogError> {
        let invisible = self.read_models.active_members().invisible_key();
        let (before, now) = self.presence.note_told(user_id, invisible).await?;
        let changed = before != now;
        if !changed && !chosen {
            return Ok(());
        }
        let told = self.tell(user_id, changed, now.is_none(), chosen).await;
        if told.is_err() && changed {
            // Nobody was told.
            self.presence.take_back(user_id, before).await?;
        }
        told
    }

    async fn tell(
        &self,
        user_id: UserId,
        changed: bool,
        gone: bool,
        chosen: bool,
    ) -> Result<(), LogError> {
        let (at, mut audience) = (self.clock.now(), None);
        if changed {
            if gone {
                self.presence.was_seen(user_id, at).await?;
            }
            audience = Some(self.audience(user_id).await?);
        }
        self.publish(&Notice { user_id, at, audience, chosen }).await
    }

    /// Tells every node once more what others were to be told at that time, as it is now.
    async fn tell_again(&self, user_id: UserId, at: DateTime<Utc>) -> Result<(), LogError> {
        let audience = Some(self.audience(user_id).await?);
        let notice = Notice { user_id, at, audience, chosen: true };
        self.publish(&notice).await
    }

    async fn publish(&self, notice: &Notice) -> Result<(), LogError> {
        let topic = format!("{TOPIC}.user.{}", notice.user_id);
        Ok(volatile::try_tell(&self.nats, &topic, serde_json::to_vec(notice)?).await?)
    }

    async fn audience(&self, user_id: UserId) -> Result<Audience, LogError> {
        let memberships = self.read_models.members().rooms_of(user_id).await?;
        Ok(Audience {
            rooms: memberships.into_iter().map(|membership| membership.room_id).collect(),
            partners: self.read_models.conversations().partners(user_id, PARTNERS).await?,
            blocked: self.read_models.blocks().by(user_id).await?.into_iter().collect(),
        })
    }
}

impl Node {
    /// Chooses what others see of a person. That they want not to be seen is recorded, and holds at once: it
    /// does not wait for a projector.
    pub(crate) async fn choose_presence(
        &self,
        caller: &Caller,
        choice: PresenceChoice,
    ) -> Result<(), Refusal> {
        let (user_id, visible) = (caller.user_id, choice != PresenceChoice::Invisible);
        let version = self.commands.show_presence(caller, visible).await?.value;
        let kept = self.presence.choose(user_id, choice, version).await;
        kept.map_err(|error| {
            tracing::warn!(error = %error, "a presence status cannot be kept");
            Refusal::unavailable()
        })?;
        self.announcer.announce(user_id, Duration::ZERO, true);
        Ok(())
    }

    fn take_notice(&self, payload: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(payload) else { return };
        self.updates.add(notice.user_id, notice.into());
    }

    /// Tells the sockets of this node what was not told yet. What cannot be told waits for the next time.
    async fn show_updates(&self) {
        let updates = self.updates.take(AT_ONCE);
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
                let update = Update { chosen: false, ..update };
                self.updates.add(user_id, update);
            }
        }
    }

    /// What it takes to tell these updates, all of it as it is now.
    async fn known_of(&self, updates: &HashMap<UserId, Update>) -> Result<Known, LogError> {
        let people: Vec<UserId> = updates.keys().copied().collect();
        let chosen = updates.iter().filter(|(_, update)| update.chosen).map(|(id, _)| *id);
        let chosen: Vec<UserId> = chosen.collect();
        // Names first: between asking who is seen and telling it nothing is waited for.
        let names = self.history.people.find(chosen.iter().copied()).await;
        let told = self.presence.told(&people).await?;
        let choices = self.presence.choices(&chosen).await?;
        let rooms: HashSet<RoomId> =
            chosen.iter().flat_map(|id| self.attendances.rooms_of(*id)).collect();
        let there = rooms.iter().filter_map(|room_id| self.attendances.people(*room_id)).flatten();
        let asked: HashSet<UserId> = there.chain(chosen).collect();
        let asked: Vec<UserId> = asked.into_iter().collect();
        let invisible = self.read_models.presence().invisible(&asked).await?;
        Ok(Known { told, choices, names, invisible })
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
            self.show_turns(user_id, known);
        }
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
    fn show_turns(&self, user_id: UserId, known: &Known) {
        for room_id in self.attendances.rooms_of(user_id) {
            if let Some(turn) = self.attendances.turned(room_id, user_id, &known.invisible) {
                self.stats.saw_people_change(room_id);
                self.tell_turn(room_id, user_id, known.names.get(&user_id).cloned(), turn);
            }
        }
    }
}

/// What is so at the moment of telling.
struct Known {
    /// What others are told of people; those who are gone are missing.
    told: HashMap<UserId, PresenceChoice>,
    /// What people chose, for their own devices.
    choices: HashMap<UserId, PresenceChoice>,
    /// The names of those.
    names: HashMap<UserId, Person>,
    /// Of those, and the people in the live rooms they are in, who is not to be seen.
    invisible: HashSet<UserId>,
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
    volatile::hear(&node.nats, TOPIC, stop, |_, payload| node.take_notice(payload)).await;
}

/// Shows what was taken to the sockets of this node, once in a while.
pub(crate) async fn show(node: Arc<Node>, stop: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(node.settings.presence_interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = Missed::new(&node.nats);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        missed.look(&node).await;
        node.show_updates().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(second: i64, rooms: Option<&[u128]>, chosen: bool) -> Update {
        let id = |number: u128| RoomId(uuid::Uuid::from_u128(number));
        let audience = rooms.map(|rooms| Audience {
            rooms: rooms.iter().copied().map(id).collect(),
            partners: vec![],
            blocked: HashSet::new(),
        });
        let at = DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap();
        Update { at, audience, chosen }
    }

    #[test]
    fn of_two_notices_the_newer_says_whom_to_tell() {
        let mut waiting = update(2, Some(&[2]), false);
        waiting.merge(update(1, Some(&[1]), true));
        let rooms = |update: &Update| update.audience.as_ref().unwrap().rooms[0].0.as_u128();
        assert_eq!((rooms(&waiting), waiting.at), (2, update(2, None, false).at));
        waiting.merge(update(3, Some(&[3]), false));
        waiting.merge(update(4, None, false));
        assert_eq!((rooms(&waiting), waiting.at), (3, update(4, None, false).at));
        assert!(waiting.chosen, "somebody chose");
    }

    #[test]
    fn what_does_not_fit_waits() {
        let updates = Updates::default();
        for number in 0..5 {
            updates.add(UserId(uuid::Uuid::from_u128(number)), update(0, None, true));
        }
        assert_eq!(
            (updates.take(3).len(), updates.take(3).len(), updates.take(3).len()),
            (3, 2, 0)
        );
    }
}
