//! Sessions: seeing where one is logged in, ending some of it, and what ends with a password.
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    LIMIT, Socket, TestApp,
    app::{PASSWORD, Person, email},
    eventually, token,
};
use tokio::time::{Instant, timeout};

/// How soon a socket of a session that has ended is closed, on any node.
const SOON: Duration = Duration::from_secs(1);
const NEW_PASSWORD: &str = "a wholly different sentence";

/// One more session of someone's.
async fn device(app: &TestApp, name: &str, password: &str) -> Person {
    let body = json!({"email": email(name), "password": password});
    let request = app.anyone().post("/api/auth/login").json(&body);
    let session = request.header("user-agent", "Device/1.0").await.assert_status(200);
    app.person(&session)
}

async fn socket_of(app: &TestApp, node: usize, person: &Person) -> Socket {
    let socket = app.connect(node, &json!({"token": person.token})).await.unwrap();
    socket.hears("session_ready").await;
    socket
}

/// The session works for nobody any more, on no node, by no way in.
async fn assert_over(app: &TestApp, person: &Person) {
    for node in 0..app.nodes.len() {
        app.at(node, person).get("/api/users/me").await.assert_problem(401, "unauthenticated");
        let refused = app.connect(node, &json!({"token": person.token})).await.err().unwrap();
        assert_eq!(refused["message"], "session_revoked");
        assert_eq!(refused["data"], json!({"code": "session_revoked", "retryable": false}));
    }
    let body = json!({"refreshToken": person.refresh_token});
    let refused = app.anyone().post("/api/auth/refresh").json(&body).await;
    refused.assert_problem(401, "refresh_token_invalid");
}

/// The socket is told why, and closed in time after the answer.
async fn assert_closed(socket: &Socket, since: Instant, reason: &str) {
    let told = socket.hears("session_revoked").await;
    assert_eq!(told["reason"], reason);
    timeout(LIMIT, socket.closed()).await.expect("the socket is closed");
    assert!(since.elapsed() < SOON, "closed after {:?}", since.elapsed());
}

fn ids(sessions: &Value) -> Vec<&str> {
    let data = sessions["data"].as_array().unwrap();
    data.iter().map(|session| session["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn people_see_where_they_are_logged_in() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    app.as_user("ben").await;
    let device = device(&app, "ana", PASSWORD).await;
    let list = device.get("/api/auth/sessions").await.assert_status(200);
    assert_eq!(ids(&list), [device.session_id.as_str(), ana.session_id.as_str()], "newest first");
    let first = &list["data"][0];
    assert_eq!(first["current"], true);
    assert_eq!(first["userAgent"], "Device/1.0");
    assert_eq!(list["data"][1]["current"], false);
    for field in ["createdAt", "lastSeenAt", "expiresAt"] {
        assert!(first[field].as_str().is_some_and(|time| time.ends_with('Z')), "{field}: {first}");
    }
    app.anyone().get("/api/auth/sessions").await.assert_problem(401, "unauthenticated");
    // Nobody refreshes for a week, and is seen all the same.
    eventually("it is noted that the session is used", LIMIT, async || {
        let list = device.get("/api/auth/sessions").await.assert_status(200);
        let first = &list["data"][0];
        (first["lastSeenAt"].as_str() > first["createdAt"].as_str()).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn an_ended_session_is_over_on_every_node_within_a_second() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let ana = app.as_user("ana").await;
    let device = device(&app, "ana", PASSWORD).await;
    let closing = socket_of(&app, 1, &device).await;
    let entered = closing.emit("join_room", json!({"roomId": room})).await;
    assert_eq!(entered["ok"], true, "{entered}");
    let kept = socket_of(&app, 1, &ana).await;

    let path = format!("/api/auth/sessions/{}", device.session_id);
    ana.delete(&path).await.assert_status(204);
    let since = Instant::now();
    // Nor does it say anything more on the other node.
    let more = json!({"roomId": room, "content": "one more"});
    while closing.try_emit("send_message", more.clone()).await.is_some_and(|it| it["ok"] == true) {
        assert!(since.elapsed() < SOON, "it speaks after {:?}", since.elapsed());
    }
    assert_closed(&closing, since, "ended_elsewhere").await;
    // What is said from here on does not reach it.
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let said = ben.emit("send_message", json!({"roomId": room, "content": "only us"})).await;
    assert_eq!(said["ok"], true, "{said}");
    assert_over(&app, &device).await;
    let heard = closing.heard_of("new_message");
    assert!(heard.iter().all(|it| it["message"]["content"] == "one more"), "{heard:?}");
    // Once more is as good as once, and the other session goes on.
    ana.delete(&path).await.assert_status(204);
    let list = ana.get("/api/auth/sessions").await.assert_status(200);
    assert_eq!(ids(&list), [ana.session_id.as_str()]);
    assert!(!kept.is_closed());
    app.finish().await;
}

#[tokio::test]
async fn what_a_socket_still_had_to_say_is_not_said_when_its_session_ends() {
    // So slow that most of it waits when the session ends.
    let app =
        TestApp::builder().variable("FAILPOINTS", "append.after_commit=sleep(40)").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let ana = app.as_user("ana").await;
    let ben = app.as_user("ben").await;
    let stolen = device(&app, "ben", PASSWORD).await;
    let socket = socket_of(&app, 0, &stolen).await;
    let message = |n: usize| json!({"roomId": room, "content": format!("message {n}")});
    // As many as a socket may have waiting, and its end while they are carried out.
    for n in 0..60 {
        socket.emit_later("send_message", message(n)).await;
    }
    let path = format!("/api/auth/sessions/{}", stolen.session_id);
    ben.delete(&path).await.assert_status(204);
    socket.closed().await;
    let said = async || {
        let page = ana.get(&format!("/api/messages/room/{room}?limit=100")).await;
        let page = page.assert_status(200);
        page.data().iter().filter(|it| it["senderId"] == ben.id.as_str()).count()
    };
    app.caught_up().await;
    let before = said().await;
    assert!(before < 55, "too fast for this test: {before} were said before it ended");
    // Longer than the others would have taken.
    let (speaker, _) = app.socket_in(0, "ana", &room).await;
    for n in 0..40 {
        assert_eq!(speaker.emit("send_message", message(n)).await["ok"], true);
    }
    app.caught_up().await;
    // One may have been under way.
    assert!(said().await <= before + 1, "{before} before, {} after", said().await);
    app.finish().await;
}

#[tokio::test]
async fn the_session_of_somebody_else_cannot_be_told_from_none() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let mut seen = Vec::new();
    for id in [ben.session_id.as_str(), "0198c0de-0000-7000-8000-00000000ffff", "x"] {
        let refused = ana.delete(&format!("/api/auth/sessions/{id}")).await;
        refused.assert_problem(404, "not_found");
        seen.push((refused["title"].clone(), refused["code"].clone()));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    ben.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn logging_out_ends_what_its_scope_says() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let (second, third) =
        (device(&app, "ana", PASSWORD).await, device(&app, "ana", PASSWORD).await);
    let socket = socket_of(&app, 1, &second).await;
    ana.post("/api/auth/logout").json(&json!({"scope": "others"})).await.assert_status(204);
    let since = Instant::now();
    assert_closed(&socket, since, "ended_elsewhere").await;
    assert_over(&app, &second).await;
    assert_over(&app, &third).await;
    ana.get("/api/users/me").await.assert_status(200);

    let fourth = device(&app, "ana", PASSWORD).await;
    ana.post("/api/auth/logout").json(&json!({"scope": "global"})).await.assert_status(204);
    assert_over(&app, &ana).await;
    assert_over(&app, &fourth).await;
    // A token that is over ends nothing.
    let fifth = device(&app, "ana", PASSWORD).await;
    ana.post("/api/auth/logout").json(&json!({"scope": "global"})).await.assert_status(204);
    fifth.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_session_is_ended_with_a_token_that_has_expired() {
    let app = TestApp::start().await;
    app.as_user("ana").await;
    for scope in ["local", "global"] {
        let (ana, other) =
            (device(&app, "ana", PASSWORD).await, device(&app, "ana", PASSWORD).await);
        let expired = app.anyone().with_token(&token::ending_in(&app.world, &ana.token, -3600));
        expired.get("/api/users/me").await.assert_problem(401, "token_expired");
        expired.post("/api/auth/logout").json(&json!({"scope": scope})).await.assert_status(204);
        assert_over(&app, &ana).await;
        if scope == "global" {
            assert_over(&app, &other).await;
        } else {
            other.get("/api/users/me").await.assert_status(200);
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn the_oldest_session_makes_room_for_one_too_many() {
    let app = TestApp::builder().setting("ACCOUNTS__MAX_SESSIONS", "3").start().await;
    let first = app.as_user("ana").await;
    let second = device(&app, "ana", PASSWORD).await;
    let third = device(&app, "ana", PASSWORD).await;
    let socket = socket_of(&app, 0, &first).await;
    let fourth = device(&app, "ana", PASSWORD).await;
    let since = Instant::now();
    assert_closed(&socket, since, "too_many_sessions").await;
    let list = fourth.get("/api/auth/sessions").await.assert_status(200);
    let ids = ids(&list);
    assert_eq!(ids, [&fourth, &third, &second].map(|person| person.session_id.as_str()));
    // A session that ended has left its place.
    second.post("/api/auth/logout").await.assert_status(204);
    device(&app, "ana", PASSWORD).await;
    third.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn logins_at_the_same_moment_stay_within_the_limit() {
    let app = TestApp::builder()
        .node("all")
        .node("all")
        .setting("ACCOUNTS__MAX_SESSIONS", "4")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let body = json!({"email": email("ana"), "password": PASSWORD});
    let logins = (0..24).map(|n| {
        let request = app.anyone_at(n % 2).post("/api/auth/login").json(&body);
        async move { request.await.assert_status(200) }
    });
    let sessions = join_all(logins).await;
    let mut alive = 0;
    for session in &sessions {
        let person = app.person(session);
        let status = person.get("/api/users/me").await.status;
        assert!(matches!(status, 200 | 401), "{status}");
        alive += u32::from(status == 200);
    }
    assert!(alive <= 4, "{alive} sessions live");
    assert!(alive > 0, "somebody got in");
    app.at(0, &ana).get("/api/users/me").await.assert_problem(401, "unauthenticated");
    app.finish().await;
}

#[tokio::test]
async fn changing_the_password_ends_every_other_session_and_the_old_password() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let device_b = device(&app, "ana", PASSWORD).await;
    let socket = socket_of(&app, 1, &device_b).await;
    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    ana.put("/api/users/me/password").json(&change).await.assert_status(204);
    let since = Instant::now();
    assert_closed(&socket, since, "password_changed").await;
    assert_over(&app, &device_b).await;
    // The session of the change goes on, for longer than its access token.
    ana.get("/api/users/me").await.assert_status(200);
    let body = json!({"refreshToken": ana.refresh_token});
    app.anyone().post("/api/auth/refresh").json(&body).await.assert_status(200);
    let old = json!({"email": email("ana"), "password": PASSWORD});
    let refused = app.anyone().post("/api/auth/login").json(&old).await;
    refused.assert_problem(401, "invalid_credentials");
    device(&app, "ana", NEW_PASSWORD).await.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_password_changes_only_for_who_knows_it_and_to_a_good_one() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let own = email("ana");
    let named = json!({"username": "ana_of_the_hall"});
    ana.put("/api/users/me").json(&named).await.assert_status(200);
    for (current, new, pointer, code) in [
        ("not the password", NEW_PASSWORD, "/currentPassword", "wrong_password"),
        (PASSWORD, "short", "/newPassword", "too_short"),
        (PASSWORD, "password123", "/newPassword", "too_common"),
        (PASSWORD, own.as_str(), "/newPassword", "too_obvious"),
        (PASSWORD, "Ana_of_the_Hall", "/newPassword", "too_obvious"),
        (PASSWORD, PASSWORD, "/newPassword", "unchanged"),
    ] {
        let body = json!({"currentPassword": current, "newPassword": new});
        let refused = ana.put("/api/users/me/password").json(&body).await;
        refused.assert_problem(422, "validation_failed");
        assert_eq!(refused["errors"][0]["pointer"], pointer);
        assert_eq!(refused["errors"][0]["code"], code);
    }
    let body = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    let refused = app.anyone().put("/api/users/me/password").json(&body).await;
    refused.assert_problem(401, "unauthenticated");
    app.finish().await;
}

#[tokio::test]
async fn no_login_with_the_old_password_outlives_its_change() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let old = json!({"email": email("ana"), "password": PASSWORD});
    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    let changing = ana.put("/api/users/me/password").json(&change);
    let logins = (0..8).map(|n| {
        let request = app.anyone_at(n % 2).post("/api/auth/login").json(&old);
        async move { request.await }
    });
    let (changed, logins) = tokio::join!(changing, join_all(logins));
    changed.assert_status(204);
    for login in logins {
        if login.status == 401 {
            continue;
        }
        let person = app.person(&login.assert_status(200));
        let over = eventually("the session ends", LIMIT, async || {
            let answer = person.get("/api/users/me").await;
            (answer.status == 401).then_some(answer)
        });
        over.await.assert_problem(401, "unauthenticated");
    }
    ana.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn an_honest_refresh_survives_a_database_that_dies_on_the_way() {
    // Whatever is recorded is answered a moment later: long enough to die in between.
    let app = TestApp::builder()
        .variable("FAILPOINTS", "append.after_commit=sleep(40)")
        .allow_error("the event store")
        .allow_error("the read models in PostgreSQL")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let mut token = ana.refresh_token.clone();
    let mut lost = 0;
    for round in 0..12 {
        // At another moment of the refresh each time.
        let outage = app.world.database.die_and_come_back(round * 5);
        // What the client does that does not know: it asks again with what it has.
        let honest = eventually("a new pair", LIMIT, async || {
            let body = json!({"refreshToken": token});
            let answer = app.anyone().post("/api/auth/refresh").json(&body).try_send().await;
            let answer = answer.unwrap();
            if answer.status != 200 {
                assert!(answer.status >= 500, "{}", answer.text);
                lost += 1;
            }
            (answer.status == 200).then_some(answer)
        });
        let (answer, ()) = futures::join!(honest, outage);
        token = answer.text_at("/session/refreshToken");
    }
    assert!(lost > 0, "the database never died at the wrong moment");
    let body = json!({"refreshToken": token});
    let answer = app.anyone().post("/api/auth/refresh").json(&body).await.assert_status(200);
    app.person(&answer).get("/api/users/me").await.assert_status(200);
    let sessions = app.person(&answer).get("/api/auth/sessions").await.assert_status(200);
    assert_eq!(sessions.data().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn logging_out_everywhere_ends_sessions_from_when_there_were_more_places() {
    let mut app = TestApp::builder().setting("ACCOUNTS__MAX_SESSIONS", "6").start().await;
    let mut devices = vec![app.as_user("ana").await];
    for _ in 0..5 {
        devices.push(device(&app, "ana", PASSWORD).await);
    }
    app.set("ACCOUNTS__MAX_SESSIONS", "1");
    app.restart(0).await;
    let everywhere = json!({"scope": "global"});
    let asking = app.at(0, &devices[3]);
    asking.post("/api/auth/logout").json(&everywhere).await.assert_status(204);
    for device in &devices {
        app.at(0, device).get("/api/users/me").await.assert_problem(401, "unauthenticated");
    }
    app.finish().await;
}
