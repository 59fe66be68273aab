//! Nothing is lost without a word: two tabs, changes that follow each other at once, and connections that
//! break in the middle of an answer.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use futures::future::join_all;
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{Client, LIMIT, Socket, TestApp, eventually};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// The durable events of a room that a socket heard: number, name and what it says of a message.
pub(crate) fn durable(socket: &Socket) -> Vec<(i64, String, Value)> {
    let heard = socket.heard().into_iter();
    let heard = heard.filter_map(|h| {
        let about = json!([h.payload["kind"], h.payload["message"]["content"]]);
        Some((h.payload["seq"].as_i64()?, h.event, about))
    });
    heard.collect()
}

/// Requires that nothing is missing, doubled or out of order.
pub(crate) fn assert_whole(events: &[(i64, String, Value)]) {
    let numbers: Vec<i64> = events.iter().map(|(seq, ..)| *seq).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

/// What the server shows of the room: the contents, with the deleted ones as nothing.
pub(crate) async fn shown(person: &Client, room: &str) -> Vec<(i64, String)> {
    let of = |it: &Value| (it["seq"].as_i64().unwrap(), it["content"].as_str().unwrap().to_owned());
    let (mut all, mut after) = (Vec::new(), Some(0));
    while let Some(seq) = after {
        let page = person.get(&format!("/api/messages/room/{room}?limit=100&after={seq}")).await;
        let page = page.assert_status(200);
        all.extend(page.data().iter().map(of));
        after = page["page"]["nextAfter"].as_i64();
    }
    all
}

/// What a client has that heard this: the messages by their numbers, as they read at last.
pub(crate) fn state(socket: &Socket) -> Vec<(i64, String)> {
    let mut messages: Vec<(Value, i64, String)> = Vec::new();
    for heard in socket.heard() {
        let message = &heard.payload["message"];
        match heard.event.as_str() {
            "new_message" => {
                let content = message["content"].as_str().unwrap().to_owned();
                let seq = heard.payload["seq"].as_i64().unwrap();
                messages.push((message["id"].clone(), seq, content));
            }
            "message_updated" if heard.payload["kind"] != "reactions" => {
                let id = &heard.payload["messageId"];
                let known = messages.iter_mut().find(|(known, ..)| known == id).unwrap();
                message["content"].as_str().unwrap_or_default().clone_into(&mut known.2);
            }
            _ => {}
        }
    }
    messages.into_iter().map(|(_, seq, content)| (seq, content)).collect()
}

#[tokio::test]
async fn two_tabs_of_a_person_have_the_same_and_what_the_server_has() {
    const EACH: usize = 20;
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (one, _) = app.socket_in(0, "ana", &room).await;
    let (other, _) = app.socket_in(1, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    // Both speak at the same time; each hears the other tab, and itself.
    let talking = [("one", &one), ("other", &other), ("ben", &ben)].map(|(who, socket)| {
        let room = &room;
        async move {
            for n in 0..EACH {
                let said = json!({"roomId": room, "content": format!("{who} {n}")});
                assert_eq!(socket.emit("send_message", said).await["ok"], true);
            }
        }
    });
    join_all(talking).await;
    for socket in [&one, &other, &ben] {
        socket.hears_times("new_message", 3 * EACH).await;
        assert_whole(&durable(socket));
    }
    assert_eq!(durable(&one), durable(&other));
    // A tab that is closed takes nothing from the other.
    one.disconnect().await;
    let said = json!({"roomId": room, "content": "still there?"});
    assert_eq!(ben.emit("send_message", said).await["ok"], true);
    other.hears_that("new_message", |it| it["message"]["content"] == "still there?").await;
    let direct = json!({"recipientId": app.as_user("ana").await.id, "content": "and here?"});
    assert_eq!(ben.emit("send_direct_message", direct).await["ok"], true);
    other.hears("new_direct_message").await;
    app.caught_up().await;
    assert_eq!(state(&other), shown(&app.as_user("ana").await.client, &room).await);
    app.finish().await;
}

#[tokio::test]
async fn an_edit_and_the_deletion_right_behind_it_arrive_in_that_order_everywhere() {
    const MESSAGES: usize = 25;
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (keeper, _) = app.socket_in(1, "ana", &room).await;
    let (ben, joined) = app.socket_in(1, "ben", &room).await;
    let before = joined["lastSeq"].as_i64().unwrap();
    for n in 0..MESSAGES {
        let said = json!({"roomId": room, "content": format!("secret {n}")});
        let said = ben.emit("send_message", said).await;
        let id = &said["data"]["message"]["id"];
        // Without waiting for an answer; and every third time somebody else deletes at the same moment.
        let edit = json!({"messageId": id, "content": format!("secret {n}, reworded")});
        let edited = ben.emit_later("edit_message", edit).await;
        let remover = if n % 3 == 0 { &keeper } else { &ben };
        let deleted = remover.emit_later("delete_message", json!({"messageId": id})).await;
        let (edited, deleted) = tokio::join!(ben.ack(edited), remover.ack(deleted));
        assert_eq!(deleted["ok"], true, "{deleted}");
        let lost = n % 3 == 0 && edited["error"]["code"] == "gone";
        assert!(edited["ok"] == true || lost, "{edited}");
    }
    for socket in [&ana, &keeper, &ben] {
        eventually("every deletion is heard", LIMIT, async || {
            let updates = socket.heard_of("message_updated");
            let deleted = updates.iter().filter(|it| it["kind"] == "deleted").count();
            (deleted == MESSAGES).then_some(())
        })
        .await;
        let mut versions = std::collections::HashMap::<String, (i64, String)>::new();
        for update in socket.heard_of("message_updated") {
            let kind = update["kind"].as_str().unwrap().to_owned();
            let version = update["version"].as_i64().unwrap();
            let id = update["messageId"].as_str().unwrap().to_owned();
            if let Some((last, what)) = versions.insert(id, (version, kind)) {
                assert!(
                    last < version && what == "edited",
                    "nothing comes behind a deletion: {update}"
                );
            }
        }
        assert_eq!(versions.len(), MESSAGES);
        assert!(versions.values().all(|(_, last)| last == "deleted"), "{versions:?}");
    }
    for socket in [&ana, &keeper] {
        assert_whole(&durable(socket));
    }
    app.caught_up().await;
    let person = app.as_user("ana").await;
    let all = shown(&person, &room).await;
    assert_eq!(all.len(), MESSAGES);
    assert!(all.iter().all(|(_, content)| content.is_empty()), "{all:?}");
    assert_eq!(state(&ana), all);
    // Who was away all the time has the same, and none of the words.
    let late = app.socket_at(0, "ana").await;
    let ack = late.emit("join_room", json!({"roomId": room, "afterSeq": before})).await;
    assert_eq!(ack["data"]["status"], "replayed", "{ack}");
    assert_eq!(state(&late), all);
    let heard: String = late.heard().iter().map(|h| h.payload.to_string()).collect();
    assert!(!heard.contains("secret"), "{heard}");
    app.finish().await;
}

/// A way to a node that can be cut after so many more bytes from the server.
struct Cutter {
    address: String,
    /// Bytes that still pass; none is counted below zero.
    left: Arc<AtomicI64>,
}

impl Cutter {
    /// A way to the node of this address.
    async fn to(node: &str) -> Self {
        let node: SocketAddr = node.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let left = Arc::new(AtomicI64::new(-1));
        let allowed = Arc::clone(&left);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(node).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&allowed)));
            }
        });
        Self { address, left }
    }

    /// The connection breaks when this many more bytes have come from the server.
    fn cut_after(&self, bytes: i64) {
        self.left.store(bytes, Ordering::SeqCst);
    }

    /// The next connection is whole again.
    fn mend(&self) {
        self.left.store(-1, Ordering::SeqCst);
    }
}

/// Passes bytes on in both directions until it is time to break off, in the middle of whatever it is.
async fn pass(client: TcpStream, server: TcpStream, left: Arc<AtomicI64>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
    });
    let mut buffer = vec![0; 4096];
    while let Ok(count) = from_server.read(&mut buffer).await {
        let allowed = left.load(Ordering::SeqCst);
        let whole = allowed < 0 || i64::try_from(count).unwrap() < allowed;
        let some = if whole { count } else { usize::try_from(allowed).unwrap() };
        if count == 0 || to_client.write_all(&buffer[..some]).await.is_err() || !whole {
            break;
        }
        if allowed >= 0 {
            left.fetch_sub(i64::try_from(some).unwrap(), Ordering::SeqCst);
        }
    }
    up.abort();
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_of_an_answer_loses_and_doubles_nothing() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ben, joined) = app.socket_in(1, "ben", &room).await;
    let ana = app.as_user("ana").await;
    let cutter = Cutter::to(&app.nodes[0].address).await;
    let mut last = joined["lastSeq"].as_i64().unwrap();
    let first = last;
    let (mut heard, mut unanswered) = (Vec::new(), 0);
    // Before the answer, in the head of a frame, in its middle, behind one of two frames.
    let places = [0, 1, 2, 3, 5, 17, 40, 90, 150, 250, 350, 450, 550, 650, 800, 1200];
    for (n, place) in places.into_iter().enumerate() {
        cutter.mend();
        let resume = |after: i64| json!({"token": ana.token, "rooms": [{"roomId": room, "afterSeq": after}]});
        let socket = Socket::connect(&cutter.address, &resume(last)).await.unwrap();
        socket.hears("session_ready").await;
        // The room is entered when a command behind the handshake is answered.
        assert_eq!(socket.emit("join_room", json!({"roomId": room})).await["ok"], true);
        let message = json!({
            "roomId": room, "content": format!("message {n}"), "clientMessageId": new_id(),
        });
        cutter.cut_after(place);
        let answer = socket.try_emit("send_message", message.clone()).await;
        unanswered += usize::from(answer.is_none());
        cutter.cut_after(0);
        let _ = socket.try_emit("no_such_event", json!({})).await;
        socket.closed().await;
        let got = durable(&socket);
        last = got.last().map_or(last, |(seq, ..)| *seq);
        heard.extend(got);

        // The client comes back and does not know whether it was heard.
        let back = app.connect(1, &resume(last)).await.unwrap();
        let again = back.emit("send_message", message).await;
        assert_eq!(again["ok"], true, "{again}");
        let known = answer.as_ref().map_or(&Value::Null, |it| &it["data"]["message"]["id"]);
        if !known.is_null() {
            assert_eq!(&again["data"]["message"]["id"], known, "one message, however often");
            assert_eq!(again["data"]["duplicate"], true);
        }
        let content = format!("message {n}");
        ben.hears_that("new_message", |it| it["message"]["content"] == content).await;
        let seq = again["data"]["message"]["seq"].as_i64().unwrap();
        if seq > last {
            back.hears_that("new_message", |it| it["seq"] == seq).await;
        }
        let got = durable(&back);
        last = got.last().map_or(last, |(seq, ..)| *seq);
        heard.extend(got);
        back.disconnect().await;
    }
    assert!(unanswered > 3, "some answers were cut off: {unanswered}");
    // All that the broken connections heard together is what happened, once each.
    assert_whole(&heard);
    assert_eq!((heard[0].0, heard.len()), (first + 1, places.len()));
    app.caught_up().await;
    let all = shown(&ana, &room).await;
    assert_eq!(all.len(), places.len());
    assert_eq!(state(&ben), all);
    app.finish().await;
}
