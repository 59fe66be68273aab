//! The event store alone, in this process, on a database of its own.
use domain::AggregateRoot;
use eventstore::{AppendOutcome, EventStore, Receipt, Sequencer, StoredRecord};
use serde_json::json;

use crate::{LIMIT, Servers, World, database::Database, eventually};

/// An event store on a fresh database.
pub struct TestStore {
    /// The first connection; [`TestStore::another`] gives further ones.
    pub store: EventStore,
    /// Its database and settings.
    pub world: World,
}

impl TestStore {
    /// On the shared servers.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// On the shared servers, with other settings.
    ///
    /// # Panics
    /// When PostgreSQL is away.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_on(Servers::from_environment(), settings).await
    }

    /// On these servers, with other settings.
    ///
    /// # Panics
    /// When PostgreSQL is away.
    pub async fn start_on(servers: Servers, settings: &[(&str, &str)]) -> Self {
        let mut world = World::create_on(servers).await;
        for (setting, value) in settings {
            world.set(setting, value);
        }
        let store = EventStore::connect(&world.config(), &world.secrets()).await.unwrap();
        Self { store, world }
    }

    /// Another process's view: pools, committers and caches of its own.
    ///
    /// # Panics
    /// When PostgreSQL is away.
    pub async fn another(&self) -> EventStore {
        EventStore::connect(&self.world.config(), &self.world.secrets()).await.unwrap()
    }

    /// Its database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.world.database
    }

    /// Appends events of one stream and expects them to be stored.
    ///
    /// # Panics
    /// When they are not.
    pub async fn append<A: AggregateRoot>(
        &self,
        id: &str,
        expected: i64,
        events: &[A::Event],
    ) -> Vec<Receipt> {
        match append::<A>(&self.store, id, expected, events).await {
            AppendOutcome::Stored(receipts) => receipts,
            other => panic!("not stored: {other:?}"),
        }
    }

    /// Gives everything committed its position and returns it. Waits where transactions of other
    /// tests hold the log back: their order is the whole cluster's.
    ///
    /// # Panics
    /// When PostgreSQL is away or another sequencer is at work.
    pub async fn sequence(&self) -> Vec<StoredRecord> {
        let mut sequencer = Sequencer::open(self.store.clone()).await.unwrap();
        let mut all = Vec::new();
        eventually("everything has its place", LIMIT, async || {
            all.extend(sequencer.step(1000).await.unwrap());
            (sequencer.backlog().await.unwrap().events == 0).then_some(())
        })
        .await;
        all
    }

    /// Drops the database.
    pub async fn finish(self) {
        self.world.database.drop().await;
    }
}

/// Lets the sequencer work until it has given `count` further places, and returns them.
///
/// # Panics
/// When that takes too long or another sequencer is at work.
pub async fn place(sequencer: &mut Sequencer, count: usize) -> Vec<StoredRecord> {
    let mut all = Vec::new();
    eventually("events get their places", LIMIT, async || {
        all.extend(sequencer.step(1000).await.unwrap());
        (all.len() >= count).then_some(())
    })
    .await;
    assert_eq!(all.len(), count, "and no others");
    all
}

/// Appends events of one stream through any store.
///
/// # Panics
/// When PostgreSQL is away.
pub async fn append<A: AggregateRoot>(
    store: &EventStore,
    id: &str,
    expected: i64,
    events: &[A::Event],
) -> AppendOutcome {
    let staged: Vec<_> = events.iter().map(|event| (event.clone(), json!({}))).collect();
    let request = store.prepare::<A>(id, expected, &staged).await.unwrap();
    store.append(request).await.unwrap()
}
