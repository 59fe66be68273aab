//! Access tokens and presence keys that end while their socket is open.
use redis::AsyncCommands as _;
use serde_json::{Value, json};
use tests::{LIMIT, TestApp, app::Person, eventually, socket::Wire, token};

const PRESENCE: &str = "presence";
const UNKNOWN: &str = "0198c0de-0000-7000-8000-00000000ffff";

#[tokio::test]
async fn the_end_of_a_token_is_announced_and_a_newer_one_keeps_the_socket() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let room = app.given_a_room(&["ana"]).await;
    let socket = app
        .connect(0, &json!({"token": token::ending_in(&app.world, &ana.token, 40)}))
        .await
        .unwrap();
    let warning = socket.hears("token_expiring").await;
    assert!(warning["expiresAt"].is_string(), "{warning}");

    let renew = async |newer: &str| socket.emit("refresh_auth", json!({"token": newer})).await;
    for wrong in [&ben.token, &token::ending_in(&app.world, &ana.token, -60), &ana.refresh_token] {
        assert_eq!(renew(wrong).await["error"]["code"], "unauthenticated");
    }
    let renewed = renew(&ana.token).await;
    assert_eq!(renewed["ok"], true, "{renewed}");
    let until =
        |text: &Value| -> chrono::DateTime<chrono::Utc> { text.as_str().unwrap().parse().unwrap() };
    assert!(until(&renewed["data"]["expiresAt"]) > until(&warning["expiresAt"]));
    assert_eq!(socket.emit("join_room", json!({"roomId": room})).await["ok"], true);
    assert_eq!(socket.heard_of("token_expiring").len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_socket_ends_with_its_token() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let socket = app
        .connect(0, &json!({"token": token::ending_in(&app.world, &ana.token, 3)}))
        .await
        .unwrap();
    socket.hears("token_expired").await;
    socket.closed().await;
    let expired = token::ending_in(&app.world, &ana.token, -60);
    let refused = app.connect(0, &json!({"token": expired})).await.err().unwrap();
    assert_eq!(refused, refusal("token_expired"));
    app.finish().await;
}

/// What a handshake is told that is of no use a second time.
fn refusal(code: &str) -> Value {
    json!({"message": code, "data": {"code": code, "retryable": false}})
}

#[tokio::test]
async fn a_refused_socket_is_told_whether_the_same_handshake_may_pass_later() {
    let app = TestApp::builder().setting("REALTIME__MAX_ROOMS_PER_SOCKET", "1").start().await;
    let ana = app.as_user("ana").await;
    let rooms = json!([{"roomId": UNKNOWN}, {"roomId": ana.id}]);
    for (auth, code) in [
        (json!({}), "unauthenticated"),
        (json!({"token": "{\"message\":\"\",\"data\":{}}"}), "unauthenticated"),
        (json!({"token": ana.token, "protocol": 7}), "unsupported_protocol"),
        (json!({"token": ana.token, "rooms": "\"}"}), "validation_failed"),
        (json!({"token": ana.token, "rooms": rooms}), "too_many_rooms"),
    ] {
        assert_eq!(app.connect(0, &auth).await.err(), Some(refusal(code)), "{auth}");
    }
    // What the library says by itself is as it was.
    let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
    wire.send("40/{\"message\":\"x\",\"data\":{}},").await.unwrap();
    let said = wire.next_but_pings().await.unwrap();
    assert!(said.ends_with(",{\"message\":\"Invalid namespace\"}"), "{said}");
    app.finish().await;
}

#[tokio::test]
async fn trouble_of_ours_ends_the_transport_so_that_clients_come_back_by_themselves() {
    let app = TestApp::builder()
        .setting("REALTIME__CONNECT_TIMEOUT_MS", "1500")
        .allow_error("the event store")
        .allow_error("the read models in PostgreSQL")
        .allow_error("a session cannot be checked")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let auth = json!({"token": ana.token});
    let packet = format!("40{auth}");
    let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
    app.world.database.close().await;
    // Nor does Redis know the session any more.
    let keys = app.world.redis_keys().await;
    let () = app.world.redis().await.del(keys).await.unwrap();
    wire.send(&packet).await.unwrap();
    let said = wire.next_but_pings().await;
    assert_eq!(said.as_deref(), Some("1"), "not let in, and nothing but the end of the transport");
    app.world.database.open().await;
    let again = eventually("the same handshake is let in", LIMIT, async || {
        let mut wire = Wire::open(&app.nodes[0].address, None).await.unwrap();
        wire.send(&packet).await.unwrap();
        wire.next_but_pings().await
    });
    assert!(again.await.starts_with("40{"));
    app.finish().await;
}

/// Deletes the keys that say that this person's sockets are alive.
async fn forget_sockets_of(app: &TestApp, person: &Person) {
    let mut redis = app.world.redis().await;
    for key in app.world.redis_keys().await {
        if !key.ends_with(":user") {
            continue;
        }
        let owner: Option<String> = redis.get(&key).await.unwrap();
        if owner.as_deref() == Some(person.id.as_str()) {
            let () = redis.del(&key).await.unwrap();
        }
    }
}

#[tokio::test]
async fn who_was_taken_for_gone_by_mistake_is_seen_again() {
    let app = TestApp::builder()
        .setting("REALTIME__HEARTBEAT_MS", "300")
        .setting("REALTIME__SOCKET_TTL_MS", "900")
        .start()
        .await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let ben_id = app.as_user("ben").await;
    let of_ben = |payload: &Value| {
        payload["kind"] == PRESENCE && payload["user"]["id"] == ben_id.id.as_str()
    };
    // Redis forgets him faster than his node can tell it that he is there.
    let seen_leaving = ana.hears_that("user_left", of_ben);
    tokio::pin!(seen_leaving);
    loop {
        tokio::select! {
            _ = &mut seen_leaving => break,
            () = forget_sockets_of(&app, &ben_id) => {}
        }
    }
    // He never left: his node says so, and he never noticed.
    let came = async |times: usize| {
        tests::eventually("ben is seen coming again", tests::LIMIT, async || {
            (ana.heard_of("user_joined").iter().filter(|p| of_ben(p)).count() == times)
                .then_some(())
        })
        .await;
    };
    came(2).await;
    let said = ben.emit("send_message", json!({"roomId": room, "content": "still here"})).await;
    assert_eq!(said["ok"], true);
    ana.hears_that("new_message", |p| p["message"]["content"] == "still here").await;
    app.finish().await;
}
