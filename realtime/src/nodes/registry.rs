//! Which processes have sockets now: a set in Redis, in which each of them renews its place.
use std::{collections::HashSet, time::Duration};

use platform::config::Config;
use redis::{AsyncCommands as _, RedisError, Script, aio::ConnectionManager};
use uuid::Uuid;

use crate::presence;

/// How often a process says that it is there, and looks who else is.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// How long a process counts that says nothing. One that died costs requests that long.
const COUNTS: Duration = Duration::from_secs(3);
/// The set, by the time of Redis: clocks of processes differ.
const KEY: &str = "nodes:sockets";
/// `KEYS`: the set. `ARGV`: how long a process counts, milliseconds, and the one that says it is there,
/// or nothing. Answers whether that was not there before, and all that are.
const RENEW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
local new = 0
if ARGV[2] ~= '' then
    new = redis.call('ZADD', KEYS[1], now, ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return {new, redis.call('ZRANGE', KEYS[1], 0, -1)}
";

/// The set.
pub(super) struct Registry {
    redis: ConnectionManager,
    renew: Script,
    key: String,
}

/// Who is there.
pub(super) struct There {
    /// Whether the process that asked was missing until now.
    pub(super) was_missing: bool,
    pub(super) all: HashSet<Uuid>,
}

impl Registry {
    /// Connects when it is first used.
    pub(super) fn new(config: &Config) -> Result<Self, RedisError> {
        let key = format!("{}{KEY}", config.redis.key_prefix);
        Ok(Self { redis: presence::connect(config)?, renew: Script::new(RENEW), key })
    }

    /// Who is there now, `own` among them.
    pub(super) async fn renew(&self, own: Option<Uuid>) -> Result<There, RedisError> {
        let own = own.map(|id| id.to_string()).unwrap_or_default();
        let (new, ids): (i64, Vec<String>) = self
            .renew
            .key(&self.key)
            .arg(COUNTS.as_millis().to_string())
            .arg(own)
            .invoke_async(&mut self.redis.clone())
            .await?;
        let all = ids.iter().filter_map(|id| id.parse().ok()).collect();
        Ok(There { was_missing: new > 0, all })
    }

    /// It is there no more.
    pub(super) async fn leave(&self, own: Uuid) -> Result<(), RedisError> {
        self.redis.clone().zrem(&self.key, own.to_string()).await
    }
}
