//! What people allow others: to see them, to write to them, to know what they read.
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{LIMIT, Socket, TestApp, app::Person, eventually};

/// What a person wants from now on.
async fn prefer(person: &Person, preferences: Value) {
    let body = json!({"preferences": preferences});
    person.patch("/api/users/me").json(&body).await.assert_status(200);
}

async fn block(person: &Person, whom: &Person) {
    person.put(&format!("/api/users/{}/block", whom.id)).await.assert_status(204);
}

async fn write_to(socket: &Socket, to: &Person, content: &str) -> Value {
    socket.emit("send_direct_message", json!({"recipientId": to.id, "content": content})).await
}

async fn conversation(person: &Person) -> Value {
    let list = person.get("/api/messages/conversations").await.assert_status(200);
    list.data()[0].clone()
}

#[tokio::test]
async fn who_blocks_somebody_is_not_there_for_them() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let cai = app.as_user("cai").await;
    let (_socket, _) = app.socket_in(0, "ana", &room).await;
    let path = format!("/api/users/{}", ana.id);
    assert_eq!(ben.get(&path).await.assert_status(200)["presence"], "online");
    let found = async |reader: &Person| {
        let page = reader.get("/api/users?q=ana").await.assert_status(200);
        page.data().iter().any(|it| it["id"] == ana.id.as_str())
    };
    assert!(found(&ben).await);

    block(&ana, &ben).await;
    let nobody = new_id().to_string();
    let unknown = ben.get(&format!("/api/users/{nobody}")).await;
    unknown.assert_problem(404, "not_found");
    let hidden = ben.get(&path).await;
    assert_eq!(hidden.without(&[&ana.id]), unknown.without(&[&nobody]));
    // Neither does a profile that they know already say whether it changed.
    let tag = cai.get(&path).await.header("etag").unwrap().to_owned();
    let known = ben.get(&path).header("if-none-match", &tag).await;
    assert_eq!(known.without(&[&ana.id]), unknown.without(&[&nobody]));
    assert!(!found(&ben).await);
    let all = ben.get("/api/users?q=example&limit=1").await.assert_status(200);
    let others = ben.get("/api/users?q=example").await.assert_status(200);
    assert!(!others.text.contains(&ana.id) && !all.text.contains(&ana.id), "{}", others.text);
    // In a room of both they are named, but not seen to be there.
    let listed = async |query: &str| {
        let page = ben.get(&format!("/api/rooms/{room}/members{query}")).await.assert_status(200);
        let ana = page.data().iter().find(|it| it["user"]["id"] == ana.id.as_str());
        ana.map(|it| it["presence"].clone())
    };
    assert_eq!(listed("").await, Some(json!("offline")));
    assert_eq!(listed("?online=true").await, None);
    assert_eq!(listed("?online=false").await, Some(json!("offline")));

    // Nobody else notices, and who blocks sees whom they block: to lift it.
    assert!(found(&cai).await);
    assert_eq!(cai.get(&path).await.assert_status(200)["presence"], "online");
    ana.get(&format!("/api/users/{}", ben.id)).await.assert_status(200);
    let page = ana.get("/api/users?q=ben").await.assert_status(200);
    assert_eq!(page.data().len(), 1);
    ana.delete(&format!("/api/users/{}/block", ben.id)).await.assert_status(204);
    assert!(found(&ben).await);
    assert_eq!(ben.get(&path).await.assert_status(200)["presence"], "online");
    app.finish().await;
}

#[tokio::test]
async fn a_block_before_the_first_word_cannot_be_told_from_none() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    block(&ana, &ben).await;
    let of = |one: &str, other: &str| {
        let id = |id: &str| domain::UserId(id.parse().unwrap());
        domain::ConversationId::between(id(one), id(other)).to_string()
    };
    let (hidden, absent) = (of(&ana.id, &ben.id), of(&ben.id, &new_id().to_string()));
    let socket = app.socket("ben").await;
    for (event, rest) in
        [("mark_read", json!({"lastReadSeq": 1})), ("sync", json!({"afterSeq": 0}))]
    {
        let asked = |id: &str| {
            let mut payload = rest.clone();
            payload["conversationId"] = json!(id);
            socket.emit(event, payload)
        };
        let answer = asked(&hidden).await;
        assert_eq!(answer["error"]["code"], "not_found", "{event}: {answer}");
        assert_eq!(answer, asked(&absent).await, "{event}");
    }
    let path = |id: &str, what: &str| format!("/api/messages/conversations/{id}/{what}");
    for what in ["mute", "read"] {
        let body = json!({"lastReadSeq": 1});
        let asked = async |id: &str| {
            let request = ben.put(&path(id, what));
            let answer = if what == "read" { request.json(&body).await } else { request.await };
            answer.assert_problem(404, "not_found");
            answer.without(&[id])
        };
        assert_eq!(asked(&hidden).await, asked(&absent).await, "{what}");
    }
    let handshake = json!({"token": ben.token, "conversations": [
        {"conversationId": hidden, "afterSeq": 0}, {"conversationId": absent, "afterSeq": 0},
    ]});
    let ready = app.connect(0, &handshake).await.unwrap().hears("session_ready").await;
    assert_eq!(ready["resume"][0]["status"], "forbidden");
    assert_eq!(ready["resume"][1]["status"], "forbidden");
    app.finish().await;
}

#[tokio::test]
async fn people_decide_who_may_write_to_them() {
    let app = TestApp::start().await;
    app.given_a_room(&["ana", "ben"]).await;
    let (ben, eve) = (app.as_user("ben").await, app.as_user("eve").await);
    let (friend, stranger) = (app.socket("ana").await, app.socket("eve").await);
    let unknown = json!({"recipientId": new_id(), "content": "hello"});
    let unknown = stranger.emit("send_direct_message", unknown).await;
    assert_eq!(unknown["error"]["code"], "recipient_unavailable");

    prefer(&ben, json!({"dmPolicy": "shared_room"})).await;
    assert_eq!(write_to(&stranger, &ben, "hello").await, unknown);
    let post = eve.post(&format!("/api/messages/direct/{}", ben.id));
    post.json(&json!({"content": "hello"})).await.assert_problem(404, "recipient_unavailable");
    let own_id = new_id();
    let first = json!({"recipientId": ben.id, "content": "hello", "clientMessageId": own_id});
    let said = friend.emit("send_direct_message", first.clone()).await;
    assert_eq!((&said["ok"], &said["data"]["duplicate"]), (&json!(true), &json!(false)), "{said}");

    prefer(&ben, json!({"dmPolicy": "nobody"})).await;
    assert_eq!(write_to(&friend, &ben, "hello?").await, unknown);
    // Not even that an answer would answer nothing.
    let reply = json!({"recipientId": ben.id, "content": "hello", "replyToId": new_id()});
    assert_eq!(stranger.emit("send_direct_message", reply).await, unknown);
    // What was said is said: its repetition gets the first answer.
    let again = friend.emit("send_direct_message", first).await;
    assert_eq!(again["data"]["duplicate"], true, "{again}");
    assert_eq!(again["data"]["message"]["id"], said["data"]["message"]["id"]);
    // The policy is about who writes to them, not about whom they write to.
    let own = app.socket("ben").await;
    assert_eq!(write_to(&own, &eve, "hello").await["ok"], true);
    assert_eq!(write_to(&stranger, &ben, "hello").await, unknown);

    prefer(&ben, json!({"dmPolicy": "everyone"})).await;
    assert_eq!(write_to(&stranger, &ben, "hello").await["ok"], true);
    app.finish().await;
}

#[tokio::test]
async fn who_does_not_show_what_they_read_is_not_seen_reading() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (one, other) = (app.socket("ana").await, app.socket("ben").await);
    let sent = write_to(&one, &ben, "1").await["data"].clone();
    let id = sent["conversationId"].clone();
    for n in 2..=4 {
        write_to(&one, &ben, &n.to_string()).await;
    }
    app.caught_up().await;
    let mark = async |socket: &Socket, seq: i64| {
        let ack = socket.emit("mark_read", json!({"conversationId": id, "lastReadSeq": seq})).await;
        assert_eq!(ack["ok"], true, "{ack}");
        app.caught_up().await;
    };
    let of_ben = || {
        let told = one.heard_of("read_state_updated").into_iter();
        told.filter(|it| it["userId"] == ben.id.as_str()).collect::<Vec<_>>()
    };
    mark(&other, 1).await;
    eventually("the receipt is told", LIMIT, async || (of_ben().len() == 1).then_some(())).await;
    let row = conversation(&ana).await;
    assert_eq!(
        (&row["otherLastReadSeq"], &row["lastMessage"]["isRead"]),
        (&json!(1), &json!(false))
    );

    prefer(&ben, json!({"readReceipts": false})).await;
    mark(&other, 3).await;
    let row = conversation(&ana).await;
    assert_eq!(row["otherLastReadSeq"], Value::Null, "{row}");
    assert_eq!(row["lastMessage"].get("isRead"), None, "{row}");
    let page = ana.get(&format!("/api/messages/direct/{}", ben.id)).await.assert_status(200);
    assert_eq!(page["otherLastReadSeq"], Value::Null);
    assert!(page.data().iter().all(|it| it.get("isRead").is_none()), "{}", page.text);
    // They themselves see all of it, of the other too: who shows it is each one's own choice.
    let own = conversation(&ben).await;
    assert_eq!((&own["lastReadSeq"], &own["lastMessage"]["isRead"]), (&json!(3), &json!(false)));
    mark(&one, 4).await;
    assert_eq!(conversation(&ben).await["otherLastReadSeq"], 4);
    other.hears_that("read_state_updated", |it| it["userId"] == ana.id.as_str()).await;

    prefer(&ben, json!({"readReceipts": true})).await;
    mark(&other, 4).await;
    eventually("the next one is told", LIMIT, async || (of_ben().len() == 2).then_some(())).await;
    assert_eq!(of_ben()[1]["lastReadSeq"], 4, "what was read meanwhile was never told");
    assert_eq!(conversation(&ana).await["otherLastReadSeq"], 4);
    // Between people one of whom blocks the other nothing is told.
    write_to(&one, &ben, "5").await;
    app.caught_up().await;
    block(&ben, &ana).await;
    mark(&other, 5).await;
    assert_eq!(conversation(&ana).await["otherLastReadSeq"], Value::Null);
    ben.delete(&format!("/api/users/{}/block", ana.id)).await.assert_status(204);
    write_to(&one, &ben, "6").await;
    app.caught_up().await;
    mark(&other, 6).await;
    eventually("a receipt is told again", LIMIT, async || (of_ben().len() == 3).then_some(()))
        .await;
    assert_eq!(of_ben()[2]["lastReadSeq"], 6);
    app.finish().await;
}

#[tokio::test]
async fn a_muted_conversation_says_so_to_who_muted_it_only() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let one = app.socket("ana").await;
    let sent = write_to(&one, &ben, "hello").await["data"].clone();
    let path =
        format!("/api/messages/conversations/{}/mute", sent["conversationId"].as_str().unwrap());
    app.caught_up().await;
    assert_eq!(conversation(&ben).await["isMuted"], false);
    for _ in 0..2 {
        ben.put(&path).await.assert_status(204);
        assert_eq!(conversation(&ben).await["isMuted"], true);
        assert_eq!(conversation(&ana).await["isMuted"], false);
    }
    app.cli(&["verify"]).await;
    for _ in 0..2 {
        ben.delete(&path).await.assert_status(204);
        assert_eq!(conversation(&ben).await["isMuted"], false);
    }
    let eve = app.as_user("eve").await;
    eve.put(&path).await.assert_problem(404, "not_found");
    eve.delete(&path).await.assert_problem(404, "not_found");
    app.finish().await;
}
