//! What strangers send to harm others, all of it before anybody knows who they are. The process lives, its
//! memory comes back, and everybody else goes on.
use futures::future::join_all;
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{
    LIMIT, Socket, TestApp,
    attacks::{
        self, ATTACHMENTS, CUT_CHARACTERS, FRAGMENTS, LARGE_FRAME, NAMESPACES, NO_ATTACHMENTS,
        NOT_UTF8, POLLED,
    },
    eventually,
    frames::{self, RawFrames},
    socket::Wire,
};

/// Memory that a node may take for all of this, KiB.
const GROWTH: u64 = 50 * 1024;

/// Someone who is let in before the attack, and must not notice it.
struct Bystander {
    socket: Socket,
    room: String,
}

impl Bystander {
    async fn new(app: &TestApp) -> Self {
        let room = app.given_a_room(&["ana", "ben"]).await;
        let (socket, _) = app.socket_in(0, "ana", &room).await;
        Self { socket, room }
    }

    /// Says something and hears it.
    async fn goes_on(&self, after: &str) {
        let content = new_id().to_string();
        let message = json!({"roomId": self.room, "content": content});
        let said = self.socket.emit("send_message", message).await;
        assert_eq!(said["ok"], true, "after {after}: {said}");
        self.socket
            .hears_that("new_message", |p| p["message"]["content"] == content.as_str())
            .await;
    }
}

#[tokio::test]
async fn packets_before_anybody_is_known_harm_nobody() {
    let app = TestApp::start().await;
    let ana = Bystander::new(&app).await;
    let address = &app.nodes[0].address;
    let before = app.nodes[0].resident_kib();
    let packets = ATTACHMENTS.iter().chain(&CUT_CHARACTERS).map(ToString::to_string);
    let packets: Vec<String> = packets.chain(attacks::deep_packets()).collect();
    for packet in &packets {
        for _ in 0..20 {
            let mut wire = Wire::open(address, None).await.unwrap();
            // The server may close while we are still sending.
            let _ = wire.send(&format!("4{packet}")).await;
            let _ = wire.send(packet).await;
        }
        ana.goes_on(&packet.chars().take(40).collect::<String>()).await;
    }
    // Attachments that do come, for placeholders that are none: from strangers, and from somebody.
    let eve = json!({"token": app.as_user("eve").await.token});
    for num in NO_ATTACHMENTS {
        for known in [false, true] {
            let mut wire = Wire::open(address, None).await.unwrap();
            if known {
                wire.send(&format!("40{eve}")).await.unwrap();
                assert!(wire.next_but_pings().await.is_some_and(|it| it.starts_with("40")));
            }
            let _ = wire.send(&attacks::placeholder(num)).await;
            for _ in 0..3 {
                let _ = wire.send_binary(b"splice").await;
            }
            ana.goes_on(num).await;
        }
    }
    let mut wire = Wire::open(address, None).await.unwrap();
    for number in 0..NAMESPACES {
        if wire.send(&attacks::namespace(number)).await.is_err() {
            break;
        }
    }
    drop(wire);
    ana.goes_on("ten thousand namespaces").await;
    comes_back(&app, before).await;
    app.finish().await;
}

#[tokio::test]
async fn frames_that_no_library_would_send_harm_nobody() {
    // Their size ends them, not that they never say who they are, nor that they answer no ping.
    let app = TestApp::builder().setting("REALTIME__CONNECT_TIMEOUT_MS", "120000");
    let app = app.setting("REALTIME__PING_INTERVAL_MS", "120000");
    let app = app.setting("REALTIME__PING_TIMEOUT_MS", "120000").start().await;
    let ana = Bystander::new(&app).await;
    let address = &app.nodes[0].address;
    let before = app.nodes[0].resident_kib();
    let fragments = frames::fragments(FRAGMENTS);
    for _ in 0..5 {
        let mut raw = RawFrames::open(address).await;
        raw.send(true, 1, &NOT_UTF8).await;
        raw.closes("text that is not UTF-8").await;

        let mut raw = RawFrames::open(address).await;
        raw.send(true, 1, &vec![b'x'; LARGE_FRAME]).await;
        raw.closes("a frame of 16 MiB").await;

        let mut raw = RawFrames::open(address).await;
        raw.write(&fragments).await;
        raw.closes("a million fragments of one byte").await;
        ana.goes_on("strange frames").await;
    }
    comes_back(&app, before).await;
    app.finish().await;
}

#[tokio::test]
async fn connections_that_lead_nowhere_are_given_up() {
    let app = TestApp::builder()
        .node("all")
        .setting("REALTIME__CONNECT_TIMEOUT_MS", "3000")
        .start()
        .await;
    let ana = Bystander::new(&app).await;
    let address = &app.nodes[0].address;
    let before = app.nodes[0].resident_kib();
    // Upgrades that stop in the middle of the request.
    let mut halves = Vec::new();
    for _ in 0..200 {
        halves.push(RawFrames::half_open(address).await);
    }
    // Sockets that never say who they are.
    let silent = join_all((0..500).map(|_| Wire::open(address, None))).await;
    ana.goes_on("connections that lead nowhere").await;
    let ended = join_all(silent.into_iter().map(|wire| async {
        let mut wire = wire.unwrap();
        while wire.next_but_pings().await.is_some() {}
    }));
    assert_eq!(ended.await.len(), 500, "the server ends them all");
    drop(halves);

    let client = app.anyone();
    let polling = "/socket.io/?EIO=4&transport=polling";
    let refused = client.get(&format!("{polling}&sid=nobody")).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    let many = attacks::thousand("4");
    let refused = client.post(&format!("{polling}&sid=nobody")).body("text/plain", many).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    ana.goes_on("polling without a session").await;

    // A thousand packets of nobody in one request.
    let session = async || {
        let opened = client.get(polling).await.assert_status(200);
        let opened: Value = serde_json::from_str(&opened.text[1..]).unwrap();
        opened["sid"].as_str().unwrap().to_owned()
    };
    for packet in POLLED {
        let path = format!("{polling}&sid={}", session().await);
        let many = attacks::thousand(packet);
        let answer = client.post(&path).body("text/plain", many).await;
        assert!([200, 400].contains(&answer.status), "{packet}: {}", answer.text);
        ana.goes_on(packet).await;
    }
    // Upgrades that begin and are never finished.
    let mut halves = Vec::new();
    for _ in 0..50 {
        let mut wire = Wire::begin_upgrade(address, &session().await).await.unwrap();
        wire.send("2probe").await.unwrap();
        assert_eq!(wire.next().await.as_deref(), Some("3probe"));
        halves.push(wire);
    }
    ana.goes_on("upgrades that are never finished").await;
    let ended = join_all(
        halves.into_iter().map(|mut wire| async move { while wire.next().await.is_some() {} }),
    );
    assert_eq!(ended.await.len(), 50, "the server ends them all");
    comes_back(&app, before).await;
    app.finish().await;
}

async fn comes_back(app: &TestApp, before: u64) {
    eventually("its memory comes back", LIMIT, async || {
        (app.nodes[0].resident_kib() < before + GROWTH).then_some(())
    })
    .await;
}
