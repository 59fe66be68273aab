//! Bringing a subscriber from where it stands to the live events.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use platform::Backoff;

use crate::{
    channel::LogError,
    connection::EmitFailure,
    delivery::{Drain, Expect},
    node::Node,
    payload::Prepared,
    rooms::Stream,
};

/// How long a replay waits for a client that takes nothing.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two tries to put something into a full buffer.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a replay did not come to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The subscription has ended; nothing to do.
    Gone,
    /// The client takes nothing.
    Slow,
    /// The log cannot be read.
    Unavailable(LogError),
}

impl Node {
    /// Emits what the log has after the subscriber's last event, then what waited meanwhile. When
    /// it returns, the subscriber is live. Answers how many events went out that were in the room
    /// before it joined.
    pub(crate) async fn catch_up(&self, subscription: &Stream) -> Result<u64, Ended> {
        let channel = subscription.place.channel();
        let limit = i64::from(self.settings.resume_page);
        let floor = subscription.floor().unwrap_or(i64::MAX);
        let reader = subscription.connection.user_id;
        let mut replayed = 0;
        loop {
            let after = subscription.delivery.lock().open_at().ok_or(Ended::Gone)?;
            let history = &self.history;
            let page = history.read(&channel, after, limit).await.map_err(Ended::Unavailable)?;
            let events = history.prepare(&page.events, reader).await.map_err(Ended::Unavailable)?;
            for prepared in events {
                let seq = prepared.seq;
                if self.emit_in_order(subscription, &prepared).await? && seq <= floor {
                    replayed += 1;
                }
            }
            fill(subscription, page.reached).await?;
            if page.reached - after >= limit {
                continue;
            }
            let exhausted = page.reached == after;
            if self.drain(subscription, exhausted).await? {
                metrics::counter!("socket_replayed_events_total").increment(replayed);
                return Ok(replayed);
            }
            if exhausted {
                // The log does not have yet what the feed told of: give it a moment.
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Replays in the background, until it succeeds or the socket is gone.
    pub(crate) fn catch_up_later<S>(self: &Arc<Self>, subscription: Arc<S>)
    where
        S: AsRef<Stream> + Send + Sync + 'static,
    {
        let node = Arc::clone(self);
        tokio::spawn(async move {
            let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
            loop {
                let stream: &Stream = (*subscription).as_ref();
                match node.catch_up(stream).await {
                    Ok(_) | Err(Ended::Gone) => return,
                    Err(Ended::Slow) => return node.drop_slow(&stream.connection),
                    Err(Ended::Unavailable(error)) => {
                        tracing::warn!(error = %error, "a replay waits for the event log");
                        tokio::time::sleep(backoff.next_delay()).await;
                    }
                }
            }
        });
    }

    /// Emits what waited. `true`: the subscriber is live now.
    async fn drain(&self, subscription: &Stream, exhausted: bool) -> Result<bool, Ended> {
        loop {
            let (next, missing) = {
                let mut delivery = subscription.delivery.lock();
                (delivery.drain(), delivery.first_missing())
            };
            match next {
                Drain::Live => return Ok(true),
                Drain::Closed => return Err(Ended::Gone),
                Drain::Emit(_, prepared) => {
                    self.emit_in_order(subscription, &prepared).await?;
                }
                Drain::Behind => match missing.filter(|_| exhausted) {
                    Some(seq) => emit_placeholder(subscription, seq).await?,
                    None => return Ok(false),
                },
            }
        }
    }

    /// Emits one event, and placeholders for the unreadable ones before it. `false`: it was
    /// delivered before.
    async fn emit_in_order(
        &self,
        subscription: &Stream,
        prepared: &Prepared,
    ) -> Result<bool, Ended> {
        loop {
            match emit_when_possible(subscription, prepared).await? {
                Expect::Emit => return Ok(true),
                Expect::Duplicate => return Ok(false),
                Expect::Closed => return Err(Ended::Gone),
                Expect::Missing(seq) => emit_placeholder(subscription, seq).await?,
            }
        }
    }
}

/// Emits placeholders for what the log has up to `reached` and nobody can read.
async fn fill(subscription: &Stream, reached: i64) -> Result<(), Ended> {
    loop {
        let last = subscription.delivery.lock().open_at().ok_or(Ended::Gone)?;
        if last >= reached {
            return Ok(());
        }
        emit_placeholder(subscription, last + 1).await?;
    }
}

async fn emit_placeholder(subscription: &Stream, seq: i64) -> Result<(), Ended> {
    let placeholder = Prepared::unavailable(subscription.place, seq).ok_or(Ended::Gone)?;
    emit_when_possible(subscription, &placeholder).await.map(drop)
}

/// Emits if it is the next one, waiting while the socket's buffer is full.
async fn emit_when_possible(subscription: &Stream, prepared: &Prepared) -> Result<Expect, Ended> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        {
            // Checked and emitted under one lock: the broadcaster cannot come in between.
            let mut delivery = subscription.delivery.lock();
            let expected = delivery.expect(prepared.seq);
            if expected != Expect::Emit {
                return Ok(expected);
            }
            match subscription.emit(prepared) {
                Ok(()) => {
                    delivery.advance(prepared.seq);
                    return Ok(Expect::Emit);
                }
                Err(EmitFailure::Full) => {}
                Err(EmitFailure::Closed) => {
                    delivery.close();
                    return Err(Ended::Gone);
                }
            }
        }
        if Instant::now() >= deadline {
            return Err(Ended::Slow);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
