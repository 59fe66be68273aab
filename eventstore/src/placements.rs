//! From an append's receipt to its place in the log: assigned by the relay a moment later.
use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use domain::LogPosition;
use lru::LruCache;
use parking_lot::Mutex;
use sqlx::{PgPool, Row as _};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

/// How long the relay of this process gets before the database is asked.
const GRACE: Duration = Duration::from_millis(4);
const POLL: Duration = Duration::from_millis(8);
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(8192).unwrap();

/// Where an event ended up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Place in the whole log.
    pub position: LogPosition,
    /// Its number in its channel, if it has one.
    pub channel_seq: Option<i64>,
}

type Waiters = HashMap<i64, (Instant, watch::Sender<Option<Placed>>)>;

struct State {
    recent: LruCache<i64, Placed>,
    waiters: Waiters,
    polling: bool,
}

/// Waits for places. A relay in the same process answers at once; otherwise the positions are
/// polled, for all waiters together.
pub struct Placements {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    state: Mutex<State>,
    more: Notify,
}

impl Placements {
    pub(crate) fn new(pool: PgPool) -> Self {
        let state =
            State { recent: LruCache::new(REMEMBERED), waiters: Waiters::new(), polling: false };
        Self { shared: Arc::new(Shared { pool, state: Mutex::new(state), more: Notify::new() }) }
    }

    /// Waits until the event with this insertion number has its place; `None` when `limit` is over.
    ///
    /// A database that is away only makes the wait run out.
    pub async fn wait(&self, log_number: i64, limit: Duration) -> Option<Placed> {
        let mut receiver = {
            let mut state = self.shared.state.lock();
            if let Some(placed) = state.recent.get(&log_number) {
                return Some(*placed);
            }
            let receiver = state
                .waiters
                .entry(log_number)
                .or_insert_with(|| (Instant::now(), watch::channel(None).0))
                .1
                .subscribe();
            if !state.polling {
                state.polling = true;
                tokio::spawn(poll(Arc::clone(&self.shared)));
            }
            receiver
        };
        let placed = timeout(limit, receiver.wait_for(Option::is_some)).await;
        let placed = placed.ok().and_then(|seen| seen.ok().and_then(|value| *value));
        if placed.is_none() {
            drop(receiver);
            let mut state = self.shared.state.lock();
            if state.waiters.get(&log_number).is_some_and(|(_, s)| s.receiver_count() == 0) {
                state.waiters.remove(&log_number);
            }
        }
        placed
    }

    /// Tells waiters what was just assigned.
    pub(crate) fn publish(&self, placed: impl IntoIterator<Item = (i64, Placed)>) {
        let mut state = self.shared.state.lock();
        for (log_number, placed) in placed {
            state.publish(log_number, placed);
        }
        drop(state);
        self.shared.more.notify_one();
    }
}

impl State {
    fn publish(&mut self, log_number: i64, placed: Placed) {
        self.recent.put(log_number, placed);
        if let Some((_, waiter)) = self.waiters.remove(&log_number) {
            waiter.send_replace(Some(placed));
        }
    }
}

/// Asks the database for everyone who waits longer than a local relay would take.
async fn poll(shared: Arc<Shared>) {
    loop {
        sleep(GRACE).await;
        let overdue: Vec<i64> = {
            let mut state = shared.state.lock();
            if state.waiters.is_empty() {
                state.polling = false;
                return;
            }
            state
                .waiters
                .iter()
                .filter(|(_, (at, _))| at.elapsed() >= GRACE)
                .map(|(n, _)| *n)
                .collect()
        };
        if overdue.is_empty() {
            continue;
        }
        let found = sqlx::query(
            "select log_number, position, channel_seq from positions where log_number = any($1)",
        )
        .bind(&overdue)
        .fetch_all(&shared.pool)
        .await;
        let Ok(rows) = found else {
            // The waits run out by themselves; whoever reads next reports the outage.
            sleep(POLL * 10).await;
            continue;
        };
        let nobody_waits = {
            let mut state = shared.state.lock();
            for row in rows {
                let columns = (row.try_get(0), row.try_get(1), row.try_get(2));
                if let (Ok(log_number), Ok(position), Ok(channel_seq)) = columns {
                    let position = LogPosition(position);
                    state.publish(log_number, Placed { position, channel_seq });
                }
            }
            state.waiters.is_empty()
        };
        if !nobody_waits {
            tokio::select! { () = sleep(POLL) => {}, () = shared.more.notified() => {} }
        }
    }
}
