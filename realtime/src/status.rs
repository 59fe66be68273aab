//! `presence_update`: who came, went, or wants to be seen otherwise, told to those who are in a
//! live room of theirs. Never recorded; the last one counts.
//!
//! A person has one status, however many devices: the last that any of them chose. What others
//! were told last is kept in Redis, so that a change is told once, by whichever node sees it.
use std::{collections::HashSet, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{RoomId, UserId};
use futures::StreamExt;
use nats::Nats;
use platform::{Backoff, Clock};
use projections::{PresenceChoice, ReadModels};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    channel::LogError, node::Node, payload::timestamp, presence::Presence, reply::Refusal,
};

const TOPIC: &str = "presence";

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    user_id: UserId,
    /// What others see.
    status: String,
    last_seen_at: Option<DateTime<Utc>>,
    /// Where there may be somebody to tell.
    rooms: Vec<RoomId>,
    /// What the person's own devices see, if they chose it just now.
    chosen: Option<PresenceChoice>,
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
    pub(crate) fn announce(
        &self,
        user_id: UserId,
        after: Duration,
        chosen: Option<PresenceChoice>,
    ) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            if let Err(error) = this.announce_now(user_id, chosen).await {
                tracing::debug!(error = %error, "a presence update was lost");
            }
        });
    }

    async fn announce_now(
        &self,
        user_id: UserId,
        chosen: Option<PresenceChoice>,
    ) -> Result<(), LogError> {
        let seen = self.read_models.presence().of(&[user_id]).await?;
        let Some(seen) = seen.get(&user_id) else { return Ok(()) };
        let (now, status) = (self.clock.now(), seen.as_str());
        let told = self.presence.swap_told(user_id, status).await?;
        let changed = told.as_deref().unwrap_or("offline") != status;
        if !changed && chosen.is_none() {
            return Ok(());
        }
        let mut last_seen_at = seen.last_seen_at;
        let mut rooms = Vec::new();
        if changed {
            last_seen_at = Some(now);
            if seen.status.is_none() {
                self.presence.was_seen(user_id, now).await?;
            }
            let memberships = self.read_models.members().rooms_of(user_id).await?;
            rooms.extend(memberships.into_iter().map(|membership| membership.room_id));
        }
        let notice = Notice { user_id, status: status.to_owned(), last_seen_at, rooms, chosen };
        let topic = format!("{TOPIC}.user.{user_id}");
        Ok(self.nats.publish_volatile(&topic, serde_json::to_vec(&notice)?).await?)
    }
}

impl Node {
    /// Chooses what others see of a person.
    pub(crate) async fn choose_presence(
        &self,
        user_id: UserId,
        choice: PresenceChoice,
    ) -> Result<(), Refusal> {
        self.presence.choose(user_id, choice).await.map_err(|error| {
            tracing::warn!(error = %error, "a presence status cannot be kept");
            Refusal::unavailable()
        })?;
        self.announcer.announce(user_id, Duration::ZERO, Some(choice));
        Ok(())
    }

    fn show_presence(&self, notice: &Notice) {
        let payload = |status: &str| {
            json!({
                "userId": notice.user_id,
                "status": status,
                "lastSeenAt": notice.last_seen_at.map(timestamp),
            })
        };
        let public = payload(&notice.status);
        let mut told = HashSet::new();
        for room_id in &notice.rooms {
            for subscription in self.rooms.subscriptions(*room_id) {
                let connection = &subscription.connection;
                if connection.user_id != notice.user_id && told.insert(connection.id) {
                    connection.emit_volatile("presence_update", &public);
                }
            }
        }
        if let Some(chosen) = notice.chosen {
            let own = payload(chosen.as_str());
            for connection in self.connections.of_user(notice.user_id) {
                connection.emit_volatile("presence_update", &own);
            }
        }
    }
}

/// Shows what the nodes tell each other to the sockets of this one.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while !stop.is_cancelled() {
        match node.nats.subscribe_volatile(TOPIC).await {
            Ok(mut notices) => {
                backoff.reset();
                while let Some(Some((_, payload))) = stop.run_until_cancelled(notices.next()).await
                {
                    if let Ok(notice) = serde_json::from_slice(&payload) {
                        node.show_presence(&notice);
                    }
                }
            }
            Err(error) => tracing::warn!(error = %error, "presence notices cannot be heard"),
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
    }
}
