//! What a socket that has ended leaves of its connection: nothing, whatever its client does. All clients here
//! go on answering pings.
use std::{net::SocketAddr, time::Duration};

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Answer, Builder, Client, LIMIT, Node, Socket, TestApp,
    app::{PASSWORD, Person, email},
    eventually,
    socket::Wire,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

/// How soon a connection follows its socket: half a second for the farewell, and the rest for a busy
/// machine. The library and the kernel take 45 seconds to miss a client.
const SOON: Duration = Duration::from_secs(5);
/// People who do not read, and memory that a node may keep of them, KiB: half of what waited for them, which is
/// so many messages of 16 KB each. How often it may take more than the time before.
const DEAF: usize = 24;
const ROUNDS: usize = 4;
const WAITING: usize = 64;
const GROWTH: u64 = 12 * 1024;

/// One more session of someone's.
async fn device(app: &TestApp, name: &str) -> Person {
    let body = json!({"email": email(name), "password": PASSWORD});
    app.person(&app.anyone().post("/api/auth/login").json(&body).await.assert_status(200))
}

async fn revoke(from: &Person, session: &Person) {
    let path = format!("/api/auth/sessions/{}", session.session_id);
    from.delete(&path).await.assert_status(204);
}

/// The node lets go of all these connections, whether their clients notice or not.
async fn lets_go(node: &Node, clients: &[SocketAddr]) {
    eventually("the node lets go of the connections", LIMIT, async || {
        clients.iter().all(|client| !node.holds(*client)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_connection_of_an_ended_session_ends_on_every_node() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let stolen = device(&app, "ana").await;
    let socket = app.connect(1, &json!({"token": stolen.token})).await.unwrap();
    socket.hears("session_ready").await;
    assert!(app.nodes[1].holds(socket.own));
    let since = Instant::now();
    revoke(&ana, &stolen).await;
    socket.hears("session_revoked").await;
    socket.ended().await;
    assert!(since.elapsed() < SOON, "ended after {:?}", since.elapsed());
    assert!(!app.nodes[1].holds(socket.own));
    app.finish().await;
}

#[tokio::test]
async fn the_connection_of_a_socket_that_makes_room_ends() {
    let app = TestApp::builder().setting("REALTIME__MAX_SOCKETS_PER_USER", "1").start().await;
    let first = app.socket("ana").await;
    let second = app.socket("ana").await;
    first.hears("replaced").await;
    let since = Instant::now();
    first.ended().await;
    assert!(since.elapsed() < SOON, "ended after {:?}", since.elapsed());
    assert!(!second.is_closed());
    app.finish().await;
}

#[tokio::test]
async fn who_connects_and_says_goodbye_again_and_again_keeps_no_connection() {
    const TIMES: usize = 200;
    let app = TestApp::builder();
    let app = app.setting("REALTIME__MAX_SOCKETS_PER_USER", &TIMES.to_string()).start().await;
    let ana = app.as_user("ana").await;
    let mut wires = Vec::new();
    for _ in 0..TIMES {
        let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
        wire.send(&format!("40{}", json!({"token": ana.token}))).await.unwrap();
        let connected = wire.next_but_pings().await.unwrap();
        assert!(connected.starts_with("40"), "{connected}");
        wire.send("41").await.unwrap();
        wires.push(wire);
    }
    let since = Instant::now();
    join_all(wires.iter_mut().map(Wire::ends)).await;
    assert!(since.elapsed() < SOON, "ended after {:?}", since.elapsed());
    assert!(wires.iter().all(|wire| !app.nodes[0].holds(wire.own)));
    app.finish().await;
}

/// People of a room who do not read any more, until the node gives them up, and all that it kept for them is
/// full.
async fn deaf_sockets(app: &TestApp, ana: &Socket, room: &str, before: usize) -> Vec<Socket> {
    let mut deaf = Vec::new();
    for _ in 0..DEAF {
        let socket = app.narrow_socket("ben").await;
        assert_eq!(socket.emit("join_room", json!({"roomId": room})).await["ok"], true);
        socket.set_reading(false);
        deaf.push(socket);
    }
    let message = json!({"roomId": room, "content": "💬".repeat(4000)});
    let slow = format!("socket_emit_errors_total {}\n", before + DEAF);
    eventually("the slow readers are noticed", LIMIT * 4, async || {
        let mut acks = Vec::new();
        // Few at once: the others must not be slow readers as well.
        for _ in 0..16 {
            acks.push(ana.emit_later("send_message", message.clone()).await);
        }
        for ack in acks {
            assert_eq!(ana.ack(ack).await["ok"], true);
        }
        let metrics = app.internal(0).get("/metrics").await;
        metrics.text.contains(&slow).then_some(())
    })
    .await;
    deaf
}

#[tokio::test]
async fn connections_end_though_their_clients_never_read_again_and_nothing_is_kept_for_them() {
    let app = TestApp::builder().setting("REALTIME__SEND_BUFFER", &WAITING.to_string());
    let app =
        app.setting("REALTIME__MAX_SOCKETS_PER_USER", &(ROUNDS * DEAF).to_string()).start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let node = &app.nodes[0];
    let mut all = Vec::new();
    let mut resident: Vec<u64> = Vec::new();
    // What the first ones took is taken again by the others: the allocator need not give it back. It may take
    // more than it did before, but not for ever.
    while !resident.windows(2).any(|pair| pair[1] < pair[0] + GROWTH) {
        assert!(resident.len() < ROUNDS, "{resident:?} KiB, more each time");
        let deaf = deaf_sockets(&app, &ana, &room, all.len()).await;
        lets_go(node, &deaf.iter().map(|socket| socket.own).collect::<Vec<_>>()).await;
        all.extend(deaf);
        resident.push(node.resident_kib());
    }
    assert!(!ana.is_closed());
    app.finish().await;
}

/// A client that polls.
struct Polling {
    client: Client,
    path: String,
    sid: String,
}

impl Polling {
    async fn open(app: &TestApp) -> Self {
        let path = "/socket.io/?EIO=4&transport=polling";
        let opened = app.anyone().get(path).await.assert_status(200);
        let handshake: Value = serde_json::from_str(&opened.text[1..]).unwrap();
        let sid = handshake["sid"].as_str().unwrap().to_owned();
        Self { client: app.anyone(), path: format!("{path}&sid={sid}"), sid }
    }

    async fn send(&self, packet: &str) -> Answer {
        self.client.post(&self.path).body("text/plain", packet.to_owned()).await
    }

    /// Polls, answering pings, until something with this text comes.
    async fn hears(&self, text: &str) {
        let mut all = String::new();
        while !all.contains(text) {
            let polled = self.client.get(&self.path).await;
            assert_eq!(polled.status, 200, "{} after {all}", polled.text);
            if polled.text.split('\u{1e}').any(|packet| packet == "2") {
                self.send("3").await.assert_status(200);
            }
            all.push_str(&polled.text);
        }
    }

    async fn connect(&self, person: &Person) {
        let connect = format!("40{}", json!({"token": person.token}));
        self.send(&connect).await.assert_status(200);
        self.hears("session_ready").await;
    }
}

#[tokio::test]
async fn a_session_that_polls_ends_with_its_socket() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let stolen = device(&app, "ana").await;
    let polling = Polling::open(&app).await;
    polling.connect(&stolen).await;
    revoke(&ana, &stolen).await;
    let since = Instant::now();
    polling.hears("session_revoked").await;
    eventually("the session is over", LIMIT, async || {
        (polling.send("3").await.status == 400).then_some(())
    })
    .await;
    assert!(since.elapsed() < SOON, "over after {:?}", since.elapsed());
    let refused = polling.client.get(&polling.path).await.assert_status(400);
    assert!(refused.text.contains("Session ID unknown"), "as for any other: {}", refused.text);
    app.finish().await;
}

#[tokio::test]
async fn a_connection_that_others_may_share_stays_when_a_session_on_it_ends() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    // As a proxy would: everything on one connection.
    let mut shared = Raw::open(&app.nodes[0].address).await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let opened = shared.ask(&format!("GET {path}"), "").await;
    let sid = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let path = format!("{path}&sid={sid}");
    let connect = format!("40{}", json!({"token": ana.token}));
    let answer = shared.ask(&format!("POST {path}"), &connect).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut heard = String::new();
    while !heard.contains("session_ready") {
        heard.push_str(&shared.ask(&format!("GET {path}"), "").await);
    }
    let answer = shared.ask(&format!("POST {path}"), "41").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    eventually("the session is over", LIMIT, async || {
        let answer = app.anyone().post(&path).body("text/plain", "3").await;
        (answer.status == 400).then_some(())
    })
    .await;
    let answer = shared.ask("GET /api/subjects", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    app.finish().await;
}

#[tokio::test]
async fn a_session_that_became_a_websocket_ends_with_its_socket() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let node = &app.nodes[0];
    let stolen = device(&app, "ana").await;
    // Let in while it polled, as browsers are, and once it was a WebSocket.
    let polling = Polling::open(&app).await;
    polling.connect(&stolen).await;
    let mut early = Wire::upgrade(&node.address, &polling.sid).await;
    let polling = Polling::open(&app).await;
    let mut late = Wire::upgrade(&node.address, &polling.sid).await;
    late.send(&format!("40{}", json!({"token": stolen.token}))).await.unwrap();
    while !late.next_but_pings().await.unwrap().contains("session_ready") {}
    assert!(node.holds(early.own) && node.holds(late.own));
    revoke(&ana, &stolen).await;
    let since = Instant::now();
    tokio::join!(early.ends(), late.ends());
    assert!(since.elapsed() < SOON, "ended after {:?}", since.elapsed());
    assert!(!node.holds(early.own) && !node.holds(late.own));
    // Nothing is kept of sessions that somebody made up.
    let unknown = Wire::open_unknown(&node.address).await;
    lets_go(node, &[unknown.own]).await;
    app.finish().await;
}

#[tokio::test]
async fn a_refused_handshake_leaves_the_connection_to_the_client() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let stolen = device(&app, "ana").await;
    revoke(&ana, &stolen).await;
    let handshake = |person: &Person| format!("40{}", json!({"token": person.token}));
    let mut refused = Wire::open(&app.nodes[0].address, None).await.unwrap();
    refused.send(&handshake(&stolen)).await.unwrap();
    let said = refused.next_but_pings().await.unwrap();
    assert!(said.starts_with("44") && said.contains("session_revoked"), "{said}");
    // A socket that ended after that loses its connection meanwhile.
    let mut ended = Wire::open(&app.nodes[0].address, None).await.unwrap();
    ended.send(&handshake(&ana)).await.unwrap();
    assert!(ended.next_but_pings().await.unwrap().starts_with("40"));
    ended.send("41").await.unwrap();
    ended.ends().await;
    refused.send(&handshake(&ana)).await.unwrap();
    let said = refused.next_but_pings().await.unwrap();
    assert!(said.starts_with("40"), "{said}");
    app.finish().await;
}

/// HTTP by hand.
struct Raw(TcpStream);

impl Raw {
    async fn open(address: &str) -> Self {
        let peer = address.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(peer).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// A request, and its whole answer.
    async fn ask(&mut self, what: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{what} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        self.send(format!("{head}{body}").as_bytes()).await;
        let (mut answer, mut part) = (String::new(), [0; 4096]);
        loop {
            let read = timeout(LIMIT, self.0.read(&mut part)).await.unwrap().unwrap();
            assert!(read > 0, "closed after {answer}");
            answer.push_str(&String::from_utf8_lossy(&part[..read]));
            let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_some_and(|length| body.len() >= length.parse().unwrap()) {
                return answer;
            }
        }
    }
}

fn impatient() -> Builder {
    let app = TestApp::builder().setting("SERVER__REQUEST_TIMEOUT_MS", "1000");
    let app = app.setting("SERVER__WRITE_WAIT_MS", "400");
    let app = app.setting("LIMITS__LOGIN_MAX_DELAY_MS", "500");
    let app = app.setting("SERVER__REMOVAL_WAIT_MS", "400");
    app.setting("PROJECTIONS__READ_WAIT_MS", "400")
}

#[tokio::test]
async fn a_body_that_never_ends_ends_the_connection() {
    let app = impatient().start().await;
    let polling = Polling::open(&app).await;
    let mut raw = Raw::open(&app.nodes[0].address).await;
    let head = format!("POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000", polling.path);
    raw.send(format!("{head}\r\n\r\n4").as_bytes()).await;
    let mut answer = String::new();
    let read = timeout(LIMIT, raw.0.read_to_string(&mut answer)).await;
    read.expect("the connection ends in time").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("\"code\":\"request_timeout\""), "{answer}");
    app.finish().await;
}
