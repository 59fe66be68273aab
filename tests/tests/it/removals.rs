//! Who is put out is out on every node before the answer says so, and nobody waits long for a node
//! that hangs.
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    LIMIT, Socket, SpareServer, TestApp,
    app::{PASSWORD, Person, email},
    eventually,
};
use tokio::time::{Instant, timeout};

/// How long an answer waits for all nodes at most, where a test does not say.
const BOUND: Duration = Duration::from_secs(1);
/// How long a machine with much to do may take for what takes no time.
const SLACK: Duration = Duration::from_secs(2);

/// How long the second node says nothing: what it lingers.
const SILENT_MS: u32 = 2500;
/// What is there so soon was sent before the answer, by a node that is silent for longer.
const SOON: Duration = Duration::from_secs(2);

/// People speak to the first node, their sockets are on the second one, which is slow to tell them.
async fn a_slow_node(lingers_ms: u32) -> TestApp {
    let nodes = TestApp::builder().node("api,relay,projectors,processes").node("api,realtime");
    let nodes = nodes.variable("FAILPOINTS", &format!("broadcaster.batch=sleep({lingers_ms})"));
    // Longer than the node takes: this is not about who gives up.
    let nodes = nodes.setting("SERVER__REQUEST_TIMEOUT_MS", "60000");
    nodes.setting("SERVER__REMOVAL_WAIT_MS", "30000").start().await
}

async fn say(app: &TestApp, room: &str, content: &str) {
    let path = format!("/api/messages/room/{room}");
    let ana = app.as_user("ana").await;
    ana.post(&path).json(&json!({"content": content})).await.assert_status(201);
}

/// The names of what a socket heard of the room.
fn heard_in(socket: &Socket, room: &str) -> Vec<String> {
    let heard = socket.heard().into_iter().filter(|heard| heard.payload["roomId"] == room);
    heard.map(|heard| heard.event).collect()
}

#[tokio::test]
async fn who_is_removed_is_out_on_a_slow_node_before_the_answer() {
    let app = a_slow_node(400).await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (witness, _) = app.socket_in(1, "cai", &room).await;
    let (member, ban) = (
        format!("/api/rooms/{room}/members/{}", ben.id),
        format!("/api/rooms/{room}/bans/{}", ben.id),
    );
    let leave = format!("/api/rooms/{room}/leave");
    for (by, method, path, reason) in [
        (&ana, Method::DELETE, &member, "kicked"),
        (&ben, Method::POST, &leave, "left"),
        (&ana, Method::PUT, &ban, "banned"),
    ] {
        let (socket, _) = app.socket_in(1, "ben", &room).await;
        say(&app, &room, "before").await;
        by.request(method.clone(), path).await.assert_status(204);
        // What holds already is answered no sooner.
        by.request(method, path).await.assert_status(204);
        // What was sent before the answers arrives before this one.
        let typing = socket.emit("typing", json!({"roomId": room, "isTyping": true})).await;
        assert_eq!(typing["error"]["code"], "not_in_room", "{typing}");
        let heard = heard_in(&socket, &room);
        let told = socket.heard_of("removed_from_room");
        assert_eq!(told.len(), 1, "{reason}: {heard:?}");
        assert_eq!(told[0]["reason"], reason);

        say(&app, &room, reason).await;
        let after = |p: &Value| p["message"]["content"] == reason;
        witness.hears_that("new_message", after).await;
        socket.emit("typing", json!({"roomId": room, "isTyping": true})).await;
        assert_eq!(heard_in(&socket, &room), heard, "{reason}");
        if reason != "banned" {
            ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
        }
        socket.disconnect().await;
    }
    assert_eq!(given_up(&app).await, 0);
    app.finish().await;
}

/// Ana on another device, which has a socket on the second node.
async fn device(app: &TestApp) -> (Person, Socket) {
    let login = json!({"email": email("ana"), "password": PASSWORD});
    let session = app.anyone().post("/api/auth/login").json(&login).await.assert_status(200);
    let person = app.person(&session);
    let socket = app.connect(1, &json!({"token": person.token})).await.unwrap();
    socket.hears("session_ready").await;
    (person, socket)
}

#[tokio::test]
async fn the_sockets_of_a_session_are_out_on_a_slow_node_before_the_answer() {
    let app = a_slow_node(SILENT_MS).await;
    let ana = app.as_user("ana").await;
    let (revoked, logged_out, left) = tokio::join!(device(&app), device(&app), device(&app));
    let is_out = async |socket: &Socket, how: &str| {
        let out = timeout(SOON, socket.hears("session_revoked")).await;
        assert!(out.is_ok(), "{how}: {:?}", socket.heard());
        socket.closed().await;
    };
    let path = format!("/api/auth/sessions/{}", revoked.0.session_id);
    ana.delete(&path).await.assert_status(204);
    is_out(&revoked.1, "revoked").await;
    logged_out.0.post("/api/auth/logout").await.assert_status(204);
    is_out(&logged_out.1, "logged out").await;
    let change = json!({"currentPassword": PASSWORD, "newPassword": "another horse, another day"});
    ana.put("/api/users/me/password").json(&change).await.assert_status(204);
    is_out(&left.1, "another password").await;
    assert_eq!(given_up(&app).await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_reset_and_a_deletion_are_answered_when_a_slow_node_has_put_the_sockets_out() {
    let app = a_slow_node(SILENT_MS).await;
    let address = app.world.address("ben");
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Ben Example"});
    let registered = app.anyone().post("/api/auth/register").json(&body).await.assert_status(201);
    let ben = app.person(&registered);
    let out_at_once = async |socket: Socket| {
        timeout(SOON, socket.hears("session_revoked")).await.expect("it was told before");
        socket.closed().await;
        // Its token leads nowhere any more, on any node.
        let again = app.connect(1, &json!({"token": ben.token})).await;
        assert!(again.is_err(), "it comes back");
    };
    let socket = app.connect(1, &json!({"token": ben.token})).await.unwrap();
    socket.hears("session_ready").await;
    let forgot = json!({"email": address});
    app.anyone().post("/api/auth/password/forgot").json(&forgot).await.assert_status(202);
    let token = app.world.mail_to(&address, "Choose a new password", 1).await.token();
    let reset = json!({"token": token, "newPassword": "another horse, another day"});
    let reset = app.anyone().post("/api/auth/password/reset").json(&reset).await;
    let ben_again = app.person(&reset.assert_status(200));
    out_at_once(socket).await;

    let socket = app.connect(1, &json!({"token": ben_again.token})).await.unwrap();
    socket.hears("session_ready").await;
    let body = json!({"currentPassword": "another horse, another day"});
    ben_again.request(Method::DELETE, "/api/users/me").json(&body).await.assert_status(202);
    out_at_once(socket).await;
    let again = app.connect(1, &json!({"token": ben_again.token})).await;
    assert!(again.is_err(), "it comes back");
    assert_eq!(given_up(&app).await, 0);
    app.finish().await;
}

/// How many answers went out before all sockets were known to be out.
async fn given_up(app: &TestApp) -> u64 {
    let metrics = app.internal(0).get("/metrics").await.assert_status(200);
    let counter = "removals_answered_before_told_total ";
    let line = metrics.text.lines().find_map(|line| line.strip_prefix(counter));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Ana removes Ben, who has a socket on a node and comes back afterwards. Answers how long it took.
async fn remove(app: &TestApp, room: &str, node: usize) -> Duration {
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let socket = app.socket_at(node, "ben").await;
    let since = Instant::now();
    ana.delete(&format!("/api/rooms/{room}/members/{}", ben.id)).await.assert_status(204);
    let took = since.elapsed();
    socket.hears("removed_from_room").await;
    ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    took
}

#[tokio::test]
async fn a_node_that_hangs_delays_removals_for_a_moment_and_one_that_ended_does_not() {
    let postgres = SpareServer::start("postgres").await;
    let nodes = TestApp::builder().node("all").node("realtime").node("realtime");
    let mut app = nodes.on(postgres.servers()).start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    remove(&app, &room, 1).await;
    remove(&app, &room, 2).await;
    assert_eq!(given_up(&app).await, 0, "every node answers");
    assert!(app.nodes[1].stop().await.success());
    remove(&app, &room, 0).await;
    assert_eq!(given_up(&app).await, 0, "nobody waits for a node that ended");

    app.freeze(2).await;
    let took = remove(&app, &room, 0).await;
    assert_eq!(given_up(&app).await, 1, "it answered without the node that hangs");
    assert!(took >= BOUND && took < BOUND + SLACK, "it answered after {took:?}");
    eventually("it does not count any more", LIMIT, async || {
        let before = given_up(&app).await;
        remove(&app, &room, 0).await;
        (given_up(&app).await == before).then_some(())
    })
    .await;
    app.thaw(2).await;
    app.finish().await;
}
