//! The order of the log after the database lost its last positions, and in another cluster.
use domain::Subject;
use eventstore::{Sequencer, StoreError};
use sqlx::{Executor as _, PgPool};
use tests::{LIMIT, TestStore, eventually, samples::subject, store::place};

async fn record(test: &TestStore, streams: &[&str]) {
    for name in streams {
        test.append::<Subject>(name, 0, &[subject(name)]).await;
    }
}

/// The order of the log: streams by position.
async fn order(pool: &PgPool) -> Vec<(i64, String)> {
    sqlx::query_as(
        "select position, aggregate_id from positions join events using (log_number)
         order by position",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn an_idle_sequencer_does_not_go_on_from_positions_that_a_crash_took_back() {
    let test = TestStore::start().await;
    let pool = test.database().pool().await;
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
    record(&test, &["a", "b", "c", "d"]).await;
    place(&mut sequencer, 4).await;
    let before = order(&pool).await;

    // What a crash does to commits that did not wait for the disk. Triggers forbid it otherwise.
    let mut crash = pool.begin().await.unwrap();
    crash.execute("set local session_replication_role = replica").await.unwrap();
    crash.execute("delete from positions where position > 2").await.unwrap();
    crash.commit().await.unwrap();

    record(&test, &["e"]).await;
    // Other tests may hold the log back for a moment: then there is nothing to place yet.
    let refused =
        eventually("the sequencer notices", LIMIT, async || sequencer.step(100).await.err());
    assert!(matches!(refused.await, StoreError::Conflict));
    assert_eq!(order(&pool).await.len(), 2, "nothing was placed behind the hole");

    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
    place(&mut sequencer, 3).await;
    let after = order(&pool).await;
    assert_eq!(after[..4], before[..], "the lost positions are given again, the same ones");
    assert_eq!(after[4], (5, "e".to_owned()));
    assert_eq!(test.store.verify_chain().await.unwrap().broken_at, None);
    test.finish().await;
}

#[tokio::test]
async fn a_log_restored_into_another_cluster_keeps_its_order_and_grows() {
    let test = TestStore::start().await;
    let pool = test.database().pool().await;
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
    record(&test, &["a", "b"]).await;
    place(&mut sequencer, 2).await;
    // Two events without a position, and transaction ids of a cluster that was both younger and
    // older than this one.
    record(&test, &["c", "d"]).await;
    pool.execute(
        "update events set transaction_id = case aggregate_id
             when 'a' then '5' when 'b' then '999999999999' when 'c' then '7'
             else '999999999998' end::xid8",
    )
    .await
    .unwrap();

    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
    record(&test, &["e"]).await;
    place(&mut sequencer, 1).await;
    let names: Vec<String> = order(&pool).await.into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);

    // And again, as after a restart.
    let mut sequencer = Sequencer::open(test.store.clone()).await.unwrap();
    record(&test, &["f"]).await;
    place(&mut sequencer, 1).await;
    assert_eq!(order(&pool).await.last(), Some(&(6, "f".to_owned())));
    assert_eq!(test.store.verify_chain().await.unwrap().broken_at, None);
    test.finish().await;
}
