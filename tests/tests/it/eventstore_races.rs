//! The known races of reading a log in order, each as it happens.
use std::time::Duration;

use domain::{LogPosition, RoomId};
use eventstore::{Sequencer, StoreError};
use platform::ids::new_id;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};
use tests::{
    SpareServer, TestStore,
    samples::{created, subject},
    store::place,
};
use uuid::Uuid;

/// Inserts an event in an open transaction. Its insertion number is drawn here, before the commit.
async fn insert(transaction: &mut Transaction<'_, Postgres>, stream: &str) -> Uuid {
    let event_id = new_id();
    sqlx::query(
        "insert into events (aggregate_type, aggregate_id, sequence, event_id, event_type,
                             event_version, payload, metadata)
         values ('subject', $1, 1, $2, 'SubjectAdded', '1.0', '{}', '{}')",
    )
    .bind(stream)
    .bind(event_id)
    .execute(&mut **transaction)
    .await
    .unwrap();
    event_id
}

async fn committed(pool: &PgPool, stream: &str) -> Uuid {
    let mut transaction = pool.begin().await.unwrap();
    let event_id = insert(&mut transaction, stream).await;
    transaction.commit().await.unwrap();
    event_id
}

#[tokio::test]
async fn a_late_commit_below_a_newer_one_is_not_lost() {
    let test = TestStore::start().await;
    let pool = test.database().pool().await;
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();

    let mut slow = pool.begin().await.unwrap();
    let late = insert(&mut slow, "late").await;
    let newer = committed(&pool, "newer").await;
    // The newer one is visible, and has to wait for the one below it.
    assert_eq!(sequencer.step(100).await.unwrap(), []);

    slow.commit().await.unwrap();
    let placed = place(&mut sequencer, 2).await;
    let order: Vec<_> = placed.iter().map(|record| (record.position.0, record.event_id)).collect();
    assert_eq!(order, [(1, late), (2, newer)]);
    test.finish().await;
}

#[tokio::test]
async fn a_rolled_back_number_leaves_no_gap() {
    let test = TestStore::start().await;
    let pool = test.database().pool().await;
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();

    let one = committed(&pool, "one").await;
    let mut undone = pool.begin().await.unwrap();
    insert(&mut undone, "undone").await;
    let two = committed(&pool, "two").await;
    undone.rollback().await.unwrap();

    let placed = place(&mut sequencer, 2).await;
    let order: Vec<_> = placed.iter().map(|record| (record.position.0, record.event_id)).collect();
    assert_eq!(order, [(1, one), (2, two)]);
    test.finish().await;
}

#[tokio::test]
async fn a_transaction_that_reads_first_and_writes_late_is_not_passed() {
    let test = TestStore::start().await;
    let pool = test.database().pool().await;
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();

    // Its snapshot is old, but its transaction id is drawn at its first write.
    let mut late = pool.begin().await.unwrap();
    sqlx::query("select count(*) from events").execute(&mut *late).await.unwrap();
    let first = committed(&pool, "first").await;
    assert_eq!(place(&mut sequencer, 1).await[0].event_id, first);
    let second = insert(&mut late, "second").await;
    let third = committed(&pool, "third").await;
    late.commit().await.unwrap();
    let placed = place(&mut sequencer, 2).await;
    let order: Vec<_> = placed.iter().map(|record| record.event_id).collect();
    assert_eq!(order, [second, third]);
    test.finish().await;
}

#[tokio::test]
async fn a_write_transaction_left_open_elsewhere_raises_the_alarm_and_loses_nothing() {
    // It would hold the other tests back.
    let postgres = SpareServer::start("postgres").await;
    let test = TestStore::start_on(postgres.servers(), &[]).await;
    let elsewhere = tests::database::Database::create(&test.world.servers.postgres).await;
    let mut forgotten = PgConnection::connect(elsewhere.url.as_str()).await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut forgotten).await.unwrap();
    let mut open = forgotten.begin().await.unwrap();
    sqlx::query("create table forgotten ()").execute(&mut *open).await.unwrap();

    let room = RoomId(new_id());
    test.append::<domain::Room>(&room.to_string(), 0, &[created(room)]).await;
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
    assert_eq!(sequencer.step(100).await.unwrap(), [], "held back");
    assert_eq!(sequencer.backlog().await.unwrap().events, 1, "and known to wait");

    let limit = Duration::from_millis(700);
    let stall = tests::eventually("the alarm", tests::LIMIT, async || {
        test.store.stall(limit).await.unwrap().filter(|stall| stall.pid == pid)
    })
    .await;
    assert_eq!(
        (stall.database, stall.state.as_str()),
        (elsewhere.name.clone(), "idle in transaction")
    );
    assert!(stall.age >= limit);

    open.rollback().await.unwrap();
    assert_eq!(place(&mut sequencer, 1).await[0].position, LogPosition(1));
    forgotten.close().await.unwrap();
    elsewhere.drop().await;
    test.finish().await;
}

#[tokio::test]
async fn a_second_sequencer_is_refused() {
    let test = TestStore::start().await;
    test.append::<domain::Subject>("a", 0, &[subject("Algebra")]).await;
    let mut first = Sequencer::open(test.store.clone()).await.unwrap();
    let mut second = Sequencer::open(test.another().await).await.unwrap();
    place(&mut first, 1).await;
    // It still believes that nothing has a place.
    let refused = second.step(100).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    // A new one goes on where the first one is.
    test.append::<domain::Subject>("b", 0, &[subject("Botany")]).await;
    let mut third = Sequencer::open(test.store.clone()).await.unwrap();
    assert_eq!(third.position(), LogPosition(1));
    assert_eq!(place(&mut third, 1).await[0].position, LogPosition(2));
    assert_eq!(test.store.verify_chain().await.unwrap().checked, 2);
    test.finish().await;
}

#[tokio::test]
async fn two_sequencers_at_once_give_each_event_one_place() {
    const EVENTS: i64 = 300;
    let test = TestStore::start().await;
    let other = test.another().await;
    let sequence = |store: eventstore::EventStore| async move {
        let mut sequencer = Sequencer::open(store.clone()).await.unwrap();
        let mut placed = Vec::new();
        while store.head().await.unwrap() < LogPosition(EVENTS) {
            match sequencer.step(7).await {
                Ok(records) => placed.extend(records.into_iter().map(|record| record.position.0)),
                Err(StoreError::Conflict) => {
                    sequencer = Sequencer::open(store.clone()).await.unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        placed
    };
    let write = async {
        for n in 0..EVENTS {
            test.append::<domain::Subject>(&n.to_string(), 0, &[subject(&format!("Subject {n}"))])
                .await;
        }
    };
    let (mut first, second, ()) =
        tokio::join!(sequence(test.store.clone()), sequence(other), write);
    first.extend(second);
    first.sort_unstable();
    assert!(first.into_iter().eq(1..=EVENTS), "every place was given once");
    let report = test.store.verify_chain().await.unwrap();
    assert_eq!((report.checked, report.broken_at), (EVENTS, None));
    test.finish().await;
}
