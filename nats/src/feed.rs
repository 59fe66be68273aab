//! The log as it grows, contiguous, for everyone on this node who follows it.
//!
//! One task hears NATS, opens events once for all followers, and fills gaps from the store. A
//! follower begins anywhere: it reads the store until it has caught up, then listens.
use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use domain::LogPosition;
use eventstore::{EventStore, Opened, StoreError, StoredRecord};
use futures::StreamExt as _;
use metrics::{counter, gauge};
use platform::{Backoff, Config, Shutdown};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{Nats, NatsError};

/// Batches that a follower may be behind before it reads from the store again.
const BUFFERED: usize = 512;
const BATCH: usize = 256;
const PAGE: i64 = 500;
/// When NATS forgets the consumer of a node that is gone.
const FORGOTTEN: Duration = Duration::from_mins(1);

type Batch = Arc<Vec<Arc<Opened>>>;

/// The log of this node. Cheap to clone.
#[derive(Clone)]
pub struct Feed {
    store: EventStore,
    batches: broadcast::Sender<Batch>,
    head: watch::Receiver<LogPosition>,
}

impl Feed {
    /// Starts hearing at the log's present end.
    ///
    /// # Errors
    /// [`StoreError`] when the store is away.
    pub async fn start(
        store: EventStore,
        nats: Nats,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Result<Self, StoreError> {
        let last = store.head().await?;
        let (head_sender, head) = watch::channel(last);
        let batches = broadcast::Sender::new(BUFFERED);
        let feed = Self { store: store.clone(), batches: batches.clone(), head };
        let hearing = Hearing {
            store,
            nats,
            last,
            batches,
            head: head_sender,
            poll: Duration::from_millis(config.projections.poll_ms),
        };
        let token = shutdown.token();
        shutdown.spawn("feed", async move {
            tokio::select! { () = token.cancelled() => {}, () = hearing.run() => {} }
        });
        Ok(feed)
    }

    /// The newest position that this node has heard of.
    #[must_use]
    pub fn head(&self) -> LogPosition {
        *self.head.borrow()
    }

    /// Everything after a position, in order and without gaps.
    #[must_use]
    pub fn follow(&self, after: LogPosition) -> Follower {
        Follower {
            receiver: self.batches.subscribe(),
            store: self.store.clone(),
            position: after,
            pending: VecDeque::new(),
            live: false,
            healthy: true,
        }
    }
}

struct Hearing {
    store: EventStore,
    nats: Nats,
    last: LogPosition,
    batches: broadcast::Sender<Batch>,
    head: watch::Sender<LogPosition>,
    poll: Duration,
}

#[derive(Debug, thiserror::Error)]
enum HearingError {
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Hearing {
    async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut healthy = true;
        loop {
            let Err(error) = self.listen(&mut backoff, &mut healthy).await;
            if std::mem::replace(&mut healthy, false) {
                tracing::warn!(%error, "the feed lost NATS; reading from the store meanwhile");
            }
            counter!("feed_interruptions_total").increment(1);
            self.go_on_without_nats(backoff.next_delay()).await;
        }
    }

    /// The log goes on, only slower: reads the store for a while, and until the connection stands.
    async fn go_on_without_nats(&mut self, at_least: Duration) {
        let again = Instant::now() + at_least;
        loop {
            // The followers wait for the store themselves, and say so.
            self.fill().await.ok();
            if self.nats.is_connected() && Instant::now() >= again {
                return;
            }
            sleep(self.poll).await;
        }
    }

    async fn listen(
        &mut self,
        backoff: &mut Backoff,
        healthy: &mut bool,
    ) -> Result<std::convert::Infallible, HearingError> {
        let stream = self.nats.stream().await?;
        let consumer = stream
            // Not an ordered consumer: that one goes on at its own place after a stream was wiped,
            // or begins anew at the stream's start. Here every trouble means: a new consumer at
            // the end, and the store for what came in between.
            .create_consumer(pull::Config {
                deliver_policy: DeliverPolicy::New,
                ack_policy: AckPolicy::None,
                inactive_threshold: FORGOTTEN,
                description: Some("feed of one node".to_owned()),
                ..pull::Config::default()
            })
            .await
            .map_err(NatsError::new)?;
        let messages = consumer.messages().await.map_err(NatsError::new)?;
        let mut messages = messages.ready_chunks(BATCH);
        // What came between our last position and the consumer's start.
        self.fill().await?;
        if !std::mem::replace(healthy, true) {
            tracing::info!(position = self.last.0, "the feed hears NATS again");
        }
        backoff.reset();

        let mut ticks = interval(self.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut at_last_tick = self.last;
        loop {
            tokio::select! {
                chunk = messages.next() => {
                    let chunk = chunk.ok_or_else(|| NatsError::new("the subscription ended"))?;
                    let mut records = Vec::with_capacity(chunk.len());
                    for message in chunk {
                        let message = message.map_err(NatsError::new)?;
                        let record: StoredRecord = serde_json::from_slice(&message.payload)
                            .map_err(|_| NatsError::new("a message is not an event of ours"))?;
                        records.push(record);
                    }
                    self.take(records).await?;
                }
                // NATS may be silent because it has nothing, or because it forgot us.
                _ = ticks.tick() => {
                    if self.last == at_last_tick && self.store.head().await? > self.last {
                        counter!("feed_fills_total").increment(1);
                        self.fill().await?;
                    }
                    at_last_tick = self.last;
                }
            }
        }
    }

    /// Takes events that NATS brought: skips known ones, fills gaps from the store.
    async fn take(&mut self, mut records: Vec<StoredRecord>) -> Result<(), StoreError> {
        records.retain(|record| record.position > self.last);
        let mut expected = self.last;
        let contiguous = records.iter().all(|record| {
            expected = expected.next();
            record.position == expected
        });
        if contiguous { self.deliver(records).await } else { self.fill().await }
    }

    /// Reads the store from our last position to its end.
    async fn fill(&mut self) -> Result<(), StoreError> {
        loop {
            let page = self.store.read_log(self.last, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            self.deliver(page).await?;
        }
    }

    async fn deliver(&mut self, records: Vec<StoredRecord>) -> Result<(), StoreError> {
        let Some(last) = records.last().map(|record| record.position) else { return Ok(()) };
        let opened = self.store.open(records).await?;
        self.last = last;
        self.head.send_replace(last);
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        gauge!("feed_position").set(last.0 as f64);
        // Nobody following is fine.
        self.batches.send(Arc::new(opened.into_iter().map(Arc::new).collect())).ok();
        Ok(())
    }
}

/// Reads the log from a position onwards, for ever.
pub struct Follower {
    store: EventStore,
    receiver: broadcast::Receiver<Batch>,
    position: LogPosition,
    pending: VecDeque<Arc<Opened>>,
    live: bool,
    healthy: bool,
}

impl Follower {
    /// The position of the last event that was handed out.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Waits for at least one event and hands out up to `max`, in order and without gaps. Store
    /// trouble is waited out. Safe to cancel.
    pub async fn next(&mut self, max: usize) -> Vec<Arc<Opened>> {
        loop {
            while self.pending.front().is_some_and(|event| event.position <= self.position) {
                self.pending.pop_front();
            }
            match self.pending.front() {
                Some(event) if event.position == self.position.next() => return self.hand_out(max),
                // A gap: the store has what is missing.
                Some(_) => self.live = false,
                None => {}
            }
            if self.live {
                match self.receiver.recv().await {
                    Ok(batch) => self.pending.extend(batch.iter().cloned()),
                    Err(broadcast::error::RecvError::Lagged(_)) => self.live = false,
                    // The process is stopping: nothing will come any more.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            } else {
                self.catch_up().await;
            }
        }
    }

    fn hand_out(&mut self, max: usize) -> Vec<Arc<Opened>> {
        let mut out = Vec::new();
        while out.len() < max.max(1)
            && let Some(event) = self.pending.front()
            && event.position == self.position.next()
        {
            self.position = event.position;
            out.extend(self.pending.pop_front());
        }
        out
    }

    async fn catch_up(&mut self) {
        let page = match self.store.read_log(self.position, PAGE).await {
            // The store lost its last positions in a crash; the relay assigns the same ones again.
            Ok(page) if page.is_empty() && !self.pending.is_empty() => {
                sleep(Duration::from_millis(20)).await;
                return;
            }
            Ok(page) if page.is_empty() => {
                // The receiver has listened since before this read, so nothing can be missed.
                self.live = true;
                self.healthy = true;
                return;
            }
            Ok(page) => self.store.open(page).await,
            Err(error) => Err(error),
        };
        match page {
            Ok(page) => {
                self.healthy = true;
                let later = std::mem::take(&mut self.pending);
                self.pending = page.into_iter().map(Arc::new).chain(later).collect();
            }
            Err(error) => {
                if std::mem::replace(&mut self.healthy, false) {
                    tracing::warn!(%error, "a follower waits for the event store");
                }
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
