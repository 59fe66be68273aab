//! What is known about the Socket.IO library, each fact as a test of what we made of it.
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{LIMIT, TestApp, eventually, socket::Wire};

#[tokio::test]
async fn two_thousand_messages_of_one_client_stay_in_order() {
    const MESSAGES: usize = 2000;
    const AT_ONCE: usize = 50;
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let mut waiting = std::collections::VecDeque::new();
    for n in 0..MESSAGES {
        let message = json!({"roomId": room, "content": n.to_string()});
        waiting.push_back(ana.emit_later("send_message", message).await);
        if waiting.len() == AT_ONCE {
            assert_eq!(ana.ack(waiting.pop_front().unwrap()).await["ok"], true);
        }
    }
    let heard = ana.hears_times("new_message", MESSAGES).await;
    for (n, heard) in heard.iter().enumerate() {
        assert_eq!(heard["message"]["content"], n.to_string(), "an inversion");
    }
    for ack in waiting {
        assert_eq!(ana.ack(ack).await["ok"], true);
    }
    app.finish().await;
}

#[tokio::test]
async fn what_is_sent_right_behind_connect_is_not_lost() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let ana = app.as_user("ana").await;
    for round in 0..8 {
        let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
        // Without waiting for `session_ready`: the protocol allows events once CONNECT is answered.
        wire.send(&format!("40{}", json!({"token": ana.token}))).await.unwrap();
        let connected = wire.next_but_pings().await.unwrap();
        assert!(connected.starts_with("40"), "{connected}");
        for n in 0..10 {
            let message =
                json!(["send_message", {"roomId": room, "content": format!("{round}/{n}")}]);
            wire.send(&format!("42{n}{message}")).await.unwrap();
        }
        let mut acks = Vec::new();
        while acks.len() < 10 {
            let packet = wire.next_but_pings().await.expect("the connection stays");
            if let Some(ack) = packet.strip_prefix("43") {
                assert!(ack.contains("\"ok\":true"), "{ack}");
                acks.push(ack.split('[').next().unwrap().parse::<u32>().unwrap());
            }
        }
        acks.sort_unstable();
        assert!(acks.into_iter().eq(0..10));
    }
    app.finish().await;
}

#[tokio::test]
async fn what_is_sent_before_connect_is_answered_is_done_or_ends_the_connection() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let ana = app.as_user("ana").await;
    let mut done = Vec::new();
    for round in 0..20 {
        let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
        let content = format!("round {round}");
        let message = json!(["send_message", {"roomId": room, "content": content}]);
        wire.send(&format!("40{}", json!({"token": ana.token}))).await.unwrap();
        // The answer may be on its way by then; otherwise the socket is in no namespace yet.
        let _ = wire.send(&format!("427{message}")).await;
        while let Some(packet) = wire.next_but_pings().await {
            if let Some(ack) = packet.strip_prefix("437") {
                assert!(ack.contains("\"ok\":true"), "{ack}");
                done.push(content);
                break;
            }
            // Packet 1 is the end of the transport, after which official clients come back.
            assert!(
                packet == "1" || packet.starts_with("40") || packet.starts_with("42"),
                "{packet}"
            );
        }
    }
    // What was not acknowledged was not said.
    app.caught_up().await;
    let page = ana.get(&format!("/api/messages/room/{room}")).await.assert_status(200);
    let said: Vec<_> = page.data().iter().map(|it| it["content"].as_str().unwrap()).collect();
    assert_eq!(said, done);
    app.finish().await;
}

/// When this fails, the library was mended, and the note about it in `docs/architecture.md` can go.
#[tokio::test]
async fn the_first_ping_comes_at_once_and_whoever_answers_it_stays() {
    let app = TestApp::builder().setting("REALTIME__PING_INTERVAL_MS", "3000").start().await;
    let ana = app.as_user("ana").await;
    let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
    assert_eq!(wire.handshake["pingInterval"], 3000);
    let opened = std::time::Instant::now();
    assert_eq!(wire.next().await.as_deref(), Some("2"), "before anything was sent");
    assert!(opened.elapsed() < std::time::Duration::from_secs(3), "not after the interval");
    wire.send("3").await.unwrap();
    wire.send(&format!("40{}", json!({"token": ana.token}))).await.unwrap();
    let (mut connected, mut pings) = (false, 0);
    while pings < 2 {
        let packet = wire.next().await.expect("the connection stays");
        connected |= packet.starts_with("40");
        if packet == "2" {
            pings += 1;
            wire.send("3").await.unwrap();
        }
    }
    assert!(connected);
    assert!(opened.elapsed() > std::time::Duration::from_secs(5), "the others keep to it");
    app.finish().await;
}

#[tokio::test]
async fn a_full_queue_answers_overloaded_and_what_was_taken_is_done() {
    let app = TestApp::builder().setting("REALTIME__COMMAND_QUEUE", "4").start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, joined) = app.socket_in(0, "ana", &room).await;
    let mut ids = Vec::new();
    for n in 0..300 {
        let message = json!({"roomId": room, "content": format!("message {n}")});
        ids.push(ana.emit_later("send_message", message).await);
    }
    let (mut done, mut refused) = (0, 0);
    for id in ids {
        let ack = ana.ack(id).await;
        if ack["ok"] == true {
            done += 1;
        } else {
            assert_eq!(ack["error"]["code"], "overloaded", "{ack}");
            assert_eq!(ack["error"]["retryable"], true);
            assert!(ack["error"]["retryAfterMs"].as_i64().unwrap() > 0);
            refused += 1;
        }
    }
    assert!(refused > 0, "300 at once are more than 4");
    let heard = ana.hears_times("new_message", done).await;
    assert_eq!(heard.len(), done);
    let last = heard.last().unwrap()["seq"].as_i64().unwrap();
    assert_eq!(last, joined["lastSeq"].as_i64().unwrap() + i64::try_from(done).unwrap());
    app.finish().await;
}

#[tokio::test]
async fn an_oversized_frame_ends_the_connection_before_anybody_said_who_they_are() {
    let app = TestApp::start().await;
    let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
    assert_eq!(wire.handshake["maxPayload"], 100_000);
    // The server may close while we are still sending.
    let _ = wire.send(&format!("40{}", json!({"token": "x".repeat(200_000)}))).await;
    while wire.next().await.is_some() {}
    // Everyone else goes on.
    let socket = app.socket("ana").await;
    socket.hears("session_ready").await;
    app.finish().await;
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_opens_no_socket() {
    use tokio_tungstenite::tungstenite::Error;
    let app = TestApp::start().await;
    for origin in ["https://evil.example", "null"] {
        match Wire::open(&app.nodes[0].address, Some(origin)).await.map_err(|error| *error) {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), 403),
            other => panic!("{origin}: {:?}", other.err()),
        }
        let polling = app.anyone().get("/socket.io/?EIO=4&transport=polling");
        let refused = polling.header("origin", origin).await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused["code"], "origin_not_allowed");
    }
    assert!(Wire::open(&app.nodes[0].address, Some("http://localhost:3000")).await.is_ok());
    app.finish().await;
}

#[tokio::test]
async fn whatever_is_sent_is_acknowledged() {
    let app = TestApp::start().await;
    let ana = app.socket("ana").await;
    for event in ["join_room", "leave_room", "send_message", "typing", "sync", "refresh_auth"] {
        for payload in [Value::Null, json!(7), json!([]), json!("x"), json!({}), json!({"a": {}})] {
            let ack = ana.emit(event, payload.clone()).await;
            assert_eq!(ack["ok"], false, "{event} {payload}: {ack}");
            for field in ["code", "message"] {
                assert!(ack["error"][field].is_string(), "{event} {payload}: {ack}");
            }
        }
    }
    for event in ["no_such_event", "connect_me", ""] {
        let ack = ana.emit(event, json!({})).await;
        assert_eq!(ack["error"]["code"], "unknown_event", "{ack}");
    }
    // No argument at all.
    ana.packet("4277[\"send_message\"]").await;
    assert_eq!(ana.ack(77).await["ok"], false);
    app.finish().await;
}

#[tokio::test]
async fn an_acknowledgement_need_not_be_asked_for() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    ana.send("send_message", json!({"roomId": room, "content": "no answer needed"})).await;
    ana.send("no_such_event", json!({})).await;
    ana.send("send_message", json!("nonsense")).await;
    ana.hears("new_message").await;
    // A second time there is nothing to leave, which is as good; the same where one never was.
    for room in [json!(room), json!(room), json!(new_id())] {
        let left = ana.emit("leave_room", json!({"roomId": room})).await;
        assert_eq!(left, json!({"ok": true, "data": {}}));
    }
    app.finish().await;
}

#[tokio::test]
async fn a_slow_reader_is_disconnected_and_resumes_without_a_gap() {
    let app = TestApp::builder().setting("REALTIME__SEND_BUFFER", "32").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let ben = app.narrow_socket("ben").await;
    let joined = ben.emit("join_room", json!({"roomId": room})).await["data"].clone();
    let last = joined["lastSeq"].as_i64().unwrap();
    ben.set_reading(false);
    // Until the buffers of both kernels and of the server are full; four bytes each.
    let content = "💬".repeat(4000);
    let mut said = 0;
    let slow = "socket_emit_errors_total";
    eventually("the slow reader is noticed", LIMIT * 4, async || {
        let mut acks = Vec::new();
        // Few at once: the others must not be slow readers as well.
        for _ in 0..16 {
            let message = json!({"roomId": room, "content": content});
            acks.push(ana.emit_later("send_message", message).await);
        }
        for ack in acks {
            assert_eq!(ana.ack(ack).await["ok"], true);
            said += 1;
        }
        let metrics = app.internal(0).get("/metrics").await;
        metrics.text.contains(slow).then_some(())
    })
    .await;
    ben.set_reading(true);
    ben.closed().await;
    let heard: Vec<i64> =
        ben.heard_of("new_message").iter().map(|h| h["seq"].as_i64().unwrap()).collect();
    let reached = heard.last().copied().unwrap_or(last);
    assert!(heard.into_iter().eq(last + 1..=reached), "what it got was without gaps");

    let back = app.socket("ben").await;
    let ack = back.emit("join_room", json!({"roomId": room, "afterSeq": reached})).await;
    assert_eq!(ack["ok"], true, "{ack}");
    let missed = usize::try_from(last + said - reached).unwrap();
    let rest = back.hears_times("new_message", missed).await;
    let rest = rest.iter().map(|h| h["seq"].as_i64().unwrap());
    assert!(rest.eq(reached + 1..=last + said));
    // Nobody else noticed.
    assert!(!ana.is_closed());
    app.finish().await;
}

#[tokio::test]
async fn connections_and_rooms_of_one_person_are_bounded() {
    let app = TestApp::builder()
        .setting("REALTIME__MAX_SOCKETS_PER_USER", "3")
        .setting("REALTIME__MAX_ROOMS_PER_SOCKET", "2")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let auth = json!({"token": ana.token});
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(app.connect(0, &auth).await.unwrap());
    }
    sockets.push(app.connect(0, &auth).await.unwrap());
    let told = sockets.remove(0).hears("replaced").await;
    assert_eq!(told["reason"], "too_many_sockets");

    let socket = &sockets[0];
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(app.given_a_room(&["ana"]).await);
    }
    for (n, room) in rooms.iter().enumerate() {
        let ack = socket.emit("join_room", json!({"roomId": room})).await;
        if n < 2 {
            assert_eq!(ack["ok"], true, "{ack}");
        } else {
            assert_eq!(ack["error"]["code"], "too_many_rooms", "{ack}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn connections_of_one_person_are_bounded_over_all_nodes() {
    let nodes = TestApp::builder().node("all").node("all");
    let app = nodes.setting("REALTIME__MAX_SOCKETS_PER_USER", "3").start().await;
    let bounded = async |name: &str, nodes: &[usize], most: usize| {
        let auth = json!({"token": app.as_user(name).await.token});
        let mut sockets = Vec::new();
        for node in nodes {
            let socket = app.connect(*node, &auth).await.unwrap();
            socket.hears("session_ready").await;
            sockets.push(socket);
        }
        eventually("the others made room", LIMIT, async || {
            let open = sockets.iter().filter(|socket| !socket.is_closed());
            (open.count() <= most).then_some(())
        })
        .await;
        assert!(!sockets.last().unwrap().is_closed(), "the newest one stays");
        for socket in sockets.iter().filter(|socket| socket.is_closed()) {
            assert_eq!(socket.heard_of("replaced")[0]["reason"], "too_many_sockets");
        }
    };
    // In turns: whoever comes takes the place of the oldest one beside it.
    bounded("ana", &[0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 3).await;
    // At a node that has none of them yet, nobody makes room: one more for each further node.
    bounded("ben", &[0, 0, 0, 1, 1, 1, 1, 1], 4).await;
    app.finish().await;
}

#[tokio::test]
async fn a_packet_that_is_no_packet_hurts_nobody_else() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let ben = app.as_user("ben").await;
    for packet in [
        "",
        "x",
        "4",
        "42",
        "42[",
        "42{}",
        "42[]",
        "42[7]",
        "43",
        "4399999999999999999999[]",
        "45",
        "451-[\"send_message\",{\"_placeholder\":true,\"num\":0}]",
        "5",
        "6",
        "40",
        "41",
        "44{}",
        "42/other,[\"x\"]",
        "429[\"send_message\",{\"roomId\":\"\\u0000\"}]",
    ] {
        let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
        wire.send(&format!("40{}", json!({"token": ben.token}))).await.unwrap();
        wire.next_but_pings().await;
        let _ = wire.send(packet).await;
        let _ = wire.send("41").await;
    }
    let content = new_id().to_string();
    let said = ana.emit("send_message", json!({"roomId": room, "content": content})).await;
    assert_eq!(said["ok"], true, "{said}");
    ana.hears_that("new_message", |p| p["message"]["content"] == content.as_str()).await;
    app.finish().await;
}
