//! Recording that connections left live rooms: at once, or after a while in case they come back.
use std::{collections::VecDeque, sync::Arc, time::Duration};

use commands::Commands;
use domain::{ConnectionId, RoomId};
use futures::{StreamExt, stream::FuturesUnordered};
use platform::{Backoff, ids::new_id};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::node::Absence;

/// Departures that may wait. What does not fit is left to the reaper.
const CAPACITY: usize = 65_536;
/// Departures that are recorded at the same time.
const AT_ONCE: usize = 64;
/// How often recording one is tried. The reaper takes what is left.
const TRIES: u32 = 5;
/// How long the end of the process waits for them.
const LAST_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
struct Departure {
    room_id: RoomId,
    connection_id: ConnectionId,
    due: Instant,
}

/// Takes note of departures.
pub(crate) struct Departures {
    queue: mpsc::Sender<Departure>,
    debounce: Duration,
}

impl Departures {
    /// The second part is for [`run`].
    pub(crate) fn new(debounce: Duration) -> (Self, DepartureQueue) {
        let (queue, waiting) = mpsc::channel(CAPACITY);
        (Self { queue, debounce }, DepartureQueue(waiting))
    }

    /// This connection is out of the room.
    pub(crate) fn add(&self, room_id: RoomId, connection_id: ConnectionId, absence: Absence) {
        let delay = match absence {
            Absence::Meant => Duration::ZERO,
            Absence::Perhaps => self.debounce,
        };
        let departure = Departure { room_id, connection_id, due: Instant::now() + delay };
        if self.queue.try_send(departure).is_err() {
            tracing::warn!(room.id = %room_id, "a departure is left to the reaper");
        }
    }
}

/// Departures on their way to [`run`].
pub(crate) struct DepartureQueue(mpsc::Receiver<Departure>);

/// Records departures when they are due. After `stop` it waits for `last`, when no more come, and
/// records all that are left at once.
pub(crate) async fn run(
    commands: Commands,
    mut queue: DepartureQueue,
    stop: CancellationToken,
    last: CancellationToken,
) {
    // All delayed departures have the same delay, so each list is in order of `due`.
    let (mut now, mut later) = (VecDeque::new(), VecDeque::<Departure>::new());
    let mut recording = FuturesUnordered::new();
    let commands = Arc::new(commands);
    loop {
        while later.front().is_some_and(|first| first.due <= Instant::now()) {
            now.extend(later.pop_front());
        }
        while recording.len() < AT_ONCE
            && let Some(departure) = now.pop_front()
        {
            recording.push(record(Arc::clone(&commands), departure));
        }
        let next_due = later.front().map(|first| first.due);
        tokio::select! {
            () = stop.cancelled() => break,
            Some(()) = recording.next(), if !recording.is_empty() => {}
            () = sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {}
            departure = queue.0.recv() => match departure {
                Some(departure) if departure.due <= Instant::now() => now.push_back(departure),
                Some(departure) => later.push_back(departure),
                None => break,
            },
        }
    }
    let rest = async {
        last.cancelled().await;
        queue.0.close();
        while let Some(departure) = queue.0.recv().await {
            now.push_back(departure);
        }
        let all = now.into_iter().chain(later);
        let all = futures::stream::iter(all).map(|one| record(Arc::clone(&commands), one));
        let all = all.buffer_unordered(AT_ONCE).collect::<Vec<()>>();
        futures::join!(all, recording.collect::<Vec<()>>())
    };
    if timeout(LAST_LIMIT, rest).await.is_err() {
        tracing::warn!("not every departure was recorded in time, the reaper takes the rest");
    }
}

async fn record(commands: Arc<Commands>, departure: Departure) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let Departure { room_id, connection_id, .. } = departure;
    for attempt in 1..=TRIES {
        let request_id = new_id().to_string();
        match commands.exit_room(room_id, connection_id, &request_id).await {
            Ok(_) => return,
            Err(error) if attempt == TRIES || !error.is_transient() => {
                tracing::warn!(
                    error = %error, room.id = %room_id, connection.id = %connection_id,
                    "a departure is left to the reaper"
                );
                return;
            }
            Err(_) => tokio::time::sleep(backoff.next_delay()).await,
        }
    }
}
