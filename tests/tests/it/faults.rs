//! Crashes and outages: what was acknowledged is there once, and every read model equals a rebuilt
//! one.
use std::time::Duration;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures::StreamExt as _;
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{LIMIT, Socket, SpareServer, TestApp, eventually};

/// How long a lease lasts in tests, see `World`.
const LEASE: Duration = Duration::from_millis(1500);

/// Someone who says 0, 1, 2 … in a room and does not give up: what is not acknowledged is said
/// again, under the same client message id, over a new connection.
struct Speaker {
    room: String,
    node: usize,
    socket: Option<Socket>,
    said: usize,
}

impl Speaker {
    async fn new(app: &TestApp) -> Self {
        let room = app.given_a_room(&["ana", "ben"]).await;
        Self { room, node: 0, socket: None, said: 0 }
    }

    /// Says this many more. Starts the node again if it dies on the way. Returns how often it did.
    async fn say(&mut self, app: &mut TestApp, count: usize) -> usize {
        let mut deaths = 0;
        let until = self.said + count;
        while self.said < until {
            let message = json!({
                "roomId": self.room, "content": self.said.to_string(), "clientMessageId": new_id(),
            });
            // The same message until it is acknowledged.
            loop {
                if self.socket.is_none() {
                    self.socket = Some(app.socket_at(self.node, "ana").await);
                }
                let socket = self.socket.as_ref().unwrap();
                if let Some(ack) = socket.try_emit("send_message", message.clone()).await {
                    if ack["ok"] == true {
                        break;
                    }
                    assert_eq!(ack["error"]["retryable"], true, "{ack}");
                    continue;
                }
                self.socket = None;
                app.nodes[self.node].died().await;
                app.start_again(self.node).await;
                deaths += 1;
            }
            self.said += 1;
        }
        deaths
    }

    /// Everything is there once and in order: for sockets, for REST, in every read model.
    async fn check(&self, app: &TestApp) {
        app.verified().await;
        app.caught_up().await;
        let ben = app.socket_at(self.node, "ben").await;
        let ack = ben.emit("join_room", json!({"roomId": self.room, "afterSeq": 0})).await;
        assert_eq!(ack["ok"], true, "{ack}");
        let heard = ben.hears_times("new_message", self.said).await;
        let contents = |all: &[Value]| -> Vec<String> {
            all.iter().map(|m| m["content"].as_str().unwrap().to_owned()).collect()
        };
        let expected: Vec<String> = (0..self.said).map(|n| n.to_string()).collect();
        let messages: Vec<Value> = heard.iter().map(|h| h["message"].clone()).collect();
        assert_eq!(contents(&messages), expected);
        let numbers: Vec<i64> =
            ben.heard().iter().filter_map(|h| h.payload["seq"].as_i64()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");

        let person = app.as_user("ben").await;
        let person = app.at(self.node, &person);
        let (mut shown, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/api/messages/room/{}?limit=100&after={after}", self.room);
            let page = person.get(&path).await.assert_status(200);
            shown.extend(page.data().to_vec());
            match page["page"]["nextAfter"].as_i64() {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(contents(&shown), expected);
    }
}

/// Dies at a crash point, comes back, and nothing is lost or doubled.
async fn survives(point: &str, passings: u32) {
    let mut app = TestApp::builder()
        .variable("FAILPOINTS", &format!("{point}={passings}*off->return"))
        .allow_error("crash point")
        .start()
        .await;
    let mut speaker = Speaker::new(&app).await;
    let mut deaths = speaker.say(&mut app, 60).await;
    if deaths == 0 {
        // Behind the acknowledgement, it may come a moment later.
        app.nodes[0].died().await;
        app.start_again(0).await;
        speaker.socket = None;
        deaths += 1;
    }
    assert_eq!(deaths, 1);
    deaths += speaker.say(&mut app, 5).await;
    assert_eq!(deaths, 1);
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_crash_before_the_append_commits() {
    survives("append.before_commit", 20).await;
}

#[tokio::test]
async fn a_crash_after_the_append_committed_and_before_anybody_was_told() {
    survives("append.after_commit", 20).await;
}

#[tokio::test]
async fn a_crash_between_position_and_publication() {
    survives("relay.after_positions", 20).await;
}

#[tokio::test]
async fn a_crash_after_publication() {
    survives("relay.after_publish", 20).await;
}

#[tokio::test]
async fn a_crash_before_a_read_model_is_written() {
    survives("projection.before_write", 60).await;
}

#[tokio::test]
async fn a_crash_between_a_read_model_and_its_checkpoint() {
    survives("projection.after_write", 60).await;
}

#[tokio::test]
async fn a_crash_after_the_checkpoint() {
    survives("projection.after_checkpoint", 60).await;
}

/// The positions that the stream carries, from its first message to its last.
async fn stream_positions(app: &TestApp) -> Vec<i64> {
    let (jetstream, names) = app.world.streams().await;
    let stream = jetstream.get_stream(&names[0]).await.unwrap();
    let count = usize::try_from(stream.get_info().await.unwrap().state.messages).unwrap();
    let config = pull::OrderedConfig { deliver_policy: DeliverPolicy::All, ..Default::default() };
    let messages = stream.create_consumer(config).await.unwrap().messages().await.unwrap();
    messages
        .take(count)
        .map(|message| {
            let message = message.unwrap();
            let headers = message.headers.as_ref().expect("headers");
            headers.get("Studyhall-Position").expect("a position").as_str().parse::<i64>().unwrap()
        })
        .collect()
        .await
}

/// The stream is a copy of the log from somewhere on: in order, without gaps, up to the end.
async fn stream_is_a_copy(app: &TestApp) {
    let positions = eventually("the stream reaches the end of the log", LIMIT, async || {
        let head = app.status().await["head"].as_i64().unwrap();
        let positions = stream_positions(app).await;
        (positions.last() == Some(&head)).then_some(positions)
    })
    .await;
    assert!(positions.windows(2).all(|pair| pair[1] == pair[0] + 1), "{positions:?}");
}

async fn app_with_own_nats() -> (TestApp, SpareServer) {
    let nats = SpareServer::start("nats").await;
    (TestApp::builder().on(nats.servers()).start().await, nats)
}

#[tokio::test]
async fn nats_is_away_for_a_while() {
    let (mut app, mut nats) = app_with_own_nats().await;
    let mut speaker = Speaker::new(&app).await;
    let (ben, _) = app.socket_in(0, "ben", &speaker.room).await;
    speaker.say(&mut app, 10).await;
    nats.kill().await;
    speaker.say(&mut app, 20).await;
    // People go on hearing each other, from the store.
    ben.hears_times("new_message", 30).await;
    nats.start_again().await;
    speaker.say(&mut app, 10).await;
    ben.hears_times("new_message", 40).await;
    stream_is_a_copy(&app).await;
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn nats_loses_its_last_messages() {
    let (mut app, mut nats) = app_with_own_nats().await;
    let mut speaker = Speaker::new(&app).await;
    speaker.say(&mut app, 10).await;
    stream_is_a_copy(&app).await;
    nats.kill().await;
    nats.back_up();
    nats.start_again().await;
    speaker.say(&mut app, 20).await;
    stream_is_a_copy(&app).await;
    let before = stream_positions(&app).await.len();
    nats.kill().await;
    nats.roll_back();
    nats.start_again().await;
    speaker.say(&mut app, 10).await;
    stream_is_a_copy(&app).await;
    assert!(stream_positions(&app).await.len() > before, "what was lost was published again");
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn nats_is_wiped() {
    let (mut app, mut nats) = app_with_own_nats().await;
    let mut speaker = Speaker::new(&app).await;
    let (ben, _) = app.socket_in(0, "ben", &speaker.room).await;
    speaker.say(&mut app, 20).await;
    nats.kill().await;
    nats.wipe();
    nats.start_again().await;
    speaker.say(&mut app, 20).await;
    ben.hears_times("new_message", 40).await;
    stream_is_a_copy(&app).await;
    // Once more, without the server noticing anything: somebody deletes the stream.
    let (jetstream, names) = app.world.streams().await;
    jetstream.delete_stream(&names[0]).await.unwrap();
    speaker.say(&mut app, 20).await;
    ben.hears_times("new_message", 60).await;
    stream_is_a_copy(&app).await;
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn what_nats_brings_twice_and_in_another_order_changes_nothing() {
    let mut app = TestApp::builder().node("all").node("api,realtime,projectors").start().await;
    let mut speaker = Speaker::new(&app).await;
    let (ben, _) = app.socket_in(1, "ben", &speaker.room).await;
    speaker.say(&mut app, 15).await;
    let (jetstream, names) = app.world.streams().await;
    let stream = jetstream.get_stream(&names[0]).await.unwrap();
    for round in 1..=3 {
        let before = stream.get_info().await.unwrap().state;
        let mut copies = Vec::new();
        for sequence in before.first_sequence..=before.last_sequence {
            copies.push(stream.get_raw_message(sequence).await.unwrap());
        }
        // The newest first, and the newest once more.
        copies.reverse();
        copies.push(copies[0].clone());
        for copy in copies {
            let mut headers = async_nats::HeaderMap::new();
            let position = copy.headers.get("Studyhall-Position").expect("a position");
            headers.insert("Studyhall-Position", position.as_str());
            let published =
                jetstream.publish_with_headers(copy.subject, headers, copy.payload).await;
            published.unwrap().await.unwrap();
        }
        speaker.say(&mut app, 15).await;
        ben.hears_times("new_message", 15 + 15 * round).await;
    }
    speaker.check(&app).await;
    let numbers: Vec<i64> = ben.heard().iter().filter_map(|h| h.payload["seq"].as_i64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    app.finish().await;
}

#[tokio::test]
async fn an_old_leader_wakes_up_and_changes_nothing() {
    let postgres = SpareServer::start("postgres").await;
    // Either of the first two may lead; people talk to the third.
    let mut app = TestApp::builder()
        .node("relay,projectors")
        .node("relay,projectors")
        .node("api,realtime")
        // Frozen within a transaction, it holds the log back: PostgreSQL ends that before the alarm.
        .on(postgres.servers())
        .start()
        .await;
    let leads = async |app: &TestApp, node: usize| {
        let metrics = app.internal(node).get("/metrics").await;
        metrics.text.lines().any(|line| line == "relay_leader 1")
    };
    let old = eventually("somebody leads", LIMIT, async || {
        for node in [0, 1] {
            if leads(&app, node).await {
                return Some(node);
            }
        }
        None
    })
    .await;
    let room = {
        app.talk_to(2);
        app.given_a_room(&["ana", "ben"]).await
    };
    let mut speaker = Speaker { room, node: 2, socket: None, said: 0 };
    speaker.say(&mut app, 20).await;
    app.freeze(old).await;
    speaker.say(&mut app, 20).await;
    let new = 1 - old;
    eventually("the other one leads", LIMIT + LEASE, async || leads(&app, new).await.then_some(()))
        .await;
    speaker.say(&mut app, 20).await;
    app.thaw(old).await;
    speaker.say(&mut app, 20).await;
    stream_is_a_copy(&app).await;
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn redis_is_flushed() {
    let mut app = TestApp::start().await;
    let mut speaker = Speaker::new(&app).await;
    let (ben, _) = app.socket_in(0, "ben", &speaker.room).await;
    speaker.say(&mut app, 5).await;
    let keys = app.world.redis_keys().await;
    assert!(!keys.is_empty());
    let mut redis = app.world.redis().await;
    let _: i64 = redis::AsyncCommands::del(&mut redis, keys).await.unwrap();
    // Sessions are looked up in the store meanwhile; nobody is logged out.
    app.as_user("ana").await.get("/api/users/me").await.assert_status(200);
    speaker.say(&mut app, 5).await;
    app.verified().await;
    let person = app.as_user("ana").await;
    let path = format!("/api/rooms/{}", speaker.room);
    eventually("ben is online again", LIMIT, async || {
        let room = person.get(&path).await.assert_status(200);
        (room["onlineCount"].as_i64() >= Some(1)).then_some(())
    })
    .await;
    ben.hears_times("new_message", 10).await;
    speaker.check(&app).await;
    app.finish().await;
}

async fn app_with_own_mongodb() -> (TestApp, SpareServer) {
    let mongodb = SpareServer::start("mongodb").await;
    let app = TestApp::builder()
        .on(mongodb.servers())
        .setting("SERVER__WRITE_WAIT_MS", "500")
        .allow_error("\"model\":\"messages\"")
        .allow_error("read model")
        .start()
        .await;
    (app, mongodb)
}

#[tokio::test]
async fn mongodb_is_away_for_a_while() {
    let (mut app, mut mongodb) = app_with_own_mongodb().await;
    let mut speaker = Speaker::new(&app).await;
    let (ben, _) = app.socket_in(0, "ben", &speaker.room).await;
    speaker.say(&mut app, 10).await;
    mongodb.kill().await;
    speaker.say(&mut app, 20).await;
    // The chat does not need it.
    ben.hears_times("new_message", 30).await;
    let person = app.as_user("ben").await;
    let path = format!("/api/messages/room/{}", speaker.room);
    person.get(&path).await.assert_problem(503, "dependency_unavailable");
    mongodb.start_again().await;
    speaker.say(&mut app, 10).await;
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn mongodb_is_wiped() {
    let (mut app, mut mongodb) = app_with_own_mongodb().await;
    let mut speaker = Speaker::new(&app).await;
    speaker.say(&mut app, 20).await;
    app.caught_up().await;
    mongodb.kill().await;
    mongodb.wipe();
    mongodb.start_again().await;
    speaker.say(&mut app, 10).await;
    speaker.check(&app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_transaction_that_somebody_forgot_raises_the_alarm_and_loses_nothing() {
    use sqlx::Connection as _;
    let postgres = SpareServer::start("postgres").await;
    let mut app = TestApp::builder()
        .on(postgres.servers())
        .setting("RELAY__XMIN_ALARM_MS", "1000")
        .allow_error("holds the log back")
        .start()
        .await;
    let mut speaker = Speaker::new(&app).await;
    let (ben, _) = app.socket_in(0, "ben", &speaker.room).await;
    speaker.say(&mut app, 3).await;
    ben.hears_times("new_message", 3).await;

    // Somewhere else in the same cluster.
    let elsewhere = tests::database::Database::create(&app.world.servers.postgres).await;
    let mut forgotten = sqlx::PgConnection::connect(elsewhere.url.as_str()).await.unwrap();
    let mut open = forgotten.begin().await.unwrap();
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *open).await.unwrap();
    sqlx::query("create table forgotten ()").execute(&mut *open).await.unwrap();
    let ana = app.socket_at(0, "ana").await;
    let message = json!({"roomId": speaker.room, "content": "3", "clientMessageId": new_id()});
    let waiting = ana.emit_later("send_message", message).await;
    let (alarm, pid) = ("holds the log back", format!("\"stall.pid\":{pid},"));
    eventually("the alarm", LIMIT, async || {
        let errors = app.nodes[0].log.errors();
        errors.iter().any(|line| line.contains(alarm) && line.contains(&pid)).then_some(())
    })
    .await;
    assert_eq!(ben.heard_of("new_message").len(), 3, "held back");
    open.rollback().await.unwrap();

    // The message was recorded all the time.
    assert_eq!(ana.ack(waiting).await["ok"], true);
    speaker.said += 1;
    ben.hears_times("new_message", 4).await;
    eventually("the all-clear", LIMIT, async || {
        let lines = app.nodes[0].log.lines();
        lines.iter().any(|line| line.contains("the log moves again")).then_some(())
    })
    .await;
    forgotten.close().await.unwrap();
    elsewhere.drop().await;
    speaker.check(&app).await;
    app.finish().await;
}
