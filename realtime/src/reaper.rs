//! Records the leaving of people whose node died, or ended without their coming back elsewhere, and has
//! others told that they are gone.
use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use commands::Commands;
use domain::{ConnectionId, RoomId, UserId};
use futures::{StreamExt, stream};
use nats::Nats;
use platform::{Clock, config::Config, ids::new_id};
use projections::ReadModels;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{SetupError, presence::Presence, status::Announcer};

/// Connections, and people, that are remembered as missing. More wait for a later round.
const CAPACITY: usize = 100_000;
/// Departures that are recorded at the same time: fewer than there are connections to PostgreSQL.
const AT_ONCE: usize = 8;
/// People who are announced as gone at the same time: each takes a few queries.
const ANNOUNCED_AT_ONCE: usize = 8;

/// Looks for connections in live rooms that no node refreshes, and for people who were told of as there
/// and have no connection. One at a time, under a lease.
pub struct Reaper {
    commands: Commands,
    read_models: ReadModels,
    announcer: Announcer,
    missing: Missing<(RoomId, ConnectionId)>,
    lost: Missing<UserId>,
    every: Duration,
}

impl Reaper {
    /// Connects to Redis when it first looks.
    ///
    /// # Errors
    /// [`SetupError`] if the Redis URL is malformed.
    pub fn new(
        commands: Commands,
        read_models: ReadModels,
        nats: Nats,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> Result<Self, SetupError> {
        let presence = Presence::new(config)?;
        let patience = Duration::from_millis(config.realtime.socket_ttl_ms);
        let announcer = Announcer { presence, read_models: read_models.clone(), nats, clock };
        Ok(Self {
            commands,
            read_models,
            announcer,
            missing: Missing::new(patience),
            lost: Missing::new(patience),
            every: Duration::from_millis(config.realtime.heartbeat_ms),
        })
    }

    /// Looks again and again until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let swept = stop.run_until_cancelled(async {
                self.sweep().await?;
                self.announce_lost().await
            });
            if let Some(Err(error)) = swept.await {
                tracing::warn!(error = %error, "dead connections cannot be looked for");
            }
        }
    }

    /// Looks once. Answers how many connections were recorded as gone.
    ///
    /// # Errors
    /// If Redis cannot be asked. Departures that cannot be recorded are tried the next time.
    pub async fn sweep(&mut self) -> Result<usize, crate::LogError> {
        let mut seen = HashSet::new();
        let mut due = Vec::new();
        for room_id in self.read_models.active_members().rooms().await? {
            let present = self.read_models.active_members().connections(room_id).await?;
            let present: Vec<ConnectionId> = present.into_keys().collect();
            for connection_id in self.announcer.presence.dead(&present).await? {
                let key = (room_id, connection_id);
                seen.insert(key);
                if self.missing.is_due(key, Instant::now()) {
                    due.push(key);
                }
            }
        }
        self.missing.keep(&seen);
        // A node that ended leaves many at once.
        let exits = stream::iter(due).map(async |(room_id, connection_id)| {
            let request_id = new_id().to_string();
            let exit = self.commands.exit_room(room_id, connection_id, &request_id).await;
            if let Err(error) = &exit {
                tracing::warn!(
                    error = %error, room.id = %room_id, connection.id = %connection_id,
                    "a dead connection stays in its room for now"
                );
            }
            u64::from(exit.is_ok())
        });
        let gone: u64 = exits.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await.into_iter().sum();
        if gone > 0 {
            tracing::info!(connections = gone, "recorded the leaving of dead connections");
            metrics::counter!("socket_reaped_total").increment(gone);
        }
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    /// Has those told of as gone whose last socket went without anybody seeing it.
    async fn announce_lost(&mut self) -> Result<(), crate::LogError> {
        let lost = self.announcer.presence.lost().await?;
        let due = lost.iter().copied().filter(|id| self.lost.is_due(*id, Instant::now()));
        let due: Vec<UserId> = due.collect();
        // Whoever cannot be announced now is lost the next time as well.
        let announced =
            stream::iter(due).map(|user_id| self.announcer.announce_now(user_id, false));
        let announced: Vec<_> = announced.buffer_unordered(ANNOUNCED_AT_ONCE).collect().await;
        if let Some(error) = announced.into_iter().find_map(Result::err) {
            tracing::warn!(error = %error, "people who are gone cannot be announced");
        }
        self.lost.keep(&lost.into_iter().collect());
        Ok(())
    }
}

/// Since when something is missing.
struct Missing<K> {
    since: HashMap<K, Instant>,
    patience: Duration,
}

impl<K: Copy + Eq + Hash> Missing<K> {
    fn new(patience: Duration) -> Self {
        Self { since: HashMap::new(), patience }
    }

    /// Whether it has been missing for longer than a node may be silent.
    fn is_due(&mut self, key: K, now: Instant) -> bool {
        if self.since.len() >= CAPACITY && !self.since.contains_key(&key) {
            return false;
        }
        now.saturating_duration_since(*self.since.entry(key).or_insert(now)) > self.patience
    }

    /// Forgets those that are not missing any more.
    fn keep(&mut self, seen: &HashSet<K>) {
        self.since.retain(|key, _| seen.contains(key));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const DEVICE: ConnectionId = ConnectionId(Uuid::from_u128(2));
    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn a_connection_is_gone_only_after_it_was_missing_for_long() {
        let (mut missing, start) = (Missing::new(PATIENCE), Instant::now());
        assert!(!missing.is_due(DEVICE, start));
        assert!(!missing.is_due(DEVICE, start + PATIENCE));
        assert!(missing.is_due(DEVICE, start + PATIENCE + Duration::from_millis(1)));
    }

    #[test]
    fn a_connection_that_is_back_starts_anew() {
        let (mut missing, start) = (Missing::new(PATIENCE), Instant::now());
        assert!(!missing.is_due(DEVICE, start));
        missing.keep(&HashSet::new());
        assert!(!missing.is_due(DEVICE, start + PATIENCE * 2));
    }
}
