//! Personal data in the running system: in the read models, and nowhere else.
use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull},
};
use domain::LogPosition;
use eventstore::EventStore;
use futures::{StreamExt as _, TryStreamExt as _};
use mongodb::bson::Document;
use serde_json::json;
use sqlx::{PgPool, Row as _};
use tests::{LIMIT, TestApp, eventually};

/// In everything that ana says about herself and in the room.
pub(crate) const MARKER: &str = "Xylophone";

/// The tables of the read models: they show people to people.
const READ_MODELS: &[&str] =
    &["users", "sessions", "study_rooms", "room_members", "subjects", "reports", "message_search"];

/// Ana, whose every personal value contains the marker, talks to Ben.
pub(crate) async fn talk(app: &TestApp) -> (tests::app::Person, String) {
    let registration = json!({
        "email": "Ana.Xylophone@people.example", "password": "a-Xylophone-password",
        "fullName": "Ana Xylophone", "username": "ana_xylophone",
        "institution": "Xylophone University",
    });
    let session = app.anyone().post("/api/auth/register").json(&registration);
    let session = session.header("user-agent", "Xylophone/1.0").await.assert_status(201);
    let ana = app.person(&session);
    let profile = json!({
        "fullName": "Ana Xylophone the second", "username": "xylophone_ana",
        "bio": "Xylophone, mostly", "goals": "Play the Xylophone",
        "institution": "Xylophone Academy", "languages": ["pt-BR"],
        "timeZone": "Pacific/Chatham",
    });
    ana.request("PUT".parse().unwrap(), "/api/users/me").json(&profile).await.assert_status(200);
    let report = json!({
        "targetType": "room", "targetId": platform::ids::new_id(), "reason": "spam",
        "text": "Xylophones everywhere",
    });
    ana.post("/api/reports").json(&report).await.assert_status(202);
    let room = app.given_a_room(&["ben"]).await;
    let join = ana.post(&format!("/api/rooms/{room}/join")).header("idempotency-key", MARKER);
    join.await.assert_status(201);
    let socket = app.connect(0, &json!({"token": ana.token})).await.unwrap();
    socket.emit("join_room", json!({"roomId": room})).await;
    for n in 0..5 {
        let said = json!({
            "roomId": room, "content": format!("Xylophone lesson {n}"),
            "clientMessageId": platform::ids::new_id(),
        });
        assert_eq!(socket.emit("send_message", said).await["ok"], true);
    }
    app.caught_up().await;
    (ana, room)
}

pub(crate) async fn rows(pool: &PgPool) -> Vec<(String, String)> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let mut all = Vec::new();
    for table in tables {
        let sql = format!("select t::text as row from \"{table}\" t");
        for row in sqlx::query(&sql).fetch_all(pool).await.unwrap() {
            all.push((table.clone(), row.get::<String, _>("row")));
        }
    }
    all
}

/// Every document of every collection, as text.
pub(crate) async fn documents(app: &TestApp) -> Vec<String> {
    let database = app.world.mongodb().await;
    let mut all = Vec::new();
    for name in database.list_collection_names().await.unwrap() {
        let found = database.collection::<Document>(&name).find(Document::new()).await.unwrap();
        let found: Vec<_> = found.try_collect().await.unwrap();
        all.extend(found.iter().map(|document| format!("{name}: {document}")));
    }
    all
}

/// Everything outside of PostgreSQL: in MongoDB, in Redis and in the stream.
pub(crate) async fn kept_elsewhere(app: &TestApp) -> Vec<String> {
    [documents(app).await, kept_in_redis(app).await, published(app).await].concat()
}

/// Every message of the stream, its headers among it, as text.
async fn published(app: &TestApp) -> Vec<String> {
    let (jetstream, names) = app.world.streams().await;
    let stream = jetstream.get_stream(&names[0]).await.unwrap();
    let count = usize::try_from(stream.get_info().await.unwrap().state.messages).unwrap();
    let config = pull::OrderedConfig { deliver_policy: DeliverPolicy::All, ..Default::default() };
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    let text = |message: Message| {
        let subject = &message.subject;
        let payload = String::from_utf8_lossy(&message.payload);
        format!("{subject} {:?} {payload}", message.headers)
    };
    messages.take(count).map(|message| text(message.unwrap())).collect().await
}

/// Every key of Redis with what it holds, as text.
async fn kept_in_redis(app: &TestApp) -> Vec<String> {
    let mut redis = app.world.redis().await;
    let mut all = Vec::new();
    for key in app.world.redis_keys().await {
        // What ends meanwhile is "none".
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(&mut redis).await.unwrap();
        let (read, range): (_, &[&str]) = match kind.as_str() {
            "hash" => ("HGETALL", &[]),
            "set" => ("SMEMBERS", &[]),
            "list" => ("LRANGE", &["0", "-1"]),
            "zset" => ("ZRANGE", &["0", "-1"]),
            "string" | "none" => ("GET", &[]),
            other => panic!("{key} is a {other}"),
        };
        let value: redis::Value =
            redis::cmd(read).arg(&key).arg(range).query_async(&mut redis).await.unwrap();
        all.push(format!("{key}: {}", text_of(&value)));
    }
    all
}

fn text_of(value: &redis::Value) -> String {
    match value {
        redis::Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        redis::Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

pub(crate) fn has_marker(text: &str) -> bool {
    text.to_lowercase().contains(&MARKER.to_lowercase())
}

#[tokio::test]
async fn personal_data_are_in_the_read_models_and_nowhere_else() {
    let app = TestApp::builder().setting("LOG__FILTER", "debug").start().await;
    talk(&app).await;

    let pool = app.world.database.pool().await;
    let mut shown = false;
    for (table, row) in rows(&pool).await {
        if READ_MODELS.contains(&table.as_str()) {
            shown |= has_marker(&row);
        } else {
            assert!(!has_marker(&row), "{table}: {row}");
        }
    }
    assert!(shown, "the marker would be found");
    pool.close().await;

    let published = published(&app).await;
    assert!(published.len() > 10);
    for text in published.into_iter().chain(kept_in_redis(&app).await) {
        assert!(!has_marker(&text), "{text}");
    }
    for line in app.nodes[0].log.lines() {
        assert!(!has_marker(&line), "the log says: {line}");
    }
    app.finish().await;
}

#[tokio::test]
async fn who_is_erased_is_erased_in_every_rebuilt_read_model() {
    let mut app = TestApp::start().await;
    let (ana, room) = talk(&app).await;
    let store = EventStore::connect(&app.world.config(), &app.world.secrets()).await.unwrap();
    assert!(store.keyring().erase(ana.id.parse().unwrap()).await.unwrap());
    store.pool().close().await;

    // Everything that shows people is built again from the log.
    app.restart(0).await;
    let pool = app.world.database.pool().await;
    for table in READ_MODELS {
        sqlx::query(&format!("truncate \"{table}\"")).execute(&pool).await.unwrap();
    }
    let documents = app.world.mongodb().await;
    for name in documents.list_collection_names().await.unwrap() {
        documents.collection::<Document>(&name).drop().await.unwrap();
    }
    app.verified().await;
    app.caught_up().await;

    for (table, row) in rows(&pool).await {
        assert!(!has_marker(&row), "{table}: {row}");
    }
    pool.close().await;
    for name in documents.list_collection_names().await.unwrap() {
        let all = documents.collection::<Document>(&name).find(Document::new()).await.unwrap();
        for document in all.try_collect::<Vec<_>>().await.unwrap() {
            assert!(!has_marker(&document.to_string()), "{name}: {document}");
        }
    }
    // The others see that somebody said something, and no more.
    let ben = app.as_user("ben").await;
    let page = eventually("the messages are back", LIMIT, async || {
        let page = ben.get(&format!("/api/messages/room/{room}")).await;
        (page.status == 200 && page.data().len() == 5).then_some(page)
    })
    .await;
    for message in page.data() {
        assert_eq!((&message["content"], &message["isDeleted"]), (&json!(""), &json!(true)));
        assert_eq!(message["senderName"], json!(null));
    }
    let members = ben.get(&format!("/api/rooms/{room}/members")).await.assert_status(200);
    assert_eq!(members.data().len(), 2);
    // The account does not open any more.
    let login =
        json!({"email": "Ana.Xylophone@people.example", "password": "a-Xylophone-password"});
    let refused = app.anyone().post("/api/auth/login").json(&login).await;
    refused.assert_problem(401, "invalid_credentials");
    let head = app.status().await["head"].as_i64().unwrap();
    assert!(LogPosition(head) > LogPosition(10));
    app.finish().await;
}
