//! Counters that all nodes share.
use std::time::Duration;

use platform::config;
use redis::{
    AsyncCommands as _, ErrorKind, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::ExposeSecret;

use super::{Counted, Counter};

/// A request does not wait longer for its counters.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Looks at all counters, and moves all of them or none. Arguments: quota and window (ms) of each.
/// Answers whether they moved, then for each how many are used and how long its window lasts (ms).
const SCRIPT: &str = r"
local fits, used, rest = 1, {}, {}
for i, key in ipairs(KEYS) do
  rest[i] = redis.call('PTTL', key)
  used[i] = rest[i] > 0 and tonumber(redis.call('GET', key)) or 0
  if used[i] >= tonumber(ARGV[2 * i - 1]) then fits = 0 end
end
local answer = {fits}
for i, key in ipairs(KEYS) do
  if fits == 1 then
    used[i] = used[i] + 1
    if rest[i] > 0 then
      redis.call('INCR', key)
    else
      rest[i] = tonumber(ARGV[2 * i])
      redis.call('SET', key, 1, 'PX', rest[i])
    end
  elseif rest[i] <= 0 then
    rest[i] = 0
  end
  answer[#answer + 1] = used[i]
  answer[#answer + 1] = rest[i]
end
return answer
";

pub(super) struct Shared {
    redis: ConnectionManager,
    script: Script,
}

impl Shared {
    pub(super) fn new(redis: &config::Redis) -> Result<Self, RedisError> {
        let client = redis::Client::open(redis.url.expose_secret())?;
        let settings = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(ANSWER_LIMIT))
            .set_response_timeout(Some(ANSWER_LIMIT));
        let redis = ConnectionManager::new_lazy_with_config(client, settings)?;
        Ok(Self { redis, script: Script::new(SCRIPT) })
    }

    pub(super) async fn count(&self, counters: &[Counter]) -> Result<Counted, RedisError> {
        let mut call = self.script.prepare_invoke();
        for counter in counters {
            let window = u64::try_from(counter.rate.window.as_millis()).unwrap_or(u64::MAX);
            call.key(&counter.key).arg(counter.rate.quota).arg(window);
        }
        let mut redis = self.redis.clone();
        let answer: Vec<u64> = in_time(call.invoke_async(&mut redis)).await?;
        let counters = answer[answer.len().min(1)..].chunks_exact(2).map(|pair| {
            (u32::try_from(pair[0]).unwrap_or(u32::MAX), Duration::from_millis(pair[1]))
        });
        Ok(Counted { fits: answer.first() == Some(&1), counters: counters.collect() })
    }

    pub(super) async fn used(&self, key: &str) -> Result<u32, RedisError> {
        let used: Option<u32> = in_time(self.redis.clone().get(key)).await?;
        Ok(used.unwrap_or_default())
    }

    pub(super) async fn forget(&self, key: &str) -> Result<(), RedisError> {
        in_time(self.redis.clone().del(key)).await
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisError> {
    let answer = tokio::time::timeout(ANSWER_LIMIT, answer).await;
    answer.map_err(|_| RedisError::from((ErrorKind::Io, "no answer in time")))?
}
