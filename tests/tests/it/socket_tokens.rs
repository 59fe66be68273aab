//! Access tokens and presence keys that end while their socket is open.
use redis::AsyncCommands as _;
use serde_json::json;
use tests::{TestApp, app::Person, token};

const PRESENCE: &str = "presence";

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
    let until = |text: &serde_json::Value| -> chrono::DateTime<chrono::Utc> {
        text.as_str().unwrap().parse().unwrap()
    };
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
    assert_eq!(refused["message"], "token_expired");
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
    let of_ben = |payload: &serde_json::Value| {
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
