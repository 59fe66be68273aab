//! Group commit: concurrent appends of this process travel together in one transaction.
//!
//! Nobody waits for a group to fill: a committer takes whatever is there when it is free.
use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use metrics::{counter, histogram};
use sqlx::{Acquire as _, PgPool};
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    AppendOutcome, AppendRequest, StoreError,
    append::{append, failure, is_unique_violation},
};

type Answer = oneshot::Sender<Result<AppendOutcome, StoreError>>;

struct Job {
    request: AppendRequest,
    answer: Answer,
}

/// The queue in front of the committers.
#[derive(Clone)]
pub(crate) struct GroupCommit {
    queue: mpsc::Sender<Job>,
}

impl GroupCommit {
    /// Starts `committers` tasks that write through `pool` and tell `appended` of every commit.
    pub(crate) fn start(
        pool: &PgPool,
        committers: u32,
        max_events: usize,
        capacity: usize,
        limit: Duration,
        appended: &watch::Sender<u64>,
    ) -> Self {
        let (queue, receiver) = mpsc::channel(capacity);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..committers {
            let committer = Committer {
                pool: pool.clone(),
                receiver: Arc::clone(&receiver),
                max_events,
                limit,
                appended: appended.clone(),
            };
            // Ends by itself when the last sender is gone.
            tokio::spawn(committer.run());
        }
        Self { queue }
    }

    /// Queues one request and waits for its outcome.
    pub(crate) async fn append(&self, request: AppendRequest) -> Result<AppendOutcome, StoreError> {
        let (answer, outcome) = oneshot::channel();
        self.queue.try_send(Job { request, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        outcome.await.map_err(|_| StoreError::Closed)?
    }
}

struct Committer {
    pool: PgPool,
    receiver: Arc<Mutex<mpsc::Receiver<Job>>>,
    max_events: usize,
    /// Longest wait for one append.
    limit: Duration,
    appended: watch::Sender<u64>,
}

impl Committer {
    async fn run(self) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let mut jobs = Vec::new();
                if self.receiver.lock().await.recv_many(&mut jobs, self.max_events).await == 0 {
                    return;
                }
                waiting.extend(jobs);
            }
            let group = self.next_group(&mut waiting);
            self.commit(group).await;
        }
    }

    /// Takes jobs from the front that cannot collide with each other; the others wait their turn.
    fn next_group(&self, waiting: &mut VecDeque<Job>) -> Vec<Job> {
        let mut taken = HashSet::new();
        let mut group = Vec::new();
        let mut later = VecDeque::new();
        let mut events = 0;
        while let Some(job) = waiting.pop_front() {
            let keys: Vec<_> = job.request.collision_keys().collect();
            let fits = events == 0 || events + job.request.events.len() <= self.max_events;
            if fits && keys.iter().all(|key| !taken.contains(key)) {
                events += job.request.events.len();
                taken.extend(keys);
                group.push(job);
            } else {
                later.push_back(job);
            }
        }
        *waiting = later;
        group
    }

    async fn commit(&self, group: Vec<Job>) {
        platform::crash_point!("append.before_commit");
        let started = std::time::Instant::now();
        let requests: Vec<&AppendRequest> = group.iter().map(|job| &job.request).collect();
        let outcome = self.transact(&requests).await;
        histogram!("append_seconds").record(started.elapsed().as_secs_f64());
        counter!("append_groups_total").increment(1);
        counter!("append_requests_total").increment(group.len() as u64);
        match outcome {
            Ok(outcomes) => {
                self.appended.send_modify(|commits| *commits += 1);
                platform::crash_point!("append.after_commit");
                for (job, outcome) in group.into_iter().zip(outcomes) {
                    // Nobody waits any more for some: the caller was cancelled.
                    job.answer.send(Ok(outcome)).ok();
                }
            }
            Err(error) => match StoreError::from(error) {
                // The connection, not a request: it may even have committed.
                StoreError::Unavailable(source) => {
                    for job in group {
                        job.answer.send(Err(StoreError::Unavailable(Arc::clone(&source)))).ok();
                    }
                }
                // One of the group lost a race or is malformed: the others must not pay.
                _ => {
                    for job in group {
                        let outcome = self.alone(&job.request).await;
                        job.answer.send(outcome).ok();
                    }
                }
            },
        }
    }

    /// One request on its own. A race that it lost shows in the next snapshot, so it is asked again.
    async fn alone(&self, request: &AppendRequest) -> Result<AppendOutcome, StoreError> {
        const ATTEMPTS: u32 = 3;
        for attempt in 1..=ATTEMPTS {
            match self.transact(&[request]).await {
                Ok(mut outcomes) => {
                    self.appended.send_modify(|commits| *commits += 1);
                    return outcomes.pop().ok_or(StoreError::Conflict);
                }
                Err(error) if is_unique_violation(&error) && attempt < ATTEMPTS => {}
                Err(error) => return Err(failure(error)),
            }
        }
        Err(StoreError::Conflict)
    }

    async fn transact(
        &self,
        requests: &[&AppendRequest],
    ) -> Result<Vec<AppendOutcome>, sqlx::Error> {
        let mut connection = self.pool.acquire().await?;
        let appended = timeout(self.limit, append(connection.acquire().await?, requests)).await;
        appended.unwrap_or_else(|_| {
            // A server that vanished without a word keeps no statement_timeout either. Giving the
            // connection back would wait for it as well.
            connection.close_on_drop();
            Err(sqlx::Error::PoolTimedOut)
        })
    }
}
