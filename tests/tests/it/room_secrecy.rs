//! What a private room tells those who may not know of it: nothing, on every route there is.
use std::collections::BTreeMap;

use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{Answer, Socket, TestApp, app::Person};

/// A body for every route that takes one, so that nothing but the room can be refused.
fn body(method: &str, path: &str, subject: &str) -> Option<Value> {
    let rest = path.split_once("{roomId}").map_or("", |(_, rest)| rest);
    Some(match (method, rest) {
        ("PATCH", "") => json!({"name": "Another name", "subjectId": subject}),
        ("POST", "/join" | "/leave" | "/invites") => json!({}),
        ("POST", "/members/{userId}/role") => json!({"role": "moderator"}),
        ("PUT", "/read") => json!({"lastReadSeq": 1}),
        ("PUT", "/notification-level") => json!({"notificationLevel": "all"}),
        ("POST", _) if path == "/api/messages/room/{roomId}" => json!({"content": "hello"}),
        ("PUT", _) if path == "/api/messages/{messageId}" => json!({"content": "hello"}),
        _ => return None,
    })
}

/// What can differ between two answers although they say the same.
fn bare(answer: &Answer) -> (u16, Value) {
    let mut body = (**answer).clone();
    if let Some(body) = body.as_object_mut() {
        body.remove("requestId");
        body.remove("instance");
    }
    (answer.status, body)
}

struct Asked<'a> {
    app: &'a TestApp,
    routes: &'a [(String, String)],
    subject: &'a str,
    other: &'a str,
}

/// A room and a message in it, there or not.
#[derive(Clone, Copy)]
struct Place<'a> {
    room: &'a str,
    message: &'a str,
}

impl Asked<'_> {
    async fn ask(&self, person: &Person, method: &str, template: &str, at: Place<'_>) -> Answer {
        let path = template.replace("{roomId}", at.room).replace("{messageId}", at.message);
        let path = path.replace("{emoji}", "%F0%9F%91%8D");
        // Any other id of a path is that of something that exists.
        let path =
            path.split('/').map(|part| if part.starts_with('{') { self.other } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        let path = if path.ends_with("/events") { format!("{path}?afterSeq=0") } else { path };
        let request = person.request(method.parse().unwrap(), &path);
        match body(method, template, self.subject) {
            Some(body) => request.json(&body).await,
            None => request.await,
        }
    }

    async fn learns_nothing(&self, who: &str, person: &Person, place: Place<'_>) {
        let (room, nowhere, nothing) = (place.room, new_id().to_string(), new_id().to_string());
        let absent = Place { room: &nowhere, message: &nothing };
        for (method, path) in self.routes {
            let hidden = self.ask(person, method, path, place).await;
            let absent = self.ask(person, method, path, absent).await;
            let what = format!("{method} {path} as {who}");
            assert_eq!(bare(&hidden), bare(&absent), "{what}");
            // Leaving what one is not in succeeds, wherever it is.
            let expected = if path.ends_with("/leave") { 204 } else { 404 };
            assert_eq!(hidden.status, expected, "{what}: {}", hidden.text);
        }
        for query in ["", "?q=secret", "?roomType=private", "?mine=true", "?sort=members"] {
            let listed = person.get(&format!("/api/rooms{query}")).await.assert_status(200);
            assert!(listed.data().is_empty(), "{who}: /api/rooms{query}: {}", listed.text);
        }
        let socket = self.app.connect(0, &json!({"token": person.token})).await.unwrap();
        sockets_learn_nothing(who, &socket, room, &nowhere).await;
    }
}

async fn sockets_learn_nothing(who: &str, socket: &Socket, room: &str, nowhere: &str) {
    let requests = |room: &str| {
        [
            ("join_room", json!({"roomId": room, "afterSeq": 0})),
            ("sync", json!({"roomId": room, "afterSeq": 0})),
            ("send_message", json!({"roomId": room, "content": "hello"})),
            ("mark_read", json!({"roomId": room, "lastReadSeq": 1})),
        ]
    };
    for ((event, hidden), (_, absent)) in requests(room).into_iter().zip(requests(nowhere)) {
        let hidden = socket.emit(event, hidden).await;
        assert_eq!(hidden["error"]["code"], "not_found", "{event} as {who}: {hidden}");
        assert_eq!(hidden, socket.emit(event, absent).await, "{event} as {who}");
    }
}

#[tokio::test]
async fn a_private_room_cannot_be_told_from_none_on_any_route() {
    let app = TestApp::start().await;
    let like = json!({"roomType": "private", "name": "A secret room"});
    let room = app.given_a_room_like(like, &["ana", "leaver", "kicked", "banned"]).await;
    let ana = app.as_user("ana").await;
    let (speaker, _) = app.socket_in(0, "ana", &room).await;
    let said = json!({"roomId": room, "content": "between us"});
    let said = speaker.emit("send_message", said).await;
    let message = said["data"]["message"]["id"].as_str().expect("it was said").to_owned();
    let people: BTreeMap<&str, Person> = {
        let mut people = BTreeMap::new();
        for name in ["stranger", "leaver", "kicked", "banned"] {
            people.insert(name, app.as_user(name).await);
        }
        people
    };
    people["leaver"].post(&format!("/api/rooms/{room}/leave")).await.assert_status(204);
    let kicked = format!("/api/rooms/{room}/members/{}", people["kicked"].id);
    ana.delete(&kicked).await.assert_status(204);
    let banned = format!("/api/rooms/{room}/bans/{}", people["banned"].id);
    ana.put(&banned).await.assert_status(204);
    app.caught_up().await;

    let description = app.anyone().get("/api/openapi.json").await.assert_status(200);
    let mut routes = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let of_a_room = path.contains("{roomId}") || path.contains("{messageId}");
        let methods = methods.as_object().unwrap().keys().map(|method| method.to_uppercase());
        let methods =
            methods.filter(|m| ["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&m.as_str()));
        routes.extend(methods.filter(|_| of_a_room).map(|method| (method, path.clone())));
    }
    assert!(routes.len() >= 25, "{routes:?}");
    let subject = app.given_a_subject().await;
    let asked = Asked { app: &app, routes: &routes, subject: &subject, other: &ana.id };
    for (who, person) in &people {
        asked.learns_nothing(who, person, Place { room: &room, message: &message }).await;
    }
    app.finish().await;
}

/// What opened or joined the room is repeated, with its key, by people who are out of it since.
#[tokio::test]
async fn repeating_an_old_request_tells_nothing_of_what_came_after() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let subject = app.given_a_subject().await;
    for (room_type, kept) in [("private", 404), ("invite_only", 201), ("public", 201)] {
        let like = json!({
            "name": "A room", "description": "", "subjectId": subject, "roomType": room_type,
        });
        let open = || ana.post("/api/rooms").header("idempotency-key", room_type).json(&like);
        let room = open().await.assert_status(201).text_at("/id");
        let invite = ana.post(&format!("/api/rooms/{room}/invites")).await.assert_status(201);
        let code = json!({"inviteCode": invite.text_at("/code")});
        let path = format!("/api/rooms/{room}/join");
        let join = || ben.post(&path).header("idempotency-key", room_type).json(&code);
        let joined = join().await.assert_status(201);
        assert_eq!(join().await.assert_status(201)["room"]["my"]["isMember"], true);
        assert_eq!(open().await.assert_status(201)["my"]["role"], "owner");

        // Ben is given the room, puts Ana out, names it anew; then he leaves it to Cai.
        let cai = app.as_user("cai").await;
        cai.post(&path).json(&code).await.assert_status(201);
        let role = format!("/api/rooms/{room}/members/{}/role", ben.id);
        ana.post(&role).json(&json!({"role": "owner"})).await.assert_status(200);
        let ban = format!("/api/rooms/{room}/bans/{}", ana.id);
        ben.put(&ban).await.assert_status(204);
        let secret = json!({"name": "Zanzibar", "description": "Zanzibar"});
        ben.patch(&format!("/api/rooms/{room}")).json(&secret).await.assert_status(200);
        let leave = json!({"transferTo": cai.id});
        ben.post(&format!("/api/rooms/{room}/leave")).json(&leave).await.assert_status(204);
        let post = cai.post(&format!("/api/messages/room/{room}")).json(&json!({"content": "x"}));
        post.await.assert_status(201);
        app.caught_up().await;

        let shown = |person: &Person| person.get(&format!("/api/rooms/{room}"));
        let (opened, rejoined) = (open().await, join().await);
        assert_eq!((opened.status, rejoined.status), (kept, kept), "{room_type}");
        assert_eq!(opened.header("idempotency-replayed").is_some(), kept == 201);
        if kept == 404 {
            assert_eq!(bare(&opened), bare(&shown(&ana).await));
            assert_eq!(bare(&rejoined), bare(&shown(&ben).await));
            continue;
        }
        // As much as is shown to everyone, and nothing of a membership.
        assert_eq!(*opened, *shown(&ana).await, "{room_type}");
        assert_eq!(rejoined["room"], *shown(&ben).await, "{room_type}");
        assert_eq!((&opened["my"], &rejoined["room"]["my"]), (&json!(null), &json!(null)));
        assert_eq!(rejoined["lastSeq"], joined["lastSeq"], "{room_type}: not how far it is now");
        // The membership that there was.
        let of = |answer: &Answer| {
            (answer.text_at("/membership/role"), answer.text_at("/membership/userId"))
        };
        assert_eq!(of(&rejoined), of(&joined));
    }
    app.finish().await;
}
