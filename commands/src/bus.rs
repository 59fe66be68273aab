//! The command bus: load, decide, commit, retry.
//!
//! Commands to one aggregate queue up in its lane. Those that wait together are decided together,
//! each seeing the events of the ones before, and travel in one append. A lane has one append in
//! flight, so this process never races itself; another process's append shows as a conflict and
//! the round is decided again on the newer state.
mod lane;
mod round;

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
    time::Duration,
};

use domain::{AggregateRoot, Metadata, UserId};
pub use eventstore::Receipt;
use eventstore::{EventStore, Loaded};
use parking_lot::RwLock;
use platform::Config;
use serde_json::Value;

use crate::CommandError;
use lane::Lanes;

/// How a command is to be carried out.
pub struct Context<A: AggregateRoot> {
    /// Who acts, in which piece of work.
    pub metadata: Metadata,
    /// Makes a repeat of the command safe.
    pub idempotency: Option<Idempotency<A>>,
    /// Whether the id is fresh, so that there is nothing to read.
    pub creates: bool,
    /// The sequence of the last event that the caller knows of: with any other, nothing happens.
    pub if_version: Option<i64>,
}

impl<A: AggregateRoot> Context<A> {
    /// A plain command to an aggregate that may exist.
    #[must_use]
    pub fn new(metadata: Metadata) -> Self {
        Self { metadata, idempotency: None, creates: false, if_version: None }
    }

    /// The id was made for this command: expected sequence 0 is check enough.
    #[must_use]
    pub fn creating(metadata: Metadata) -> Self {
        Self { creates: true, ..Self::new(metadata) }
    }

    /// Makes the command depend on the version that the caller knows. Who may not do it at all is
    /// told so, and no version.
    #[must_use]
    pub fn with_version(mut self, if_version: Option<i64>) -> Self {
        self.if_version = if_version;
        self
    }

    /// Adds idempotency keys.
    #[must_use]
    pub fn with_idempotency(mut self, idempotency: Option<Idempotency<A>>) -> Self {
        self.idempotency = idempotency;
        self
    }
}

/// What makes a repeat known. It is stored with the events, in their transaction; of a command that
/// records nothing it is stored by itself.
pub struct Idempotency<A: AggregateRoot> {
    /// A repeat has one of them.
    pub keys: Vec<RequestKey>,
    /// Whose data key seals the stored answer.
    pub subject: UserId,
    /// The answer to be stored.
    pub answer: Answer<A>,
}

/// An idempotency key.
#[derive(Clone, Debug)]
pub struct RequestKey {
    /// Scope and key.
    pub key: String,
    /// Hash of what is asked: the same key with another hash is refused.
    pub request_hash: [u8; 32],
    /// How long a repeat is recognised.
    pub keep: Duration,
}

/// Makes the answer to be stored from the recorded events and the state after them.
pub type Answer<A> =
    Arc<dyn Fn(&[<A as cqrs_es::Aggregate>::Event], &A) -> Value + Send + Sync + 'static>;

/// What a command did.
#[derive(Clone, Debug)]
pub struct Executed<A: AggregateRoot> {
    /// The recorded events; none if the command asked for what already held, or was a repeat.
    pub events: Vec<A::Event>,
    /// The state after them.
    pub state: A,
    /// Its version: the sequence of the last event in it.
    pub version: i64,
    /// Where the last of them is. For a repeat that of the first attempt; if nothing was recorded then,
    /// the last event before it.
    pub receipt: Option<Receipt>,
    /// The stored answer, fresh or that of the first attempt; `None` without an idempotency key or once
    /// the person was erased.
    pub answer: Option<Value>,
    /// Whether an earlier command with the same key did the work.
    pub replayed: bool,
}

/// Carries out commands. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

struct Shared {
    store: EventStore,
    retries: u32,
    snapshot_every: i64,
    cache_capacity: usize,
    /// One [`Lanes`] per aggregate type.
    lanes: RwLock<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

impl Bus {
    /// A bus on the given store.
    #[must_use]
    pub fn new(store: EventStore, config: &Config) -> Self {
        let settings = &config.eventstore;
        let shared = Shared {
            store,
            retries: settings.command_retries,
            snapshot_every: i64::try_from(settings.snapshot_every).unwrap_or(i64::MAX),
            cache_capacity: settings.cache_capacity,
            lanes: RwLock::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The store below.
    #[must_use]
    pub fn store(&self) -> &EventStore {
        &self.shared.store
    }

    /// Decides and records one command. Once queued it is carried out even if the caller goes away.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with the aggregate's refusal, [`CommandError::VersionMismatch`],
    /// [`CommandError::IdempotencyKeyReused`],
    /// [`CommandError::Conflict`] after repeated lost races, [`CommandError::Overloaded`] with a full
    /// lane or append queue, [`CommandError::Unavailable`] when the store is away.
    pub async fn execute<A: AggregateRoot>(
        &self,
        id: &str,
        command: A::Command,
        context: Context<A>,
    ) -> Result<Executed<A>, CommandError> {
        self.lanes::<A>().execute(&self.shared, id, command, context).await
    }

    /// The aggregate's state, from the truth.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn state<A: AggregateRoot>(&self, id: &str) -> Result<A, CommandError> {
        Ok(self.now::<A>(id).await?.state)
    }

    /// The aggregate's version, from the truth: the sequence of its last event.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn version<A: AggregateRoot>(&self, id: &str) -> Result<i64, CommandError> {
        Ok(self.now::<A>(id).await?.sequence)
    }

    /// The aggregate's state and its version, of the same moment.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn current<A: AggregateRoot>(&self, id: &str) -> Result<(A, i64), CommandError> {
        let Loaded { state, sequence } = self.now::<A>(id).await?;
        Ok((state, sequence))
    }

    async fn now<A: AggregateRoot>(&self, id: &str) -> Result<Loaded<A>, CommandError> {
        let lanes = self.lanes::<A>();
        let Some(mut loaded) = lanes.cached(id) else {
            let loaded = self.shared.store.load_stream::<A>(id).await?;
            lanes.keep(id, loaded.clone());
            return Ok(loaded);
        };
        if self.shared.store.catch_up(id, &mut loaded).await? {
            lanes.keep(id, loaded.clone());
        }
        Ok(loaded)
    }

    fn lanes<A: AggregateRoot>(&self) -> Arc<Lanes<A>> {
        let key = TypeId::of::<A>();
        let known = self.shared.lanes.read().get(&key).cloned();
        let any = known.unwrap_or_else(|| {
            let mut all = self.shared.lanes.write();
            let fresh = || Arc::new(Lanes::<A>::new(self.shared.cache_capacity)) as _;
            Arc::clone(all.entry(key).or_insert_with(fresh))
        });
        // The key is the type's own id, so the downcast holds.
        any.downcast().unwrap_or_else(|_| Arc::new(Lanes::new(self.shared.cache_capacity)))
    }
}
