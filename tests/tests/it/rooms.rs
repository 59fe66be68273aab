//! Study rooms: opening, finding, joining, leaving.
use std::collections::BTreeSet;

use futures::future::join_all;
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{Answer, TestApp, app::Person};

async fn room(app: &TestApp, name: &str, more: Value) -> Value {
    let subject = app.given_a_subject().await;
    let mut room = json!({
        "name": name, "description": "", "subjectId": subject, "roomType": "public",
    });
    room.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    room
}

async fn open(app: &TestApp, owner: &Person, name: &str, more: Value) -> Answer {
    let room = room(app, name, more).await;
    owner.post("/api/rooms").json(&room).await.assert_status(201)
}

async fn names(person: &Person, query: &str) -> Vec<String> {
    let page = person.get(&format!("/api/rooms?{query}")).await.assert_status(200);
    page.data().iter().map(|room| room["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn who_opens_a_room_owns_it_and_reads_it_at_once() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let opened = open(&app, &ana, "Algebra at night", json!({"maxParticipants": 7})).await;
    let id = opened.text_at("/id");
    assert_eq!(opened.header("location"), Some(format!("/api/rooms/{id}").as_str()));
    assert_eq!(opened["my"]["role"], "owner");
    assert_eq!((&opened["memberCount"], &opened["maxParticipants"]), (&json!(1), &json!(7)));
    assert_eq!(opened["createdBy"]["fullName"], "Ana Example");

    let shown = ana.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(*shown, *opened, "what was answered is what is read");
    assert_eq!(shown.header("etag"), opened.header("etag"));
    let etag = shown.header("etag").unwrap();
    let same = ana.get(&format!("/api/rooms/{id}")).header("if-none-match", etag).await;
    assert_eq!((same.status, same.text.as_str()), (304, ""));

    let members = ana.get(&format!("/api/rooms/{id}/members")).await.assert_status(200);
    assert_eq!(members.data().len(), 1);
    assert_eq!(members.data()[0]["user"]["id"], ana.id.as_str());
    assert_eq!(members.data()[0]["role"], "owner");
    app.finish().await;
}

#[tokio::test]
async fn rooms_are_checked_field_by_field() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    for (field, value) in [
        ("name", json!("ab")),
        ("name", json!("x".repeat(81))),
        ("name", json!("nul \u{0} inside")),
        ("description", json!("x".repeat(1001))),
        ("roomType", json!("secret")),
        ("maxParticipants", json!(1)),
        ("maxParticipants", json!(501)),
        ("maxParticipants", json!("many")),
        ("subjectId", json!("x")),
    ] {
        let body = room(&app, "Algebra", json!({(field): value})).await;
        let refused = ana.post("/api/rooms").json(&body).await;
        assert_eq!(refused.status, 422, "{field} = {value}: {}", refused.text);
        assert_eq!(refused["errors"][0]["pointer"], format!("/{field}"));
    }
    let unknown = room(&app, "Algebra", json!({"memberCount": 9})).await;
    ana.post("/api/rooms").json(&unknown).await.assert_problem(422, "unknown_field");
    let nowhere = room(&app, "Algebra", json!({"subjectId": new_id()})).await;
    ana.post("/api/rooms").json(&nowhere).await.assert_problem(404, "subject_not_found");
    app.finish().await;
}

#[tokio::test]
async fn rooms_with_odd_names_are_shown_as_they_are() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    for odd in [
        "<img src=x onerror=alert(1)>",
        "{\"$gt\": \"\"}",
        "__proto__",
        "a\u{200d}b",
        "👨‍👩‍👧‍👦 family",
        "'; drop table rooms; --",
        "%_%_%",
        "1e999",
        "x\u{feff}yz",
        "see \u{2067}שלום\u{2069} there",
    ] {
        let opened = open(&app, &ana, odd, json!({"description": odd})).await;
        let id = opened.text_at("/id");
        // What turns the direction of a line would reach beyond the name.
        let name = odd.replace(['\u{2067}', '\u{2069}'], "");
        let shown = ben.get(&format!("/api/rooms/{id}")).await.assert_status(200);
        let found = ben.get("/api/rooms?sort=created&limit=1").await.assert_status(200);
        for room in [&*opened, &*shown, &found.data()[0]] {
            assert_eq!((&room["name"], &room["description"]), (&json!(name), &json!(odd)));
        }
        let (_, joined) = app.socket_in(0, "ana", &id).await;
        assert_eq!(joined["room"]["name"], name);
    }
    app.finish().await;
}

#[tokio::test]
async fn an_idempotency_key_opens_one_room() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let body = room(&app, "Algebra at night", json!({})).await;
    let key = new_id().to_string();
    let attempts = (0..10).map(|n| {
        let request =
            app.at(n % 2, &ana).post("/api/rooms").header("idempotency-key", &key).json(&body);
        async move { request.await.assert_status(201) }
    });
    let answers = join_all(attempts).await;
    let ids: BTreeSet<String> = answers.iter().map(|answer| answer.text_at("/id")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let replayed =
        answers.iter().filter(|a| a.header("idempotency-replayed") == Some("true")).count();
    assert_eq!(replayed, 9);

    let other = room(&app, "Botany at noon", json!({})).await;
    let refused = ana.post("/api/rooms").header("idempotency-key", &key).json(&other).await;
    refused.assert_problem(422, "idempotency_key_reused");
    // A key is its owner's.
    let ben = app.as_user("ben").await;
    let own = ben.post("/api/rooms").header("idempotency-key", &key).json(&other).await;
    assert_eq!(own.assert_status(201)["name"], "Botany at noon");
    assert_eq!(names(&ana, "mine=true").await, ["Algebra at night"]);
    app.finish().await;
}

#[tokio::test]
async fn a_kept_answer_survives_a_restart() {
    let mut app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let body = room(&app, "Algebra at night", json!({})).await;
    let send = || ana.post("/api/rooms").header("idempotency-key", "k1").json(&body);
    let first = send().await.assert_status(201).text_at("/id");
    app.kill9_and_restart(0).await;
    let ana = app.as_user("ana").await;
    let again = ana.post("/api/rooms").header("idempotency-key", "k1").json(&body).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.assert_status(201).text_at("/id"), first);
    app.finish().await;
}

#[tokio::test]
async fn fifty_people_at_once_on_ten_seats_are_ten_members() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let id = open(&app, &ana, "Ten seats", json!({"maxParticipants": 10})).await.text_at("/id");
    let mut people = Vec::new();
    for n in 0..50 {
        people.push(app.as_user(&format!("person{n}")).await);
    }
    let path = format!("/api/rooms/{id}/join");
    let attempts = people.iter().enumerate().map(|(n, person)| {
        let request = app.at(n % 2, person).post(&path);
        async move { request.await }
    });
    let answers = join_all(attempts).await;
    let (joined, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    assert_eq!(joined.len(), 9, "nine beside the owner");
    for answer in refused {
        answer.assert_problem(409, "room_full");
    }
    app.caught_up().await;
    let members = ana.get(&format!("/api/rooms/{id}/members?limit=100")).await.assert_status(200);
    assert_eq!(members.data().len(), 10);
    let room = ana.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(room["memberCount"], 10);
    assert_eq!(names(&ana, "hasSpace=true").await, Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn joining_and_leaving_twice_is_joining_and_leaving_once() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let id = open(&app, &ana, "Algebra", json!({})).await.text_at("/id");
    let first = ben.post(&format!("/api/rooms/{id}/join")).await.assert_status(201);
    assert_eq!(first["membership"]["role"], "member");
    assert_eq!(first["room"]["memberCount"], 2);
    let again = ben.post(&format!("/api/rooms/{id}/join")).await.assert_status(200);
    assert_eq!(again["membership"]["userId"], ben.id.as_str());
    assert_eq!(again["lastSeq"], first["lastSeq"], "nothing was recorded");
    for _ in 0..2 {
        ben.post(&format!("/api/rooms/{id}/leave")).await.assert_status(204);
    }
    let room = ana.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(room["memberCount"], 1);
    let stranger = ben.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(stranger["my"], Value::Null);
    app.finish().await;
}

#[tokio::test]
async fn a_repeated_leave_does_not_end_the_next_membership() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let id = open(&app, &ana, "Algebra", json!({})).await.text_at("/id");
    let join = format!("/api/rooms/{id}/join");
    let leave = || ben.post(&format!("/api/rooms/{id}/leave")).header("idempotency-key", "bye");
    ben.post(&join).await.assert_status(201);
    let first = leave().await.assert_status(204);
    assert_eq!(first.header("idempotency-replayed"), None);
    ben.post(&join).await.assert_status(201);
    // The network delivered it once more, late.
    let again = leave().await.assert_status(204);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    let room = ben.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(room["my"]["role"], "member");
    app.finish().await;
}

#[tokio::test]
async fn the_key_of_a_request_that_changes_nothing_is_kept() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let id = open(&app, &ana, "Algebra", json!({})).await.text_at("/id");
    let (join, leave) = (format!("/api/rooms/{id}/join"), format!("/api/rooms/{id}/leave"));
    let role = format!("/api/rooms/{id}/members/{}/role", ben.id);
    ben.post(&join).await.assert_status(201);
    // A member joins: one attempt does nothing, the others are that one again.
    let attempts = (0..10).map(|n| {
        let request = app.at(n % 2, &ben).post(&join).header("idempotency-key", "k");
        async move { request.await.assert_status(200) }
    });
    let answers = join_all(attempts).await;
    let replayed =
        answers.iter().filter(|it| it.header("idempotency-replayed") == Some("true")).count();
    assert_eq!(replayed, 9);
    for answer in &answers {
        assert_eq!(answer["membership"], answers[0]["membership"]);
        assert!(answer.position() > 0);
    }
    let other = ben.post(&join).header("idempotency-key", "k").json(&json!({"inviteCode": "abc"}));
    other.await.assert_problem(422, "idempotency_key_reused");

    // So it is with a role that holds already.
    let set = |to: &str| {
        let request = ana.post(&role).header("idempotency-key", "k").json(&json!({"role": to}));
        async { request.await }
    };
    for replayed in [None, Some("true")] {
        let answer = set("member").await.assert_status(200);
        assert_eq!(
            (&answer["role"], answer.header("idempotency-replayed")),
            (&json!("member"), replayed)
        );
    }
    set("moderator").await.assert_problem(422, "idempotency_key_reused");
    let members = ana.get(&format!("/api/rooms/{id}/members")).await.assert_status(200);
    assert!(members.data().iter().all(|it| it["role"] != "moderator"));

    // Who has left since is not brought back, and who is a member again is not put out.
    ben.post(&leave).await.assert_status(204);
    let late = ben.post(&join).header("idempotency-key", "k").await.assert_status(200);
    assert_eq!(late.header("idempotency-replayed"), Some("true"));
    assert_eq!(
        (&late["membership"]["role"], &late["room"]["my"]),
        (&json!("member"), &Value::Null)
    );
    let again = || ben.post(&leave).header("idempotency-key", "bye");
    assert_eq!(again().await.assert_status(204).header("idempotency-replayed"), None);
    ben.post(&join).await.assert_status(201);
    assert_eq!(again().await.assert_status(204).header("idempotency-replayed"), Some("true"));
    let room = ben.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(room["my"]["role"], "member");
    app.finish().await;
}

#[tokio::test]
async fn an_owner_hands_over_or_closes() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let id = app.given_a_room(&["ana", "ben"]).await;
    let leave = format!("/api/rooms/{id}/leave");
    ana.post(&leave).await.assert_problem(409, "owner_must_transfer");
    let stranger = ana.post(&leave).json(&json!({"transferTo": new_id()})).await;
    stranger.assert_problem(422, "validation_failed");
    assert_eq!(stranger["errors"][0]["code"], "successor_not_a_member");
    ana.post(&leave).json(&json!({"transferTo": ben.id})).await.assert_status(204);
    let room = ben.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(room["my"]["role"], "owner");
    // The last one to go closes the room.
    ben.post(&leave).await.assert_status(204);
    ana.post(&format!("/api/rooms/{id}/join")).await.assert_problem(409, "room_inactive");
    app.finish().await;
}

#[tokio::test]
async fn a_private_room_is_as_absent_as_one_that_never_was() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let id = open(&app, &ana, "Private room", json!({"roomType": "private"})).await.text_at("/id");
    let nowhere = new_id().to_string();
    let same = |one: &Answer, other: &Answer| {
        let bare = |answer: &Answer| {
            let mut body = (**answer).clone();
            let object = body.as_object_mut().unwrap();
            object.remove("requestId");
            object.remove("instance");
            (answer.status, body)
        };
        assert_eq!(bare(one), bare(other));
    };
    for (method, rest) in [("GET", ""), ("POST", "/join"), ("GET", "/members")] {
        let ask = |id: &str| {
            let path = format!("/api/rooms/{id}{rest}");
            let request = ben.request(method.parse().unwrap(), &path);
            async move { request.await }
        };
        let hidden = ask(&id).await;
        hidden.assert_problem(404, "not_found");
        same(&hidden, &ask(&nowhere).await);
        ask("not-an-id").await.assert_problem(404, "not_found");
    }
    let hidden = ben.get(&format!("/api/messages/room/{id}")).await;
    hidden.assert_problem(404, "not_found");
    same(&hidden, &ben.get(&format!("/api/messages/room/{nowhere}")).await);
    let socket = app.socket("ben").await;
    let hidden = socket.emit("join_room", json!({"roomId": id})).await;
    assert_eq!(hidden["error"]["code"], "not_found");
    assert_eq!(hidden, socket.emit("join_room", json!({"roomId": nowhere})).await);
    // Nor does it show in lists, not even as a number.
    assert_eq!(names(&ben, "").await, Vec::<String>::new());
    assert_eq!(names(&ana, "").await, ["Private room"]);
    app.finish().await;
}

#[tokio::test]
async fn an_invite_only_room_shows_that_it_is_there_and_little_more() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let more = json!({"roomType": "invite_only", "description": "By invitation."});
    let id = open(&app, &ana, "Salon", more).await.text_at("/id");
    let shown = ben.get(&format!("/api/rooms/{id}")).await.assert_status(200);
    assert_eq!(shown["description"], "By invitation.");
    assert!(shown.get("memberCount").is_none() && shown.get("createdBy").is_none());
    ben.get(&format!("/api/rooms/{id}/members")).await.assert_problem(403, "not_a_member");
    ben.post(&format!("/api/rooms/{id}/join")).await.assert_problem(403, "invite_required");
    assert_eq!(names(&ben, "").await, ["Salon"]);
    for space in ["hasSpace=true", "hasSpace=false"] {
        assert_eq!(names(&ben, space).await, Vec::<String>::new(), "that would tell its size");
    }
    assert_eq!(names(&ana, "hasSpace=true").await, ["Salon"]);
    app.finish().await;
}

#[tokio::test]
async fn rooms_are_found_by_what_they_are() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    open(&app, &ana, "Algebra at night", json!({"maxParticipants": 2})).await;
    open(&app, &ana, "100% algebra_", json!({})).await;
    open(&app, &ben, "Botany", json!({"roomType": "invite_only"})).await;
    let sorted = async |query: &str| {
        let mut found = names(&ana, query).await;
        found.sort();
        found
    };
    assert_eq!(sorted("q=ALGEBRA").await, ["100% algebra_", "Algebra at night"]);
    assert_eq!(sorted("q=%25").await, ["100% algebra_"], "a wildcard is a character");
    assert_eq!(sorted("q=_").await, ["100% algebra_"]);
    assert_eq!(sorted("roomType=invite_only").await, ["Botany"]);
    assert_eq!(sorted("mine=true").await, ["100% algebra_", "Algebra at night"]);
    assert_eq!(names(&ana, "sort=created").await, ["Botany", "100% algebra_", "Algebra at night"]);
    let subject = app.given_a_subject().await;
    assert_eq!(sorted(&format!("subjectId={subject}")).await.len(), 3);
    assert_eq!(sorted(&format!("subjectId={}", new_id())).await.len(), 0);
    ana.get("/api/rooms?sort=size").await.assert_problem(422, "validation_failed");
    ana.get("/api/rooms?colour=blue").await.assert_problem(422, "unknown_field");
    app.finish().await;
}

#[tokio::test]
async fn paging_shows_every_room_once_while_new_ones_open() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let mut expected = BTreeSet::new();
    for n in 0..7 {
        expected.insert(open(&app, &ana, &format!("Room {n}"), json!({})).await.text_at("/id"));
    }
    let mut seen = Vec::new();
    let mut path = "/api/rooms?sort=created&limit=2".to_owned();
    loop {
        let page = ana.get(&path).await.assert_status(200);
        assert!(page.data().len() <= 2);
        seen.extend(page.data().iter().map(|room| room["id"].as_str().unwrap().to_owned()));
        open(&app, &ana, &format!("Late {}", seen.len()), json!({})).await;
        let Some(next) = page["page"]["nextCursor"].as_str() else { break };
        assert_eq!(page["page"]["hasMore"], true);
        path = format!("/api/rooms?sort=created&limit=2&cursor={next}");
    }
    assert_eq!(seen.len(), 7, "no room twice");
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), expected);
    app.finish().await;
}

#[tokio::test]
async fn a_room_that_shows_itself_in_part_is_not_put_in_order_by_what_it_hides() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let invite_only = |name: &str| json!({"roomType": "invite_only", "name": name});
    let small = app.given_a_room_like(invite_only("Small"), &["ana"]).await;
    let large = app.given_a_room_like(invite_only("Large"), &["ana", "ben", "cai"]).await;
    for name in ["Quiet", "Busy"] {
        open(&app, &ana, name, json!({})).await.assert_status(201);
    }
    // The first one is the liveliest, which its members see.
    let (socket, _) = app.socket_in(0, "ana", &small).await;
    let said = json!({"roomId": small, "content": "psst"});
    assert_eq!(socket.emit("send_message", said).await["ok"], true);
    app.caught_up().await;
    let stranger = app.as_user("dan").await;
    assert_eq!(names(&ana, "sort=activity").await, ["Small", "Busy", "Quiet", "Large"]);
    assert_eq!(names(&stranger, "sort=activity").await, ["Busy", "Quiet", "Large", "Small"]);
    assert_eq!(names(&ana, "sort=members").await[0], "Large");
    let seen = names(&stranger, "sort=members").await;
    assert_eq!(seen, ["Busy", "Quiet", "Large", "Small"], "the later one first, whatever its size");

    // Page by page it is the same order.
    for sort in ["activity", "members", "created"] {
        let whole = names(&stranger, &format!("sort={sort}")).await;
        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let query = format!("/api/rooms?sort={sort}&limit=1{cursor}");
            let page = stranger.get(&query).await.assert_status(200);
            paged.extend(page.data().iter().map(|it| it["name"].as_str().unwrap().to_owned()));
            match page["page"]["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(paged, whole, "{sort}");
    }
    let hidden = stranger.get(&format!("/api/rooms/{large}")).await.assert_status(200);
    assert_eq!(hidden.get("memberCount"), None);
    app.finish().await;
}
