//! `presence_update`: who came, went, or wants to be seen otherwise, told to those who share a room or a
//! conversation with them. Never recorded; the last one counts.
//!
//! A person has one status, however many devices: the last that any of them chose. What others
//! are told is kept in Redis, so that a change is told once, by whichever node sees it. Notices have no
//! order: each node tells what is kept at the moment of telling. Who becomes invisible, or visible
//! again, is seen to leave the live rooms they are in, or to come.
use std::{
    collections::{HashMap, HashSet},
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
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

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

/// What a device of a person chose.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Chosen {
    now: PresenceChoice,
    before: PresenceChoice,
}

impl Chosen {
    /// Whether others see them from now on (`true`), or not any more; `None` if that is as before.
    fn turned(self) -> Option<bool> {
        let visible = |choice| choice != PresenceChoice::Invisible;
        (visible(self.now) != visible(self.before)).then(|| visible(self.now))
    }
}

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notice {
    user_id: UserId,
    /// When the person was there last.
    at: DateTime<Utc>,
    /// The rooms they are a member of; none if nothing changed for anybody.
    rooms: Vec<RoomId>,
    /// Who is to be told; `None` if it is what they were told before.
    audience: Option<Audience>,
    /// What the person's own devices are to be told, if they chose it just now.
    chosen: Option<Chosen>,
}

/// Whom a change of status is of interest to.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Audience {
    /// Everyone who belongs to one of the person's rooms, and these,
    partners: Vec<UserId>,
    /// but not these.
    blocked: HashSet<UserId>,
}

/// Changes that others were not told yet, the latest of each person.
#[derive(Default)]
pub(crate) struct Updates(Mutex<HashMap<UserId, Notice>>);

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
        let turned = chosen.and_then(Chosen::turned).is_some();
        if !changed && chosen.is_none() {
            return Ok(());
        }
        let rooms = if changed || turned { self.rooms_of(user_id).await? } else { Vec::new() };
        let (at, mut audience) = (self.clock.now(), None);
        if changed {
            if status.is_none() {
                self.presence.was_seen(user_id, at).await?;
            }
            audience = Some(Audience {
                partners: self.read_models.conversations().partners(user_id, PARTNERS).await?,
                blocked: self.read_models.blocks().by(user_id).await?.into_iter().collect(),
            });
        }
        let notice = Notice { user_id, at, rooms, audience, chosen };
        let topic = format!("{TOPIC}.user.{user_id}");
        volatile::tell(&self.nats, &topic, serde_json::to_vec(&notice)?).await;
        Ok(())
    }

    async fn rooms_of(&self, user_id: UserId) -> Result<Vec<RoomId>, LogError> {
        let memberships = self.read_models.members().rooms_of(user_id).await?;
        Ok(memberships.into_iter().map(|membership| membership.room_id).collect())
    }
}

impl Node {
    /// Chooses what others see of a person.
    pub(crate) async fn choose_presence(
        &self,
        user_id: UserId,
        choice: PresenceChoice,
    ) -> Result<(), Refusal> {
        let before = self.presence.choose(user_id, choice).await.map_err(|error| {
            tracing::warn!(error = %error, "a presence status cannot be kept");
            Refusal::unavailable()
        })?;
        let chosen = Chosen { now: choice, before };
        self.announcer.announce(user_id, Duration::ZERO, Some(chosen));
        Ok(())
    }

    fn take_notice(self: &Arc<Self>, payload: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(payload) else { return };
        let user_id = notice.user_id;
        if let Some(chosen) = notice.chosen {
            let own = update(user_id, chosen.now.as_str(), notice.at);
            for connection in self.connections.of_user(user_id) {
                connection.emit_volatile("presence_update", &own);
            }
            if let Some(visible) = chosen.turned() {
                self.show_turned(user_id, visible, &notice.rooms);
            }
        }
        if notice.audience.is_some() {
            self.updates.0.lock().insert(user_id, notice);
        }
    }

    /// Shows a person who wants to be seen again, or not any more, in the live rooms they are in.
    fn show_turned(self: &Arc<Self>, user_id: UserId, visible: bool, rooms: &[RoomId]) {
        let here = rooms.iter().copied().filter(|room_id| self.rooms.contains(*room_id));
        let here: Vec<_> = here.collect();
        if here.is_empty() {
            return;
        }
        let node = Arc::clone(self);
        self.workers.spawn(async move {
            let present = match node.present_in(&here).await {
                Ok(present) => present,
                Err(error) => {
                    tracing::debug!(error = %error, "who is seen anew in live rooms is not told");
                    return;
                }
            };
            let person = node.history.people.find([user_id]).await.remove(&user_id);
            let person = person.unwrap_or_else(|| Person::unknown(user_id));
            let event = if visible { "user_joined" } else { "user_left" };
            for (room_id, present) in present {
                node.stats.saw_people_change(room_id);
                // By now they may have turned back, which has its own notice.
                if present.shows(user_id) != Some(visible) {
                    continue;
                }
                let payload = json!({
                    "roomId": room_id,
                    "kind": "presence",
                    "user": person,
                    "onlineCount": present.count(),
                });
                node.emit_to_others(room_id, user_id, event, &payload);
            }
        });
    }

    async fn show_all(&self, updates: &HashMap<UserId, Notice>) -> Result<(), LogError> {
        let people: Vec<UserId> = updates.keys().copied().collect();
        let told = self.presence.told(&people).await?;
        for (user_id, notice) in updates {
            self.show_status(notice, told.get(user_id).copied()).await?;
        }
        Ok(())
    }

    /// Tells everyone on this node whom it is of interest to.
    async fn show_status(
        &self,
        notice: &Notice,
        status: Option<PresenceChoice>,
    ) -> Result<(), LogError> {
        let Some(Audience { partners, blocked }) = &notice.audience else { return Ok(()) };
        let mut told: HashSet<UserId> = partners.iter().copied().collect();
        for room_id in &notice.rooms {
            let present = self.rooms.subscriptions(*room_id);
            told.extend(present.iter().map(|subscription| subscription.connection.user_id));
        }
        // Members who look at something else: only the read model knows them.
        let mut others = self.connections.people();
        others.retain(|id| !told.contains(id) && !blocked.contains(id) && *id != notice.user_id);
        told.extend(self.read_models.members().among(&notice.rooms, &others).await?);
        let payload = update(notice.user_id, status_name(status), notice.at);
        for user_id in told {
            if user_id == notice.user_id || blocked.contains(&user_id) {
                continue;
            }
            for connection in self.connections.of_user(user_id) {
                connection.emit_volatile("presence_update", &payload);
            }
        }
        Ok(())
    }
}

fn update(user_id: UserId, status: &str, last_seen_at: DateTime<Utc>) -> Value {
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
        let updates = std::mem::take(&mut *node.updates.0.lock());
        if let Err(error) = node.show_all(&updates).await {
            tracing::debug!(error = %error, "presence updates were lost");
        }
    }
}

#[cfg(test)]
mod tests {
    use PresenceChoice::{Away, Invisible, Online};

    use super::*;

    #[test]
    fn only_being_seen_or_not_is_coming_or_going() {
        let turned = |before, now| Chosen { now, before }.turned();
        assert_eq!(turned(Online, Away), None);
        assert_eq!(turned(Invisible, Invisible), None);
        assert_eq!(turned(Away, Invisible), Some(false));
        assert_eq!(turned(Invisible, Online), Some(true));
    }
}
