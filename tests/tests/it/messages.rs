//! What becomes of messages: edits, deletions, reactions, answers, over sockets and over HTTP.
use platform::ids::new_id;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{LIMIT, Socket, TestApp, app::Person, eventually};

/// What somebody would rather not have said.
const SECRET: &str = "Zanzibar";

async fn say(socket: &Socket, room: &str, content: &str) -> Value {
    let ack = socket.emit("send_message", json!({"roomId": room, "content": content})).await;
    assert_eq!(ack["ok"], true, "{ack}");
    ack["data"]["message"].clone()
}

async fn put(person: &Person, path: &str, body: &Value) -> tests::http::Answer {
    person.request(Method::PUT, path).json(body).await
}

fn path_of(message: &Value) -> String {
    format!("/api/messages/{}", message["id"].as_str().unwrap())
}

/// The events of a room after a number, over HTTP.
async fn events_after(person: &Person, room: &str, after: i64) -> Value {
    let path = format!("/api/messages/room/{room}/events?afterSeq={after}");
    person.get(&path).await.assert_status(200)["events"].clone()
}

/// The message as history shows it, once that has this version.
async fn shown(person: &Person, room: &str, id: &Value, version: i64) -> Value {
    eventually("the message is shown as it is now", LIMIT, async || {
        let page = person.get(&format!("/api/messages/room/{room}")).await.assert_status(200);
        let found = page.data().iter().find(|it| it["id"] == *id && it["version"] == version);
        found.cloned()
    })
    .await
}

#[tokio::test]
async fn an_edit_reaches_everyone_and_shows_everywhere() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(1, "ben", &room).await;
    let said = say(&ben, &room, "exam on Friday").await;
    let edit = json!({"messageId": said["id"], "content": "exam on Monday"});
    let ack = ben.emit("edit_message", edit.clone()).await;
    let edited = &ack["data"]["message"];
    assert_eq!((&edited["content"], &edited["version"]), (&json!("exam on Monday"), &json!(2)));
    assert_eq!((&edited["seq"], &edited["isEdited"]), (&said["seq"], &json!(true)));

    for (socket, own) in [(&ana, false), (&ben, true)] {
        let told = socket.hears("message_updated").await;
        assert_eq!((&told["kind"], &told["version"]), (&json!("edited"), &json!(2)));
        assert_eq!(told["seq"].as_i64(), said["seq"].as_i64().map(|seq| seq + 1));
        let message = &told["message"];
        assert_eq!((&message["content"], &message["seq"]), (&edited["content"], &said["seq"]));
        assert_eq!(message["senderName"], "Ben Example");
        assert_eq!(
            message.get("clientMessageId").is_some(),
            own && said["clientMessageId"].is_string()
        );
    }
    // The same words again record nothing.
    let again = ben.emit("edit_message", edit).await;
    assert_eq!((&again["ok"], &again["data"]["message"]["version"]), (&json!(true), &json!(2)));
    let person = app.as_user("ana").await;
    let shown = shown(&person, &room, &said["id"], 2).await;
    assert_eq!((&shown["content"], &shown["isEdited"]), (&json!("exam on Monday"), &json!(true)));
    assert!(shown["editedAt"].is_string());
    // Who comes later reads it as it is now; what it said before is not for everyone.
    let past = events_after(&person, &room, 0).await;
    assert!(past.to_string().contains("exam on Monday") && !past.to_string().contains("Friday"));
    app.finish().await;
}

#[tokio::test]
async fn only_the_author_edits_and_only_for_a_while() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let said = say(&ben, &room, "hello").await;
    let edit = |version: Value| json!({"messageId": said["id"], "content": "hello!", "expectedVersion": version});
    let refused = ana.emit("edit_message", edit(Value::Null)).await;
    assert_eq!(refused["error"]["code"], "forbidden");
    let refused = ben.emit("edit_message", edit(json!(7))).await;
    assert_eq!(refused["error"]["code"], "version_conflict");
    assert!(refused["error"]["errors"][0]["detail"].as_str().unwrap().contains("version 1"));
    assert_eq!(refused["error"]["currentVersion"], 1);
    assert_eq!(ben.emit("edit_message", edit(json!(1))).await["ok"], true);
    app.finish().await;

    let app = TestApp::builder().setting("MESSAGES__EDIT_WINDOW_MINUTES", "0").start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let said = say(&ana, &room, "hello").await;
    let late = ana.emit("edit_message", json!({"messageId": said["id"], "content": "bye"})).await;
    assert_eq!(late["error"]["code"], "edit_window_closed");
    app.finish().await;
}

#[tokio::test]
async fn a_deleted_message_is_nowhere_to_be_found() {
    let app =
        TestApp::builder().node("all").node("all").setting("LOG__FILTER", "debug").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, joined) = app.socket_in(0, "ana", &room).await;
    let before = joined["lastSeq"].as_i64().unwrap();
    let (ben, _) = app.socket_in(1, "ben", &room).await;
    let send = json!({
        "roomId": room, "content": format!("{SECRET} is the answer"), "clientMessageId": new_id(),
    });
    let said = ben.emit("send_message", send.clone()).await["data"]["message"].clone();
    let edit = json!({"messageId": said["id"], "content": format!("{SECRET}, I said")});
    ben.emit("edit_message", edit.clone()).await;
    let person = app.as_user("ana").await;
    shown(&person, &room, &said["id"], 2).await;
    // A repetition shows what it says by now.
    let again = ben.emit("send_message", send.clone()).await["data"].clone();
    assert_eq!((&again["duplicate"], &again["message"]["seq"]), (&json!(true), &said["seq"]));
    assert_eq!(again["message"]["content"], format!("{SECRET}, I said"));

    // Its author takes it back, at once after the edit.
    let delete = json!({"messageId": said["id"], "reason": "a mistake"});
    let ack = ben.emit("delete_message", delete.clone()).await;
    let seq = said["seq"].as_i64().unwrap() + 2;
    assert_eq!(ack["data"], json!({"messageId": said["id"], "seq": seq}));
    let again = ben.emit("delete_message", delete).await;
    assert_eq!(again["data"]["seq"], seq, "a repeat is done already");
    let told = ana.hears_that("message_updated", |it| it["kind"] == "deleted").await;
    assert!(!told.to_string().contains(SECRET), "{told}");
    assert_eq!(
        (&told["message"]["seq"], &told["message"]["isDeleted"]),
        (&said["seq"], &json!(true))
    );
    for refused in [
        ben.emit("edit_message", edit).await,
        ana.emit("add_reaction", json!({"messageId": said["id"], "emoji": "👍"})).await,
    ] {
        assert_eq!(refused["error"]["code"], "gone", "{refused}");
    }

    // Everything that can still be asked.
    app.caught_up().await;
    let tombstone = shown(&person, &room, &said["id"], 3).await;
    assert_eq!((&tombstone["content"], &tombstone["seq"]), (&json!(""), &said["seq"]));
    assert_eq!((&tombstone["reactions"], &tombstone["isDeleted"]), (&json!([]), &json!(true)));
    let mut answers = Vec::new();
    let own = app.as_user("ben").await;
    for path in [
        format!("/api/messages/room/{room}"),
        format!("/api/messages/room/{room}/events?afterSeq={before}"),
        format!("{}/history", path_of(&said)),
        path_of(&said),
        format!("/api/rooms/{room}"),
        "/api/rooms?mine=true".to_owned(),
    ] {
        answers.push(person.get(&path).await.text);
        answers.push(own.get(&path).await.text);
    }
    own.get(&format!("{}/history", path_of(&said))).await.assert_problem(410, "gone");
    // Nor does saying it again bring it back.
    let again = ben.emit("send_message", send.clone()).await;
    assert_eq!(again["data"]["duplicate"], true, "{again}");
    let message = &again["data"]["message"];
    assert_eq!((&message["id"], &message["seq"]), (&said["id"], &said["seq"]));
    assert_eq!((&message["content"], &message["isDeleted"]), (&json!(""), &json!(true)));
    answers.push(again.to_string());
    let mut post = send.clone();
    post.as_object_mut().unwrap().remove("roomId");
    let again =
        own.post(&format!("/api/messages/room/{room}")).json(&post).await.assert_status(200);
    assert_eq!((&again["id"], &again["isDeleted"]), (&said["id"], &json!(true)));
    answers.push(again.text.clone());
    let (cai, _) = app.socket_in(0, "cai", &room).await;
    let sync = cai.emit("sync", json!({"roomId": room, "afterSeq": before})).await;
    assert_eq!(sync["data"]["events"].as_array().unwrap().len(), 3, "numbers have no gaps");
    answers.push(sync.to_string());
    let back = app.socket("cai").await;
    back.emit("join_room", json!({"roomId": room, "afterSeq": before})).await;
    back.hears_that("message_updated", |it| it["kind"] == "deleted").await;
    answers.extend(back.heard().iter().map(|heard| heard.payload.to_string()));
    for answer in &answers {
        assert!(!answer.contains(SECRET), "{answer}");
    }
    // And everything that is stored outside the log, which is sealed.
    let pool = app.world.database.pool().await;
    for (table, row) in crate::sealing::rows(&pool).await {
        assert!(!row.contains(SECRET), "{table}: {row}");
    }
    pool.close().await;
    for text in crate::sealing::kept_elsewhere(&app).await {
        assert!(!text.contains(SECRET), "{text}");
    }
    for node in &app.nodes {
        assert!(node.log.lines().iter().all(|line| !line.contains(SECRET)));
    }
    app.finish().await;
}

#[tokio::test]
async fn who_keeps_order_takes_messages_back_and_others_do_not() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let (cai, _) = app.socket_in(0, "cai", &room).await;
    let said = say(&ben, &room, "spam").await;
    let delete = json!({"messageId": said["id"]});
    assert_eq!(cai.emit("delete_message", delete.clone()).await["error"]["code"], "forbidden");
    assert_eq!(ana.emit("delete_message", delete).await["ok"], true);
    app.finish().await;
}

#[tokio::test]
async fn reactions_are_sets_and_reach_everyone() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(1, "ben", &room).await;
    let said = say(&ana, &room, "pizza?").await;
    let sign = |emoji: &str| json!({"messageId": said["id"], "emoji": emoji});
    let ack = ben.emit("add_reaction", sign(":thumbsup:")).await;
    let ben_id = app.as_user("ben").await.id;
    let thumb = json!({"emoji": "👍", "count": 1, "userIds": [ben_id], "me": true});
    assert_eq!((&ack["data"]["reactions"], &ack["data"]["version"]), (&json!([thumb]), &json!(2)));
    let again = ben.emit("add_reaction", sign("👍")).await;
    assert_eq!(again["data"], ack["data"], "set twice is set");
    let told = ana.hears("message_updated").await;
    assert_eq!((&told["kind"], &told["version"]), (&json!("reactions"), &json!(2)));
    assert_eq!(told["delta"], json!({"emoji": "👍", "userId": ben_id, "added": true}));
    assert_eq!(told["reactions"], json!([{"emoji": "👍", "count": 1, "userIds": [ben_id]}]));

    ana.emit("add_reaction", sign("👍")).await;
    ana.emit("add_reaction", sign("🎉")).await;
    let reader = app.as_user("ben").await;
    let row = shown(&reader, &room, &said["id"], 4).await;
    let brief: Vec<_> = row["reactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["emoji"], &it["count"], &it["me"]))
        .collect();
    assert_eq!(
        brief,
        [(&json!("👍"), &json!(2), &json!(true)), (&json!("🎉"), &json!(1), &json!(false))]
    );

    let removed = ben.emit("remove_reaction", sign("👍")).await;
    assert_eq!(removed["data"]["version"], 5);
    assert_eq!(ben.emit("remove_reaction", sign("👍")).await["data"], removed["data"]);
    let row = shown(&reader, &room, &said["id"], 5).await;
    assert_eq!(
        (&row["reactions"][0]["count"], &row["reactions"][0]["me"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(ana.hears_times("message_updated", 4).await.len(), 4, "repeats are not told");
    app.finish().await;
}

#[tokio::test]
async fn a_message_takes_twenty_kinds_of_reactions_and_only_emoji() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let said = say(&ana, &room, "so many").await;
    let all = [
        "😀", "😁", "😂", "🤣", "😃", "😄", "😅", "😆", "😉", "😊", "😋", "😎", "😍", "😘", "😗",
        "😙", "😚", "🙂", "🤗", "🤔", "😐",
    ];
    for (n, emoji) in all.iter().enumerate() {
        let ack = ana.emit("add_reaction", json!({"messageId": said["id"], "emoji": emoji})).await;
        assert_eq!(ack["ok"], n < 20, "{ack}");
        if n == 20 {
            assert_eq!(ack["error"]["code"], "limit_reached");
        }
    }
    let chain = "👨\u{200d}".repeat(3000);
    for wrong in [
        json!("x."),
        json!("\u{0}"),
        json!("__proto__"),
        json!("constructor"),
        json!({"$gt": ""}),
        json!(1),
        json!(null),
        json!("\u{202e}"),
        json!("<script>"),
        json!(chain),
        json!("reactors.0"),
    ] {
        let ack = ana.emit("add_reaction", json!({"messageId": said["id"], "emoji": wrong})).await;
        assert_eq!(ack["error"]["code"], "validation_failed", "{wrong}: {ack}");
    }
    // Half of a surrogate pair is no JSON text: it is refused like anything that is none.
    let raw =
        format!("429001[\"add_reaction\",{{\"messageId\":{},\"emoji\":\"\\ud83d\"}}]", said["id"]);
    ana.packet(&raw).await;
    let refused = ana.ack(9001).await;
    assert_eq!(refused["error"]["code"], "validation_failed", "{refused}");
    let row = shown(&app.as_user("ana").await, &room, &said["id"], 21).await;
    assert_eq!(row["reactions"].as_array().unwrap().len(), 20);
    // Everyone's client goes on.
    let (other, _) = app.socket_in(0, "ana", &room).await;
    say(&other, &room, "still here").await;
    app.finish().await;
}

#[tokio::test]
async fn nobody_uses_up_the_wordings_and_reactions_that_are_for_everyone() {
    let app = TestApp::builder()
        .setting("MESSAGES__MAX_WORDINGS", "3")
        .setting("MESSAGES__MAX_REACTION_CHANGES", "5")
        .start()
        .await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let said = say(&ben, &room, "one").await;
    let sign = json!({"messageId": said["id"], "emoji": "👍"});
    for n in 0..5 {
        let event = if n % 2 == 0 { "add_reaction" } else { "remove_reaction" };
        assert_eq!(ana.emit(event, sign.clone()).await["ok"], true, "{n}");
    }
    // What she set last she may take back, and no more.
    assert_eq!(ana.emit("remove_reaction", sign.clone()).await["ok"], true);
    let refused = ana.emit("add_reaction", sign.clone()).await;
    assert_eq!(refused["error"]["code"], "limit_reached", "{refused}");
    let path = format!("{}/reactions/%F0%9F%91%8D", path_of(&said));
    let owner = app.as_user("ana").await;
    owner.request(Method::PUT, &path).await.assert_problem(409, "limit_reached");
    // Neither the others nor the author are any worse off.
    assert_eq!(ben.emit("add_reaction", sign).await["ok"], true);
    for content in ["two", "three"] {
        let edit = json!({"messageId": said["id"], "content": content});
        assert_eq!(ben.emit("edit_message", edit).await["ok"], true);
    }
    let edit = json!({"messageId": said["id"], "content": "four"});
    let refused = ben.emit("edit_message", edit).await;
    assert_eq!(refused["error"]["code"], "limit_reached", "{refused}");
    let author = app.as_user("ben").await;
    let late = put(&author, &path_of(&said), &json!({"content": "four"})).await;
    late.assert_problem(409, "limit_reached");
    let history = author.get(&format!("{}/history", path_of(&said))).await.assert_status(200);
    assert_eq!(history.data().len(), 3);
    let shown = author.get(&path_of(&said)).await.assert_status(200);
    let reactions = json!([{"emoji": "👍", "count": 1, "userIds": [author.id], "me": true}]);
    assert_eq!((&shown["content"], &shown["reactions"]), (&json!("three"), &reactions));
    app.finish().await;
}

#[tokio::test]
async fn everyone_reacting_at_once_is_counted_once_each() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let names = ["ana", "ben", "cai", "dan", "eva", "fay", "gus", "hal"];
    let room = app.given_a_room(&names).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let said = say(&ana, &room, "who comes?").await;
    let mut sockets = Vec::new();
    for (n, name) in names.iter().enumerate() {
        sockets.push(app.socket_at(n % 2, name).await);
    }
    let sign = json!({"messageId": said["id"], "emoji": "✋"});
    // Each of them twice, on both nodes, at the same time.
    let all = sockets.iter().chain(&sockets).map(|it| it.emit("add_reaction", sign.clone()));
    for ack in futures::future::join_all(all).await {
        assert_eq!(ack["ok"], true, "{ack}");
    }
    let version = 1 + i64::try_from(names.len()).unwrap();
    let row = shown(&app.as_user("ana").await, &room, &said["id"], version).await;
    assert_eq!(row["reactions"][0]["count"], names.len());
    app.finish().await;
}

#[tokio::test]
async fn answers_name_what_they_answer() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let elsewhere = app.given_a_room(&["ana"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let question = say(&ana, &room, "when?").await;
    let answer = json!({"roomId": room, "content": "now", "replyToId": question["id"]});
    let ack = ben.emit("send_message", answer).await;
    assert_eq!(ack["data"]["message"]["replyToId"], question["id"]);
    let heard = ana.hears_that("new_message", |it| it["message"]["content"] == "now").await;
    assert_eq!(heard["message"]["replyToId"], question["id"]);
    let row = shown(&app.as_user("ana").await, &room, &ack["data"]["message"]["id"], 1).await;
    assert_eq!(row["replyToId"], question["id"]);

    for (place, to) in [(&elsewhere, question["id"].clone()), (&room, json!(new_id()))] {
        let wrong = json!({"roomId": place, "content": "now", "replyToId": to});
        let refused = ana.emit("send_message", wrong).await;
        assert_eq!(refused["error"]["code"], "validation_failed", "{refused}");
        assert_eq!(refused["error"]["errors"][0]["pointer"], "/replyToId");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_repeated_answer_is_the_first_one_though_its_author_left_since() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let question = say(&ana, &room, "when?").await;
    let answer = |id: uuid::Uuid| {
        json!({
            "roomId": room, "content": "now", "replyToId": question["id"], "clientMessageId": id,
        })
    };
    let id = new_id();
    let first = ben.emit("send_message", answer(id)).await;
    assert_eq!(first["data"]["duplicate"], false, "{first}");
    let left = app.as_user("ben").await.post(&format!("/api/rooms/{room}/leave")).await;
    left.assert_status(204);
    let again = ben.emit("send_message", answer(id)).await;
    assert_eq!(again["data"]["duplicate"], true, "{again}");
    assert_eq!(again["data"]["message"]["id"], first["data"]["message"]["id"]);
    let new = ben.emit("send_message", answer(new_id())).await;
    assert_eq!(new["error"]["code"], "not_a_member", "{new}");
    app.finish().await;
}

#[tokio::test]
async fn everything_works_over_http_as_well() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, path) = (app.as_user("ben").await, format!("/api/messages/room/{room}"));
    let post = json!({"content": "over HTTP", "clientMessageId": new_id()});
    let said = ben.post(&path).json(&post).await.assert_status(201);
    assert_eq!(said.header("location"), Some(path_of(&said)).as_deref());
    assert_eq!(said["clientMessageId"], post["clientMessageId"]);
    let again = ben.post(&path).json(&post).await.assert_status(200);
    assert_eq!(
        (again.text.as_str(), again.header("idempotency-replayed")),
        (said.text.as_str(), Some("true"))
    );
    let mut other = post.clone();
    other["content"] = json!("something else");
    ben.post(&path).json(&other).await.assert_problem(422, "idempotency_key_reused");
    let key = |content: &str| {
        ben.post(&path).header("idempotency-key", "k1").json(&json!({"content": content}))
    };
    let first = key("by key").await.assert_status(201);
    assert_eq!(key("by key").await.assert_status(200)["id"], first["id"]);
    key("other words").await.assert_problem(422, "idempotency_key_reused");
    // Both together: each of them makes a repeat known.
    let both = |key: &str, id: uuid::Uuid| {
        let message = json!({"content": "by both", "clientMessageId": id});
        ben.post(&path).header("idempotency-key", key).json(&message)
    };
    let id = new_id();
    let first = both("k2", id).await.assert_status(201);
    for key in ["k2", "k3"] {
        let again = both(key, id).await.assert_status(200);
        assert_eq!(again["id"], first["id"]);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    both("k2", new_id()).await.assert_problem(422, "idempotency_key_reused");
    let heard = ana.hears("new_message").await;
    assert_eq!((&heard["message"]["id"], &heard["seq"]), (&said["id"], &said["seq"]));

    // Edits go by version.
    let message = path_of(&said);
    let shown = ben.get(&message).await.assert_status(200);
    assert_eq!((shown.header("etag"), &shown["seq"]), (Some("\"v1\""), &said["seq"]));
    let edit = |content: &str| json!({"content": content});
    let edited =
        ben.request(Method::PUT, &message).header("if-match", "\"v1\"").json(&edit("edited"));
    let edited = edited.await.assert_status(200);
    assert_eq!((edited.header("etag"), &edited["content"]), (Some("\"v2\""), &json!("edited")));
    let late =
        ben.request(Method::PUT, &message).header("if-match", "\"v1\"").json(&edit("late")).await;
    late.assert_problem(412, "version_mismatch");
    assert_eq!(late.header("etag"), Some("\"v2\""));
    let late = put(&ben, &message, &json!({"content": "late", "expectedVersion": 1})).await;
    late.assert_problem(409, "version_conflict");
    assert_eq!((&late["currentVersion"], late.header("etag")), (&json!(2), Some("\"v2\"")));
    let versions = ben.get(&format!("{message}/history")).await.assert_status(200);
    let words: Vec<_> = versions.data().iter().map(|it| &it["content"]).collect();
    assert_eq!(words, ["over HTTP", "edited"]);
    let owner = app.as_user("ana").await;
    assert_eq!(owner.get(&format!("{message}/history")).await.assert_status(200).data().len(), 2);
    put(&owner, &message, &edit("mine now")).await.assert_problem(403, "forbidden");

    // Signs.
    let sign = format!("{message}/reactions/%F0%9F%91%8D");
    let stale = owner.request(Method::PUT, &sign).header("if-match", "\"v1\"").await;
    stale.assert_problem(412, "version_mismatch");
    assert_eq!(stale.header("etag"), Some("\"v2\""));
    let reacted = owner.request(Method::PUT, &sign).header("if-match", "\"v2\"").await;
    let reacted = reacted.assert_status(200);
    assert_eq!(reacted["reactions"][0]["emoji"], "👍");
    assert_eq!(reacted.header("etag"), Some("\"v3\""));
    let stale = owner.request(Method::DELETE, &sign).header("if-match", "\"v2\"").await;
    stale.assert_problem(412, "version_mismatch");
    assert_eq!(stale.header("etag"), Some("\"v3\""));
    assert_eq!(
        owner.request(Method::PUT, &sign).await.assert_status(200)["version"],
        reacted["version"]
    );
    owner
        .request(Method::PUT, &format!("{message}/reactions/xyzzy"))
        .await
        .assert_problem(422, "validation_failed");
    owner.request(Method::DELETE, &sign).await.assert_status(204);
    owner.request(Method::DELETE, &sign).await.assert_status(204);

    let stale = ben.request(Method::DELETE, &message).header("if-match", "\"v1\"").await;
    stale.assert_problem(412, "version_mismatch");
    ben.request(Method::DELETE, &message).json(&json!({"reason": "done"})).await.assert_status(204);
    ben.request(Method::DELETE, &message).await.assert_status(204);
    put(&ben, &message, &edit("back?")).await.assert_problem(410, "gone");
    let kinds = ana.hears_times("message_updated", 4).await;
    let kinds: Vec<_> = kinds.iter().map(|it| it["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["edited", "reactions", "reactions", "deleted"]);
    app.finish().await;
}

#[tokio::test]
async fn the_events_of_a_room_are_the_same_over_http_and_over_sockets() {
    let app = TestApp::builder()
        .setting("REALTIME__RESUME_PAGE", "2")
        .setting("REALTIME__MAX_REPLAY", "5")
        .setting("REALTIME__MAX_SYNC_BEHIND", "12")
        .start()
        .await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, joined) = app.socket_in(0, "ana", &room).await;
    let before = joined["lastSeq"].as_i64().unwrap();
    let one = say(&ana, &room, "one").await;
    let two = say(&ana, &room, "two").await;
    ana.emit("edit_message", json!({"messageId": one["id"], "content": "1"})).await;
    ana.emit("add_reaction", json!({"messageId": one["id"], "emoji": "👍"})).await;
    ana.emit("delete_message", json!({"messageId": two["id"]})).await;
    let person = app.as_user("ben").await;
    let path = format!("/api/messages/room/{room}/events");
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    for (after, limit) in [(0, 500), (before, 500), (before, 2), (before + 5, 5)] {
        let ack =
            ben.emit("sync", json!({"roomId": room, "afterSeq": after, "limit": limit})).await;
        let answer = person.get(&format!("{path}?afterSeq={after}&limit={limit}")).await;
        assert_eq!(answer.assert_status(200).text, ack["data"].to_string(), "byte by byte");
    }
    let answer = person.get(&format!("{path}?afterSeq={before}")).await.assert_status(200);
    assert_eq!((&answer["lastSeq"], &answer["hasMore"]), (&json!(before + 5), &json!(false)));
    let names: Vec<_> = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["event"].as_str().unwrap())
        .collect();
    let updated = "message_updated";
    assert_eq!(names, ["new_message", "new_message", updated, updated, updated]);
    // The envelopes are those of live events.
    let live = ana.hears_that(updated, |it| it["kind"] == "reactions").await;
    assert_eq!(answer["events"][3]["data"], live);

    person
        .get(&format!("{path}?afterSeq={}", before + 6))
        .await
        .assert_problem(410, "resync_required");
    for n in 0..12 {
        say(&ana, &room, &n.to_string()).await;
    }
    person.get(&format!("{path}?afterSeq={before}")).await.assert_problem(410, "resync_required");
    let behind = ben.emit("sync", json!({"roomId": room, "afterSeq": before})).await;
    assert_eq!(behind["error"]["code"], "resync_required");
    person.get(&format!("{path}?afterSeq=-1")).await.assert_problem(422, "validation_failed");
    person.get(&path).await.assert_problem(422, "validation_failed");
    app.finish().await;
}

#[tokio::test]
async fn strangers_cannot_tell_a_message_from_one_that_does_not_exist() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let said = say(&ana, &room, "between us").await;
    app.caught_up().await;
    let ben = app.as_user("ben").await;
    ben.post(&format!("/api/rooms/{room}/leave")).await.assert_status(204);
    let random = new_id().to_string();
    for name in ["ben", "eve"] {
        let person = app.as_user(name).await;
        let socket = app.socket(name).await;
        let id = said["id"].as_str().unwrap();
        for (method, rest, body) in [
            (Method::GET, "", None),
            (Method::GET, "/history", None),
            (Method::PUT, "", Some(json!({"content": "mine"}))),
            (Method::DELETE, "", None),
            (Method::PUT, "/reactions/%F0%9F%91%8D", None),
            (Method::DELETE, "/reactions/%F0%9F%91%8D", None),
        ] {
            let ask = async |id: &str| {
                let request = person.request(method.clone(), &format!("/api/messages/{id}{rest}"));
                let answer = match &body {
                    Some(body) => request.json(body).await,
                    None => request.await,
                };
                answer.assert_problem(404, "not_found");
                let request_id = answer["requestId"].as_str().unwrap().to_owned();
                answer.text.replace(&request_id, "").replace(id, "")
            };
            assert_eq!(ask(id).await, ask(&random).await, "{method} {rest}");
        }
        for (event, extra) in [
            ("edit_message", json!({"content": "mine"})),
            ("delete_message", json!({})),
            ("add_reaction", json!({"emoji": "👍"})),
            ("remove_reaction", json!({"emoji": "👍"})),
        ] {
            let ask = async |id: &str| {
                let mut payload = extra.clone();
                payload["messageId"] = json!(id);
                socket.emit(event, payload).await
            };
            assert_eq!(ask(id).await, ask(&random).await, "{event}");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn messages_with_odd_text_come_back_as_they_are() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let person = app.as_user("ana").await;
    let path = format!("/api/messages/room/{room}");
    for odd in [
        "<img src=x onerror=alert(1)>",
        "{\"$gt\": \"\"}",
        "__proto__",
        "a\u{200d}b",
        "👨‍👩‍👧‍👦",
        "'; drop table users; --",
        "%_%_%",
        "1e999",
        "\u{feff}x",
        "see \u{2067}שלום\u{2069} there",
    ] {
        let said = person.post(&path).json(&json!({"content": odd})).await.assert_status(201);
        assert_eq!(said["content"], odd);
        let heard = ben.hears_that("new_message", |it| it["message"]["id"] == said["id"]).await;
        assert_eq!(heard["message"]["content"], odd);
        assert_eq!(shown(&person, &room, &said["id"], 1).await["content"], odd);
    }
    for (body, code) in [
        (json!({"content": "nul\u{0}"}), "validation_failed"),
        (json!({"content": 9_007_199_254_740_993_i64}), "validation_failed"),
        (json!({"content": "x", "seq": 1}), "unknown_field"),
        (json!({"content": "x", "messageType": "system"}), "validation_failed"),
        (json!({"content": "x", "replyToId": 1e300}), "validation_failed"),
    ] {
        person.post(&path).json(&body).await.assert_problem(422, code);
    }
    let half = person.post(&path).body("application/json", "{\"content\":\"\\ud83d\"}").await;
    half.assert_problem(400, "malformed_json");
    let huge = person.post(&path).body("application/json", "{\"content\":1e999}").await;
    huge.assert_problem(400, "malformed_json");
    // Over a socket there is an answer as well, and the connection stays.
    let before = ben.heard_of("new_message").len();
    for (n, content) in ["1e999", "-1e999", "\"\\ud83d\"", "\"\\udc00\\ud83d\""].iter().enumerate()
    {
        let payload = format!("{{\"roomId\":\"{room}\",\"content\":{content}}}");
        ben.packet(&format!("4290{n:02}[\"send_message\",{payload}]")).await;
        let refused = ben.ack(9000 + n as u64).await;
        assert_eq!(refused["error"]["code"], "validation_failed", "{content}: {refused}");
    }
    let said = say(&ben, &room, "goes on").await;
    ben.hears_that("new_message", |p| p["message"]["id"] == said["id"]).await;
    assert_eq!(ben.heard_of("new_message").len(), before + 1, "nothing else was said");
    app.finish().await;
}
