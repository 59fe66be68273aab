//! What people see of each other: who is there, away, not to be disturbed, or invisible.
use serde_json::{Value, json};
use tests::{LIMIT, TestApp, app::Person, eventually};

/// What the member list says of someone, once it says this.
async fn listed_as(reader: &Person, room: &str, person: &str, presence: &str) {
    eventually(&format!("they are listed as {presence}"), LIMIT, async || {
        let members = reader.get(&format!("/api/rooms/{room}/members")).await.assert_status(200);
        let found = members.data().iter().find(|member| member["user"]["id"] == person)?;
        (found["presence"] == presence).then_some(())
    })
    .await;
}

#[tokio::test]
async fn people_of_a_room_see_each_other_as_they_want_to_be_seen() {
    let nodes = TestApp::builder().node("all").node("all");
    let app = nodes.setting("REALTIME__PRESENCE_DEBOUNCE_MS", "300").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (watcher, _) = app.socket_in(0, "ana", &room).await;
    let stranger = app.socket("eve").await;
    let sees = async |status: &str| {
        watcher
            .hears_that("presence_update", |p| {
                p["userId"] == ben.id.as_str() && p["status"] == status
            })
            .await
    };
    listed_as(&ana, &room, &ben.id, "offline").await;

    let phone = app.socket_at(1, "ben").await;
    assert!(sees("online").await["lastSeenAt"].is_string());
    listed_as(&ana, &room, &ben.id, "online").await;
    let laptop = app.socket_at(0, "ben").await;
    for status in ["dnd", "away"] {
        let ack = phone.emit("set_presence", json!({"status": status})).await;
        assert_eq!(ack, json!({"ok": true, "data": {}}));
        sees(status).await;
        laptop.hears_that("presence_update", |p| p["status"] == status).await;
        listed_as(&ana, &room, &ben.id, status).await;
    }
    // Who is invisible looks like who is gone, but not to their own devices.
    assert_eq!(laptop.emit("set_presence", json!({"status": "invisible"})).await["ok"], true);
    sees("offline").await;
    phone.hears_that("presence_update", |p| p["status"] == "invisible").await;
    listed_as(&ana, &room, &ben.id, "offline").await;
    let online = ana.get(&format!("/api/rooms/{room}/members?online=true")).await;
    let online = online.assert_status(200);
    assert_eq!(online.data().len(), 1, "{}", online.text);

    // One of two devices going is not worth telling, the last one is.
    let before = watcher.heard_of("presence_update").len();
    assert_eq!(phone.emit("set_presence", json!({"status": "online"})).await["ok"], true);
    listed_as(&ana, &room, &ben.id, "online").await;
    phone.disconnect().await;
    laptop.disconnect().await;
    let updates = watcher.hears_times("presence_update", before + 2).await;
    let last: Vec<&Value> = updates[before..].iter().map(|update| &update["status"]).collect();
    assert_eq!(last, [&json!("online"), &json!("offline")]);
    listed_as(&ana, &room, &ben.id, "offline").await;

    let wrong = stranger.emit("set_presence", json!({"status": "king"})).await;
    assert_eq!(wrong["error"]["code"], "validation_failed");
    assert!(stranger.heard_of("presence_update").is_empty(), "they share no room");
    app.finish().await;
}
