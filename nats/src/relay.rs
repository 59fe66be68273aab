//! The relay: one leader gives recorded events their positions and publishes them.
//!
//! Leadership by lease, correctness by fences: an old leader's positions hit the primary key, its
//! messages the expected sequence.
use std::{pin::pin, time::Duration};

use eventstore::{EventStore, Leases, Sequencer, Stall, StoreError};
use futures::StreamExt as _;
use metrics::{counter, gauge};
use platform::{Backoff, Clock as _, Config, SystemClock};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Nats, hint, publisher::Publisher};

/// The lease's name.
const LEASE: &str = "relay";
/// Pauses between looks while an older transaction holds events back. Nobody tells of its end, and
/// most are over in a moment.
const EAGER_PAUSE: Duration = Duration::from_micros(500);
const EAGER_LOOKS: u32 = 10;

/// How long subscribing to hints may take.
const HINT_PATIENCE: Duration = Duration::from_secs(1);

/// Runs on any number of nodes; one of them works.
pub struct Relay {
    store: EventStore,
    nats: Nats,
    leases: Leases,
    batch: u32,
    poll: Duration,
    lease_ttl: Duration,
    stall_alarm: Duration,
}

impl Relay {
    /// A relay of this node.
    #[must_use]
    pub fn new(store: EventStore, nats: Nats, config: &Config) -> Self {
        Self {
            leases: Leases::new(store.pool().clone(), config.node.id.clone()),
            store,
            nats,
            batch: config.relay.batch,
            poll: Duration::from_millis(config.relay.poll_ms),
            lease_ttl: Duration::from_millis(config.relay.lease_ttl_ms),
            stall_alarm: Duration::from_millis(config.relay.xmin_alarm_ms),
        }
    }

    /// Leads whenever the lease is free, until `token` is cancelled.
    pub async fn run(self, token: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut healthy = true;
        while !token.is_cancelled() {
            let term = async {
                if self.renew().await? {
                    tracing::info!("leading the relay");
                    self.lead(&token, &mut healthy).await?;
                }
                Ok::<_, StoreError>(())
            };
            let pause = match term.await {
                Ok(()) => {
                    backoff.reset();
                    self.lease_ttl / 4
                }
                // Another leader was faster: the fence did its work.
                Err(StoreError::Conflict) => {
                    counter!("relay_fenced_total").increment(1);
                    backoff.next_delay()
                }
                Err(error) => {
                    if std::mem::replace(&mut healthy, false) {
                        tracing::error!(%error, "the relay stopped; trying again");
                    }
                    backoff.next_delay()
                }
            };
            gauge!("relay_leader").set(0.0);
            tokio::select! { () = token.cancelled() => {}, () = sleep(pause) => {} }
        }
        // Nobody needs to wait for the lease to expire.
        self.leases.release(&[LEASE.to_owned()]).await.ok();
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        let held = self.leases.acquire(&[LEASE.to_owned()], self.lease_ttl).await?;
        Ok(!held.is_empty())
    }

    /// One term: until the lease is lost, the store fails or the process stops.
    async fn lead(&self, token: &CancellationToken, healthy: &mut bool) -> Result<(), StoreError> {
        let mut sequencer = Sequencer::open(self.store.clone()).await?;
        let term = token.child_token();
        let _ends_with_the_term = term.clone().drop_guard();
        let (fresh, receiver) = mpsc::channel(64);
        let publisher = Publisher::new(self.store.clone(), self.nats.clone(), receiver);
        tokio::spawn(publisher.run(term.clone()));
        tokio::spawn(watch_stalls(self.store.clone(), self.stall_alarm, term.clone()));

        let mut appended = self.store.appended();
        // Without NATS the subscription may never be taken: then polling has to do.
        let hints = timeout(HINT_PATIENCE, hint::hints(&self.nats)).await.ok().and_then(Result::ok);
        let mut hints = pin!(futures::stream::iter(hints).flatten());
        let mut hints_end = false;
        let mut renewed = Instant::now();
        let mut measured = Instant::now();
        let mut eager = 0;
        *healthy = true;
        gauge!("relay_leader").set(1.0);
        loop {
            if token.is_cancelled() {
                return Ok(());
            }
            if renewed.elapsed() > self.lease_ttl / 3 {
                if !self.renew().await? {
                    tracing::warn!("lost the relay's lease");
                    return Ok(());
                }
                renewed = Instant::now();
            }
            if measured.elapsed() > Duration::from_secs(1) {
                self.measure(&sequencer).await?;
                measured = Instant::now();
            }
            let records = sequencer.step(self.batch).await?;
            let full = u32::try_from(records.len()).unwrap_or(u32::MAX) >= self.batch;
            if !records.is_empty() {
                eager = EAGER_LOOKS;
                // Full: the publisher reads from the store when it gets there.
                fresh.try_send(records).ok();
            }
            if full {
                continue;
            }
            // Whoever appends next says so. Only the end of a transaction that holds events back is
            // told by nobody.
            let pause = if eager > 0 && sequencer.is_held_back().await? {
                eager -= 1;
                EAGER_PAUSE
            } else {
                self.poll
            };
            tokio::select! {
                () = token.cancelled() => {}
                _ = appended.changed() => eager = EAGER_LOOKS,
                hint = hints.next(), if !hints_end => match hint {
                    Some(_) => eager = EAGER_LOOKS,
                    None => hints_end = true,
                },
                () = sleep(pause) => {}
            }
        }
    }

    async fn measure(&self, sequencer: &Sequencer) -> Result<(), StoreError> {
        let backlog = sequencer.backlog().await?;
        let age =
            backlog.oldest.map_or(0, |oldest| (SystemClock.now() - oldest).num_milliseconds());
        #[expect(clippy::cast_precision_loss, reason = "gauges")]
        {
            gauge!("relay_position").set(sequencer.position().0 as f64);
            gauge!("relay_lag_events").set(backlog.events as f64);
            gauge!("relay_lag_seconds").set(age as f64 / 1000.0);
        }
        Ok(())
    }
}

/// Raises the alarm while a write transaction somewhere in the cluster holds the log back.
async fn watch_stalls(store: EventStore, limit: Duration, token: CancellationToken) {
    let mut known: Option<Stall> = None;
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            () = sleep((limit / 4).clamp(Duration::from_millis(100), Duration::from_secs(1))) => {}
        }
        // A database that is away is reported by the relay itself.
        let Ok(stall) = store.stall(limit).await else { continue };
        gauge!("relay_stall_seconds").set(stall.as_ref().map_or(0.0, |s| s.age.as_secs_f64()));
        // One after another is two alarms: each needs a hand of its own.
        let who = |stall: &Stall| (stall.pid, stall.application.clone());
        let is_new = stall.as_ref().map(who) != known.as_ref().map(who);
        match (&known, &stall) {
            (_, Some(stall)) if is_new => tracing::error!(
                stall.pid = stall.pid,
                stall.database = stall.database,
                stall.application = stall.application,
                stall.state = stall.state,
                stall.seconds = stall.age.as_secs(),
                "a long write transaction holds the log back; end it, e.g. select pg_terminate_backend({})",
                stall.pid
            ),
            (Some(_), None) => tracing::info!("the log moves again"),
            _ => {}
        }
        known = stall;
    }
}
