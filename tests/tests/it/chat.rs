//! Chat: what people say in a room, in one order, once, on every node and over every absence.
use futures::future::join_all;
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{LIMIT, Socket, TestApp, eventually};
use tokio::time::Instant;

/// The durable events of one room that a socket heard, as (seq, event name).
fn durable(socket: &Socket) -> Vec<(i64, String)> {
    let heard = socket.heard().into_iter();
    heard.filter_map(|h| Some((h.payload["seq"].as_i64()?, h.event))).collect()
}

fn seqs(socket: &Socket) -> Vec<i64> {
    durable(socket).into_iter().map(|(seq, _)| seq).collect()
}

fn assert_gap_free(seqs: &[i64]) {
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
}

async fn say(socket: &Socket, room: &str, content: &str) -> Value {
    let ack = socket.emit("send_message", json!({"roomId": room, "content": content})).await;
    assert_eq!(ack["ok"], true, "{ack}");
    ack["data"]["message"].clone()
}

#[tokio::test]
async fn two_people_chat_and_everything_shows_the_same() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, joined) = app.socket_in(0, "ben", &room).await;
    assert_eq!(joined["room"]["my"]["role"], "member");
    assert_eq!(joined["activeUsers"].as_array().unwrap().len(), 2);

    let mut said = Vec::new();
    for n in 0..10 {
        let (socket, name) = if n % 2 == 0 { (&ana, "ana") } else { (&ben, "ben") };
        said.push(say(socket, &room, &format!("{n} from {name}")).await);
    }
    for socket in [&ana, &ben] {
        let heard = socket.hears_times("new_message", 10).await;
        let contents: Vec<&str> =
            heard.iter().map(|h| h["message"]["content"].as_str().unwrap()).collect();
        let expected: Vec<&str> = said.iter().map(|m| m["content"].as_str().unwrap()).collect();
        assert_eq!(contents, expected);
        assert_gap_free(&seqs(socket));
    }
    assert_eq!(said[0]["senderName"], "Ana Example");
    let first_seq = joined["lastSeq"].as_i64().unwrap() + 1;
    assert_eq!(said[0]["seq"], first_seq);

    // REST shows the same messages, with the same numbers.
    let person = app.as_user("ben").await;
    let shown = eventually("the messages are shown", LIMIT, async || {
        let page = person.get(&format!("/api/messages/room/{room}")).await.assert_status(200);
        (page.data().len() == 10).then_some(page)
    })
    .await;
    for (shown, said) in shown.data().iter().zip(&said) {
        for field in ["id", "seq", "content", "senderId", "senderName", "createdAt"] {
            assert_eq!(shown[field], said[field], "{field}");
        }
    }
    // Read in pieces, by number.
    let middle = first_seq + 4;
    let contents = async |anchor: &str| {
        let page = person.get(&format!("/api/messages/room/{room}?limit=3&{anchor}")).await;
        let page = page.assert_status(200);
        let all = page.data().iter().map(|m| m["seq"].as_i64().unwrap() - middle);
        all.collect::<Vec<_>>()
    };
    assert_eq!(contents(&format!("after={middle}")).await, [1, 2, 3]);
    assert_eq!(contents(&format!("before={middle}")).await, [-3, -2, -1]);
    assert_eq!(contents(&format!("around={middle}")).await, [-1, 0, 1], "on both sides");
    assert_eq!(contents("").await, [3, 4, 5], "the newest");
    // Whether there is more on either side, and where it goes on.
    let last = middle + 5;
    for (anchor, oldest, newest, before, after) in [
        (String::new(), false, true, Some(last - 2), None),
        (format!("before={}", middle - 1), true, false, None, Some(middle - 2)),
        (format!("after={}", middle + 2), false, true, Some(middle + 3), None),
        (format!("after={middle}"), false, false, Some(middle + 1), Some(middle + 3)),
        (format!("before={middle}"), false, false, Some(middle - 3), Some(middle - 1)),
        (format!("around={middle}"), false, false, Some(middle - 1), Some(middle + 1)),
        // What is missing below is given above.
        (format!("around={first_seq}"), true, false, None, Some(first_seq + 2)),
        (format!("around={last}"), false, true, Some(last - 1), None),
    ] {
        let page = person.get(&format!("/api/messages/room/{room}?limit=3&{anchor}")).await;
        let expected = json!({
            "foundOldest": oldest, "foundNewest": newest, "nextBefore": before, "nextAfter": after,
        });
        assert_eq!(page.assert_status(200)["page"], expected, "{anchor}");
    }
    app.finish().await;
}

#[tokio::test]
async fn only_members_enter_speak_and_read() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let eve = app.socket("eve").await;
    for (event, payload) in [
        ("join_room", json!({"roomId": room})),
        ("send_message", json!({"roomId": room, "content": "hello"})),
        ("sync", json!({"roomId": room, "afterSeq": 0})),
    ] {
        let ack = eve.emit(event, payload).await;
        assert_eq!(ack["error"]["code"], "not_a_member", "{event}: {ack}");
    }
    let person = app.as_user("eve").await;
    person.get(&format!("/api/messages/room/{room}")).await.assert_problem(403, "not_a_member");
    app.finish().await;
}

#[tokio::test]
async fn who_leaves_the_room_hears_no_more() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (witness, _) = app.socket_in(1, "ana", &room).await;
    let (here, _) = app.socket_in(0, "ben", &room).await;
    let (there, _) = app.socket_in(1, "ben", &room).await;
    let person = app.as_user("ben").await;
    person.post(&format!("/api/rooms/{room}/leave")).await.assert_status(204);
    let still = json!({"roomId": room, "content": "still?"});
    let refused = there.emit("send_message", still.clone()).await;
    assert_eq!(refused["error"]["code"], "not_a_member", "on the other node as well: {refused}");
    say(&ana, &room, "only for us").await;
    for socket in [&ana, &witness] {
        socket.hears_that("new_message", |p| p["message"]["content"] == "only for us").await;
    }
    // Everything on a connection is in order: after this answer, nothing older can come.
    for ben in [&here, &there] {
        let refused = ben.emit("send_message", still.clone()).await;
        assert_eq!(refused["error"]["code"], "not_a_member");
        assert_eq!(ben.heard_of("new_message"), Vec::<Value>::new());
    }
    ana.hears_that("user_left", |p| p["kind"] == "membership").await;
    app.finish().await;
}

#[tokio::test]
async fn who_was_away_gets_exactly_what_was_missed_in_order_before_anything_live() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, joined) = app.socket_in(1, "ben", &room).await;
    let head = joined["lastSeq"].as_i64().unwrap();
    for n in 0..5 {
        say(&ana, &room, &format!("before {n}")).await;
    }
    ben.hears_times("new_message", 5).await;
    let last = *seqs(&ben).last().unwrap();
    assert_eq!(last, head + 5);
    ben.vanish();

    for n in 0..40 {
        say(&ana, &room, &format!("missed {n}")).await;
    }
    app.as_user("cai").await.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    // It goes on while the client comes back.
    let talking = async {
        for n in 0..20 {
            say(&ana, &room, &format!("live {n}")).await;
        }
    };
    let returning = async {
        let back = app.socket_at(0, "ben").await;
        let ack = back.emit("join_room", json!({"roomId": room, "afterSeq": last})).await;
        assert_eq!(ack["ok"], true, "{ack}");
        assert!(ack["data"]["replayed"].as_i64().unwrap() >= 41, "{ack}");
        back
    };
    let ((), back) = tokio::join!(talking, returning);
    back.hears_times("new_message", 60).await;
    let all = durable(&back);
    let numbers: Vec<i64> = all.iter().map(|(seq, _)| *seq).collect();
    assert!(numbers.iter().copied().eq(last + 1..=last + 61), "{numbers:?}");
    assert_eq!(all[40].1, "user_joined", "memberships are part of it");
    app.finish().await;
}

#[tokio::test]
async fn the_handshake_resumes_rooms_by_itself() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, joined) = app.socket_in(0, "ana", &room).await;
    let last = joined["lastSeq"].as_i64().unwrap();
    for n in 0..3 {
        say(&ana, &room, &format!("missed {n}")).await;
    }
    let ben = app.as_user("ben").await;
    let elsewhere = new_id();
    let auth = json!({"token": ben.token, "protocol": 1, "rooms": [
        {"roomId": room, "afterSeq": last}, {"roomId": elsewhere, "afterSeq": 0},
    ]});
    let back = app.connect(0, &auth).await.unwrap();
    let ready = back.hears("session_ready").await;
    assert_eq!(ready["userId"], ben.id.as_str());
    assert_eq!(ready["sessionId"], ben.session_id.as_str());
    assert_eq!(ready["resume"][0]["status"], "replayed");
    assert_eq!(ready["resume"][0]["toSeq"], last + 3);
    assert_eq!(ready["resume"][1]["status"], "forbidden");
    back.hears_times("new_message", 3).await;
    assert!(seqs(&back).into_iter().eq(last + 1..=last + 3));
    // Only then is the socket ready for the room.
    assert_eq!(back.heard()[0].event, "session_ready");
    say(&ana, &room, "live").await;
    back.hears_that("new_message", |p| p["message"]["content"] == "live").await;
    app.finish().await;
}

#[tokio::test]
async fn nothing_is_told_before_the_first_event() {
    let app = TestApp::builder().setting("REALTIME__STATS_INTERVAL_MS", "5").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, joined) = app.socket_in(0, "ana", &room).await;
    let ben = app.as_user("ben").await;
    let last = joined["lastSeq"].as_i64().unwrap();
    // Rooms that nobody knows take their time before the first event.
    let mut rooms = vec![json!({"roomId": room, "afterSeq": last})];
    rooms.extend((0..40).map(|_| json!({"roomId": new_id(), "afterSeq": 0})));
    let auth = json!({"token": ben.token, "rooms": rooms});
    for n in 0..10 {
        // The numbers of the room change all the time, and messages to ben are on their way.
        let back = tokio::select! {
            back = app.connect(0, &auth) => back,
            () = async {
                for k in 0.. {
                    say(&ana, &room, &format!("{n}.{k}")).await;
                    let to = json!({"recipientId": ben.id, "content": format!("{n}.{k}")});
                    assert_eq!(ana.emit("send_direct_message", to).await["ok"], true);
                }
            } => unreachable!(),
        };
        let back = back.unwrap();
        back.hears("room_stats_updated").await;
        assert_eq!(back.heard()[0].event, "session_ready");
        back.disconnect().await;
    }
    app.finish().await;
}

#[tokio::test]
async fn who_missed_too_much_starts_anew() {
    let app = TestApp::builder().setting("REALTIME__MAX_REPLAY", "500").start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, joined) = app.socket_in(0, "ana", &room).await;
    let last = joined["lastSeq"].as_i64().unwrap();
    let mut acks = Vec::new();
    for n in 0..520 {
        let message = json!({"roomId": room, "content": format!("message {n}")});
        acks.push(ana.emit_later("send_message", message).await);
        if acks.len() == 20 {
            for ack in acks.drain(..) {
                assert_eq!(ana.ack(ack).await["ok"], true);
            }
        }
    }
    let back = app.socket("ana").await;
    let ack = back.emit("join_room", json!({"roomId": room, "afterSeq": last})).await;
    assert_eq!(
        (&ack["data"]["status"], &ack["data"]["replayed"]),
        (&json!("resync_required"), &json!(0))
    );
    let told = back.hears("resync_required").await;
    assert_eq!((&told["roomId"], &told["lastSeq"]), (&json!(room), &json!(last + 520)));
    assert_eq!(seqs(&back), Vec::<i64>::new());
    // In pieces it can still be had.
    let (mut after, mut got) = (last, Vec::new());
    loop {
        let page = json!({"roomId": room, "afterSeq": after, "limit": 200});
        let page = back.emit("sync", page).await["data"].clone();
        let events = page["events"].as_array().unwrap();
        got.extend(events.iter().map(|event| event["data"]["seq"].as_i64().unwrap()));
        after = *got.last().unwrap();
        if page["hasMore"] == false {
            break;
        }
    }
    assert!(got.into_iter().eq(last + 1..=last + 520));
    app.finish().await;
}

#[tokio::test]
async fn a_repeated_message_is_said_once_today_and_after_a_restart() {
    let mut app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, joined) = app.socket_in(0, "ben", &room).await;
    let message = json!({
        "roomId": room, "content": "once", "clientMessageId": new_id(),
    });
    // Impatient: several times before the first answer.
    let sent = join_all((0..5).map(|_| ana.emit("send_message", message.clone()))).await;
    let first = &sent[0]["data"]["message"];
    for (n, ack) in sent.iter().enumerate() {
        assert_eq!(ack["ok"], true, "{ack}");
        assert_eq!(ack["data"]["duplicate"], n > 0, "{ack}");
        assert_eq!(ack["data"]["message"]["id"], first["id"]);
        assert_eq!(ack["data"]["message"]["content"], "once");
    }
    let own = ana.hears("new_message").await;
    assert_eq!(own["message"]["clientMessageId"], message["clientMessageId"]);
    let heard = ben.hears("new_message").await;
    assert!(heard["message"].get("clientMessageId").is_none(), "the sender's own business");
    // The same id with other words is a mistake.
    let mut other = message.clone();
    other["content"] = json!("twice");
    let refused = ana.emit("send_message", other).await;
    assert_eq!(refused["error"]["code"], "idempotency_key_reused");

    app.kill9_and_restart(0).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let again = ana.emit("send_message", message).await;
    assert_eq!(again["data"]["duplicate"], true, "{again}");
    assert_eq!(again["data"]["message"]["id"], first["id"]);
    let after = say(&ana, &room, "next").await;
    let expected = joined["lastSeq"].as_i64().unwrap() + 2;
    assert_eq!(after["seq"], expected, "one number was used");
    app.finish().await;
}

#[tokio::test]
async fn messages_are_checked() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    for (payload, code) in [
        (json!({"roomId": room, "content": " \n\t "}), "validation_failed"),
        (json!({"roomId": room, "content": "x".repeat(4001)}), "validation_failed"),
        (json!({"roomId": room}), "validation_failed"),
        (json!({"roomId": room, "content": 7}), "validation_failed"),
        (json!({"roomId": "x", "content": "hello"}), "validation_failed"),
        (json!({"roomId": room, "content": "hello", "senderId": new_id()}), "unknown_field"),
        (json!({"roomId": room, "content": "hello", "messageType": "system"}), "validation_failed"),
        (json!({"roomId": new_id(), "content": "hello"}), "not_found"),
        (json!("hello"), "validation_failed"),
        (Value::Null, "validation_failed"),
    ] {
        let ack = ana.emit("send_message", payload.clone()).await;
        assert_eq!(ack["ok"], false);
        assert_eq!(ack["error"]["code"], code, "{payload}: {ack}");
        assert_eq!(ack["error"]["retryable"], false);
    }
    let said = say(&ana, &room, " e\u{301} tidied\n\tup ").await;
    assert!(said["content"].as_str().unwrap().starts_with("\u{e9} tidied"), "{said}");
    app.finish().await;
}

#[tokio::test]
async fn typing_reaches_the_others_on_every_node_and_ends_with_the_message() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let (cai, _) = app.socket_in(1, "cai", &room).await;
    let person = app.as_user("ana").await;
    // Volatile: a notice may be lost, so it is repeated until it is heard.
    eventually("typing is heard on both nodes", LIMIT, async || {
        ana.send("typing", json!({"roomId": room, "isTyping": true})).await;
        let heard = |socket: &Socket| !socket.heard_of("user_typing").is_empty();
        (heard(&ben) && heard(&cai)).then_some(())
    })
    .await;
    let notice = ben.hears("user_typing").await;
    assert_eq!((&notice["userId"], &notice["isTyping"]), (&json!(person.id), &json!(true)));
    assert!(notice.get("seq").is_none() && notice["expiresInMs"].as_i64().unwrap() > 0);
    say(&ana, &room, "done typing").await;
    for socket in [&ben, &cai] {
        socket.hears_that("user_typing", |p| p["isTyping"] == false).await;
    }
    assert_eq!(ana.heard_of("user_typing"), Vec::<Value>::new(), "never to oneself");

    // However the message is sent.
    let began = ben.heard_of("user_typing").len();
    eventually("typing is heard again", LIMIT, async || {
        ana.send("typing", json!({"roomId": room, "isTyping": true})).await;
        (ben.heard_of("user_typing").len() > began).then_some(())
    })
    .await;
    let path = format!("/api/messages/room/{room}");
    person.post(&path).json(&json!({"content": "over HTTP"})).await.assert_status(201);
    eventually("the end of it is heard", LIMIT, async || {
        (ben.heard_of("user_typing").last()?["isTyping"] == false).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_person_with_two_devices_comes_once_and_goes_once() {
    let app = TestApp::builder()
        .node("all")
        .node("all")
        .setting("REALTIME__PRESENCE_DEBOUNCE_MS", "300")
        .start()
        .await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let ben_id = app.as_user("ben").await.id;
    let (laptop, first) = app.socket_in(0, "ben", &room).await;
    let (phone, second) = app.socket_in(1, "ben", &room).await;
    assert_eq!((&first["onlineCount"], &second["onlineCount"]), (&json!(2), &json!(2)));
    let came = |p: &Value| p["kind"] == "presence" && p["user"]["id"] == ben_id.as_str();
    ana.hears_that("user_joined", came).await;

    laptop.vanish();
    // One device is still there: after the debounce, nothing.
    let person = app.as_user("ana").await;
    eventually("the connection is gone from the room", LIMIT, async || {
        let status = app.world.redis_keys().await;
        let sockets = status.iter().filter(|key| key.contains("socket:") && key.ends_with(":user"));
        (sockets.count() == 2).then_some(())
    })
    .await;
    phone.emit("leave_room", json!({"roomId": room})).await;
    ana.hears_that("user_left", came).await;
    let coming = ana.heard_of("user_joined").iter().filter(|p| came(p)).count();
    let going = ana.heard_of("user_left").iter().filter(|p| came(p)).count();
    assert_eq!((coming, going), (1, 1));
    let shown = eventually("nobody else is online", LIMIT, async || {
        let room = person.get(&format!("/api/rooms/{room}")).await.assert_status(200);
        (room["onlineCount"] == 1).then_some(room)
    })
    .await;
    assert_eq!(shown["memberCount"], 2, "membership is something else");
    app.finish().await;
}

#[tokio::test]
async fn a_short_absence_is_not_worth_telling() {
    let app = TestApp::builder().setting("REALTIME__PRESENCE_DEBOUNCE_MS", "15000").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    ben.vanish();
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    say(&ben, &room, "I am back").await;
    ana.hears("new_message").await;
    assert_eq!(ana.heard_of("user_left"), Vec::<Value>::new());
    let presence = |p: &&Value| p["kind"] == "presence";
    assert_eq!(ana.heard_of("user_joined").iter().filter(presence).count(), 1);
    app.finish().await;
}

#[tokio::test]
async fn two_nodes_without_sticky_sessions_are_one_room() {
    const EACH: usize = 25;
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai", "dan"]).await;
    let mut sockets = Vec::new();
    for (n, name) in ["ana", "ben", "cai", "dan"].into_iter().enumerate() {
        sockets.push(app.socket_in(n % 2, name, &room).await.0);
    }
    // Everybody at once.
    let talking = sockets.iter().enumerate().map(|(n, socket)| {
        let room = &room;
        async move {
            for m in 0..EACH {
                say(socket, room, &format!("{n}/{m}")).await;
            }
        }
    });
    join_all(talking).await;
    let mut orders = Vec::new();
    for socket in &sockets {
        let heard = socket.hears_times("new_message", sockets.len() * EACH).await;
        assert_eq!(heard.len(), sockets.len() * EACH);
        let order: Vec<(i64, String)> = heard
            .iter()
            .map(|h| (h["seq"].as_i64().unwrap(), h["message"]["content"].as_str().unwrap().into()))
            .collect();
        assert_gap_free(&order.iter().map(|(seq, _)| *seq).collect::<Vec<_>>());
        orders.push(order);
    }
    assert!(orders.windows(2).all(|pair| pair[0] == pair[1]), "one order for all");
    for n in 0..sockets.len() {
        let own: Vec<usize> = orders[0]
            .iter()
            .filter_map(|(_, content)| content.strip_prefix(&format!("{n}/"))?.parse().ok())
            .collect();
        assert!(own.into_iter().eq(0..EACH), "and everybody's own order");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_numbers_of_a_room_are_told_once_in_a_while() {
    let app = TestApp::builder().setting("REALTIME__STATS_INTERVAL_MS", "200").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let since = Instant::now();
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    for n in 0..60 {
        say(&ana, &room, &format!("message {n}")).await;
    }
    let stats = ana.hears_that("room_stats_updated", |p| p["messageCount"] == 60).await;
    assert_eq!((&stats["memberCount"], &stats["onlineCount"]), (&json!(2), &json!(1)));
    assert!(stats.get("seq").is_none());
    // Once in each interval at most, the ones that were not whole included.
    let told = ana.heard_of("room_stats_updated").len() as u128;
    let intervals = since.elapsed().as_millis() / 200;
    assert!(told <= intervals + 2, "{told} times in {intervals} intervals");
    app.finish().await;
}

#[tokio::test]
async fn the_end_of_a_node_is_announced_and_only_who_does_not_come_back_is_seen_leaving() {
    let nodes = TestApp::builder().node("all").node("all");
    let nodes = nodes.setting("REALTIME__HEARTBEAT_MS", "200");
    let nodes = nodes.setting("REALTIME__RECONNECT_WITHIN_MS", "600000");
    let mut app = nodes.setting("REALTIME__SOCKET_TTL_MS", "5000").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ben, cai) = (app.as_user("ben").await, app.as_user("cai").await);
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (returning, _) = app.socket_in(1, "ben", &room).await;
    let (going, _) = app.socket_in(1, "cai", &room).await;
    for person in [&ben, &cai] {
        let of = |p: &Value| p["kind"] == "presence" && p["user"]["id"] == person.id.as_str();
        ana.hears_that("user_joined", of).await;
        ana.hears_that("presence_update", |p| p["userId"] == person.id.as_str()).await;
    }
    let status = app.nodes[1].stop().await;
    assert!(status.success());
    let mut pauses = Vec::new();
    for socket in [&returning, &going] {
        pauses.push(socket.hears("server_draining").await["reconnectInMs"].as_u64().unwrap());
        socket.closed().await;
    }
    assert!(pauses.iter().all(|pause| *pause < 600_000), "{pauses:?}");
    assert_ne!(pauses[0], pauses[1], "not all at the same moment");
    let (returned, joined) = app.socket_in(0, "ben", &room).await;
    assert_eq!(joined["onlineCount"], 3, "{joined}");
    let left = ana.hears_that("user_left", |p| p["kind"] == "presence").await;
    assert_eq!((&left["user"]["id"], &left["onlineCount"]), (&json!(cai.id), &json!(2)));
    ana.hears_that("presence_update", |p| p["status"] == "offline").await;
    app.caught_up().await;

    let heard = |event: &str, id: &str| {
        let about = |p: &Value| p["user"]["id"] == id || p["userId"] == id;
        let events = ana.heard_of(event).into_iter();
        events.filter(|p| p["kind"] != "membership" && about(p)).count()
    };
    assert_eq!(heard("user_joined", &ben.id) + heard("user_left", &ben.id), 1);
    assert_eq!(heard("presence_update", &ben.id), 1);
    assert_eq!(heard("presence_update", &cai.id), 2);
    // Their old connection, on the node that ended, counts no more.
    let ack = returned.emit("leave_room", json!({"roomId": room})).await;
    assert_eq!(ack["ok"], true);
    ana.hears_that("user_left", |p| p["user"]["id"] == ben.id.as_str()).await;
    app.finish().await;
}

#[tokio::test]
async fn the_people_of_a_node_that_died_are_seen_leaving() {
    let mut app = TestApp::builder()
        .node("all")
        .node("all")
        .setting("REALTIME__HEARTBEAT_MS", "200")
        .setting("REALTIME__SOCKET_TTL_MS", "800")
        .start()
        .await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (_ben, _) = app.socket_in(1, "ben", &room).await;
    app.nodes[1].kill9().await;
    ana.hears_that("user_left", |p| p["kind"] == "presence").await;
    app.finish().await;
}
