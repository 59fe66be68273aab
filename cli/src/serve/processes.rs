//! The role `processes`: housekeeping that one node at a time does.
use std::time::Duration;

use commands::{BoxError, Commands, mail::Mailer, processes};
use eventstore::{EventStore, Leases, StoreError};
use platform::{Clock as _, Config, SystemClock};
use realtime::{Reaper, SetupError};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The lease's name.
const LEASE: &str = "processes";
/// How often expired idempotency keys and codes are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(10);

/// Runs on any number of nodes; one of them works.
pub(super) struct Processes {
    store: EventStore,
    leases: Leases,
    ttl: Duration,
    commands: Commands,
    mailer: Mailer,
    config: Config,
}

impl Processes {
    /// The processes of this node.
    ///
    /// # Errors
    /// When the settings of e-mail cannot be used.
    pub(super) fn new(commands: &Commands, config: &Config) -> Result<Self, BoxError> {
        let (store, config) = (commands.store().clone(), config.clone());
        let leases = Leases::new(store.pool().clone(), config.node.id.clone());
        let ttl = Duration::from_millis(config.relay.lease_ttl_ms);
        let mailer = Mailer::new(&config.mail)?;
        Ok(Self { store, leases, ttl, commands: commands.clone(), mailer, config })
    }

    /// Works whenever the lease is ours, until `stop`.
    pub(super) async fn run(
        self,
        reaper: impl Fn() -> Result<Reaper, SetupError>,
        stop: CancellationToken,
    ) {
        let mut term: Option<CancellationToken> = None;
        let mut healthy = true;
        while !stop.is_cancelled() {
            let held = self.renew().await;
            if let Err(error) = &held
                && healthy
            {
                tracing::warn!(%error, "the lease of the processes cannot be renewed");
            }
            healthy = held.is_ok();
            match (held.unwrap_or(false), &term) {
                (true, None) => term = Some(self.start(&reaper, &stop)),
                (false, Some(running)) => {
                    running.cancel();
                    term = None;
                }
                _ => {}
            }
            tokio::select! { () = stop.cancelled() => {}, () = sleep(self.ttl / 3) => {} }
        }
        // Nobody needs to wait for the lease to expire.
        self.leases.release(&[LEASE.to_owned()]).await.ok();
    }

    async fn renew(&self) -> Result<bool, StoreError> {
        Ok(!self.leases.acquire(&[LEASE.to_owned()], self.ttl).await?.is_empty())
    }

    /// Begins a term. All of its work is safe to be done twice, so its end need not be waited for.
    fn start(
        &self,
        reaper: &impl Fn() -> Result<Reaper, SetupError>,
        stop: &CancellationToken,
    ) -> CancellationToken {
        let term = stop.child_token();
        match reaper() {
            Ok(reaper) => drop(tokio::spawn(reaper.run(term.clone()))),
            Err(error) => tracing::error!(%error, "dead connections will not be looked for"),
        }
        processes::start(&self.commands, self.mailer.clone(), &self.config, &term);
        let dead_mails = self.config.mail.keep_dead_days;
        let keep_keys = self.config.eventstore.idempotency_hours;
        let forgetting = forget_expired(self.store.clone(), keep_keys, dead_mails, term.clone());
        tokio::spawn(forgetting);
        term
    }
}

async fn forget_expired(
    store: EventStore,
    keep_keys_hours: u32,
    dead_mails_days: u32,
    term: CancellationToken,
) {
    let mut ticks = interval(FORGET_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while term.run_until_cancelled(ticks.tick()).await.is_some() {
        match store.forget_expired_keys().await {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "forgot expired idempotency keys"),
            Err(error) => tracing::warn!(%error, "expired idempotency keys stay for now"),
        }
        if let Err(error) = store.forget_old_codes(SystemClock.now(), keep_keys_hours).await {
            tracing::warn!(%error, "old one-time codes stay for now");
        }
        if let Err(error) = store.forget_dead_mails(SystemClock.now(), dead_mails_days).await {
            tracing::warn!(%error, "e-mails that were given up stay for now");
        }
    }
}
