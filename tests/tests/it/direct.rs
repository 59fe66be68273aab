//! Direct messages: two people, all their devices, and whoever wants none.
use futures::{TryStreamExt as _, future::join_all};
use mongodb::bson::{Document, doc};
use platform::ids::new_id;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LIMIT, Socket, TestApp, app::Person, eventually};

async fn write_to(socket: &Socket, to: &str, content: &str) -> Value {
    let ack = socket.emit("send_direct_message", json!({"recipientId": to, "content": content}));
    let ack = ack.await;
    assert_eq!(ack["ok"], true, "{ack}");
    ack["data"].clone()
}

fn contents(events: &[Value]) -> Vec<String> {
    events.iter().map(|it| it["message"]["content"].as_str().unwrap().to_owned()).collect()
}

fn path_of(message: &Value) -> String {
    format!("/api/messages/{}", message["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_direct_message_reaches_every_device_of_both_on_every_node() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let phone = app.socket_at(0, "ana").await;
    let laptop = app.socket_at(1, "ana").await;
    let (here, there) = (app.socket_at(0, "ben").await, app.socket_at(1, "ben").await);
    let eve = app.socket_at(0, "eve").await;
    for socket in [&phone, &laptop, &here, &there, &eve] {
        socket.hears("session_ready").await;
    }
    let own_id = new_id();
    let first = json!({"recipientId": ben.id, "content": "hello Ben", "clientMessageId": own_id});
    let ack = phone.emit("send_direct_message", first.clone()).await;
    assert_eq!((&ack["ok"], &ack["data"]["duplicate"]), (&json!(true), &json!(false)), "{ack}");
    let conversation = ack["data"]["conversationId"].clone();
    let message = &ack["data"]["message"];
    assert_eq!((&message["seq"], &message["recipientId"]), (&json!(1), &json!(ben.id)));
    let again = phone.emit("send_direct_message", first).await;
    assert_eq!(
        (&again["data"]["duplicate"], &again["data"]["message"]["id"]),
        (&json!(true), &message["id"])
    );
    write_to(&there, &ana.id, "hello Ana").await;
    write_to(&laptop, &ben.id, "how are you?").await;

    let said = ["hello Ben", "hello Ana", "how are you?"];
    for (socket, own) in [(&phone, true), (&laptop, true), (&here, false), (&there, false)] {
        let heard = socket.hears_times("new_direct_message", 3).await;
        assert_eq!(contents(&heard), said);
        let seqs: Vec<_> = heard.iter().map(|it| it["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, [1, 2, 3]);
        assert!(heard.iter().all(|it| it["conversationId"] == conversation));
        assert_eq!(heard[0]["message"].get("clientMessageId").is_some(), own);
        assert_eq!(heard[0]["conversation"]["id"], conversation);
    }
    assert_eq!(here.heard_of("new_direct_message")[0]["conversation"]["unreadCount"], 1);
    assert_eq!(eve.heard_of("new_direct_message"), Vec::<Value>::new());

    // Over HTTP it is the same conversation.
    app.caught_up().await;
    let page = ben.get(&format!("/api/messages/direct/{}", ana.id)).await.assert_status(200);
    let read: Vec<_> = page.data().iter().map(|it| it["content"].as_str().unwrap()).collect();
    assert_eq!(read, said);
    assert_eq!((&page["conversationId"], &page["lastSeq"]), (&conversation, &json!(3)));
    let list = ben.get("/api/messages/conversations").await.assert_status(200);
    let row = &list.data()[0];
    assert_eq!((&row["conversationId"], &row["unreadCount"]), (&conversation, &json!(2)));
    assert_eq!(row["lastMessage"]["content"], "how are you?");
    assert_eq!(row["participants"][1]["id"], ana.id.as_str());
    app.finish().await;
}

#[tokio::test]
async fn the_conversation_that_something_was_said_in_last_comes_first_page_by_page() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let socket = app.socket("ana").await;
    let names = ["ben", "cai", "dan", "eve", "fay"];
    for name in names {
        write_to(&socket, &app.as_user(name).await.id, name).await;
    }
    let pages = async |limit: usize| {
        app.caught_up().await;
        let (mut path, mut seen) =
            (format!("/api/messages/conversations?limit={limit}"), Vec::new());
        loop {
            let page = ana.get(&path).await.assert_status(200);
            assert!(page.data().len() <= limit);
            let last = |row: &Value| row["lastMessage"]["content"].as_str().unwrap().to_owned();
            seen.extend(page.data().iter().map(last));
            let Some(next) = page["page"]["nextCursor"].as_str() else { return seen };
            assert_eq!(page["page"]["hasMore"], true);
            path = format!("/api/messages/conversations?limit={limit}&cursor={next}");
        }
    };
    assert_eq!(pages(50).await, ["fay", "eve", "dan", "cai", "ben"]);
    assert_eq!(pages(2).await, ["fay", "eve", "dan", "cai", "ben"]);
    // Whoever says it.
    write_to(&app.socket("cai").await, &ana.id, "cai again").await;
    write_to(&socket, &app.as_user("ben").await.id, "ben again").await;
    assert_eq!(pages(2).await, ["ben again", "cai again", "fay", "eve", "dan"]);
    assert_eq!(pages(1).await, pages(50).await);
    app.finish().await;
}

#[tokio::test]
async fn every_message_is_told_with_what_is_unread_by_then() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (hers, his) = (app.socket_at(0, "ana").await, app.socket_at(1, "ben").await);
    let unread = |socket: &Socket| -> Vec<Value> {
        let heard = socket.heard_of("new_direct_message");
        heard.iter().map(|it| it["conversation"]["unreadCount"].clone()).collect()
    };
    // Faster than any read model is.
    for n in 0..3 {
        let message = json!({"recipientId": ben.id, "content": n.to_string()});
        hers.emit_later("send_direct_message", message).await;
    }
    his.hears_times("new_direct_message", 3).await;
    assert_eq!(unread(&his), [1, 2, 3]);
    let last = his.heard_of("new_direct_message").remove(2);
    assert_eq!(last["message"]["content"], "2");

    // Read as far as the first: two are left, and the answer knows at once.
    let read = json!({"conversationId": last["conversationId"], "lastReadSeq": 1});
    assert_eq!(his.emit("mark_read", read).await["data"]["unreadCount"], 2);
    his.hears_that("read_state_updated", |it| it["unreadCount"] == 2).await;
    // What is taken back is not unread any more.
    let taken = hers.emit("delete_message", json!({"messageId": last["message"]["id"]})).await;
    assert_eq!(taken["ok"], true);
    his.hears_that("message_updated", |it| it["kind"] == "deleted").await;
    write_to(&hers, &ben.id, "3").await;
    his.hears_times("new_direct_message", 4).await;
    assert_eq!(unread(&his)[3], 2);
    // One's own message is nothing unread, and tells what is.
    write_to(&his, &ana.id, "4").await;
    his.hears_times("new_direct_message", 5).await;
    hers.hears_times("new_direct_message", 5).await;
    assert_eq!((&unread(&his)[4], &unread(&hers)[4]), (&json!(2), &json!(1)));
    assert_eq!(unread(&hers)[0], 0, "her own");
    app.finish().await;
}

#[tokio::test]
async fn two_who_begin_at_the_same_time_have_one_conversation() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket_at(0, "ana").await, app.socket_at(1, "ben").await);
    let all = (0..10).map(|n| {
        let (socket, to) = if n % 2 == 0 { (&one, &ben.id) } else { (&other, &ana.id) };
        async move { write_to(socket, to, &n.to_string()).await["conversationId"].clone() }
    });
    let ids = join_all(all).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    app.caught_up().await;
    let list = ana.get("/api/messages/conversations").await.assert_status(200);
    assert_eq!(list.data().len(), 1);
    let page = ana.get(&format!("/api/messages/direct/{}", ben.id)).await.assert_status(200);
    let seqs: Vec<_> = page.data().iter().map(|it| it["seq"].as_i64().unwrap()).collect();
    assert!(seqs.into_iter().eq(1..=10));
    app.finish().await;
}

#[tokio::test]
async fn after_a_block_nobody_can_tell_it_from_an_unknown_person() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket("ana").await, app.socket("ben").await);
    let said = write_to(&one, &ben.id, "buy my course").await["message"].clone();
    let block = format!("/api/users/{}/block", ana.id);
    ben.request(Method::PUT, &block).await.assert_status(204);
    ben.request(Method::PUT, &block).await.assert_status(204);

    let write = async |socket: &Socket, to: &str| {
        socket.emit("send_direct_message", json!({"recipientId": to, "content": "hello?"})).await
    };
    let unknown = write(&one, &new_id().to_string()).await;
    assert_eq!(unknown["error"]["code"], "recipient_unavailable");
    assert_eq!(write(&one, &ben.id).await, unknown);
    assert_eq!(write(&other, &ana.id).await, unknown, "in both directions");
    let post =
        ana.post(&format!("/api/messages/direct/{}", ben.id)).json(&json!({"content": "hello?"}));
    post.await.assert_problem(404, "recipient_unavailable");
    // Not through an edit, a reaction or a typing notice either; taking back is allowed.
    let edit = json!({"messageId": said["id"], "content": "buy it now"});
    assert_eq!(one.emit("edit_message", edit).await["error"]["code"], "recipient_unavailable");
    let sign = json!({"messageId": said["id"], "emoji": "👍"});
    assert_eq!(one.emit("add_reaction", sign).await["error"]["code"], "recipient_unavailable");
    let typing = one.emit("typing", json!({"recipientId": ben.id, "isTyping": true})).await;
    assert_eq!(typing["ok"], true);
    // What was said can still be read.
    app.caught_up().await;
    let page = ben.get(&format!("/api/messages/direct/{}", ana.id)).await.assert_status(200);
    assert_eq!(page.data().len(), 1);
    // Who blocks shows nothing of themselves beside it, as if their account were closed.
    let participant = async |reader: &Person, id: &str| {
        let list = reader.get("/api/messages/conversations").await.assert_status(200);
        let participants = list.data()[0]["participants"].as_array().unwrap().clone();
        participants.into_iter().find(|it| it["id"] == id).unwrap()
    };
    let hidden = participant(&ana, &ben.id).await;
    let shown = hidden.as_object().unwrap();
    let empty = |value: &Value| {
        value.is_null() || *value == false || value.as_array().is_some_and(Vec::is_empty)
    };
    assert!(
        shown.iter().all(|(name, value)| match name.as_str() {
            "id" => true,
            "presence" => *value == "offline",
            _ => empty(value),
        }),
        "{hidden}"
    );
    assert_eq!(participant(&ben, &ana.id).await["fullName"], "Ana Example");
    assert_eq!(participant(&ana, &ana.id).await["fullName"], "Ana Example");
    ana.request(Method::DELETE, &path_of(&said)).await.assert_status(204);

    ben.request(Method::DELETE, &block).await.assert_status(204);
    ben.request(Method::DELETE, &block).await.assert_status(204);
    write_to(&one, &ben.id, "sorry").await;
    other.hears_that("new_direct_message", |it| it["message"]["content"] == "sorry").await;
    assert!(other.heard_of("user_typing").is_empty());
    ben.request(Method::PUT, &format!("/api/users/{}/block", ben.id))
        .await
        .assert_problem(422, "validation_failed");
    // Whoever is named: who is blocked by somebody must not find that out here.
    ben.request(Method::PUT, &format!("/api/users/{}/block", new_id())).await.assert_status(204);
    app.finish().await;
}

#[tokio::test]
async fn a_block_and_messages_at_once_leave_no_message_behind_the_block() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, two) = (app.socket_at(0, "ana").await, app.socket_at(1, "ana").await);
    let block = format!("/api/users/{}/block", ana.id);
    for round in 0..5 {
        let talking = join_all((0..8).map(|n| {
            let socket = if n % 2 == 0 { &one } else { &two };
            let message = json!({"recipientId": ben.id, "content": format!("{round}/{n}")});
            socket.emit("send_direct_message", message)
        }));
        let blocking = async { ben.request(Method::PUT, &block).await.assert_status(204) };
        let (acks, _) = tokio::join!(talking, blocking);
        for ack in acks {
            assert!(ack["ok"] == true || ack["error"]["code"] == "recipient_unavailable", "{ack}");
        }
        ben.request(Method::DELETE, &block).await.assert_status(204);
    }
    // In the log: between a block and its end no message stands.
    let pool = app.world.database.pool().await;
    let names: Vec<String> = sqlx::query_scalar(
        "select event_type from events where aggregate_type = 'conversation' order by sequence",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    pool.close().await;
    let mut blocked = false;
    for name in &names {
        match name.as_str() {
            "BlockPlaced" => blocked = true,
            "BlockLifted" => blocked = false,
            _ => assert!(!blocked, "{names:?}"),
        }
    }
    assert_eq!(names.iter().filter(|name| *name == "BlockPlaced").count(), 5);
    app.finish().await;
}

#[tokio::test]
async fn only_so_many_conversations_with_strangers_begin_on_one_day() {
    let app =
        TestApp::builder().setting("MESSAGES__MAX_NEW_CONVERSATIONS_PER_DAY", "2").start().await;
    app.given_a_room(&["ana", "dan"]).await;
    app.caught_up().await;
    let ana = app.socket("ana").await;
    for name in ["ben", "cai"] {
        write_to(&ana, &app.as_user(name).await.id, "hello").await;
    }
    let eve = app.as_user("eve").await;
    let refused =
        ana.emit("send_direct_message", json!({"recipientId": eve.id, "content": "hello"}));
    assert_eq!(refused.await["error"]["code"], "limit_reached");
    // Those one knows, and those one has written to, are not counted.
    write_to(&ana, &app.as_user("dan").await.id, "hello").await;
    write_to(&ana, &app.as_user("ben").await.id, "again").await;
    // Neither are answers.
    write_to(&app.socket("eve").await, &app.as_user("ana").await.id, "hello").await;
    write_to(&ana, &eve.id, "now").await;
    app.finish().await;
}

#[tokio::test]
async fn who_was_away_gets_the_direct_messages_that_were_missed_as_they_are_now() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let one = app.socket_at(0, "ana").await;
    let first = write_to(&one, &ben.id, "first").await;
    let conversation = first["conversationId"].clone();
    let secret = write_to(&one, &ben.id, "Zanzibar").await["message"].clone();
    let third = write_to(&one, &ben.id, "thrid").await["message"].clone();
    one.emit("edit_message", json!({"messageId": third["id"], "content": "third"})).await;
    one.emit("delete_message", json!({"messageId": secret["id"]})).await;

    let handshake = |token: &str, after: i64| {
        json!({"token": token, "conversations": [
            {"conversationId": conversation, "afterSeq": after},
            {"conversationId": new_id(), "afterSeq": 0},
        ]})
    };
    let back = app.connect(1, &handshake(&ben.token, 1)).await.unwrap();
    let ready = back.hears("session_ready").await;
    let resume = ready["resume"].as_array().unwrap();
    assert_eq!((&resume[0]["status"], &resume[0]["toSeq"]), (&json!("replayed"), &json!(5)));
    assert_eq!(resume[1]["status"], "forbidden");
    back.hears_times("message_updated", 2).await;
    write_to(&one, &ben.id, "live").await;
    back.hears_that("new_direct_message", |it| it["message"]["content"] == "live").await;
    let heard = back.heard();
    let seqs: Vec<_> = heard.iter().filter_map(|it| it.payload["seq"].as_i64()).collect();
    assert_eq!(seqs, [2, 3, 4, 5, 6]);
    // Numbers are those of the moment: what was taken back is not unread.
    let unread = |events: &[Value]| -> Vec<Value> {
        events.iter().map(|it| it["conversation"]["unreadCount"].clone()).collect()
    };
    assert_eq!(unread(&back.heard_of("new_direct_message")), [2, 2, 3]);
    let all: String = heard.iter().map(|it| it.payload.to_string()).collect();
    assert!(!all.contains("Zanzibar") && !all.contains("thrid"), "{all}");
    // The same with `sync`, in pieces.
    let sync =
        back.emit("sync", json!({"conversationId": conversation, "afterSeq": 1, "limit": 2})).await;
    assert_eq!(sync["data"]["events"].as_array().unwrap().len(), 2, "{sync}");
    assert_eq!((&sync["data"]["hasMore"], &sync["data"]["lastSeq"]), (&json!(true), &json!(6)));
    assert!(!sync.to_string().contains("Zanzibar"));
    let of = |sync: &Value| -> Vec<Value> {
        let events = sync["data"]["events"].as_array().unwrap();
        unread(&events.iter().map(|it| it["data"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(of(&sync), [3, 3]);
    let own = json!({"conversationId": conversation, "afterSeq": 0, "limit": 2});
    assert_eq!(of(&one.emit("sync", own).await), [0, 0], "her own");
    // For nobody else.
    let eve = app.as_user("eve").await;
    let other = app.connect(0, &handshake(&eve.token, 0)).await.unwrap();
    let ready = other.hears("session_ready").await;
    assert_eq!(ready["resume"][0]["status"], "forbidden");
    let sync = other.emit("sync", json!({"conversationId": conversation, "afterSeq": 0})).await;
    assert_eq!(sync["error"]["code"], "not_found");
    app.caught_up().await;
    let page = ana.get(&format!("/api/messages/direct/{}", ben.id)).await.assert_status(200);
    assert!(!page.text.contains("Zanzibar") && page.text.contains("third"));
    for document in crate::sealing::documents(&app).await {
        assert!(!document.contains("Zanzibar"), "{document}");
    }
    app.finish().await;
}

#[tokio::test]
async fn what_others_began_while_one_was_away_is_told_on_return() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ben = app.as_user("ben").await;
    let (hers, eves) = (app.socket_at(1, "ana").await, app.socket_at(1, "eve").await);
    let his = app.connect(0, &json!({"token": ben.token})).await.unwrap();
    let cursor = his.hears("session_ready").await["cursor"].clone();
    assert!(cursor.as_i64().unwrap() > 0, "{cursor}");
    write_to(&hers, &ben.id, "before").await;
    let before = his.hears("new_direct_message").await;
    his.disconnect().await;
    // One that he knows goes on, and one that he has never heard of begins.
    write_to(&hers, &ben.id, "known").await;
    write_to(&eves, &ben.id, "first").await;
    write_to(&eves, &ben.id, "second").await;

    let named = json!([{"conversationId": before["conversationId"], "afterSeq": before["seq"]}]);
    let auth = json!({"token": ben.token, "userCursor": cursor, "conversations": named});
    let back = app.connect(0, &auth).await.unwrap();
    let ready = back.hears("session_ready").await;
    assert_eq!(ready["resume"].as_array().unwrap().len(), 2, "{ready}");
    assert!(ready["cursor"].as_i64() > cursor.as_i64());
    let heard = back.hears_times("new_direct_message", 3).await;
    assert_eq!(contents(&heard), ["known", "first", "second"]);
    assert!(heard.iter().all(|it| it["conversation"]["unreadCount"] == 2), "{heard:?}");
    assert_eq!(back.heard()[0].event, "session_ready");
    write_to(&eves, &ben.id, "live").await;
    back.hears_that("new_direct_message", |it| it["message"]["content"] == "live").await;
    // From where it was then, nothing is new.
    app.caught_up().await;
    let auth = json!({"token": ben.token, "userCursor": i64::pow(2, 52)});
    let again = app.connect(0, &auth).await.unwrap();
    assert_eq!(again.hears("session_ready").await["resume"], json!([]));
    // More than are told are to be read anew; nobody is turned away for knowing many people.
    let many: Vec<_> = (0..60).map(|_| json!({"conversationId": new_id()})).collect();
    let auth = json!({"token": ben.token, "conversations": many});
    let ready = app.connect(0, &auth).await.unwrap().hears("session_ready").await;
    assert_eq!(ready["resume"][59]["status"], "resync_required", "{ready}");
    app.finish().await;
}

#[tokio::test]
async fn both_see_how_far_the_other_has_read() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket("ana").await, app.socket("ben").await);
    let tablet = app.socket("ben").await;
    for n in 1..=3 {
        write_to(&one, &ben.id, &n.to_string()).await;
    }
    let conversation = write_to(&one, &ben.id, "4").await["conversationId"].clone();
    app.caught_up().await;
    let mark = json!({"conversationId": conversation, "lastReadSeq": 2});
    let ack = other.emit("mark_read", mark).await;
    assert_eq!((&ack["data"]["lastReadSeq"], &ack["data"]["unreadCount"]), (&json!(2), &json!(2)));
    let told = tablet.hears("read_state_updated").await;
    assert_eq!((&told["conversationId"], &told["lastReadSeq"]), (&conversation, &json!(2)));
    let told = one.hears("read_state_updated").await;
    assert_eq!((&told["userId"], &told["lastReadSeq"]), (&json!(ben.id), &json!(2)));

    let path = format!("/api/messages/conversations/{}/read", conversation.as_str().unwrap());
    let read = async |seq: i64| {
        let answer = ben.request(Method::PUT, &path).json(&json!({"lastReadSeq": seq})).await;
        let answer = answer.assert_status(200);
        (answer["lastReadSeq"].clone(), answer["unreadCount"].clone())
    };
    assert_eq!(read(3).await, (json!(3), json!(1)));
    assert_eq!(read(1).await, (json!(3), json!(1)), "only forward");
    assert_eq!(read(99).await, (json!(4), json!(0)), "not beyond the end");
    app.caught_up().await;
    let list = ana.get("/api/messages/conversations").await.assert_status(200);
    let row = &list.data()[0];
    assert_eq!((&row["otherLastReadSeq"], &row["lastReadSeq"]), (&json!(4), &json!(0)));
    assert_eq!((&row["unreadCount"], &row["lastMessage"]["isRead"]), (&json!(0), &json!(true)));
    let eve = app.as_user("eve").await;
    let stranger = eve.request(Method::PUT, &path).json(&json!({"lastReadSeq": 1})).await;
    stranger.assert_problem(404, "not_found");
    app.finish().await;
}

/// The words of the stored direct messages that are read, in order.
async fn stored_as_read(app: &TestApp) -> Vec<String> {
    let messages = app.world.mongodb().await.collection::<Document>("direct_messages");
    let read = messages.find(doc! {"isRead": true}).sort(doc! {"seq": 1}).await.unwrap();
    let read: Vec<_> = read.try_collect().await.unwrap();
    read.iter().map(|message| message.get_str("content").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stored_message_says_whether_its_recipient_has_read_it() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket("ana").await, app.socket("ben").await);
    let conversation = write_to(&one, &ben.id, "1").await["conversationId"].clone();
    write_to(&other, &ana.id, "2").await;
    write_to(&one, &ben.id, "3").await;
    write_to(&one, &ben.id, "4").await;
    let mark = async |socket: &Socket, seq: i64| {
        let mark = json!({"conversationId": conversation, "lastReadSeq": seq});
        assert_eq!(socket.emit("mark_read", mark).await["ok"], true);
        app.caught_up().await;
        stored_as_read(&app).await
    };
    assert!(stored_as_read(&app).await.is_empty());
    assert_eq!(mark(&other, 3).await, ["1", "3"], "not what they said themselves");
    assert_eq!(mark(&one, 4).await, ["1", "2", "3"]);
    assert_eq!(mark(&other, 4).await, ["1", "2", "3", "4"]);
    // It stays so, whatever becomes of the message.
    let found = ana.get(&format!("/api/messages/direct/{}", ben.id)).await.assert_status(200);
    let path = path_of(&found.data()[2]);
    ana.request(Method::PUT, &path).json(&json!({"content": "three"})).await.assert_status(200);
    write_to(&one, &ben.id, "5").await;
    app.caught_up().await;
    assert_eq!(stored_as_read(&app).await, ["1", "2", "three", "4"]);
    app.verified().await;
    app.finish().await;
}

#[tokio::test]
async fn direct_messages_are_edited_deleted_and_reacted_to_by_the_two_only() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket_at(0, "ana").await, app.socket_at(1, "ben").await);
    other.hears("session_ready").await;
    let said = write_to(&one, &ben.id, "Zanzibar").await["message"].clone();
    one.emit("edit_message", json!({"messageId": said["id"], "content": "Zanzibar!"})).await;
    // What the two see of it in their lists, and find.
    let listed = async |content: &str, found: usize| {
        app.caught_up().await;
        for person in [&ana, &ben] {
            let list = person.get("/api/messages/conversations").await.assert_status(200);
            assert_eq!(list.data()[0]["lastMessage"]["content"], content, "{}", list.text);
            let search = person.get("/api/messages/search?q=Zanzibar").await.assert_status(200);
            assert_eq!(search.data().len(), found, "{}", search.text);
        }
    };
    listed("Zanzibar!", 1).await;
    let ack = other.emit("add_reaction", json!({"messageId": said["id"], "emoji": "👋"})).await;
    assert_eq!(ack["data"]["reactions"][0]["count"], 1);
    let refused = other.emit("delete_message", json!({"messageId": said["id"]})).await;
    assert_eq!(refused["error"]["code"], "forbidden");
    one.emit("delete_message", json!({"messageId": said["id"]})).await;
    listed("", 0).await;
    for text in crate::sealing::kept_elsewhere(&app).await {
        assert!(!text.contains("Zanzibar"), "{text}");
    }
    for socket in [&one, &other] {
        let heard = socket.hears_times("message_updated", 3).await;
        let kinds: Vec<_> = heard.iter().map(|it| it["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["edited", "reactions", "deleted"]);
        assert!(
            heard.iter().all(|it| it["conversationId"].is_string() && it.get("roomId").is_none())
        );
    }
    let eve = app.as_user("eve").await;
    let answer = eve.get(&path_of(&said)).await;
    answer.assert_problem(404, "not_found");
    eve.get(&format!("{}/history", path_of(&said))).await.assert_problem(404, "not_found");
    // One who asks for a conversation that is none sees an empty page, whoever the other is.
    let empty = async |id: &str| -> Answer {
        eve.get(&format!("/api/messages/direct/{id}")).await.assert_status(200)
    };
    assert_eq!(empty(&ana.id).await.data().len(), 0);
    assert_eq!(empty(&new_id().to_string()).await.data().len(), 0);
    let own = json!({"content": "note to self"});
    let to_self = ana.post(&format!("/api/messages/direct/{}", ana.id)).json(&own).await;
    to_self.assert_problem(422, "validation_failed");
    app.finish().await;
}

#[tokio::test]
async fn who_writes_is_seen_writing_by_the_one_they_write_to() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket_at(0, "ana").await, app.socket_at(1, "ben").await);
    let sent = write_to(&one, &ben.id, "hello").await;
    eventually("typing is heard", LIMIT, async || {
        one.send("typing", json!({"recipientId": ben.id, "isTyping": true})).await;
        (!other.heard_of("user_typing").is_empty()).then_some(())
    })
    .await;
    let notice = other.hears("user_typing").await;
    assert_eq!(
        (&notice["userId"], &notice["conversationId"]),
        (&json!(ana.id), &sent["conversationId"])
    );
    write_to(&one, &ben.id, "done").await;
    other.hears_that("user_typing", |it| it["isTyping"] == false).await;
    // It ends as well when the message goes over HTTP, and when the socket goes.
    let write = async || {
        let began = other.heard_of("user_typing").len();
        eventually("typing is heard again", LIMIT, async || {
            one.send("typing", json!({"recipientId": ben.id, "isTyping": true})).await;
            (other.heard_of("user_typing").len() > began).then_some(())
        })
        .await;
    };
    write().await;
    let path = format!("/api/messages/direct/{}", ben.id);
    ana.post(&path).json(&json!({"content": "over HTTP"})).await.assert_status(201);
    hears_ends(&other, 2).await;
    write().await;
    one.disconnect().await;
    hears_ends(&other, 3).await;
    app.finish().await;
}

/// Somebody was seen to stop writing so often.
async fn hears_ends(socket: &Socket, times: usize) {
    eventually("the end of typing is heard", LIMIT, async || {
        let heard = socket.heard_of("user_typing");
        (heard.iter().filter(|it| it["isTyping"] == false).count() >= times).then_some(())
    })
    .await;
}
