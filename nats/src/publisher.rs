//! Publishing positioned events: pipelined, each with the sequence it must follow.
//!
//! One failure makes NATS reject everything behind it, so the stream never gets a hole. After any
//! failure the stream itself tells where to go on: that survives restarts, an old leader still
//! publishing, and acknowledged messages that NATS lost.
use std::{future::IntoFuture as _, time::Duration};

use async_nats::jetstream::message::PublishMessage;
use chrono::TimeDelta;
use domain::LogPosition;
use eventstore::{EventStore, StoreError, StoredRecord};
use metrics::{counter, gauge};
use platform::{Backoff, Clock as _, SystemClock};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{Nats, NatsError, StreamHead, connection::POSITION};

const PAGE: i64 = 1000;
/// Time between two looks into the store while nothing is handed over.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Nats(#[from] NatsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) struct Publisher {
    store: EventStore,
    nats: Nats,
    fresh: mpsc::Receiver<Vec<StoredRecord>>,
}

impl Publisher {
    /// A publisher that gets freshly positioned events from `fresh`; what it does not get there it
    /// reads from the store.
    pub(crate) fn new(
        store: EventStore,
        nats: Nats,
        fresh: mpsc::Receiver<Vec<StoredRecord>>,
    ) -> Self {
        Self { store, nats, fresh }
    }

    pub(crate) async fn run(mut self, token: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut healthy = true;
        loop {
            let failed = tokio::select! {
                () = token.cancelled() => return,
                ended = self.publish(&mut backoff, &mut healthy) => ended,
            };
            let Err(error) = failed else { return };
            if healthy {
                tracing::warn!(%error, "publishing stopped; resuming from the stream's last message");
                healthy = false;
            }
            counter!("relay_publish_failures_total").increment(1);
            tokio::select! {
                () = token.cancelled() => return,
                () = tokio::time::sleep(backoff.next_delay()) => {}
            }
        }
    }

    /// Publishes until something fails; `Ok` when the sequencer is gone.
    async fn publish(
        &mut self,
        backoff: &mut Backoff,
        healthy: &mut bool,
    ) -> Result<(), PublishError> {
        let mut head = self.resume().await?;
        if !std::mem::replace(healthy, true) {
            tracing::info!(position = head.position.0, "publishing again");
        }
        loop {
            loop {
                let page = self.store.read_log(head.position, PAGE).await?;
                if page.is_empty() {
                    break;
                }
                self.send(&mut head, &page).await?;
            }
            backoff.reset();
            loop {
                // The last batches of a burst may have found the queue full: look now and then.
                let Ok(batch) = timeout(LOOK, self.fresh.recv()).await else { break };
                let Some(mut batch) = batch else { return Ok(()) };
                batch.retain(|record| record.position > head.position);
                match batch.first() {
                    None => {}
                    Some(first) if first.position == head.position.next() => {
                        self.send(&mut head, &batch).await?;
                    }
                    // The queue overflowed: read what is missing.
                    Some(_) => break,
                }
            }
        }
    }

    async fn resume(&self) -> Result<StreamHead, PublishError> {
        let mut head = self.nats.head().await?;
        // An empty stream is filled with what it would hold by its own retention.
        if let (0, Some(retention)) = (head.messages, self.nats.retention()) {
            let age = TimeDelta::from_std(retention).unwrap_or(TimeDelta::MAX);
            head.position = self.store.position_before(SystemClock.now() - age).await?;
        }
        let Some(event_id) = head.event_id else { return Ok(head) };
        let before = LogPosition(head.position.0 - 1);
        let ours = self.store.read_log(before, 1).await?;
        match ours.first() {
            Some(record) if record.event_id == event_id => Ok(head),
            Some(_) => Err(NatsError::new(format!(
                "the stream has another event at position {} than the store: it belongs to another \
                 installation, or the store was restored from a backup; delete the stream",
                head.position
            ))
            .into()),
            // After a crash of the database the sequencer gives the last positions again.
            None => Err(NatsError::new(format!(
                "the stream ends at position {}, where the store has nothing yet",
                head.position
            ))
            .into()),
        }
    }

    async fn send(
        &self,
        head: &mut StreamHead,
        records: &[StoredRecord],
    ) -> Result<(), PublishError> {
        for window in records.chunks(self.nats.publish_window()) {
            let mut acks = Vec::with_capacity(window.len());
            for (sequence, record) in (head.sequence..).zip(window) {
                let position: LogPosition = record.position;
                let body = serde_json::to_vec(record).map_err(NatsError::new)?;
                let message = PublishMessage::build()
                    .payload(body.into())
                    .message_id(record.event_id.to_string())
                    .header(POSITION, position.to_string().as_str())
                    .expected_last_sequence(sequence);
                let subject = self.nats.subject_of(record);
                let ack = self.nats.jetstream().send_publish(subject, message).await;
                acks.push(ack.map_err(NatsError::new)?);
            }
            for (ack, record) in acks.into_iter().zip(window) {
                let ack = ack.into_future().await.map_err(NatsError::new)?;
                // A repeat within NATS's window is acknowledged with the place of the first one.
                if ack.sequence != head.sequence + 1 {
                    return Err(NatsError::new("the stream has the event at another place").into());
                }
                head.sequence = ack.sequence;
                head.position = record.position;
            }
            platform::crash_point!("relay.after_publish");
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            gauge!("relay_published_position").set(head.position.0 as f64);
        }
        Ok(())
    }
}
