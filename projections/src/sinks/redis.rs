//! Redis: commands and checkpoint in one script.
//!
//! The script touches keys it is not told beforehand, so it needs one server (with replicas if
//! wanted), not a cluster that spreads keys.
use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::ConnectionManager;
use redis::{AsyncCommands, ErrorKind, RedisError, Script, ServerErrorKind};
use serde_json::{Value, json};

use super::{Sink, WriteError};
use crate::changes::{KeyChange, fold_keys};
use crate::checkpoints::{Checkpoints, Step};
use crate::names;

/// `KEYS[1]`: the hash of checkpoints. `ARGV[1]`: `[[partition, from, to], …]`, `ARGV[2]`: commands.
/// All numbers are strings, because Lua's numbers lose digits.
const SCRIPT: &str = r"
local moves = cjson.decode(ARGV[1])
for _, move in ipairs(moves) do
    if (redis.call('HGET', KEYS[1], move[1]) or '0') ~= move[2] then return 0 end
end
for _, command in ipairs(cjson.decode(ARGV[2])) do redis.call(unpack(command)) end
for _, move in ipairs(moves) do redis.call('HSET', KEYS[1], move[1], move[3]) end
return 1
";

/// How long a confirmation holds: a projector that is dead or behind is not trusted for longer.
const FRESH: Duration = Duration::from_secs(2);

/// Keys looked at or removed in one go.
const PAGE: usize = 500;

/// The keys of one version of a read model.
pub(crate) struct RedisSink {
    connection: ConnectionManager,
    script: Script,
    prefix: String,
    checkpoint_key: String,
    key_prefix: String,
    patterns: &'static [&'static str],
    checkpoints: Checkpoints,
}

impl RedisSink {
    pub(crate) fn new(
        connection: ConnectionManager,
        key_prefix: &str,
        patterns: &'static [&'static str],
        checkpoints: Checkpoints,
    ) -> Self {
        let Checkpoints { name, version, .. } = &checkpoints;
        Self {
            connection,
            script: Script::new(SCRIPT),
            prefix: format!("{key_prefix}{}", names::key_prefix(*version)),
            checkpoint_key: format!("{key_prefix}checkpoint:{name}:{version}"),
            key_prefix: key_prefix.to_owned(),
            patterns,
            checkpoints,
        }
    }

    /// Every key of the version.
    async fn keys(&self) -> Result<Vec<String>, RedisError> {
        let mut keys = Vec::new();
        for pattern in self.patterns {
            let pattern = format!("{}{pattern}", escape(&self.prefix));
            let mut cursor = 0_u64;
            loop {
                let (next, page): (u64, Vec<String>) = redis::cmd("SCAN")
                    .arg(cursor)
                    .arg("MATCH")
                    .arg(&pattern)
                    .arg("COUNT")
                    .arg(PAGE)
                    .query_async(&mut self.connection.clone())
                    .await?;
                keys.extend(page);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
        }
        // A scan may tell a key twice.
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    async fn value(&self, key: &str) -> Result<Option<Value>, RedisError> {
        let mut connection = self.connection.clone();
        let kind: String = redis::cmd("TYPE").arg(key).query_async(&mut connection).await?;
        Ok(match kind.as_str() {
            "string" => {
                let (value, expires_at): (Option<String>, i64) = redis::pipe()
                    .get(key)
                    .cmd("EXPIRETIME")
                    .arg(key)
                    .query_async(&mut connection)
                    .await?;
                value.map(|value| json!({"value": value, "expiresAt": expires_at}))
            }
            "set" => {
                let mut members: Vec<String> = connection.smembers(key).await?;
                members.sort_unstable();
                Some(json!(members))
            }
            "hash" => {
                let fields: BTreeMap<String, String> = connection.hgetall(key).await?;
                Some(json!(fields))
            }
            "zset" => {
                let scores: Vec<(String, i64)> = connection.zrange_withscores(key, 0, -1).await?;
                Some(json!(BTreeMap::from_iter(scores)))
            }
            // Expired since it was found.
            _ => None,
        })
    }
}

impl Sink<KeyChange> for RedisSink {
    async fn prepare(&self) -> Result<(), WriteError> {
        Ok(())
    }

    async fn prepare_for_readers(&self) -> Result<(), WriteError> {
        Ok(())
    }

    async fn mirror(&self, partitions: &[u16]) -> Result<Option<BTreeMap<u16, i64>>, WriteError> {
        let all: BTreeMap<String, i64> =
            self.connection.clone().hgetall(&self.checkpoint_key).await?;
        let at =
            |partition: &u16| (*partition, all.get(&partition.to_string()).copied().unwrap_or(0));
        Ok(Some(partitions.iter().map(at).collect()))
    }

    async fn write(&self, changes: Vec<(i64, KeyChange)>, step: &Step) -> Result<(), WriteError> {
        let changes = fold_keys(changes.into_iter().map(|(_, change)| change));
        let commands: Vec<Value> = changes.iter().map(|c| c.command(&self.prefix)).collect();
        let moves: Vec<[String; 3]> = step
            .moves
            .iter()
            .map(|m| [m.partition.to_string(), m.mirror.to_string(), m.to.to_string()])
            .collect();
        let written: i64 = self
            .script
            .key(&self.checkpoint_key)
            .arg(json!(moves).to_string())
            .arg(json!(commands).to_string())
            .invoke_async(&mut self.connection.clone())
            .await?;
        if written == 0 {
            return Err(WriteError::Moved);
        }
        platform::crash_point!("projection.after_write");
        self.checkpoints.commit_alone(step).await
    }

    async fn confirm(&self, partitions: &[u16]) -> Result<(), WriteError> {
        let Checkpoints { name, version, .. } = &self.checkpoints;
        let mut pipe = redis::pipe();
        for partition in partitions {
            let key = names::fresh_key(&self.key_prefix, name, *version, *partition);
            pipe.cmd("SET").arg(key).arg(1).arg("PX").arg(FRESH.as_millis().to_string()).ignore();
        }
        let () = pipe.query_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    async fn dump(&self) -> Result<BTreeMap<String, Value>, WriteError> {
        let mut dump = BTreeMap::new();
        for key in self.keys().await? {
            if let Some(value) = self.value(&key).await? {
                dump.insert(key.strip_prefix(&self.prefix).unwrap_or(&key).to_owned(), value);
            }
        }
        Ok(dump)
    }

    async fn destroy(&self) -> Result<(), WriteError> {
        // The checkpoint first: should we die in between, the rest is written anew.
        let mut connection = self.connection.clone();
        let () = connection.del(&self.checkpoint_key).await?;
        for keys in self.keys().await?.chunks(PAGE) {
            let () = connection.unlink(keys).await?;
        }
        let mut postgres = self.checkpoints.pool.acquire().await?;
        Ok(self.checkpoints.forget(&mut postgres).await?)
    }
}

/// The prefix as a pattern that matches only itself.
fn escape(prefix: &str) -> String {
    let mut escaped = String::with_capacity(prefix.len());
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

impl From<RedisError> for WriteError {
    fn from(error: RedisError) -> Self {
        // A key of another type than ours stands in the way; whoever put it there must remove it.
        let refused = matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError))
            && error.to_string().contains("WRONGTYPE")
            || error.code() == Some("WRONGTYPE");
        if refused { Self::Refused("a key has the wrong type".into()) } else { Self::failed(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(escape("a[1]*:"), "a\\[1\\]\\*:");
    }
}
