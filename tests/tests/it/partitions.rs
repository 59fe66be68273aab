//! One of two nodes is cut off NATS, with or without knowing. People on both go on, from the store.
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{LIMIT, Partition, Servers, Socket, TestApp, eventually, partition::Cut};
use tokio::time::Instant;

use crate::silent_losses::{assert_whole, durable, shown, state};

/// The node that is cut off.
const AWAY: usize = 1;
/// How soon what is said on one node is heard on the other, whatever NATS does. On a busy machine.
const SOON: Duration = Duration::from_secs(5);
/// How long a node may take to notice that nothing comes any more. It asks every five seconds.
const NOTICED: Duration = Duration::from_mins(1);

/// People on both nodes, in one room.
struct Talk<'a> {
    app: &'a TestApp,
    room: String,
    sockets: Vec<Socket>,
    rounds: usize,
    visitors: Vec<String>,
}

impl Talk<'_> {
    /// Everyone says something, rewords it, reacts to somebody else; one takes theirs back; somebody comes by.
    async fn round(&mut self) {
        let n = self.rounds;
        self.rounds += 1;
        let said = join_all(self.sockets.iter().enumerate().map(async |(who, socket)| {
            let message = json!({"roomId": self.room, "content": format!("{n} of {who}")});
            let said = done(socket, "send_message", message).await;
            said["data"]["message"]["id"].as_str().unwrap().to_owned()
        }))
        .await;
        join_all(self.sockets.iter().enumerate().map(async |(who, socket)| {
            let content = format!("{n} of {who}, reworded");
            done(socket, "edit_message", json!({"messageId": said[who], "content": content})).await;
            let other = &said[(who + 1) % said.len()];
            done(socket, "add_reaction", json!({"messageId": other, "emoji": "👍"})).await;
        }))
        .await;
        let who = n % said.len();
        done(&self.sockets[who], "delete_message", json!({"messageId": said[who]})).await;
        self.visit(n % 2, &format!("visitor{n}")).await;
    }

    /// Somebody joins, looks in, and leaves.
    async fn visit(&mut self, node: usize, name: &str) {
        let (app, room) = (self.app, &self.room);
        let person = app.as_user(name).await;
        let path = format!("/api/rooms/{room}");
        app.at(node, &person).post(&format!("{path}/join")).await.assert_status(201);
        let (socket, _) = app.socket_in(node, name, room).await;
        self.all_hear("user_joined", &person.id).await;
        done(&socket, "leave_room", json!({"roomId": room})).await;
        self.all_hear("user_left", &person.id).await;
        app.at(1 - node, &person).post(&format!("{path}/leave")).await.assert_status(204);
        socket.disconnect().await;
        self.visitors.push(person.id);
    }

    /// Everyone hears that somebody came or went, and soon.
    async fn all_hear(&self, event: &str, user_id: &str) {
        let since = Instant::now();
        let about = |it: &Value| it["kind"] == "presence" && person_of(it) == user_id;
        for socket in &self.sockets {
            socket.hears_that(event, about).await;
        }
        assert!(since.elapsed() < SOON, "{event} is heard after {:?}", since.elapsed());
    }

    /// Everyone has heard the same, all of it, in order, and it is what the server shows on both nodes.
    async fn check(&self) {
        let app = self.app;
        let ana = app.as_user("ana").await;
        let page = ana.get(&format!("/api/messages/room/{}", self.room)).await.assert_status(200);
        let last = page["roomLastSeq"].as_i64();
        let mut all = Vec::new();
        for socket in &self.sockets {
            let heard = eventually("everything is heard", LIMIT, async || {
                let heard = durable(socket);
                (heard.last().map(|(seq, ..)| *seq) >= last).then_some(heard)
            })
            .await;
            assert_whole(&heard);
            assert!(!socket.is_closed());
            // Who hears of a message late hears it as it reads by then.
            let heard = heard.into_iter().map(|(seq, event, about)| (seq, event, about[0].clone()));
            all.push(heard.collect::<Vec<_>>());
            for event in ["user_joined", "user_left"] {
                let mut heard = socket.heard_of(event);
                heard.retain(|it| it["kind"] == "presence");
                let of = |id: &String| heard.iter().filter(|it| *id == person_of(it)).count();
                assert!(self.visitors.iter().all(|id| of(id) == 1), "{event}: {heard:?}");
            }
        }
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{all:?}");
        for node in [0, AWAY] {
            let shown = shown(&app.at(node, &ana), &self.room).await;
            assert!(self.sockets.iter().all(|socket| state(socket) == shown), "{shown:?}");
        }
    }
}

fn person_of(event: &Value) -> String {
    let id = event["userId"].as_str().or(event["user"]["id"].as_str());
    id.unwrap_or_default().to_owned()
}

/// Has something done, and soon.
async fn done(socket: &Socket, event: &str, payload: Value) -> Value {
    let since = Instant::now();
    let ack = socket.emit(event, payload).await;
    assert_eq!(ack["ok"], true, "{event}: {ack}");
    assert!(since.elapsed() < SOON, "{event} is answered after {:?}", since.elapsed());
    ack
}

/// Whether the node says that it is connected to NATS.
async fn is_connected(app: &TestApp) -> bool {
    !app.internal(AWAY).get("/health/ready").await.text.contains("not connected")
}

/// Goes on talking while the node is cut off, until it knows, and after it is connected again.
async fn talks_on(leader: usize, cut: Cut) {
    let partition = Partition::before(&Servers::from_environment().nats).await;
    let roles = |node| if node == leader { "all" } else { "api,realtime,projectors" };
    let app = TestApp::builder().node(roles(0)).node(roles(AWAY));
    let app = app.own_setting("NATS__URL", &partition.url);
    let app = app.setting("REALTIME__PRESENCE_DEBOUNCE_MS", "300");
    let app = app.setting("REALTIME__HEARTBEAT_MS", "1000");
    let app = app.setting("REALTIME__SOCKET_TTL_MS", "5000").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai", "dan", "eve", "fay"]).await;
    let mut sockets = Vec::new();
    for (node, name) in [(0, "ana"), (AWAY, "ben"), (0, "cai"), (AWAY, "dan")] {
        sockets.push(app.socket_in(node, name, &room).await.0);
    }
    let (eve, _) = app.socket_in(AWAY, "eve", &room).await;
    let fay = app.socket_at(AWAY, "fay").await;
    fay.hears("session_ready").await;
    let mut talk = Talk { app: &app, room, sockets, rounds: 0, visitors: Vec::new() };
    talk.round().await;
    assert!(is_connected(&app).await);

    partition.cut(cut);
    // Told on a connection that nobody knows to be dead.
    done(&talk.sockets[3], "set_presence", json!({"status": "away"})).await;
    talk.round().await;
    let kicked = app.as_user("eve").await.id;
    let path = format!("/api/rooms/{}/members/{kicked}", talk.room);
    let since = Instant::now();
    app.as_user("ana").await.delete(&path).await.assert_status(204);
    assert_eq!(eve.hears("removed_from_room").await["reason"], "kicked");
    assert!(since.elapsed() < SOON, "out after {:?}", since.elapsed());
    let hello = json!({"roomId": talk.room, "content": "still here?"});
    let refused = eve.emit("send_message", hello).await;
    assert_eq!(refused["error"]["code"], "not_a_member", "{refused}");

    let since = Instant::now();
    while is_connected(&app).await {
        assert!(since.elapsed() < NOTICED, "the node does not notice");
        talk.round().await;
    }
    // Nodes tell each other of this over NATS only.
    fay.disconnect().await;
    done(&talk.sockets[0], "set_presence", json!({"status": "dnd"})).await;
    done(&talk.sockets[1], "set_presence", json!({"status": "away"})).await;
    talk.round().await;
    talk.round().await;
    partition.mend();
    // What waited on the way arrives while people go on.
    talk.round().await;
    eventually("the node is connected again", LIMIT, async || {
        is_connected(&app).await.then_some(())
    })
    .await;
    talk.round().await;
    // Notices are not kept for a node that was cut off, nor its own: it finds out by itself, and tells.
    for (name, status) in [("fay", "offline"), ("ana", "dnd"), ("ben", "away"), ("dan", "away")] {
        let id = app.as_user(name).await.id;
        let seen = |it: &Value| it["userId"] == id.as_str() && it["status"] == status;
        for socket in &talk.sockets {
            socket.hears_that("presence_update", seen).await;
        }
    }
    app.caught_up().await;
    talk.check().await;
    let heard = durable(&eve);
    assert_whole(&heard);
    assert_eq!(heard.last().unwrap().1, "removed_from_room", "nothing of the room behind it");
    app.verified().await;
    app.finish().await;
}

#[tokio::test]
async fn a_node_that_nats_refuses_and_its_people_miss_nothing() {
    talks_on(0, Cut::Refused).await;
}

#[tokio::test]
async fn a_node_that_nats_went_silent_for_and_its_people_miss_nothing() {
    talks_on(0, Cut::Silent).await;
}

#[tokio::test]
async fn a_relay_that_nats_went_silent_for_holds_nobody_up() {
    talks_on(AWAY, Cut::Silent).await;
}
