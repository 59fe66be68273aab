//! What queries answered lately. Redis, `cache:{query}:{table}:{id}`, gone after a minute or so.
//!
//! An entry carries the log position up to which its read model was complete *before* it was asked. It
//! is believed as long as `last_changes` knows of no later change of what it depends on, and
//! `last_changes` is believed only while its worker confirms that it lacks nothing. So it does not
//! matter in which order the read model, `last_changes` and the entry are written, and nothing has to
//! be deleted: what has changed is not found any more.
//!
//! Redis being away, slow or empty costs time only: the read model is asked.
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::hash::Hash;
use std::ops::Range;
use std::time::Duration;

use redis::RedisError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::last_changes::Topic;
use crate::{ReadError, ReadModels, names};

/// Longest wait for Redis: the read model answers nearly as fast.
const PATIENCE: Duration = Duration::from_millis(100);

/// One kind of query that is cached.
pub(crate) struct Cached<K> {
    /// Names it in keys and metrics.
    pub(crate) query: &'static str,
    /// What the answer for one key depends on. All topics of a query are of one read model.
    pub(crate) topic: fn(&K) -> Topic,
}

/// An answer, and up to where its read model was complete before it was given.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry<T> {
    at: i64,
    answer: T,
}

impl<T: DeserializeOwned> Entry<T> {
    /// The answer, if nothing that it depends on has changed since, as far as is known for sure.
    /// What cannot be read was written by another build.
    fn still_true(kept: &str, last_change: Option<i64>, confirmed: bool) -> Option<T> {
        let entry: Self = serde_json::from_str(kept).ok()?;
        (confirmed && entry.at >= last_change.unwrap_or(0)).then_some(entry.answer)
    }
}

/// Entries, positions of last changes, confirmations.
type Looked = (Vec<Option<String>>, Vec<Option<i64>>, Vec<Option<String>>);

/// Positions of the partitions of a read model.
struct Positions(HashMap<u16, i64>);

impl Positions {
    /// Up to where all of these partitions are complete.
    fn reached(&self, partitions: Range<u16>) -> i64 {
        let of = |partition| self.0.get(&partition).copied().unwrap_or(0);
        partitions.map(of).min().unwrap_or(0)
    }
}

impl<K: Clone + Eq + Hash + Display> Cached<K> {
    /// The kept answers, and for all other keys what `ask` finds, which is kept then.
    ///
    /// # Errors
    /// Those of `ask`.
    pub(crate) async fn through<T, F>(
        &self,
        models: &ReadModels,
        wanted: &[K],
        ask: F,
    ) -> Result<HashMap<K, T>, ReadError>
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce(&[K]) -> Result<HashMap<K, T>, ReadError>,
    {
        let Some(first) = wanted.first() else { return Ok(HashMap::new()) };
        let Some(lifetime) = models.0.cache_for else { return ask(wanted).await };
        let mut answers = match timeout(PATIENCE, self.find(models, wanted)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::debug!(%error, query = self.query, "the cache is away");
                HashMap::new()
            }
            Err(_) => HashMap::new(),
        };
        let missing: Vec<K> =
            wanted.iter().filter(|key| !answers.contains_key(*key)).cloned().collect();
        self.count("hit", answers.len());
        self.count("miss", missing.len());
        if missing.is_empty() {
            return Ok(answers);
        }
        // Before asking: the rows are at least as new as this.
        let positions = positions(models, (self.topic)(first).model()).await?;
        let asked = ask(&missing).await?;
        let kept = timeout(PATIENCE, self.keep(models, &positions, &asked, lifetime)).await;
        if let Ok(Err(error)) = kept {
            tracing::debug!(%error, query = self.query, "nothing is kept in the cache");
        }
        answers.extend(asked);
        Ok(answers)
    }

    /// As [`Self::through`], for one key.
    ///
    /// # Errors
    /// Those of `ask`.
    pub(crate) async fn one<T, F>(
        &self,
        models: &ReadModels,
        key: K,
        ask: F,
    ) -> Result<Option<T>, ReadError>
    where
        T: Serialize + DeserializeOwned,
        F: AsyncFnOnce() -> Result<Option<T>, ReadError>,
    {
        let found = async |_: &[K]| {
            Ok(ask().await?.map(|answer| (key.clone(), answer)).into_iter().collect())
        };
        Ok(self.through(models, std::slice::from_ref(&key), found).await?.remove(&key))
    }

    async fn find<T: DeserializeOwned>(
        &self,
        models: &ReadModels,
        wanted: &[K],
    ) -> Result<HashMap<K, T>, RedisError> {
        let topics: Vec<Topic> = wanted.iter().map(self.topic).collect();
        let (changed, members): (Vec<_>, Vec<String>) =
            topics.iter().map(|topic| topic.place()).unzip();
        let Some(changed) = changed.first() else { return Ok(HashMap::new()) };
        let entries: Vec<String> = wanted.iter().map(|key| self.key(models, key)).collect();
        let sources: Vec<Range<u16>> = topics.iter().map(|topic| topic.partitions()).collect();
        let partitions: BTreeSet<u16> = sources.iter().cloned().flatten().collect();
        let fresh = partitions.iter().map(|p| models.fresh_key(names::LAST_CHANGES, *p));
        let fresh: Vec<String> = fresh.collect();
        let (kept, last_changes, confirmed): Looked = redis::pipe()
            .mget(entries)
            .cmd("ZMSCORE")
            .arg(models.key(names::LAST_CHANGES, changed))
            .arg(members)
            .mget(fresh)
            .query_async(&mut models.redis())
            .await?;
        let confirmed = partitions.into_iter().zip(confirmed);
        let confirmed: BTreeSet<u16> =
            confirmed.filter_map(|(partition, fresh)| fresh.map(|_| partition)).collect();
        let found = wanted.iter().zip(sources).zip(kept).zip(last_changes);
        Ok(found
            .filter_map(|(((key, mut source), kept), last_change)| {
                let sure = source.all(|partition| confirmed.contains(&partition));
                let answer = Entry::still_true(&kept?, last_change, sure)?;
                Some((key.clone(), answer))
            })
            .collect())
    }

    async fn keep<T: Serialize>(
        &self,
        models: &ReadModels,
        positions: &Positions,
        answers: &HashMap<K, T>,
        lifetime: Duration,
    ) -> Result<(), RedisError> {
        let mut pipe = redis::pipe();
        for (key, answer) in answers {
            let at = positions.reached((self.topic)(key).partitions());
            let Ok(entry) = serde_json::to_string(&Entry { at, answer }) else { continue };
            pipe.set_ex(self.key(models, key), entry, lifetime.as_secs()).ignore();
        }
        pipe.query_async(&mut models.redis()).await
    }

    /// With the table in it: another version of a read model has other answers.
    fn key(&self, models: &ReadModels, key: &K) -> String {
        let table = models.stored((self.topic)(key).model());
        format!("{}cache:{}:{table}:{key}", models.0.key_prefix, self.query)
    }

    fn count(&self, outcome: &'static str, answers: usize) {
        let labels = [("query", self.query), ("outcome", outcome)];
        metrics::counter!("cache_lookups_total", &labels).increment(answers as u64);
    }
}

/// The read models whose waiting must wait for `last_changes` too: their answers may come from here.
pub(crate) fn is_cached(model: &str) -> bool {
    [names::USERS, names::SUBJECTS].contains(&model)
}

async fn positions(models: &ReadModels, model: &str) -> Result<Positions, ReadError> {
    let rows: Vec<(i16, i64)> = sqlx::query_as(
        "select partition, position from projection_checkpoints \
         where projector = $1 and version = $2",
    )
    .bind(model)
    .bind(i32::try_from(models.0.versions.active(model)).unwrap_or(i32::MAX))
    .fetch_all(models.pool())
    .await?;
    Ok(Positions(rows.into_iter().map(|(p, position)| (p.unsigned_abs(), position)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_believed_until_something_changed_after_it() {
        let kept = serde_json::to_string(&Entry { at: 7, answer: "Ana" }).unwrap();
        let read = |last, confirmed| Entry::<String>::still_true(&kept, last, confirmed);
        assert_eq!(read(None, true).as_deref(), Some("Ana"));
        assert_eq!(read(Some(7), true).as_deref(), Some("Ana"));
        assert_eq!(read(Some(8), true), None, "it changed");
        assert_eq!(read(Some(7), false), None, "nobody knows whether it changed");
        assert_eq!(Entry::<u32>::still_true(&kept, None, true), None, "another build's");
    }

    #[test]
    fn an_answer_is_as_old_as_the_partition_that_is_least_far() {
        let positions = Positions(HashMap::from([(0, 9), (1, 5)]));
        assert_eq!(positions.reached(0..1), 9);
        assert_eq!(positions.reached(0..2), 5);
        assert_eq!(positions.reached(0..3), 0);
    }
}
