//! One worker per projector: holds leases, follows the log, feeds the read model.
//!
//! Nothing is known for sure but what is in the stores. After any failure the worker forgets
//! everything, and begins again from its checkpoints.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::LogPosition;
use eventstore::{Leases, Opened, PARTITIONS};
use futures::FutureExt;
use nats::{Feed, Follower};
use platform::{Backoff, Clock, SystemClock};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::ReadModels;
use crate::engine::{Engine, Held};
use crate::projector::Projector;
use crate::sinks::{Sink, WriteError};

/// Time between two looks whether somebody emptied a store or asked for a retry.
const CHECK: Duration = Duration::from_secs(1);
/// Time between two confirmations that a model is complete.
const CONFIRM: Duration = Duration::from_millis(500);
/// How long passing by events that change nothing may go unwritten.
const FLUSH: Duration = Duration::from_millis(100);

/// What a worker needs to know.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) holder: String,
    pub(crate) lease_ttl: Duration,
    pub(crate) batch: usize,
    pub(crate) max_partitions: usize,
    /// Least time between the beginnings of two writes.
    pub(crate) pace: Duration,
}

pub(crate) struct Worker<P, S> {
    pub(crate) engine: Engine<P, S>,
    pub(crate) models: ReadModels,
    pub(crate) feed: Feed,
    pub(crate) settings: Settings,
    pub(crate) shutdown: CancellationToken,
}

/// Why a tenure ended without a failure.
enum End {
    /// We shall stop, or another version is read now.
    Stop,
    /// Other partitions are ours now.
    Changed,
}

impl<P, S> Worker<P, S>
where
    P: Projector,
    S: Sink<P::Change>,
{
    /// Works until shutdown, or until another version is read.
    pub(crate) async fn run(self) {
        let version = self.engine.checkpoints.version;
        let leases = Leases::new(self.models.pool().clone(), self.settings.holder.clone());
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut healthy = true;
        // Which partitions to ask for first, when not all are wanted.
        let mut turn = 0;
        while self.is_wanted() {
            let mut progressed = false;
            let outcome = self.tenure(&leases, turn, &mut progressed, &mut healthy).await;
            self.models.0.progress.withdraw(P::NAME, version);
            turn += 1;
            if progressed {
                backoff.reset();
            }
            match outcome {
                Ok(End::Stop) => break,
                Ok(End::Changed) => continue,
                Err(WriteError::Moved) => tracing::info!(
                    projector = P::NAME,
                    "the checkpoints of {} were moved by somebody else, reading them again",
                    P::NAME
                ),
                Err(error) if healthy => {
                    healthy = false;
                    tracing::warn!(
                        projector = P::NAME,
                        error = &error as &dyn std::error::Error,
                        "{} is interrupted, trying again until it works",
                        P::NAME
                    );
                }
                Err(error) => tracing::debug!(projector = P::NAME, %error, "still interrupted"),
            }
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                () = sleep(backoff.next_delay()) => {}
            }
        }
        if let Err(error) = leases.release(&self.lease_names(0..PARTITIONS)).await {
            tracing::debug!(projector = P::NAME, %error, "leases expire by themselves");
        }
    }

    fn is_wanted(&self) -> bool {
        !self.shutdown.is_cancelled()
            && self.models.0.versions.active(P::NAME) == self.engine.checkpoints.version
    }

    fn lease_names(&self, partitions: impl IntoIterator<Item = u16>) -> Vec<String> {
        let version = self.engine.checkpoints.version;
        let name = |partition| format!("projector:{}:v{version}:p{partition:02}", P::NAME);
        partitions.into_iter().map(name).collect()
    }

    /// Renews the leases on `held` and asks for as many others as are wanted.
    async fn renew(
        &self,
        leases: &Leases,
        held: &BTreeSet<u16>,
        turn: u16,
    ) -> Result<BTreeSet<u16>, WriteError> {
        let others = (0..PARTITIONS).map(|p| (p + turn % PARTITIONS) % PARTITIONS);
        let others = others.filter(|p| !held.contains(p));
        let asked: Vec<u16> =
            held.iter().copied().chain(others).take(self.settings.max_partitions).collect();
        let names = self.lease_names(asked.iter().copied());
        let got =
            leases.acquire(&names, self.settings.lease_ttl).await.map_err(WriteError::failed)?;
        let got: BTreeSet<&str> = got.iter().map(|lease| lease.name.as_str()).collect();
        let ours = asked.iter().zip(&names).filter(|(_, name)| got.contains(name.as_str()));
        Ok(ours.map(|(partition, _)| *partition).collect())
    }

    /// From taking partitions over to losing one, a failure, or the end.
    async fn tenure(
        &self,
        leases: &Leases,
        mut turn: u16,
        progressed: &mut bool,
        healthy: &mut bool,
    ) -> Result<End, WriteError> {
        let every = (self.settings.lease_ttl / 3).max(Duration::from_millis(10));
        let mut ours = self.renew(leases, &BTreeSet::new(), turn).await?;
        while ours.is_empty() {
            // A hot standby.
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(End::Stop),
                () = sleep(every) => {}
            }
            if !self.is_wanted() {
                return Ok(End::Stop);
            }
            turn = turn.wrapping_add(1);
            ours = self.renew(leases, &ours, turn).await?;
        }
        let partitions: Vec<u16> = ours.iter().copied().collect();
        let mut held = self.engine.load(&partitions).await?;
        self.publish(&held);
        // Never cut off: a read that takes longer than the time between two ticks would never end.
        let follower = self.feed.follow(LogPosition(held.reached()));
        let Settings { batch, pace, .. } = self.settings;
        let mut reading = Box::pin(read(follower, batch, Instant::now()));
        let mut next = held.reached() + 1;
        let mut renew = ticks(every);
        let mut check = ticks(CHECK);
        let mut confirm = ticks(CONFIRM);
        let mut head_before = self.feed.head().0;
        let mut flush_at: Option<Instant> = None;
        loop {
            let flush = async {
                match flush_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.shutdown.cancelled() => {
                    self.engine.flush(&mut held).await?;
                    return Ok(End::Stop);
                }
                (follower, events) = &mut reading => {
                    reading = Box::pin(read(follower, batch, Instant::now() + pace));
                    let contiguous =
                        events.iter().zip(next..).all(|(event, at)| event.position.0 == at);
                    if !contiguous {
                        return Err(WriteError::failed("the feed left out positions"));
                    }
                    next += i64::try_from(events.len()).unwrap_or(0);
                    self.take(&mut held, &events).await?;
                    *progressed = true;
                    recovered::<P>(healthy);
                }
                () = flush => self.engine.flush(&mut held).await?,
                _ = renew.tick() => {
                    let now = self.renew(leases, &ours, turn).await?;
                    turn = turn.wrapping_add(1);
                    if !self.is_wanted() {
                        self.engine.flush(&mut held).await?;
                        return Ok(End::Stop);
                    }
                    if now != ours {
                        return Ok(End::Changed);
                    }
                }
                _ = confirm.tick() => {
                    if P::CONFIRMED {
                        self.confirm(&held, head_before).await?;
                        head_before = self.feed.head().0;
                    }
                }
                _ = check.tick() => {
                    if !self.engine.is_intact(&held).await? {
                        return Err(WriteError::Moved);
                    }
                    self.engine.retry_parked(&mut held).await?;
                    self.measure(&held).await?;
                    recovered::<P>(healthy);
                }
            }
            flush_at = match flush_at {
                _ if !held.is_dirty() => None,
                None => Some(Instant::now() + FLUSH),
                at => at,
            };
        }
    }

    async fn take(&self, held: &mut Held, events: &[Arc<Opened>]) -> Result<(), WriteError> {
        let started = Instant::now();
        let outcome = self.engine.apply(held, events).await;
        self.publish(held);
        outcome?;
        let labels = [("projector", P::NAME)];
        metrics::histogram!("projection_batch_seconds", &labels)
            .record(started.elapsed().as_secs_f64());
        let recorded_at =
            events.last().and_then(|event| event.outcome.as_ref().ok()).map(|r| r.recorded_at);
        if let Some(recorded_at) = recorded_at {
            let age = SystemClock.now() - recorded_at;
            metrics::gauge!("projection_lag_seconds", &labels)
                .set(age.to_std().unwrap_or_default().as_secs_f64());
        }
        self.measure_position(held);
        Ok(())
    }

    /// Confirms the partitions that lack nothing: what this node had heard of a moment ago is in,
    /// nothing recorded longer ago waits for its position, and no key is parked.
    async fn confirm(&self, held: &Held, head_before: i64) -> Result<(), WriteError> {
        if held.reached() < head_before {
            return Ok(());
        }
        let oldest = self.engine.store.oldest_unplaced().await.map_err(WriteError::failed)?;
        let age = oldest.map(|at| (SystemClock.now() - at).to_std().unwrap_or_default());
        if age.is_some_and(|age| age > CONFIRM * 2) {
            return Ok(());
        }
        let complete = held.complete_partitions();
        if complete.is_empty() { Ok(()) } else { self.engine.sink.confirm(&complete).await }
    }

    fn publish(&self, held: &Held) {
        let version = self.engine.checkpoints.version;
        self.models.0.progress.publish(P::NAME, version, held.positions());
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    fn measure_position(&self, held: &Held) {
        let labels = [("projector", P::NAME)];
        let lag = (self.feed.head().0 - held.reached()).max(0);
        metrics::gauge!("projection_position", &labels).set(held.reached() as f64);
        metrics::gauge!("projection_lag_events", &labels).set(lag as f64);
        if lag == 0 {
            metrics::gauge!("projection_lag_seconds", &labels).set(0.0);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    async fn measure(&self, held: &Held) -> Result<(), WriteError> {
        let parked = self.engine.checkpoints.parked_count(&held.partitions()).await?;
        metrics::gauge!("projection_parked", "projector" => P::NAME).set(parked as f64);
        self.measure_position(held);
        Ok(())
    }
}

/// Says once that an interruption is over.
fn recovered<P: Projector>(healthy: &mut bool) {
    if !std::mem::replace(healthy, true) {
        tracing::info!(projector = P::NAME, "{} works again", P::NAME);
    }
}

/// The next events, up to `batch`. Not before `begin` under a steady stream: one write for many
/// events costs a tenth of a write for each, while a first one after a pause is written at once.
async fn read(
    mut follower: Follower,
    batch: usize,
    begin: Instant,
) -> (Follower, Vec<Arc<Opened>>) {
    let mut events = follower.next(batch).await;
    if events.len() < batch {
        sleep_until(begin).await;
    }
    // The feed hands out what came in one go; small parts wait already.
    while events.len() < batch
        && let Some(more) = follower.next(batch - events.len()).now_or_never()
    {
        events.extend(more);
    }
    (follower, events)
}

fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
