//! What people see of each other: who is there, away, not to be disturbed, or invisible.
use serde_json::{Value, json};
use tests::{LIMIT, Socket, SpareServer, TestApp, app::Person, eventually};

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
    watcher.hears_times("presence_update", before + 1).await;
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

/// What a socket heard of one person, by event: presence in live rooms, typing, status.
fn heard_of(socket: &Socket, person: &Person) -> Vec<String> {
    let heard = socket.heard().into_iter().filter(|h| {
        let about = [&h.payload["userId"], &h.payload["user"]["id"]];
        about.contains(&&json!(person.id)) && h.payload["kind"] != "membership"
    });
    heard.map(|h| h.event).collect()
}

async fn choose(socket: &Socket, status: &str) {
    let ack = socket.emit("set_presence", json!({"status": status})).await;
    assert_eq!(ack["ok"], true, "{ack}");
}

#[tokio::test]
async fn who_is_invisible_is_not_seen_to_come_to_be_there_to_type_or_to_go() {
    let nodes = TestApp::builder().node("all").node("all");
    let nodes = nodes.setting("REALTIME__PRESENCE_DEBOUNCE_MS", "100");
    let nodes = nodes.setting("REALTIME__STATS_INTERVAL_MS", "100");
    let app = nodes.setting("REALTIME__TYPING_INTERVAL_MS", "1").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (watcher, _) = app.socket_in(0, "ana", &room).await;
    let hidden = app.socket_at(1, "ben").await;
    watcher.hears_that("presence_update", |p| p["userId"] == ben.id.as_str()).await;
    choose(&hidden, "invisible").await;
    watcher.hears_that("presence_update", |p| p["status"] == "offline").await;
    let before = heard_of(&watcher, &ben);

    // They come, they type, they go.
    let ack = hidden.emit("join_room", json!({"roomId": room})).await;
    assert_eq!((&ack["data"]["onlineCount"], &ack["ok"]), (&json!(1), &json!(true)), "{ack}");
    let typing = json!({"roomId": room, "isTyping": true});
    assert_eq!(hidden.emit("typing", typing.clone()).await["ok"], true);
    // Whoever comes after them is not told that they are there either.
    let (later, joined) = app.socket_in(0, "cai", &room).await;
    assert_eq!(joined["onlineCount"], 2, "{joined}");
    let named = joined["activeUsers"].as_array().unwrap();
    assert!(named.iter().all(|it| it["userId"] != ben.id.as_str()), "{joined}");
    let cai = app.as_user("cai").await;
    let came = |p: &Value| p["kind"] == "presence" && p["user"]["id"] == cai.id.as_str();
    assert_eq!(watcher.hears_that("user_joined", came).await["onlineCount"], 2);
    app.caught_up().await;
    let counted = async |count: i64| {
        let path = format!("/api/rooms/{room}");
        eventually(&format!("{count} are counted"), LIMIT, async || {
            let shown = ana.get(&path).await.assert_status(200);
            let list = ana.get("/api/rooms?mine=true").await.assert_status(200);
            assert_eq!(list.data()[0]["onlineCount"], shown["onlineCount"]);
            (shown["onlineCount"] == count).then_some(())
        })
        .await;
    };
    counted(2).await;
    later.hears_that("room_stats_updated", |p| p["onlineCount"] == 2).await;
    assert_eq!(hidden.emit("leave_room", json!({"roomId": room})).await["ok"], true);
    // Seen again, they come; invisible in the middle of a word, they go, and stop nothing.
    assert_eq!(hidden.emit("join_room", json!({"roomId": room})).await["ok"], true);
    app.caught_up().await;
    assert_eq!(heard_of(&watcher, &ben), before);
    choose(&hidden, "online").await;
    let of_ben = |p: &Value| p["kind"] == "presence" && p["user"]["id"] == ben.id.as_str();
    assert_eq!(watcher.hears_that("user_joined", of_ben).await["onlineCount"], 3);
    counted(3).await;
    eventually("typing is seen", LIMIT, async || {
        hidden.send("typing", typing.clone()).await;
        (!watcher.heard_of("user_typing").is_empty()).then_some(())
    })
    .await;
    choose(&hidden, "invisible").await;
    assert_eq!(watcher.hears_that("user_left", of_ben).await["onlineCount"], 2);
    counted(2).await;
    watcher.hears_that("room_stats_updated", |p| p["onlineCount"] == 2).await;
    assert_eq!(hidden.emit("typing", json!({"roomId": room, "isTyping": false})).await["ok"], true);
    let left = |heard: &[Value]| heard.iter().filter(|p| of_ben(p)).count();
    hidden.disconnect().await;
    app.caught_up().await;
    // Something that comes after it, on the same way.
    let after = app.socket_at(1, "cai").await;
    after.emit("join_room", json!({"roomId": room})).await;
    assert_eq!(later.emit("leave_room", json!({"roomId": room})).await["ok"], true);
    let said = json!({"roomId": room, "content": "are we alone?"});
    assert_eq!(after.emit("send_message", said).await["ok"], true);
    watcher.hears("new_message").await;
    assert_eq!(left(&watcher.heard_of("user_left")), 1);
    let stopped = watcher.heard_of("user_typing").into_iter().filter(|p| p["isTyping"] == false);
    assert_eq!(stopped.count(), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_membership_tells_how_many_are_seen_in_the_room_then_and_later() {
    let nodes = TestApp::builder().node("all").node("all");
    let app = nodes.setting("REALTIME__PRESENCE_DEBOUNCE_MS", "100").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (watcher, _) = app.socket_in(0, "ana", &room).await;
    let hidden = app.socket_at(1, "ben").await;
    choose(&hidden, "invisible").await;
    app.caught_up().await;
    assert_eq!(hidden.emit("join_room", json!({"roomId": room})).await["ok"], true);

    let (join, leave) = (format!("/api/rooms/{room}/join"), format!("/api/rooms/{room}/leave"));
    let told = async |socket: &Socket, event: &str, person: &Person| {
        let of = |p: &Value| p["kind"] == "membership" && p["user"]["id"] == person.id.as_str();
        let told = socket.hears_that(event, of).await;
        (told["memberCount"].clone(), told["onlineCount"].clone())
    };
    let (cai, eve) = (app.as_user("cai").await, app.as_user("eve").await);
    cai.post(&join).await.assert_status(201);
    for socket in [&watcher, &hidden] {
        assert_eq!(told(socket, "user_joined", &cai).await, (json!(3), json!(1)));
    }
    let (there, _) = app.socket_in(1, "cai", &room).await;
    let came = |p: &Value| p["kind"] == "presence" && p["user"]["id"] == cai.id.as_str();
    watcher.hears_that("user_joined", came).await;
    eve.post(&join).await.assert_status(201);
    assert_eq!(told(&watcher, "user_joined", &eve).await, (json!(4), json!(2)));
    // Who leaves is not there any more, though their socket still is.
    cai.post(&leave).await.assert_status(204);
    there.hears("removed_from_room").await;
    assert_eq!(told(&watcher, "user_left", &cai).await, (json!(3), json!(1)));
    watcher.hears_that("user_left", came).await;

    // Whoever reads of it later is told how many are seen by now, over sockets and over HTTP.
    let whole = watcher.emit("sync", json!({"roomId": room, "afterSeq": 0})).await;
    let path = format!("/api/messages/room/{room}/events?afterSeq=0");
    let over_http = app.as_user("ana").await.get(&path).await.assert_status(200);
    assert_eq!(over_http.text, whole["data"].to_string());
    let events = whole["data"]["events"].as_array().unwrap();
    let counts: Vec<_> = events
        .iter()
        .filter(|it| it["data"]["kind"] == "membership")
        .map(|it| it["data"]["onlineCount"].clone())
        .collect();
    assert_eq!(counts.len(), events.len() - 1, "all but the room's beginning: {whole}");
    assert!(counts.iter().all(|count| *count == 1), "{counts:?}");
    let back = app.socket_at(1, "eve").await;
    back.emit("join_room", json!({"roomId": room, "afterSeq": 0})).await;
    let left = |p: &Value| p["kind"] == "membership";
    assert_eq!(
        back.hears_that("user_left", left).await["onlineCount"],
        1,
        "who asks is on their way"
    );
    app.finish().await;
}

#[tokio::test]
async fn who_is_invisible_is_not_counted_while_the_read_models_are_behind() {
    let postgres = SpareServer::start("postgres").await;
    let nodes = TestApp::builder().node("api,realtime,relay,processes").node("projectors");
    let nodes = nodes.on(postgres.servers()).setting("REALTIME__STATS_INTERVAL_MS", "100");
    let app = nodes.start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ben, cai) = (app.as_user("ben").await, app.as_user("cai").await);
    let (watcher, _) = app.socket_in(0, "ana", &room).await;
    let hidden = app.socket("ben").await;
    choose(&hidden, "invisible").await;
    app.caught_up().await;
    app.freeze(1).await;

    let ack = hidden.emit("join_room", json!({"roomId": room})).await;
    assert_eq!((&ack["data"]["onlineCount"], &ack["ok"]), (&json!(1), &json!(true)), "{ack}");
    let of = |person: &Person| {
        let id = person.id.clone();
        move |p: &Value| p["kind"] == "presence" && p["user"]["id"] == id.as_str()
    };
    app.socket_in(0, "cai", &room).await;
    assert_eq!(watcher.hears_that("user_joined", of(&cai)).await["onlineCount"], 2);
    watcher.hears_that("room_stats_updated", |p| p["onlineCount"] == 2).await;
    let told = watcher.heard_of("room_stats_updated");
    let counts = told.iter().filter_map(|p| p["onlineCount"].as_u64());
    assert!(counts.max() == Some(2), "{told:?}");
    choose(&hidden, "online").await;
    assert_eq!(watcher.hears_that("user_joined", of(&ben)).await["onlineCount"], 3);
    // Gone behind the choice: nobody is told of the leaving by itself.
    hidden.send("set_presence", json!({"status": "invisible"})).await;
    hidden.send("leave_room", json!({"roomId": room})).await;
    assert_eq!(watcher.hears_that("user_left", of(&ben)).await["onlineCount"], 2);
    app.thaw(1).await;
    app.finish().await;
}

#[tokio::test]
async fn who_is_invisible_stays_so_though_redis_loses_everything() {
    let app = TestApp::builder().node("all").node("all");
    let app = app.setting("REALTIME__PRESENCE_DEBOUNCE_MS", "100").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (watcher, _) = app.socket_in(0, "ana", &room).await;
    let hidden = app.socket_at(1, "ben").await;
    watcher.hears_that("presence_update", |p| p["userId"] == ben.id.as_str()).await;
    choose(&hidden, "invisible").await;
    watcher.hears_that("presence_update", |p| p["status"] == "offline").await;
    assert_eq!(hidden.emit("join_room", json!({"roomId": room})).await["ok"], true);
    let before = heard_of(&watcher, &ben);

    let keys = app.world.redis_keys().await;
    let _: i64 = redis::AsyncCommands::del(&mut app.world.redis().await, keys).await.unwrap();
    app.verified().await;
    let (later, joined) = app.socket_in(1, "cai", &room).await;
    let named = joined["activeUsers"].as_array().unwrap();
    assert!(named.iter().all(|it| it["userId"] != ben.id.as_str()), "{joined}");
    // Ben comes with another device, and goes with the first one.
    let second = app.socket_at(0, "ben").await;
    second.hears("session_ready").await;
    hidden.disconnect().await;
    listed_as(&ana, &room, &ben.id, "offline").await;
    let cai = app.as_user("cai").await;
    listed_as(&ana, &room, &cai.id, "online").await;
    let status_of = |person: &Person, status: &str| {
        let (id, status) = (person.id.clone(), status.to_owned());
        move |p: &Value| p["userId"] == id.as_str() && p["status"] == status.as_str()
    };
    // What is told of Cai comes behind what would be told of Ben.
    app.caught_up().await;
    choose(&later, "dnd").await;
    watcher.hears_that("presence_update", status_of(&cai, "dnd")).await;
    later.disconnect().await;
    watcher.hears_that("presence_update", status_of(&cai, "offline")).await;
    assert_eq!(heard_of(&watcher, &ben), before);
    choose(&second, "online").await;
    watcher.hears_that("presence_update", status_of(&ben, "online")).await;
    listed_as(&ana, &room, &ben.id, "online").await;
    app.finish().await;
}

#[tokio::test]
async fn status_is_told_to_who_shares_a_room_or_a_conversation_and_to_nobody_else() {
    let nodes = TestApp::builder().node("all").node("all");
    let app = nodes.setting("REALTIME__PRESENCE_DEBOUNCE_MS", "100").start().await;
    app.given_a_room(&["ana", "member", "blocked"]).await;
    let ana = app.as_user("ana").await;
    // Members who look at something else, and somebody they talk with.
    let member = app.socket_at(0, "member").await;
    let friend = app.socket_at(1, "friend").await;
    let said = json!({"recipientId": ana.id, "content": "hello"});
    assert_eq!(friend.emit("send_direct_message", said).await["ok"], true);
    let blocked = app.socket_at(0, "blocked").await;
    let stranger = app.socket_at(1, "stranger").await;
    for name in ["blocked", "former"] {
        let person = app.as_user(name).await;
        ana.put(&format!("/api/users/{}/block", person.id)).await.assert_status(204);
    }
    app.caught_up().await;
    let own = app.socket_at(1, "ana").await;
    for status in ["online", "dnd", "away"] {
        choose(&own, status).await;
        for socket in [&member, &friend] {
            let about_ana = |p: &Value| p["userId"] == ana.id.as_str() && p["status"] == status;
            socket.hears_that("presence_update", about_ana).await;
        }
    }
    for (who, socket) in [("blocked", &blocked), ("stranger", &stranger)] {
        assert_eq!(heard_of(socket, &ana), Vec::<String>::new(), "{who}");
    }
    // Who talks with them sees it on the profile, too.
    let path = format!("/api/users/{}", ana.id);
    let seen = async |name: &str| {
        app.as_user(name).await.get(&path).await.assert_status(200)["presence"].clone()
    };
    assert_eq!((seen("friend").await, seen("stranger").await), (json!("away"), Value::Null));
    app.finish().await;
}

#[tokio::test]
async fn the_people_of_a_node_that_died_are_announced_as_gone() {
    let nodes = TestApp::builder().node("all").node("all");
    let nodes = nodes.setting("REALTIME__HEARTBEAT_MS", "200");
    let mut app = nodes.setting("REALTIME__SOCKET_TTL_MS", "3000").start().await;
    app.given_a_room(&["ana", "ben"]).await;
    let ben = app.as_user("ben").await;
    let watcher = app.socket_at(0, "ana").await;
    // In no live room: nothing but their status says that they were there.
    let _socket = app.socket_at(1, "ben").await;
    let sees = async |status: &str| {
        let of_ben = |p: &Value| p["userId"] == ben.id.as_str() && p["status"] == status;
        watcher.hears_that("presence_update", of_ben).await
    };
    sees("online").await;
    app.nodes[1].kill9().await;
    assert!(sees("offline").await["lastSeenAt"].is_string());
    assert_eq!(heard_of(&watcher, &ben).len(), 2);
    app.finish().await;
}

#[tokio::test]
async fn who_does_not_share_a_room_does_not_see_who_is_there() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben, eve) =
        (app.as_user("ana").await, app.as_user("ben").await, app.as_user("eve").await);
    let (_socket, _) = app.socket_in(0, "ben", &room).await;
    listed_as(&ana, &room, &ben.id, "online").await;
    let members = format!("/api/rooms/{room}/members");
    let seen = eve.get(&members).await.assert_status(200);
    assert_eq!(seen.data().len(), 2);
    assert!(seen.data().iter().all(|member| member["presence"].is_null()), "{}", seen.text);
    let listed = async |person: &Person, query: &str| {
        person.get(&format!("{members}{query}")).await.assert_status(200).data().len()
    };
    assert_eq!((listed(&ana, "?online=true").await, listed(&ana, "?online=false").await), (1, 1));
    assert_eq!((listed(&eve, "?online=true").await, listed(&eve, "?online=false").await), (0, 2));
    app.finish().await;
}
