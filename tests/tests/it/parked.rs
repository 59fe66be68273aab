//! An event that a read model cannot take: it waits with those behind it, others flow, an operator
//! lets it try again.
use domain::{User, UserId};
use eventstore::EventStore;
use platform::ids::new_id;
use serde_json::json;
use tests::{LIMIT, TestApp, app::PASSWORD, eventually, samples::registered, store::append};

#[tokio::test]
async fn a_poison_event_is_parked_and_tried_again_when_asked() {
    let mut app = TestApp::builder().allow_error("park").start().await;
    app.as_user("ana").await;
    let status = app.nodes[0].stop().await;
    assert!(status.success());

    // Recorded while nobody reads; then its key is mislaid, so that nobody can read it.
    let store = EventStore::connect(&app.world.config(), &app.world.secrets()).await.unwrap();
    let eve = UserId(new_id());
    append::<User>(&store, &eve.to_string(), 0, &[registered(eve)]).await;
    let pool = app.world.database.pool().await;
    for sql in [
        "create table mislaid as select * from data_keys where subject_id = $1",
        "delete from data_keys where subject_id = $1",
    ] {
        // A statement that creates a table takes no parameters.
        let sql = sql.replace("$1", &format!("'{eve}'"));
        sqlx::query(&sql).execute(&pool).await.unwrap();
    }
    app.start_again(0).await;

    // By all read models of accounts.
    let models = ["last_changes", "live_sessions", "users"];
    eventually("it is parked", LIMIT, async || {
        let parked = app.status().await["parked"].clone();
        let parked = parked.as_array().unwrap();
        assert!(parked.iter().all(|event| event["key"] == eve.to_string()), "{parked:?}");
        let by: Vec<_> = parked.iter().map(|event| event["readModel"].clone()).collect();
        (by == models.map(|model| json!(model))).then_some(())
    })
    .await;
    let listed = app.cli(&["parked", "list"]).await;
    assert!(listed.contains(&eve.to_string()) && listed.contains("key"), "{listed}");
    assert!(!listed.contains("marker"), "{listed}");

    // Everybody else goes on.
    let ben = app.as_user("ben").await;
    ben.get("/api/users/me").await.assert_status(200);

    // Trying again changes nothing while the cause is there.
    let key = eve.to_string();
    app.cli(&["parked", "retry", "users", &key]).await;
    eventually("it was tried again", LIMIT, async || {
        (app.status().await["parked"][2]["retryRequested"] == false).then_some(())
    })
    .await;

    sqlx::query("insert into data_keys select * from mislaid").execute(&pool).await.unwrap();
    for model in models {
        app.cli(&["parked", "retry", model, &key]).await;
    }
    eventually("nothing is parked", LIMIT, async || {
        (app.status().await["parked"] == json!([])).then_some(())
    })
    .await;
    sqlx::query("drop table mislaid").execute(&pool).await.unwrap();
    app.cli(&["verify"]).await;
    let shown: i64 = sqlx::query_scalar("select count(*) from users where id = $1")
        .bind(eve.0)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(shown, 1);
    pool.close().await;
    let login = json!({"email": tests::app::email("ana"), "password": PASSWORD});
    app.anyone().post("/api/auth/login").json(&login).await.assert_status(200);
    app.finish().await;
}
