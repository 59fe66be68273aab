//! Members who may not speak in a room for a while.
use serde_json::{Value, json};
use tests::{LIMIT, Socket, TestApp, eventually};

async fn say(socket: &Socket, room: &str, content: &str) -> Value {
    socket.emit("send_message", json!({"roomId": room, "content": content})).await
}

/// Says something volatile until it is heard: it may be lost, and is told once in a while only.
async fn repeated(
    by: &Socket,
    event: &str,
    payload: Value,
    witness: &Socket,
    heard: impl Fn(&Value) -> bool,
) {
    eventually("it is heard", LIMIT, async || {
        by.emit(event, payload.clone()).await;
        witness.heard_of("user_typing").iter().any(&heard).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_is_muted_hears_everything_and_says_nothing() {
    let app = TestApp::builder().node("all").node("all");
    let app = app.setting("REALTIME__TYPING_INTERVAL_MS", "1").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (witness, _) = app.socket_in(0, "ana", &room).await;
    let (here, _) = app.socket_in(0, "ben", &room).await;
    let (there, _) = app.socket_in(1, "ben", &room).await;
    let elsewhere = app.socket_at(1, "ben").await;
    elsewhere.hears("session_ready").await;
    let (cai, _) = app.socket_in(1, "cai", &room).await;
    let own = say(&here, &room, "loud").await["data"]["message"]["id"].clone();
    let other = say(&cai, &room, "quiet").await["data"]["message"]["id"].clone();
    let emoji = |emoji: &str| json!({"messageId": other, "emoji": emoji});
    assert_eq!(here.emit("add_reaction", emoji("👍")).await["ok"], true);

    let typing = |is_typing: bool| json!({"roomId": room, "isTyping": is_typing});
    let of = |person: &str, is_typing: bool| {
        let person = person.to_owned();
        move |p: &Value| p["userId"] == person.as_str() && p["isTyping"] == is_typing
    };
    repeated(&here, "typing", typing(true), &witness, of(&ben.id, true)).await;

    let path = format!("/api/rooms/{room}/mutes/{}", ben.id);
    let muted = ana.put(&path).json(&json!({"expiresIn": 600})).await.assert_status(200);
    let until = muted["mutedUntil"].clone();
    assert_eq!((&muted["user"]["id"], &muted["mutedBy"]["id"]), (&json!(ben.id), &json!(ana.id)));
    for socket in [&here, &there, &elsewhere] {
        let told = socket.hears("mute_updated").await;
        assert_eq!(told, json!({"roomId": room, "mutedUntil": until}));
    }

    for socket in [&here, &there, &elsewhere] {
        let refused = say(socket, &room, "and yet").await;
        assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
        let edit = json!({"messageId": own, "content": "louder"});
        let refused = socket.emit("edit_message", edit).await;
        assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
        let refused = socket.emit("add_reaction", emoji("🎉")).await;
        assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    }
    let body = json!({"content": "and yet"});
    let refused = ben.post(&format!("/api/messages/room/{room}")).json(&body).await;
    assert!(refused["detail"].as_str().unwrap().contains(until.as_str().unwrap()), "{refused:?}");
    refused.assert_problem(403, "forbidden");
    let reaction = format!("/api/messages/{}/reactions/%F0%9F%8E%89", other.as_str().unwrap());
    ben.put(&reaction).await.assert_problem(403, "forbidden");
    // Nobody sees him typing, from the middle of a word on.
    witness.hears_that("user_typing", of(&ben.id, false)).await;
    let heard = witness.heard_of("user_typing").len();
    for socket in [&here, &there] {
        socket.emit("typing", typing(true)).await;
    }
    let cais = app.as_user("cai").await.id;
    repeated(&cai, "typing", typing(true), &witness, of(&cais, true)).await;
    let since = &witness.heard_of("user_typing")[heard..];
    assert!(since.iter().all(|it| it["userId"] != ben.id.as_str()), "{since:?}");

    // He hears and reads what the others say, and takes back what he said.
    assert_eq!(say(&cai, &room, "he is silent").await["ok"], true);
    there.hears_that("new_message", |p| p["message"]["content"] == "he is silent").await;
    ben.get(&format!("/api/messages/room/{room}")).await.assert_status(200);
    assert_eq!(here.emit("remove_reaction", emoji("👍")).await["ok"], true);
    assert_eq!(there.emit("delete_message", json!({"messageId": own})).await["ok"], true);

    // Going out and coming in again changes nothing.
    let shown = ben.get(&format!("/api/rooms/{room}")).await.assert_status(200);
    assert_eq!(shown["my"]["mutedUntil"], until);
    ben.post(&format!("/api/rooms/{room}/leave")).await.assert_status(204);
    ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    let shown = ben.get(&format!("/api/rooms/{room}")).await.assert_status(200);
    assert_eq!(shown["my"]["mutedUntil"], until);
    let entered = elsewhere.emit("join_room", json!({"roomId": room})).await;
    assert_eq!(entered["data"]["room"]["my"]["mutedUntil"], until, "{entered}");
    assert_eq!(say(&elsewhere, &room, "again").await["error"]["code"], "forbidden");

    // Until it is lifted.
    let list = format!("/api/rooms/{room}/mutes");
    let listed = ana.get(&list).await.assert_status(200);
    assert_eq!(listed.data(), [(*muted).clone()]);
    ana.delete(&path).await.assert_status(204);
    let told = elsewhere.hears_that("mute_updated", |told| told["mutedUntil"].is_null()).await;
    assert_eq!(told["roomId"], room.as_str());
    assert_eq!(say(&elsewhere, &room, "at last").await["ok"], true);
    let shown = ben.get(&format!("/api/rooms/{room}")).await.assert_status(200);
    assert!(shown["my"]["mutedUntil"].is_null(), "{shown:?}");
    assert!(ana.get(&list).await.assert_status(200).data().is_empty());
    ana.delete(&path).await.assert_status(204);

    // Who is no member any more hears nothing of it.
    ana.put(&path).await.assert_status(200);
    let muted = |told: &Value| told["roomId"] == room.as_str() && !told["mutedUntil"].is_null();
    eventually("he is muted again", LIMIT, async || {
        (elsewhere.heard_of("mute_updated").iter().filter(|told| muted(told)).count() == 2)
            .then_some(())
    })
    .await;
    ana.delete(&format!("/api/rooms/{room}/members/{}", ben.id)).await.assert_status(204);
    let told = elsewhere.heard_of("mute_updated").len();
    ana.delete(&path).await.assert_status(204);
    // What the node with his socket tells of the room comes behind.
    for said in ["one", "two", "three"] {
        assert_eq!(say(&witness, &room, said).await["ok"], true);
        cai.hears_that("new_message", |p| p["message"]["content"] == said).await;
    }
    assert_eq!(elsewhere.heard_of("mute_updated").len(), told);
    app.finish().await;
}

#[tokio::test]
async fn members_are_muted_by_those_who_keep_order_over_them() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (cai, eve) = (app.as_user("cai").await, app.as_user("eve").await);
    let path = |person: &str| format!("/api/rooms/{room}/mutes/{person}");
    let role = format!("/api/rooms/{room}/members/{}/role", ben.id);
    ana.post(&role).json(&json!({"role": "moderator"})).await.assert_status(200);

    for (by, whom) in [(&cai, &ben), (&cai, &cai), (&ben, &ana), (&ben, &ben), (&ana, &ana)] {
        by.put(&path(&whom.id)).await.assert_problem(403, "forbidden");
        by.delete(&path(&whom.id)).await.assert_problem(403, "forbidden");
    }
    eve.put(&path(&cai.id)).await.assert_problem(403, "not_a_member");
    cai.get(&format!("/api/rooms/{room}/mutes")).await.assert_problem(403, "forbidden");
    ben.put(&path(&eve.id)).await.assert_problem(404, "member_not_found");
    for seconds in [json!(59), json!(2_419_201), json!("600"), json!(0), json!(-1)] {
        let refused = ben.put(&path(&cai.id)).json(&json!({"expiresIn": seconds})).await;
        refused.assert_problem(422, "validation_failed");
    }
    // Without a body: as long as the settings say. Again: until then instead.
    let first = ben.put(&path(&cai.id)).await.assert_status(200);
    let longer = ana.put(&path(&cai.id)).json(&json!({"expiresIn": 2_419_200})).await;
    let longer = longer.assert_status(200);
    assert!(longer["mutedUntil"].as_str() > first["mutedUntil"].as_str());
    let listed = ben.get(&format!("/api/rooms/{room}/mutes")).await.assert_status(200);
    assert_eq!(listed.data(), [(*longer).clone()]);

    // A moderator who is muted cannot help it. An owner is not muted.
    ana.put(&path(&ben.id)).await.assert_status(200);
    let (socket, _) = app.socket_in(0, "ben", &room).await;
    let noise = json!({"name": "Noise"});
    ben.patch(&format!("/api/rooms/{room}")).json(&noise).await.assert_problem(403, "forbidden");
    ben.delete(&path(&ben.id)).await.assert_problem(403, "forbidden");
    let said = json!({"content": "I am the owner"});
    let post = format!("/api/messages/room/{room}");
    ben.post(&post).json(&said).await.assert_problem(403, "forbidden");
    ana.post(&role).json(&json!({"role": "owner"})).await.assert_status(200);
    ben.post(&post).json(&said).await.assert_status(201);
    socket.hears_that("mute_updated", |told| told["mutedUntil"].is_null()).await;
    ben.patch(&format!("/api/rooms/{room}")).json(&noise).await.assert_status(200);
    let shown = ben.get(&format!("/api/rooms/{room}")).await.assert_status(200);
    assert!(shown["my"]["mutedUntil"].is_null(), "{shown:?}");
    app.finish().await;
}
