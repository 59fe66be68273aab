//! Keeping order in rooms: roles, removals, bans, edits, and how many rooms one person owns.
use futures::future::join_all;
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{LIMIT, Socket, TestApp, eventually};

async fn say(socket: &Socket, room: &str, content: &str) -> Value {
    socket.emit("send_message", json!({"roomId": room, "content": content})).await
}

#[tokio::test]
async fn roles_come_from_the_owner_and_nobody_touches_the_owner() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (cai, eve) = (app.as_user("cai").await, app.as_user("eve").await);
    let (socket, _) = app.socket_in(0, "cai", &room).await;
    let role_of = |person: &str| format!("/api/rooms/{room}/members/{person}/role");
    let moderator = json!({"role": "moderator"});

    let made = ana.post(&role_of(&ben.id)).json(&moderator).await.assert_status(200);
    assert_eq!((&made["role"], &made["userId"]), (&json!("moderator"), &json!(ben.id)));
    let heard = socket.hears("member_role_changed").await;
    assert_eq!(heard["changes"], json!([{"userId": ben.id, "role": "moderator"}]));
    assert!(heard["seq"].is_i64() && heard["actorId"] == ana.id.as_str());

    ben.post(&role_of(&cai.id)).json(&moderator).await.assert_problem(403, "forbidden");
    for body in [json!({"role": "member"}), json!({"role": "owner"})] {
        ben.post(&role_of(&ana.id)).json(&body).await.assert_problem(403, "forbidden");
    }
    cai.post(&role_of(&cai.id)).json(&moderator).await.assert_problem(403, "forbidden");
    eve.post(&role_of(&cai.id)).json(&moderator).await.assert_problem(403, "not_a_member");
    ana.post(&role_of(&eve.id)).json(&moderator).await.assert_problem(404, "member_not_found");
    let nobody = json!({"role": "king"});
    ana.post(&role_of(&ben.id)).json(&nobody).await.assert_problem(422, "validation_failed");
    for (by, whom) in [(&ben, &ana.id), (&cai, &ben.id), (&ana, &ana.id)] {
        let removed = by.delete(&format!("/api/rooms/{room}/members/{whom}")).await;
        removed.assert_problem(403, "forbidden");
        let banned = by.put(&format!("/api/rooms/{room}/bans/{whom}")).await;
        banned.assert_problem(403, "forbidden");
    }

    // Making someone the owner hands the room over.
    let owner = json!({"role": "owner"});
    ana.post(&role_of(&cai.id)).json(&owner).await.assert_status(200);
    let shown = cai.get(&format!("/api/rooms/{room}")).await.assert_status(200);
    assert_eq!(shown["my"]["role"], "owner");
    ana.post(&role_of(&ben.id)).json(&moderator).await.assert_problem(403, "forbidden");
    let members = cai.get(&format!("/api/rooms/{room}/members?role=owner")).await;
    assert_eq!(members.assert_status(200).data().len(), 1, "exactly one");
    app.finish().await;
}

#[tokio::test]
async fn who_is_removed_is_out_on_every_node_before_anyone_hears_a_later_message() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (speaker, _) = app.socket_in(0, "ana", &room).await;
    let (here, _) = app.socket_in(0, "ben", &room).await;
    let (there, _) = app.socket_in(1, "ben", &room).await;
    let elsewhere = app.socket_at(1, "ben").await;
    let (witness, _) = app.socket_in(1, "cai", &room).await;

    let path = format!("/api/rooms/{room}/members/{}", ben.id);
    ana.delete(&path).await.assert_status(204);
    // He was told before the answer, on every node; what was sent before arrives before.
    let mut removal = 0;
    for socket in [&here, &there, &elsewhere] {
        let refused = say(socket, &room, "still here?").await;
        assert_eq!(refused["error"]["code"], "not_a_member", "{refused}");
        let told = socket.heard_of("removed_from_room");
        assert_eq!(told.len(), 1, "{:?}", socket.heard());
        assert_eq!((&told[0]["roomId"], &told[0]["reason"]), (&json!(room), &json!("kicked")));
        removal = told[0]["seq"].as_i64().unwrap();
    }

    assert_eq!(say(&speaker, &room, "now he is gone").await["ok"], true);
    let removed = witness.hears("member_removed").await;
    assert_eq!((&removed["user"]["id"], &removed["seq"]), (&json!(ben.id), &json!(removal)));
    assert_eq!((&removed["reason"], &removed["memberCount"]), (&json!("kicked"), &json!(2)));
    witness.hears_that("new_message", |p| p["message"]["content"] == "now he is gone").await;
    for socket in [&here, &there] {
        let again = socket.emit("join_room", json!({"roomId": room})).await;
        assert_eq!(again["error"]["code"], "not_a_member", "{again}");
        let synced = socket.emit("sync", json!({"roomId": room, "afterSeq": 0})).await;
        assert_eq!(synced["error"]["code"], "not_a_member", "{synced}");
        assert_eq!(socket.heard_of("new_message"), Vec::<Value>::new());
        let last = socket.heard().iter().filter_map(|h| h.payload["seq"].as_i64()).max();
        assert_eq!(last, Some(removal), "nothing of the room behind the removal");
    }
    // Removing someone who is gone succeeds, and a public room takes them back.
    ana.delete(&path).await.assert_status(204);
    ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
    app.finish().await;
}

#[tokio::test]
async fn who_is_banned_stays_out_until_the_ban_is_lifted() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let cai = app.as_user("cai").await;
    let (socket, _) = app.socket_in(0, "ben", &room).await;
    let (there, _) = app.socket_in(1, "ben", &room).await;
    let (witness, _) = app.socket_in(1, "cai", &room).await;
    let path = format!("/api/rooms/{room}/bans/{}", ben.id);

    cai.put(&path).await.assert_problem(403, "forbidden");
    let nobody = ana.put(&format!("/api/rooms/{room}/bans/{}", new_id())).await;
    nobody.assert_problem(404, "not_found");
    ana.put(&path).await.assert_status(204);
    // On the other node he is out as well: he says nothing more, and was told why.
    let refused = say(&there, &room, "still here?").await;
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    assert_eq!(there.heard_of("removed_from_room").len(), 1, "{:?}", there.heard());
    assert_eq!(there.heard_of("removed_from_room")[0]["reason"], "banned");
    let again = there.emit("join_room", json!({"roomId": room})).await;
    assert_eq!(again["error"]["code"], "banned", "{again}");
    let after = json!({"content": "without him"});
    ana.post(&format!("/api/messages/room/{room}")).json(&after).await.assert_status(201);
    witness.hears_that("new_message", |p| p["message"]["content"] == "without him").await;
    let typing = there.emit("typing", json!({"roomId": room, "isTyping": true})).await;
    assert_eq!(typing["error"]["code"], "not_in_room", "{typing}");
    assert_eq!(there.heard_of("new_message"), Vec::<Value>::new());
    ana.put(&path).await.assert_status(204);
    assert_eq!(socket.heard_of("removed_from_room")[0]["reason"], "banned");
    let join = format!("/api/rooms/{room}/join");
    ben.post(&join).await.assert_problem(403, "banned");
    let refused = socket.emit("join_room", json!({"roomId": room})).await;
    assert_eq!(refused["error"]["code"], "banned", "{refused}");
    ben.get(&format!("/api/messages/room/{room}")).await.assert_problem(403, "banned");
    // Who may not speak is told no more than that.
    let hello = json!({"roomId": room, "content": "hello", "replyToId": new_id()});
    let refused = socket.emit("send_message", hello).await;
    assert_eq!(refused["error"]["code"], "forbidden", "{refused}");
    let post = ben.post(&format!("/api/messages/room/{room}")).json(&json!({"content": "hello"}));
    post.await.assert_problem(403, "forbidden");

    let bans = ana.get(&format!("/api/rooms/{room}/bans")).await.assert_status(200);
    assert_eq!(bans.data().len(), 1);
    assert_eq!(bans.data()[0]["user"]["id"], ben.id.as_str());
    assert_eq!(bans.data()[0]["bannedBy"]["id"], ana.id.as_str());
    let members = format!("/api/rooms/{room}/bans");
    cai.get(&members).await.assert_problem(403, "forbidden");

    ana.delete(&path).await.assert_status(204);
    ana.delete(&path).await.assert_status(204);
    ben.post(&join).await.assert_status(201);
    app.finish().await;
}

#[tokio::test]
async fn a_room_is_edited_by_those_who_know_its_newest_revision() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (socket, _) = app.socket_in(0, "ben", &room).await;
    let path = format!("/api/rooms/{room}");
    let etag = async || {
        let shown = ana.get(&path).await.assert_status(200);
        shown.header("etag").expect("a tag").to_owned()
    };
    let old = etag().await;
    // What people say is no change of the room.
    assert_eq!(say(&socket, &room, "hello").await["ok"], true);
    let edit = json!({"name": "Algebra by day", "description": null, "maxParticipants": 5});
    let edited = ana.patch(&path).header("if-match", &old).json(&edit).await.assert_status(200);
    assert_eq!(
        (&edited["name"], &edited["maxParticipants"]),
        (&json!("Algebra by day"), &json!(5))
    );
    assert_eq!((&edited["description"], &edited["version"]), (&json!(""), &json!(2)));
    let heard = socket.hears("room_updated").await;
    assert_eq!((&heard["kind"], &heard["version"]), (&json!("edited"), &json!(2)));
    assert_eq!(heard["changes"]["name"], "Algebra by day");

    let other = json!({"name": "Algebra at noon"});
    let late = ana.patch(&path).header("if-match", &old).json(&other).await;
    late.assert_problem(412, "version_mismatch");
    assert_eq!(late.header("etag"), Some(etag().await.as_str()), "what to try again with");
    ana.delete(&path).header("if-match", &old).await.assert_problem(412, "version_mismatch");
    let newest = etag().await;
    ana.patch(&path).header("if-match", &newest).json(&other).await.assert_status(200);
    ana.patch(&path).json(&json!({"roomType": "invite_only"})).await.assert_status(200);

    for (body, status, code) in [
        (json!({"maxParticipants": 2}), 409, "below_member_count"),
        (json!({"maxParticipants": 501}), 422, "validation_failed"),
        (json!({"name": null}), 422, "validation_failed"),
        (json!({"name": "x"}), 422, "validation_failed"),
        (json!({"createdBy": ben.id}), 422, "unknown_field"),
        (json!({"subjectId": new_id()}), 404, "subject_not_found"),
    ] {
        ana.patch(&path).json(&body).await.assert_problem(status, code);
    }
    ben.patch(&path).json(&other).await.assert_problem(403, "forbidden");
    let eve = app.as_user("eve").await;
    eve.patch(&path).json(&other).await.assert_problem(403, "not_a_member");
    app.finish().await;
}

#[tokio::test]
async fn the_answer_to_an_edit_is_the_room_after_it_whatever_a_read_model_knows() {
    // Nobody waits for the read models.
    let app = TestApp::builder().setting("SERVER__WRITE_WAIT_MS", "1").start().await;
    let ana = app.as_user("ana").await;
    let room = app.given_a_room(&["ana"]).await;
    let path = format!("/api/rooms/{room}");
    eventually("the room shows", LIMIT, async || {
        (ana.get(&path).await.status == 200).then_some(())
    })
    .await;
    for n in 0..5 {
        let edit = json!({"name": format!("Algebra {n}"), "maxParticipants": 10 + n});
        let edited = ana.patch(&path).json(&edit).await.assert_status(200);
        assert_eq!(
            (&edited["name"], &edited["maxParticipants"], &edited["version"]),
            (&edit["name"], &edit["maxParticipants"], &json!(n + 2))
        );
        assert!(edited.header("etag").unwrap().starts_with(&format!("\"v{}", n + 2)));
    }
    app.finish().await;
}

#[tokio::test]
async fn an_archived_room_is_read_and_no_more() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let (socket, _) = app.socket_in(0, "ben", &room).await;
    assert_eq!(say(&socket, &room, "before").await["ok"], true);
    let path = format!("/api/rooms/{room}");
    ben.delete(&path).await.assert_problem(403, "forbidden");
    ana.delete(&path).await.assert_status(204);
    ana.delete(&path).await.assert_status(204);
    assert_eq!(socket.hears("room_updated").await["kind"], "archived");
    assert_eq!(say(&socket, &room, "after").await["error"]["code"], "room_inactive");
    let cai = app.as_user("cai").await;
    cai.post(&format!("{path}/join")).await.assert_problem(409, "room_inactive");
    ana.patch(&path)
        .json(&json!({"name": "Open again"}))
        .await
        .assert_problem(409, "room_inactive");
    let shown = ben.get(&path).await.assert_status(200);
    assert_eq!(shown["isActive"], false);
    let listed = ben.get("/api/rooms?active=true").await.assert_status(200);
    assert!(listed.data().is_empty());
    assert_eq!(ben.get("/api/rooms?active=false").await.assert_status(200).data().len(), 1);
    // Nobody needs to own what is closed.
    ana.post(&format!("{path}/leave")).await.assert_status(204);
    app.finish().await;
}

#[tokio::test]
async fn nobody_owns_more_rooms_than_they_may_not_even_all_at_once() {
    let nodes = TestApp::builder().node("all").node("all");
    let app = nodes.setting("ROOMS__MAX_OWNED", "3").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let subject = app.given_a_subject().await;
    let body = json!({"name": "One of many", "subjectId": subject, "roomType": "public"});
    let attempts = (0..8).map(|n| {
        let request = app.at(n % 2, &ana).post("/api/rooms").json(&body);
        async move { request.await }
    });
    let answers = join_all(attempts).await;
    let (opened, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    assert_eq!(opened.len(), 3);
    for answer in refused {
        answer.assert_problem(409, "limit_reached");
    }
    let rooms: Vec<_> = opened.iter().map(|answer| answer.text_at("/id")).collect();

    // An archived room gives its place back, and so does one that goes to someone else.
    ana.delete(&format!("/api/rooms/{}", rooms[0])).await.assert_status(204);
    ana.post("/api/rooms").json(&body).await.assert_status(201);
    ana.post("/api/rooms").json(&body).await.assert_problem(409, "limit_reached");
    let hand_over = async |room: &str| {
        ben.post(&format!("/api/rooms/{room}/join")).await;
        let role = format!("/api/rooms/{room}/members/{}/role", ben.id);
        ana.post(&role).json(&json!({"role": "owner"})).await
    };
    hand_over(&rooms[1]).await.assert_status(200);
    ana.post("/api/rooms").json(&body).await.assert_status(201);
    // Who has no place left is given no room.
    for _ in 0..2 {
        ben.post("/api/rooms").json(&body).await.assert_status(201);
    }
    hand_over(&rooms[2]).await.assert_problem(409, "limit_reached");
    let leave = format!("/api/rooms/{}/leave", rooms[2]);
    let leaving = ana.post(&leave).json(&json!({"transferTo": ben.id})).await;
    leaving.assert_problem(409, "limit_reached");

    // The last room that fits is opened once, however often it is asked for.
    ana.delete(&format!("/api/rooms/{}", rooms[2])).await.assert_status(204);
    let send = || ana.post("/api/rooms").header("idempotency-key", "last").json(&body);
    let first = send().await.assert_status(201).text_at("/id");
    assert_eq!(send().await.assert_status(201).text_at("/id"), first);
    app.finish().await;
}

#[tokio::test]
async fn only_people_who_have_confirmed_their_address_open_rooms() {
    let app = TestApp::builder().setting("ROOMS__REQUIRE_VERIFIED_EMAIL", "true").start().await;
    let subject = app.given_a_subject().await;
    let address = app.world.address("ana");
    let registration = json!({
        "email": address, "password": tests::app::PASSWORD, "fullName": "Ana Example",
    });
    let answer = app.anyone().post("/api/auth/register").json(&registration).await;
    let ana = app.person(&answer.assert_status(201));
    let body = json!({"name": "Algebra at night", "subjectId": subject, "roomType": "public"});
    ana.post("/api/rooms").json(&body).await.assert_problem(403, "email_not_verified");
    let mail = app.world.mail_to(&address, "Confirm your e-mail address", 1).await;
    let token = json!({"token": mail.token()});
    app.anyone().post("/api/auth/email/verify").json(&token).await.assert_status(200);
    ana.post("/api/rooms").json(&body).await.assert_status(201);
    app.finish().await;
}
