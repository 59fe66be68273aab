//! An event that a read model cannot take: it waits with those behind it, others flow, an operator
//! lets it try again.
use std::collections::BTreeSet;

use domain::{User, UserEvent, UserId, user::Role};
use eventstore::EventStore;
use mongodb::bson::{Document, doc};
use platform::ids::new_id;
use serde_json::json;
use sqlx::PgPool;
use tests::{
    LIMIT, TestApp,
    app::PASSWORD,
    eventually,
    samples::{at, registered},
    store::append,
};

/// Makes what is sealed for a person unreadable for whoever starts from now on.
async fn mislay_key(pool: &PgPool, person: UserId) {
    for sql in [
        "create table mislaid as select * from data_keys where subject_id = $1",
        "delete from data_keys where subject_id = $1",
    ] {
        // A statement that creates a table takes no parameters.
        let sql = sql.replace("$1", &format!("'{person}'"));
        sqlx::query(&sql).execute(pool).await.unwrap();
    }
}

/// Undoes it, and lets everything try again that waits.
async fn find_key_and_retry(app: &TestApp, pool: &PgPool) {
    sqlx::query("insert into data_keys select * from mislaid").execute(pool).await.unwrap();
    sqlx::query("drop table mislaid").execute(pool).await.unwrap();
    let status = app.status().await;
    let parked = status["parked"].as_array().unwrap().iter();
    let waiting: BTreeSet<_> =
        parked.map(|it| (it["readModel"].as_str(), it["key"].as_str())).collect();
    for (model, key) in waiting {
        app.cli(&["parked", "retry", model.unwrap(), key.unwrap()]).await;
    }
    eventually("nothing is parked", LIMIT, async || {
        (app.status().await["parked"] == json!([])).then_some(())
    })
    .await;
}

/// Events that a read model has parked, as it is measured.
async fn parked_by(app: &TestApp, model: &str) -> u64 {
    let metrics = app.internal(0).get("/metrics").await.assert_status(200);
    let name = format!("projection_parked{{projector=\"{model}\"}} ");
    let value = metrics.text.lines().find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn a_poison_event_is_parked_and_tried_again_when_asked() {
    let mut app = TestApp::builder().allow_error("park").start().await;
    app.as_user("ana").await;
    let status = app.nodes[0].stop().await;
    assert!(status.success());

    // Recorded while nobody reads; then the key is mislaid, so that nobody can read the first one.
    let store = EventStore::connect(&app.world.config(), &app.world.secrets()).await.unwrap();
    let eve = UserId(new_id());
    let promoted = UserEvent::RoleChanged { user_id: eve, role: Role::Instructor, at: at() };
    append::<User>(&store, &eve.to_string(), 0, &[registered(eve), promoted]).await;
    let pool = app.world.database.pool().await;
    mislay_key(&pool, eve).await;
    app.start_again(0).await;

    // By all read models of accounts, and what follows with it.
    let models = ["active_members", "last_changes", "live_sessions", "users"];
    eventually("it is parked", LIMIT, async || {
        let parked = app.status().await["parked"].clone();
        let parked = parked.as_array().unwrap();
        assert!(parked.iter().all(|event| event["key"] == eve.to_string()), "{parked:?}");
        let by: Vec<_> = parked.iter().map(|event| event["readModel"].clone()).collect();
        (by == [models, models].concat()).then_some(())
    })
    .await;
    eventually("it is measured", LIMIT, async || {
        (parked_by(&app, "users").await == 2).then_some(())
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
        (app.status().await["parked"][3]["retryRequested"] == false).then_some(())
    })
    .await;

    find_key_and_retry(&app, &pool).await;
    eventually("the measurement falls", LIMIT, async || {
        (parked_by(&app, "users").await == 0).then_some(())
    })
    .await;
    app.cli(&["verify"]).await;
    let role: String = sqlx::query_scalar("select role from users where id = $1")
        .bind(eve.0)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(role, "instructor");
    pool.close().await;
    let login = json!({"email": tests::app::email("ana"), "password": PASSWORD});
    app.anyone().post("/api/auth/login").json(&login).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_message_that_had_to_wait_is_read_if_its_recipient_read_it_meanwhile() {
    let nodes = TestApp::builder().node("api,realtime,relay,processes").node("projectors");
    let mut app = nodes.allow_error("park").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket("ana").await, app.socket("ben").await);
    app.caught_up().await;
    assert!(app.nodes[1].stop().await.success());
    let mut conversation = json!(null);
    for content in ["1", "2"] {
        let message = json!({"recipientId": ben.id, "content": content});
        let ack = one.emit("send_direct_message", message).await;
        conversation = ack["data"]["conversationId"].clone();
    }
    let pool = app.world.database.pool().await;
    mislay_key(&pool, ana.id.parse().unwrap()).await;
    app.start_again(1).await;
    let parked = |status: &serde_json::Value| {
        let parked = status["parked"].as_array().unwrap().iter();
        parked.filter(|it| it["readModel"] == "direct_messages").count()
    };
    eventually("it waits", LIMIT, async || (parked(&app.status().await) > 0).then_some(())).await;

    let mark = json!({"conversationId": conversation, "lastReadSeq": 1});
    assert_eq!(other.emit("mark_read", mark).await["ok"], true);
    let database = app.world.mongodb().await;
    let receipts = database.collection::<Document>("direct_messages_receipts");
    eventually("it is noted", LIMIT, async || {
        receipts.find_one(doc! {"seq": 1}).await.unwrap().map(drop)
    })
    .await;
    find_key_and_retry(&app, &pool).await;
    app.caught_up().await;
    let messages = database.collection::<Document>("direct_messages");
    for (content, is_read) in [("1", true), ("2", false)] {
        let message = messages.find_one(doc! {"content": content}).await.unwrap().unwrap();
        assert_eq!(message.get_bool("isRead").unwrap(), is_read, "{content}");
    }
    app.cli(&["verify"]).await;
    pool.close().await;
    app.finish().await;
}
