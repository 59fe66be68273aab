//! How far each read model is, and waiting until one is far enough.
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::LogPosition;
use eventstore::PARTITIONS;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::cache::is_cached;
use crate::{ReadModels, names};

/// Time between two looks into the checkpoints while somebody waits. One look serves all.
const LOOK: Duration = Duration::from_millis(15);

/// A read model is not there yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the read model {model} is {lag_events} events behind")]
pub struct Lagging {
    /// The one that is furthest behind.
    pub model: &'static str,
    /// All events up to here are in it.
    pub position_reached: LogPosition,
    /// Log positions between there and the one that was asked for.
    pub lag_events: i64,
}

/// One partition of one version of a read model.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    position: i64,
    /// Whether this process feeds it, so that nobody knows better.
    ours: bool,
}

type Slots = Vec<Slot>;

/// What this process knows of all positions.
#[derive(Debug)]
pub(crate) struct Progress {
    models: Mutex<HashMap<(String, u32), Slots>>,
    changed: watch::Sender<()>,
    looked: tokio::sync::Mutex<Option<Instant>>,
}

impl Default for Progress {
    fn default() -> Self {
        let changed = watch::channel(()).0;
        Self { models: Mutex::default(), changed, looked: tokio::sync::Mutex::new(None) }
    }
}

impl Progress {
    fn models(&self) -> MutexGuard<'_, HashMap<(String, u32), Slots>> {
        self.models.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker of this process says what it has written.
    pub(crate) fn publish(
        &self,
        name: &str,
        version: u32,
        positions: impl IntoIterator<Item = (u16, i64)>,
    ) {
        self.update(name, version, positions, true);
    }

    /// The worker of this process does not feed the read model any more.
    pub(crate) fn withdraw(&self, name: &str, version: u32) {
        if let Some(slots) = self.models().get_mut(&(name.to_owned(), version)) {
            for slot in slots {
                slot.ours = false;
            }
        }
    }

    fn update(
        &self,
        name: &str,
        version: u32,
        positions: impl IntoIterator<Item = (u16, i64)>,
        ours: bool,
    ) {
        let mut models = self.models();
        let slots = models
            .entry((name.to_owned(), version))
            .or_insert_with(|| vec![Slot::default(); usize::from(PARTITIONS)]);
        for (partition, position) in positions {
            let Some(slot) = slots.get_mut(usize::from(partition)) else { continue };
            // The table lags behind what our own worker says.
            if ours || !slot.ours {
                *slot = Slot { position, ours };
            }
        }
        drop(models);
        self.changed.send_replace(());
    }

    /// Up to where the model is complete, and whether this process feeds all of it.
    fn reached(&self, name: &str, version: u32) -> (i64, bool) {
        self.models().get(&(name.to_owned(), version)).map_or((0, false), |slots| {
            let position = slots.iter().map(|slot| slot.position).min().unwrap_or(0);
            (position, slots.iter().all(|slot| slot.ours))
        })
    }
}

impl ReadModels {
    /// Waits, at most `limit`, until each of `models` has everything up to `position`.
    ///
    /// # Errors
    /// [`Lagging`] when the time is over: the model furthest behind.
    pub async fn wait(
        &self,
        models: &[&'static str],
        position: LogPosition,
        limit: Duration,
    ) -> Result<(), Lagging> {
        let deadline = Instant::now() + limit;
        let mut changed = self.0.progress.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let (lagging, all_ours) = self.furthest_behind(models, position);
            let Some(lagging) = lagging else { return Ok(()) };
            if Instant::now() >= deadline {
                return Err(lagging);
            }
            let next = if all_ours { deadline } else { deadline.min(Instant::now() + LOOK) };
            if !all_ours {
                // Nothing learned is no reason to stop waiting.
                timeout_at(deadline, self.look()).await.ok();
            }
            timeout_at(next, changed.changed()).await.ok();
        }
    }

    /// The model that is furthest behind `position`, if one is, and whether this process would be
    /// the first to know of any change.
    fn furthest_behind(
        &self,
        models: &[&'static str],
        position: LogPosition,
    ) -> (Option<Lagging>, bool) {
        let mut worst: Option<Lagging> = None;
        let mut all_ours = true;
        // Answers may come from the cache, which must have heard of the change as well.
        let cached = models.iter().any(|model| is_cached(model)).then_some(&names::LAST_CHANGES);
        for model in models.iter().chain(cached) {
            let (reached, ours) = self.0.progress.reached(model, self.0.versions.active(model));
            let lag_events = position.0 - reached;
            if lag_events > 0 {
                all_ours &= ours;
                if worst.as_ref().is_none_or(|worst| worst.lag_events < lag_events) {
                    let position_reached = LogPosition(reached);
                    worst = Some(Lagging { model, position_reached, lag_events });
                }
            }
        }
        (worst, all_ours)
    }

    /// Reads all checkpoints, unless somebody else is doing so or just did.
    async fn look(&self) {
        let progress = &self.0.progress;
        let Ok(mut looked) = progress.looked.try_lock() else { return };
        if looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        let rows: Result<Vec<(String, i32, i16, i64)>, _> = sqlx::query_as(
            "select projector, version, partition, position from projection_checkpoints",
        )
        .fetch_all(self.pool())
        .await;
        match rows {
            Ok(rows) => {
                let mut by_model: HashMap<(String, u32), Vec<(u16, i64)>> = HashMap::new();
                for (name, version, partition, position) in rows {
                    by_model
                        .entry((name, version.unsigned_abs()))
                        .or_default()
                        .push((partition.unsigned_abs(), position));
                }
                for ((name, version), positions) in by_model {
                    progress.update(&name, version, positions, false);
                }
            }
            Err(error) => tracing::debug!(error = %error, "cannot read the checkpoints"),
        }
        *looked = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(position: i64) -> impl Iterator<Item = (u16, i64)> {
        (0..PARTITIONS).map(move |partition| (partition, position))
    }

    #[test]
    fn a_model_is_as_far_as_its_last_partition() {
        let progress = Progress::default();
        assert_eq!(progress.reached("users", 1), (0, false));
        progress.update("users", 1, all(7), false);
        progress.update("users", 1, [(3, 5)], false);
        assert_eq!(progress.reached("users", 1), (5, false));
    }

    #[test]
    fn who_writes_a_partition_knows_better_than_the_table() {
        let progress = Progress::default();
        progress.publish("users", 1, all(9));
        progress.update("users", 1, all(4), false);
        assert_eq!(progress.reached("users", 1), (9, true));
        progress.withdraw("users", 1);
        progress.update("users", 1, all(4), false);
        assert_eq!(progress.reached("users", 1), (4, false));
    }
}
