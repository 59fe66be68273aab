//! Which sockets are alive, for everyone: Redis keys that die with the node that refreshes them.
//!
//! `user:{userId}:socket` is the set of a person's connections, `socket:{connectionId}:user` says
//! whose connection it is, `user:{userId}:moving` that their node ended and they are to come back at
//! another one. All carry a time to live. `users:told` says what others were told last of
//! those who were not told of as gone, `users:turned` of whom they were told something new lately.
mod scripts;

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{ConnectionId, UserId};
use platform::config::Config;
use projections::{
    PresenceChoice,
    presence::{choice_key, moving_key, seen_key, sockets_key},
};
use redis::{
    AsyncCommands, Pipeline, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::ExposeSecret;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use scripts::Scripts;

use crate::{connection::Connection, node::Node};

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How long what a person chose outlives the choice, and when they were seen.
const KEEP_SECONDS: u64 = 30 * 24 * 3600;
/// What others were told last, by person; without those who are gone.
const TOLD: &str = "users:told";
/// When others were told something new of people, the newest of them, by the clock of Redis in milliseconds.
const TURNED: &str = "users:turned";
/// How long that is kept.
const KEEP_TURNED: Duration = Duration::from_hours(1);
/// Of how many people.
const MOST_TURNED: usize = 10_000;
/// Sockets refreshed by one pipeline.
const CHUNK: usize = 1000;

/// The presence keys.
#[derive(Clone)]
pub(crate) struct Presence {
    redis: ConnectionManager,
    scripts: Arc<Scripts>,
    prefix: Arc<str>,
    ttl_ms: i64,
}

/// A connection to Redis that stands when it is first used.
pub(crate) fn connect(config: &Config) -> Result<ConnectionManager, RedisError> {
    let client = redis::Client::open(config.redis.url.expose_secret())?;
    let settings = ConnectionManagerConfig::new()
        .set_number_of_retries(1)
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(Some(ANSWER_LIMIT));
    ConnectionManager::new_lazy_with_config(client, settings)
}

impl Presence {
    /// Connects when it is first used; Redis may be away until then.
    pub(crate) fn new(config: &Config) -> Result<Self, RedisError> {
        let redis = connect(config)?;
        let ttl_ms = i64::try_from(config.realtime.socket_ttl_ms).unwrap_or(i64::MAX);
        let prefix = config.redis.key_prefix.as_str().into();
        Ok(Self { redis, scripts: Arc::default(), prefix, ttl_ms })
    }

    fn user_key(&self, id: UserId) -> String {
        format!("{}{}", self.prefix, sockets_key(id))
    }

    fn moving_key(&self, id: UserId) -> String {
        format!("{}{}", self.prefix, moving_key(id))
    }

    fn choice_key(&self, id: UserId) -> String {
        format!("{}{}", self.prefix, choice_key(id))
    }

    fn told_key(&self) -> String {
        format!("{}{TOLD}", self.prefix)
    }

    fn turned_key(&self) -> String {
        format!("{}{TURNED}", self.prefix)
    }

    fn socket_key(&self, id: ConnectionId) -> String {
        format!("{}socket:{id}:user", self.prefix)
    }

    fn refresh(&self, pipeline: &mut Pipeline, connection: &Connection) {
        let user = self.user_key(connection.user_id);
        let socket = self.socket_key(connection.id);
        pipeline
            .cmd("SET")
            .arg(socket)
            .arg(connection.user_id.to_string())
            .arg("PX")
            .arg(self.ttl_ms)
            .ignore()
            .sadd(&user, connection.id.to_string())
            .ignore()
            .pexpire(&user, self.ttl_ms)
            .ignore();
    }

    /// Adds a socket and answers how many the person has on all nodes, this one included; exactly,
    /// if they are more than `most`.
    pub(crate) async fn add(
        &self,
        connection: &Connection,
        most: usize,
    ) -> Result<usize, RedisError> {
        let mut redis = self.redis.clone();
        let user = self.user_key(connection.user_id);
        let mut pipeline = redis::pipe();
        self.refresh(&mut pipeline, connection);
        pipeline.del(self.moving_key(connection.user_id)).ignore();
        let (count,): (usize,) = pipeline.scard(&user).query_async(&mut redis).await?;
        if count <= most {
            return Ok(count);
        }
        // Sockets of nodes that died are in the set until somebody looks.
        let ids: Vec<String> = redis.smembers(&user).await?;
        let ids: Vec<ConnectionId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        let dead = self.dead(&ids).await?;
        if !dead.is_empty() {
            let names: Vec<String> = dead.iter().map(ConnectionId::to_string).collect();
            let () = redis.srem(&user, names).await?;
        }
        Ok(ids.len() - dead.len())
    }

    /// Removes a socket. If that fails, its keys end by themselves.
    pub(crate) async fn remove(&self, id: ConnectionId, user_id: UserId) {
        let mut redis = self.redis.clone();
        let mut pipeline = redis::pipe();
        pipeline.del(self.socket_key(id)).ignore();
        pipeline.srem(self.user_key(user_id), id.to_string()).ignore();
        if let Err(error) = pipeline.query_async::<()>(&mut redis).await {
            tracing::debug!(error = %error, "presence keys are left to end by themselves");
        }
    }

    /// Gives up a socket whose client is to come back at another node: it does not count any more, but
    /// its person is there for as long as if this node had died, unless they are back already.
    pub(crate) async fn hand_over(&self, id: ConnectionId, user_id: UserId) {
        let handed: Result<(), RedisError> = self
            .scripts
            .hand_over
            .key(self.socket_key(id))
            .key(self.user_key(user_id))
            .key(self.moving_key(user_id))
            .arg(id.to_string())
            .arg(self.ttl_ms)
            .invoke_async(&mut self.redis.clone())
            .await;
        if let Err(error) = handed {
            tracing::debug!(error = %error, "presence keys are left to end by themselves");
        }
    }

    /// Keeps what a person wants others to see, as of this version of their account: that they want not to
    /// be seen is recorded there as well.
    pub(crate) async fn choose(
        &self,
        user_id: UserId,
        choice: PresenceChoice,
        version: i64,
    ) -> Result<(), RedisError> {
        let key = self.choice_key(user_id);
        self.scripts
            .choose
            .key(&key)
            .key(format!("{key}:version"))
            .arg(choice.as_str())
            .arg(version)
            .arg(KEEP_SECONDS)
            .invoke_async(&mut self.redis.clone())
            .await
    }

    /// Takes note of what others are told of a person from now on: what they see of them now. Answers
    /// what they were told before, and this; `None` is that they are gone. In one step, or of two who
    /// do so at once the one that looked first might have the last word.
    pub(crate) async fn note_told(
        &self,
        user_id: UserId,
        invisible_key: String,
    ) -> Result<(Option<PresenceChoice>, Option<PresenceChoice>), RedisError> {
        let (before, now): (String, String) = self
            .scripts
            .note_told
            .key(self.user_key(user_id))
            .key(self.moving_key(user_id))
            .key(self.choice_key(user_id))
            .key(self.told_key())
            .key(self.turned_key())
            .key(invisible_key)
            .arg(user_id.to_string())
            .arg(PresenceChoice::default().as_str())
            .arg(PresenceChoice::Invisible.as_str())
            .arg(KEEP_TURNED.as_millis().to_string())
            .arg(MOST_TURNED)
            .invoke_async(&mut self.redis.clone())
            .await?;
        Ok((PresenceChoice::parse(&before), PresenceChoice::parse(&now)))
    }

    /// What others were told before is what they are told still, since telling them of a change failed.
    pub(crate) async fn take_back(
        &self,
        user_id: UserId,
        before: Option<PresenceChoice>,
    ) -> Result<(), RedisError> {
        let (key, field) = (self.told_key(), user_id.to_string());
        let mut redis = self.redis.clone();
        match before {
            Some(before) => redis.hset(key, field, before.as_str()).await,
            None => redis.hdel(key, field).await,
        }
    }

    /// What others are told of these people; those who are gone are missing.
    pub(crate) async fn told(
        &self,
        people: &[UserId],
    ) -> Result<HashMap<UserId, PresenceChoice>, RedisError> {
        if people.is_empty() {
            return Ok(HashMap::new());
        }
        let names: Vec<_> = people.iter().map(UserId::to_string).collect();
        let told: Vec<Option<String>> = self.redis.clone().hmget(self.told_key(), names).await?;
        let told = told.iter().map(|told| PresenceChoice::parse(told.as_deref()?));
        Ok(people.iter().zip(told).filter_map(|(id, told)| Some((*id, told?))).collect())
    }

    /// Of whom others were told something new within that time, and when.
    pub(crate) async fn turned_within(
        &self,
        time: Duration,
    ) -> Result<Vec<(UserId, DateTime<Utc>)>, RedisError> {
        let mut redis = self.redis.clone();
        let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(&mut redis).await?;
        let least = seconds * 1000 + micros / 1000 - i64::try_from(time.as_millis()).unwrap_or(0);
        let turned: Vec<(String, i64)> =
            redis.zrangebyscore_withscores(self.turned_key(), least, "+inf").await?;
        let parsed = turned
            .into_iter()
            .filter_map(|(id, at)| Some((id.parse().ok()?, DateTime::from_timestamp_millis(at)?)));
        Ok(parsed.collect())
    }

    /// What these people want others to see.
    pub(crate) async fn choices(
        &self,
        people: &[UserId],
    ) -> Result<HashMap<UserId, PresenceChoice>, RedisError> {
        if people.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<_> = people.iter().map(|id| self.choice_key(*id)).collect();
        let chosen: Vec<Option<String>> = self.redis.clone().mget(keys).await?;
        let chosen = chosen.iter().map(|name| PresenceChoice::parse(name.as_deref()?));
        Ok(people.iter().zip(chosen).map(|(id, it)| (*id, it.unwrap_or_default())).collect())
    }

    /// People of whom others believe that they are there, and who have no socket anywhere.
    pub(crate) async fn lost(&self) -> Result<Vec<UserId>, RedisError> {
        let mut redis = self.redis.clone();
        let told: Vec<String> = redis.hkeys(self.told_key()).await?;
        let told: Vec<UserId> = told.iter().filter_map(|id| id.parse().ok()).collect();
        let mut lost = Vec::new();
        for chunk in told.chunks(CHUNK) {
            let mut pipeline = redis::pipe();
            for id in chunk {
                pipeline.exists(&[self.user_key(*id), self.moving_key(*id)]);
            }
            let there: Vec<bool> = pipeline.query_async(&mut redis).await?;
            lost.extend(chunk.iter().zip(there).filter(|(_, there)| !there).map(|(id, _)| *id));
        }
        Ok(lost)
    }

    /// Takes note of when others saw a person last.
    pub(crate) async fn was_seen(
        &self,
        user_id: UserId,
        at: DateTime<Utc>,
    ) -> Result<(), RedisError> {
        let key = format!("{}{}", self.prefix, seen_key(user_id));
        self.redis.clone().set_ex(key, at.timestamp_millis(), KEEP_SECONDS).await
    }

    /// Which of these connections nobody refreshes.
    pub(crate) async fn dead(&self, ids: &[ConnectionId]) -> Result<Vec<ConnectionId>, RedisError> {
        let mut redis = self.redis.clone();
        let mut dead = Vec::new();
        for chunk in ids.chunks(CHUNK) {
            let mut pipeline = redis::pipe();
            for id in chunk {
                pipeline.exists(self.socket_key(*id));
            }
            let alive: Vec<bool> = pipeline.query_async(&mut redis).await?;
            dead.extend(chunk.iter().zip(alive).filter(|(_, alive)| !alive).map(|(id, _)| *id));
        }
        Ok(dead)
    }

    async fn refresh_all(&self, connections: &[Arc<Connection>]) -> Result<(), RedisError> {
        let mut redis = self.redis.clone();
        for chunk in connections.chunks(CHUNK) {
            let mut pipeline = redis::pipe();
            for connection in chunk {
                self.refresh(&mut pipeline, connection);
            }
            pipeline.query_async::<()>(&mut redis).await?;
        }
        Ok(())
    }
}

/// Refreshes the keys of this node's sockets, and clears away sockets whose CONNECT never went out.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(node.settings.heartbeat_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let patience = Duration::from_millis(node.settings.connect_timeout_ms);
    let mut failing = false;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let (mut connected, mut stuck) = (node.connections.all(), Vec::new());
        connected.retain(|connection| {
            let alive = connection.is_connected() || connection.since.elapsed() < patience;
            if !alive {
                stuck.push(Arc::clone(connection));
            }
            alive
        });
        for connection in stuck {
            // Nobody tells us when the transport breaks between letting in and CONNECT.
            node.disconnected(&connection);
        }
        match node.presence.refresh_all(&connected).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(error = %error, "presence keys cannot be refreshed");
            }
            Err(_) => {}
        }
    }
}
