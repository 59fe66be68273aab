//! What people have read of rooms, on all of their devices.
use serde_json::{Value, json};
use tests::{LIMIT, Socket, TestApp, app::Person, eventually};

async fn say(socket: &Socket, room: &str, content: &str) -> i64 {
    let ack = socket.emit("send_message", json!({"roomId": room, "content": content})).await;
    assert_eq!(ack["ok"], true, "{ack}");
    ack["data"]["message"]["seq"].as_i64().unwrap()
}

/// `my` of the room, once it shows this many unread messages.
async fn my(person: &Person, room: &str, unread: i64) -> Value {
    eventually(&format!("{unread} are unread"), LIMIT, async || {
        let shown = person.get(&format!("/api/rooms/{room}")).await.assert_status(200);
        (shown["my"]["unreadCount"] == unread).then(|| shown["my"].clone())
    })
    .await
}

#[tokio::test]
async fn unread_are_the_messages_of_others_since_and_nothing_else() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let ana = app.as_user("ana").await;
    let (speaker, _) = app.socket_in(0, "ana", &room).await;
    say(&speaker, &room, "before ben came").await;
    let ben = app.as_user("ben").await;
    let joined = ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    assert_eq!(joined["room"]["my"]["unreadCount"], 0, "what was before is no news");
    let (socket, _) = app.socket_in(0, "ben", &room).await;

    let first = say(&speaker, &room, "one").await;
    say(&speaker, &room, "two").await;
    app.as_user("cai").await.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    say(&socket, &room, "ben himself").await;
    // What was taken back need not be read.
    let wrong = json!({"roomId": room, "content": "a mistake"});
    let wrong = speaker.emit("send_message", wrong).await["data"]["message"]["id"].clone();
    my(&ben, &room, 3).await;
    let deleted = speaker.emit("delete_message", json!({"messageId": wrong})).await;
    assert_eq!(deleted["ok"], true, "{deleted}");
    let last = say(&speaker, &room, "three").await;
    let before = my(&ben, &room, 3).await;
    assert_eq!(before["lastReadSeq"], joined["lastSeq"]);
    assert_eq!(my(&ana, &room, 1).await["mentionCount"], 0);

    // The list says the same.
    let listed = ben.get("/api/rooms?mine=true").await.assert_status(200);
    assert_eq!(listed.data()[0]["my"]["unreadCount"], 3);

    let path = format!("/api/rooms/{room}/read");
    let mark = async |seq: i64| {
        let answer = ben.put(&path).json(&json!({"lastReadSeq": seq})).await.assert_status(200);
        (answer["lastReadSeq"].clone(), answer["unreadCount"].clone())
    };
    // So do its messages, of which what was before someone came counts as read.
    let messages = format!("/api/messages/room/{room}");
    let read_of_page =
        async |person: &Person| person.get(&messages).await.assert_status(200)["my"].clone();
    assert_eq!(read_of_page(&ben).await, json!({"lastReadSeq": joined["lastSeq"]}));
    assert_eq!(mark(first).await, (json!(first), json!(2)));
    assert_eq!(read_of_page(&ben).await, json!({"lastReadSeq": first}));
    assert_eq!(mark(last).await, (json!(last), json!(0)));
    // Less than before is ignored, and nobody has read what was not said yet.
    assert_eq!(mark(first).await, (json!(last), json!(0)));
    assert_eq!(mark(last + 1000).await, (json!(last), json!(0)));
    say(&speaker, &room, "four").await;
    assert_eq!(my(&ben, &room, 1).await["lastReadSeq"], last);

    ben.put(&path).json(&json!({"lastReadSeq": -1})).await.assert_problem(422, "validation_failed");
    let eve = app.as_user("eve").await;
    let refused = eve.put(&path).json(&json!({"lastReadSeq": 1})).await;
    refused.assert_problem(403, "not_a_member");
    app.finish().await;
}

#[tokio::test]
async fn what_is_read_on_one_device_is_read_on_all_of_them() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (speaker, _) = app.socket_in(0, "ana", &room).await;
    let (phone, _) = app.socket_in(0, "ben", &room).await;
    let laptop = app.socket_at(1, "ben").await;
    let first = say(&speaker, &room, "one").await;
    let second = say(&speaker, &room, "two").await;
    let ben = app.as_user("ben").await;
    my(&ben, &room, 2).await;

    let mark = |seq: i64| json!({"roomId": room, "lastReadSeq": seq});
    let ack = phone.emit("mark_read", mark(first)).await;
    assert_eq!(ack["data"], json!({"lastReadSeq": first, "unreadCount": 1}), "{ack}");
    for socket in [&phone, &laptop] {
        let told = socket.hears("read_state_updated").await;
        assert_eq!(
            told,
            json!({"roomId": room, "lastReadSeq": first, "unreadCount": 1}),
            "on every node"
        );
    }
    let path = format!("/api/rooms/{room}/read");
    ben.put(&path).json(&json!({"lastReadSeq": second})).await.assert_status(200);
    laptop.hears_that("read_state_updated", |p| p["lastReadSeq"] == second).await;
    assert!(speaker.heard_of("read_state_updated").is_empty(), "it is nobody else's business");
    let refused = app.socket("eve").await.emit("mark_read", mark(1)).await;
    assert_eq!(refused["error"]["code"], "not_a_member");
    let wrong = phone.emit("mark_read", json!({"roomId": room, "lastReadSeq": "1"})).await;
    assert_eq!(wrong["error"]["code"], "validation_failed");
    app.finish().await;
}

#[tokio::test]
async fn mentions_are_counted_and_members_choose_what_they_are_told_of() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let registration = json!({
        "email": "ben@people.example", "password": tests::app::PASSWORD,
        "fullName": "Ben Example", "username": "ben_7",
    });
    let answer = app.anyone().post("/api/auth/register").json(&registration).await;
    let ben = app.person(&answer.assert_status(201));
    ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    let (speaker, _) = app.socket_in(0, "ana", &room).await;
    say(&speaker, &room, "hello everyone").await;
    say(&speaker, &room, "and @Ben_7, look at this").await;
    say(&speaker, &room, "@ben is somebody else").await;
    let mine = my(&ben, &room, 3).await;
    assert_eq!((&mine["mentionCount"], &mine["notificationLevel"]), (&json!(1), &json!("all")));

    let path = format!("/api/rooms/{room}/notification-level");
    for level in ["mentions", "none", "all", "none"] {
        let chosen = json!({"notificationLevel": level});
        let answer = ben.put(&path).json(&chosen).await.assert_status(200);
        assert_eq!(*answer, chosen);
        assert_eq!(my(&ben, &room, 3).await["notificationLevel"], level);
    }
    let loud = json!({"notificationLevel": "loud"});
    ben.put(&path).json(&loud).await.assert_problem(422, "validation_failed");
    let eve = app.as_user("eve").await;
    let all = json!({"notificationLevel": "all"});
    eve.put(&path).json(&all).await.assert_problem(403, "not_a_member");
    app.finish().await;
}
