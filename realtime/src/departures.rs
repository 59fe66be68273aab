//! Recording that connections left live rooms: at once, or after a while in case they come back.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use commands::{CommandError, Commands};
use domain::{ConnectionId, RoomId};
use futures::{StreamExt, stream::FuturesUnordered};
use platform::{Backoff, ids::new_id};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::node::Absence;

/// Departures that may wait on their way here, and here. What does not fit is left to the reaper.
const CAPACITY: usize = 65_536;
/// Departures that are recorded at the same time: fewer than there are connections to PostgreSQL, which
/// those who come need as well.
const AT_ONCE: usize = 8;
/// Between two tries to record one. The reaper is no help: it takes those connections only that
/// are gone altogether, and a socket may go on without the room.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the end of the process waits for them.
const LAST_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Departure {
    room_id: RoomId,
    connection_id: ConnectionId,
    due: Instant,
    backoff: Backoff,
    absence: Absence,
}

/// Departures by the time they are due.
#[derive(Debug, Default)]
struct Schedule {
    /// The second part of the key tells those apart that are due at the same time.
    waiting: BTreeMap<(Instant, u64), Departure>,
    number: u64,
}

impl Schedule {
    fn put(&mut self, departure: Departure) {
        self.number += 1;
        self.waiting.insert((departure.due, self.number), departure);
    }

    fn pop_due(&mut self, now: Instant) -> Option<Departure> {
        let first = self.waiting.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    fn len(&self) -> usize {
        self.waiting.len()
    }
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
            Absence::Moving => return,
        };
        let due = Instant::now() + delay;
        let backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
        let departure = Departure { room_id, connection_id, due, backoff, absence };
        if self.queue.try_send(departure).is_err() {
            tracing::warn!(room.id = %room_id, "a departure is left to the reaper");
        }
    }
}

/// Departures on their way to [`run`].
pub(crate) struct DepartureQueue(mpsc::Receiver<Departure>);

/// Records departures when they are due. After `stop` it waits for `last`, when no more come, and
/// records at once those that were meant. Whose connection broke just before may be on the way to another
/// node, as those of this one are: they are the reaper's.
pub(crate) async fn run(
    commands: Commands,
    mut queue: DepartureQueue,
    stop: CancellationToken,
    last: CancellationToken,
) {
    let mut schedule = Schedule::default();
    let mut recording = FuturesUnordered::new();
    let mut failing = false;
    let commands = Arc::new(commands);
    loop {
        while recording.len() < AT_ONCE
            && let Some(departure) = schedule.pop_due(Instant::now())
        {
            recording.push(record(Arc::clone(&commands), departure));
        }
        // With all hands busy, what is due waits for one of them.
        let next_due = schedule.next_due().filter(|_| recording.len() < AT_ONCE);
        let has_room = schedule.len() + recording.len() < CAPACITY;
        tokio::select! {
            () = stop.cancelled() => break,
            Some(outcome) = recording.next(), if !recording.is_empty() => match outcome {
                Ok(()) => failing = false,
                Err(Failed { departure, error }) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(error = %error, "departures wait to be recorded");
                    }
                    schedule.put(departure);
                }
            },
            () = sleep_until(next_due.unwrap_or_else(Instant::now)), if next_due.is_some() => {}
            departure = queue.0.recv(), if has_room => match departure {
                Some(departure) => schedule.put(departure),
                None => break,
            },
        }
    }
    last.cancelled().await;
    queue.0.close();
    let rest = async {
        while let Some(departure) = queue.0.recv().await {
            schedule.put(departure);
        }
        let meant = schedule.waiting.into_values().filter(|it| it.absence == Absence::Meant);
        let all = futures::stream::iter(meant);
        let all = all.map(|one| insist(Arc::clone(&commands), one));
        let started = recording.map(|outcome| see_through(Arc::clone(&commands), outcome));
        let all = all.buffer_unordered(AT_ONCE).collect::<Vec<()>>();
        let started = started.buffer_unordered(AT_ONCE).collect::<Vec<()>>();
        futures::join!(all, started)
    };
    if timeout(LAST_LIMIT, rest).await.is_err() {
        tracing::warn!("not every departure was recorded in time, the reaper takes the rest");
    }
}

/// A departure that has to be tried again when it is due.
struct Failed {
    departure: Departure,
    error: CommandError,
}

/// Tries once.
async fn record(commands: Arc<Commands>, mut departure: Departure) -> Result<(), Failed> {
    let Departure { room_id, connection_id, .. } = departure;
    let request_id = new_id().to_string();
    match commands.exit_room(room_id, connection_id, &request_id).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_transient() => {
            departure.due = Instant::now() + departure.backoff.next_delay();
            Err(Failed { departure, error })
        }
        Err(error) => {
            tracing::warn!(
                error = %error, room.id = %room_id, connection.id = %connection_id,
                "a departure is left to the reaper"
            );
            Ok(())
        }
    }
}

/// Tries until it succeeds, at once for the first time.
async fn insist(commands: Arc<Commands>, mut departure: Departure) {
    while let Err(failed) = record(Arc::clone(&commands), departure).await {
        departure = failed.departure;
        sleep_until(departure.due).await;
    }
}

/// What was being recorded when the end came.
async fn see_through(commands: Arc<Commands>, outcome: Result<(), Failed>) {
    if let Err(failed) = outcome {
        insist(commands, failed.departure).await;
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn departures_come_when_they_are_due_and_none_is_lost() {
        let (mut schedule, start) = (Schedule::default(), Instant::now());
        let second = |n: u64| start + Duration::from_secs(n);
        for (number, due) in [(1, 3), (2, 0), (3, 3), (4, 1)] {
            schedule.put(Departure {
                room_id: RoomId(Uuid::nil()),
                connection_id: ConnectionId(Uuid::from_u128(number)),
                due: second(due),
                backoff: Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE),
                absence: Absence::Perhaps,
            });
        }
        let mut due = |now| -> Vec<u128> {
            std::iter::from_fn(|| schedule.pop_due(now))
                .map(|departure| departure.connection_id.0.as_u128())
                .collect()
        };
        assert_eq!(due(second(2)), [2, 4]);
        assert_eq!(due(second(2)), [0; 0]);
        assert_eq!(due(second(3)), [1, 3]);
        assert_eq!(schedule.next_due(), None);
    }
}
