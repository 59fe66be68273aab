//! The order of the log under any schedule: dense, faithful to every stream, nothing lost or doubled.
use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{LogPosition, Room, RoomId, UserId};
use eventstore::{AppendOutcome, Sequencer, StoreError, StoredRecord};
use futures::future::join_all;
use platform::ids::new_id;
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use sqlx::{PgPool, Postgres, Transaction};
use tests::{LIMIT, TestStore, samples::posted, store::append};
use tokio::time::Instant;
use uuid::Uuid;

const CONNECTIONS: usize = 5;
const STREAMS: usize = 4;

/// One step of a schedule. What cannot be done at that moment is skipped.
#[derive(Clone, Debug)]
enum Step {
    /// A connection begins and appends this many events to each of these streams: one statement,
    /// as the store does it. It stays open.
    Append { connection: usize, streams: Vec<usize>, events: i64 },
    /// It commits.
    Commit { connection: usize },
    /// It takes it all back.
    RollBack { connection: usize },
    /// The sequencer works.
    Sequence { limit: u32 },
    /// The sequencer is replaced by a new one.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let connection = 0..CONNECTIONS;
    let append = (connection.clone(), vec(0..STREAMS, 1..3), 1..4_i64)
        .prop_map(|(connection, streams, events)| Step::Append { connection, streams, events });
    let step = prop_oneof![
        6 => append,
        4 => connection.clone().prop_map(|connection| Step::Commit { connection }),
        1 => connection.prop_map(|connection| Step::RollBack { connection }),
        4 => (1..6_u32).prop_map(|limit| Step::Sequence { limit }),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..60)
}

/// What an open transaction has written: the streams, and the ids of the events.
struct Open {
    transaction: Transaction<'static, Postgres>,
    streams: Vec<usize>,
    events: Vec<(usize, Uuid)>,
}

/// A schedule as it runs, and what must come out of it.
struct Run<'a> {
    test: &'a TestStore,
    pool: &'a PgPool,
    sequencer: Sequencer,
    /// The streams of this run, which no other run has.
    names: Vec<String>,
    open: HashMap<usize, Open>,
    /// Committed events of each stream, in order.
    committed: Vec<Vec<Uuid>>,
    placed: Vec<StoredRecord>,
}

impl<'a> Run<'a> {
    async fn new(test: &'a TestStore, pool: &'a PgPool) -> Run<'a> {
        Run {
            test,
            pool,
            sequencer: Sequencer::open(test.store.clone()).await.unwrap(),
            names: (0..STREAMS).map(|_| new_id().to_string()).collect(),
            open: HashMap::new(),
            committed: vec![Vec::new(); STREAMS],
            placed: Vec::new(),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append { connection, streams, events } => {
                self.append(connection, streams, events).await;
            }
            Step::Commit { connection } => {
                if let Some(open) = self.open.remove(&connection) {
                    open.transaction.commit().await.unwrap();
                    for (stream, event) in open.events {
                        self.committed[stream].push(event);
                    }
                }
            }
            Step::RollBack { connection } => {
                if let Some(open) = self.open.remove(&connection) {
                    open.transaction.rollback().await.unwrap();
                }
            }
            Step::Sequence { limit } => {
                self.placed.extend(self.sequencer.step(limit).await.unwrap());
            }
            Step::Restart => {
                self.sequencer = Sequencer::open(self.test.store.clone()).await.unwrap();
            }
        }
    }

    async fn append(&mut self, connection: usize, mut streams: Vec<usize>, count: i64) {
        streams.sort_unstable();
        streams.dedup();
        // A second writer of a stream would wait for the first and then lose: nothing to see here.
        let contested = |stream| self.open.values().any(|open| open.streams.contains(stream));
        if self.open.contains_key(&connection) || streams.iter().any(contested) {
            return;
        }
        let mut rows = (Vec::new(), Vec::new(), Vec::new());
        let mut events = Vec::new();
        for &stream in &streams {
            let head = i64::try_from(self.committed[stream].len()).unwrap();
            for sequence in head + 1..=head + count {
                let event = new_id();
                rows.0.push(self.names[stream].clone());
                rows.1.push(sequence);
                rows.2.push(event);
                events.push((stream, event));
            }
        }
        let mut transaction = self.pool.begin().await.unwrap();
        sqlx::query(
            "insert into events (aggregate_type, aggregate_id, sequence, event_id, event_type,
                                 event_version, payload, metadata, channel)
             select 'room', id, sequence, event_id, 'RoomArchived', '1.0', '{}', '{}', 'room:' || id
             from unnest($1::text[], $2::bigint[], $3::uuid[]) as e (id, sequence, event_id)",
        )
        .bind(rows.0)
        .bind(rows.1)
        .bind(rows.2)
        .execute(&mut *transaction)
        .await
        .unwrap();
        self.open.insert(connection, Open { transaction, streams, events });
    }

    /// Ends what is open, lets the sequencer finish, and compares.
    async fn check(mut self, first: LogPosition) {
        for connection in 0..CONNECTIONS {
            let step = if connection % 2 == 0 {
                Step::Commit { connection }
            } else {
                Step::RollBack { connection }
            };
            self.step(step).await;
        }
        let started = Instant::now();
        while self.sequencer.backlog().await.unwrap().events > 0 {
            assert!(started.elapsed() < LIMIT, "held back for too long");
            self.placed.extend(self.sequencer.step(7).await.unwrap());
        }
        let positions: Vec<i64> = self.placed.iter().map(|record| record.position.0).collect();
        let dense = first.0 + 1..=first.0 + i64::try_from(positions.len()).unwrap();
        assert!(positions.iter().copied().eq(dense), "not dense: {positions:?}");
        for (stream, name) in self.names.iter().enumerate() {
            let of_stream = self.placed.iter().filter(|record| record.aggregate_id == *name);
            let placed: Vec<Uuid> = of_stream.clone().map(|record| record.event_id).collect();
            assert_eq!(placed, self.committed[stream], "the order of a stream");
            let numbers: Vec<_> = of_stream.map(|record| record.channel_seq.unwrap()).collect();
            assert!(numbers.into_iter().eq(1..=i64::try_from(placed.len()).unwrap()));
        }
        let committed = self.committed.iter().map(Vec::len).sum::<usize>();
        assert_eq!(committed, self.placed.len(), "nothing else is in the log");
        let stored = self.test.store.read_log(first, i64::MAX).await.unwrap();
        assert_eq!(stored, self.placed, "the log reads as it was assigned");
    }
}

#[test]
fn any_schedule_gives_dense_positions_in_the_order_of_every_stream() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (test, pool) = runtime.block_on(async {
        let test = TestStore::start().await;
        let pool = test.database().pool().await;
        (test, pool)
    });
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(async {
            // A run that failed and is being shrunk may have left something behind.
            test.sequence().await;
            let first = test.store.head().await.unwrap();
            let mut run = Run::new(&test, &pool).await;
            for step in steps {
                run.step(step).await;
            }
            run.check(first).await;
        });
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    runtime.block_on(async {
        let report = test.store.verify_chain().await.unwrap();
        assert_eq!((report.checked, report.broken_at), (test.store.head().await.unwrap().0, None));
        drop(pool);
        test.finish().await;
    });
}

/// The same through the store itself: real group commits of two processes, lost races included.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_of_two_processes_are_placed_in_the_order_of_every_stream() {
    const WRITERS: usize = 16;
    const APPENDS: usize = 25;
    let test = TestStore::start().await;
    let processes = [test.store.clone(), test.another().await];
    let rooms: Vec<RoomId> = (0..6).map(|_| RoomId(new_id())).collect();

    let writers = join_all((0..WRITERS).map(|writer| {
        let (store, rooms) = (processes[writer % 2].clone(), rooms.clone());
        tokio::spawn(async move {
            let mut stored = Vec::new();
            for n in 0..APPENDS {
                let room = rooms[(writer * 7 + n * 3) % rooms.len()];
                let id = room.to_string();
                let head = store.load_stream::<Room>(&id).await.unwrap().sequence;
                let number = u64::try_from(head).unwrap() + 1;
                let say = |number| posted(room, UserId(new_id()), "hello", number);
                let events: Vec<_> = (number..=number + n as u64 % 3).map(say).collect();
                if let AppendOutcome::Stored(receipts) =
                    append::<Room>(&store, &id, head, &events).await
                {
                    stored.extend(receipts.iter().map(|receipt| receipt.log_number));
                }
            }
            stored
        })
    }));
    let done = std::sync::atomic::AtomicBool::new(false);
    let sequencing = async {
        let mut placed = Vec::new();
        let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
        loop {
            let over = done.load(std::sync::atomic::Ordering::SeqCst);
            match sequencer.step(13).await {
                Ok(records) => placed.extend(records),
                Err(StoreError::Conflict) => {
                    sequencer = Sequencer::open(test.store.clone()).await.unwrap();
                }
                Err(error) => panic!("{error}"),
            }
            if over && sequencer.backlog().await.unwrap().events == 0 {
                return placed;
            }
            tokio::task::yield_now().await;
        }
    };
    let writing = async {
        let stored: Vec<i64> = writers.await.into_iter().flat_map(Result::unwrap).collect();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        stored
    };
    let (stored, placed) = tokio::join!(writing, sequencing);

    let distinct: HashSet<i64> = stored.iter().copied().collect();
    assert_eq!(distinct.len(), stored.len());
    assert_eq!(stored.len(), placed.len(), "every acknowledged event is in the log once");
    assert!((1..).zip(&placed).all(|(n, record)| record.position == LogPosition(n)));
    let mut heads: BTreeMap<&str, i64> = BTreeMap::new();
    for record in &placed {
        let head = heads.entry(&record.aggregate_id).or_default();
        *head += 1;
        assert_eq!((record.sequence, record.channel_seq), (*head, Some(*head)));
    }
    // Every receipt leads to its place.
    for log_number in stored.into_iter().step_by(17) {
        let found = processes[1].placements().wait(log_number, LIMIT).await;
        assert!(found.is_some());
    }
    for room in &rooms {
        let channel = Room::channel_of(&room.to_string());
        let records = test.store.read_channel(&channel, 0, 10_000).await.unwrap();
        let numbers = records.iter().map(|record| record.channel_seq.unwrap());
        assert!(numbers.eq(1..=test.store.channel_head(&channel).await.unwrap()));
    }
    let report = test.store.verify_chain().await.unwrap();
    let (checked, placed) = (usize::try_from(report.checked).unwrap(), placed.len());
    assert_eq!((checked, report.broken_at), (placed, None));
    test.finish().await;
}
