//! Lanes: the queue in front of each aggregate, and the states of busy ones.
use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use domain::AggregateRoot;
use eventstore::Loaded;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Context, Executed, Shared, round::Round};
use crate::CommandError;

/// Commands that may wait for one aggregate.
const LANE_LENGTH: usize = 1024;
/// Commands that are decided together.
const ROUND_SIZE: usize = 256;

pub(super) type Outcome<A> = Result<Executed<A>, CommandError>;

pub(super) struct Job<A: AggregateRoot> {
    pub(super) command: A::Command,
    pub(super) context: Context<A>,
    pub(super) caller: oneshot::Sender<Outcome<A>>,
}

/// Every lane of one aggregate type.
pub(super) struct Lanes<A: AggregateRoot> {
    /// A lane exists while a task works on it.
    queues: Mutex<HashMap<String, VecDeque<Job<A>>>>,
    states: Mutex<LruCache<String, Loaded<A>>>,
}

impl<A: AggregateRoot> Lanes<A> {
    pub(super) fn new(cache_capacity: usize) -> Self {
        let capacity = NonZeroUsize::new(cache_capacity).unwrap_or(NonZeroUsize::MIN);
        Self { queues: Mutex::default(), states: Mutex::new(LruCache::new(capacity)) }
    }

    /// The state as this process last saw it; kept only for states without personal data.
    pub(super) fn cached(&self, id: &str) -> Option<Loaded<A>> {
        if A::SNAPSHOTS { self.states.lock().get(id).cloned() } else { None }
    }

    pub(super) fn keep(&self, id: &str, loaded: Loaded<A>) {
        if A::SNAPSHOTS && loaded.sequence > 0 {
            let mut states = self.states.lock();
            if states.peek(id).is_none_or(|kept| kept.sequence < loaded.sequence) {
                states.put(id.to_owned(), loaded);
            }
        }
    }

    pub(super) fn forget(&self, id: &str) {
        self.states.lock().pop(id);
    }

    pub(super) async fn execute(
        self: Arc<Self>,
        shared: &Arc<Shared>,
        id: &str,
        command: A::Command,
        context: Context<A>,
    ) -> Outcome<A> {
        let (caller, outcome) = oneshot::channel();
        let job = Job { command, context, caller };
        let starts = {
            let mut queues = self.queues.lock();
            if let Some(queue) = queues.get_mut(id) {
                if queue.len() >= LANE_LENGTH {
                    return Err(CommandError::Overloaded { retry_after: Duration::from_secs(1) });
                }
                queue.push_back(job);
                false
            } else {
                queues.insert(id.to_owned(), VecDeque::from([job]));
                true
            }
        };
        if starts {
            // A task of its own: a caller that goes away must not leave the lane half-done.
            tokio::spawn(Arc::clone(&self).work(Arc::clone(shared), id.to_owned()));
        }
        outcome.await.map_err(|_| CommandError::unavailable("the lane was dropped"))?
    }

    async fn work(self: Arc<Self>, shared: Arc<Shared>, id: String) {
        // However the task ends, even by a panic in a decision, the lane must not stay behind:
        // later commands would queue up in it for ever.
        let lane = LaneGuard { lanes: &self, id: &id };
        while let Some(jobs) = lane.next_jobs() {
            Round::new(&shared, &self, &id, jobs).run().await;
        }
    }
}

struct LaneGuard<'a, A: AggregateRoot> {
    lanes: &'a Lanes<A>,
    id: &'a str,
}

impl<A: AggregateRoot> LaneGuard<'_, A> {
    /// What waits now; closes the lane when nothing does.
    fn next_jobs(&self) -> Option<Vec<Job<A>>> {
        let mut queues = self.lanes.queues.lock();
        let queue = queues.get_mut(self.id)?;
        if queue.is_empty() {
            queues.remove(self.id);
            return None;
        }
        let size = queue.len().min(ROUND_SIZE);
        Some(queue.drain(..size).collect())
    }
}

impl<A: AggregateRoot> Drop for LaneGuard<'_, A> {
    fn drop(&mut self) {
        // On the normal way out the lane is closed already, perhaps even open again.
        if std::thread::panicking() {
            self.lanes.queues.lock().remove(self.id);
        }
    }
}
