//! Access tokens: which ones count, and until when.
use std::time::Duration;

use platform::{Clock as _, SystemClock};
use serde_json::json;
use tests::{
    LIMIT, SpareServer, TestApp,
    app::{PASSWORD, Person, email},
    eventually, token,
};
use tokio::time::Instant;

/// Refused over REST, at the handshake of a socket, and as a newer token for one that is open.
async fn counts_nowhere(app: &TestApp, what: &str, token: &str, code: &str) {
    let refused = app.anyone().with_token(token).get("/api/users/me").await;
    assert_eq!(refused.status, 401, "{what}: {}", refused.text);
    refused.assert_problem(401, code);
    assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer"), "{what}");
    let refused = app.connect(0, &json!({"token": token})).await.err();
    let refused = refused.unwrap_or_else(|| panic!("{what}"));
    assert_eq!(refused["message"], code, "{what}");
    assert_eq!(refused["data"], json!({"code": code, "retryable": false}), "{what}");
    let socket = app.socket("ana").await;
    let ack = socket.emit("refresh_auth", json!({"token": token})).await;
    assert_eq!(ack["error"]["code"], "unauthenticated", "{what}: {ack}");
}

#[tokio::test]
async fn only_tokens_that_we_signed_for_this_and_for_now_count() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let (header, claims) = token::parts(&ana.token);
    let world = &app.world;
    let header_with = |field: &str, value: &str| {
        let mut header = header.clone();
        header[field] = json!(value);
        header
    };
    let now = SystemClock.now().timestamp();
    let claim = |field, value| token::with(world, &ana.token, field, value);
    let refused = "unauthenticated";
    for (what, token, code) in [
        ("alg none", token::bare(&header_with("alg", "none"), &claims), refused),
        (
            "HMAC with the public key",
            token::confused(world, &header_with("alg", "HS256"), &claims),
            refused,
        ),
        ("another issuer", claim("iss", json!("https://evil.example")), refused),
        ("another audience", claim("aud", json!("elsewhere")), refused),
        (
            "a path for a key id",
            token::signed(world, &header_with("kid", "../../../../dev/null"), &claims),
            refused,
        ),
        (
            "a URL for a key id",
            token::signed(world, &header_with("kid", "https://evil.example/jwks"), &claims),
            refused,
        ),
        (
            "a key of its own",
            token::signed(
                world,
                &json!({
                    "alg": "EdDSA", "typ": "at+jwt", "jku": "https://evil.example/jwks",
                    "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
                }),
                &claims,
            ),
            refused,
        ),
        ("expired", claim("exp", json!(now - 3600)), "token_expired"),
        ("not before tomorrow", claim("nbf", json!(now + 86_400)), refused),
        ("a refresh token", ana.refresh_token.clone(), refused),
    ] {
        counts_nowhere(&app, what, &token, code).await;
    }
    let as_refresh = json!({"refreshToken": ana.token});
    let refused = app.anyone().post("/api/auth/refresh").json(&as_refresh).await;
    refused.assert_problem(401, "refresh_token_invalid");
    // The forger's tools are right: unchanged parts, signed, count.
    let again = token::signed(world, &header, &claims);
    app.anyone().with_token(&again).get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

async fn login(app: &TestApp, password: &str) -> Person {
    let body = json!({"email": email("ana"), "password": password});
    app.person(&app.anyone().post("/api/auth/login").json(&body).await.assert_status(200))
}

const NEW_PASSWORD: &str = "a wholly different sentence";

async fn change_password(person: &Person) {
    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    person.put("/api/users/me/password").json(&change).await.assert_status(204);
}

fn version(token: &str) -> u64 {
    token::parts(token).1["ver"].as_u64().unwrap()
}

#[tokio::test]
async fn tokens_from_before_a_change_of_the_password_count_in_its_session_only() {
    let mut redis = SpareServer::start("redis").await;
    let app = TestApp::builder().on(redis.servers()).allow_error("edis").start().await;
    let ana = app.as_user("ana").await;
    assert_eq!(version(&ana.token), 0);
    change_password(&ana).await;
    ana.get("/api/users/me").await.assert_status(200);
    // Its next token is of today, and so are those of new sessions.
    let body = json!({"refreshToken": ana.refresh_token});
    let renewed = app.anyone().post("/api/auth/refresh").json(&body).await.assert_status(200);
    let renewed = app.person(&renewed);
    let new = login(&app, NEW_PASSWORD).await;
    for person in [&renewed, &new] {
        assert_eq!(version(&person.token), 1);
        person.get("/api/users/me").await.assert_status(200);
    }
    // A token of the new session that says it is older than that.
    let old = token::with(&app.world, &new.token, "ver", json!(0));
    counts_nowhere_but_refresh(&app, &old).await;
    app.caught_up().await;
    counts_nowhere_but_refresh(&app, &old).await;
    redis.kill().await;
    counts_nowhere_but_refresh(&app, &old).await;
    new.get("/api/users/me").await.assert_status(200);
    ana.get("/api/users/me").await.assert_status(200);
    redis.start_again().await;
    app.finish().await;
}

async fn counts_nowhere_but_refresh(app: &TestApp, token: &str) {
    let refused = app.anyone().with_token(token).get("/api/users/me").await;
    refused.assert_problem(401, "unauthenticated");
    let refused = app.connect(0, &json!({"token": token})).await.err().unwrap();
    assert_eq!(refused["message"], "session_revoked");
}

#[tokio::test]
async fn a_changed_password_cuts_other_sessions_off_though_nobody_lived_to_end_them() {
    let mut app = TestApp::builder()
        .node("all")
        // Nobody here finishes what the other one began.
        .node("api,realtime,relay,projectors")
        .variable("FAILPOINTS", "password.before_sessions_end=return")
        .allow_error("crash point")
        .start()
        .await;
    let here = app.as_user("ana").await;
    let there = login(&app, PASSWORD).await;
    let socket = app.connect(1, &json!({"token": there.token})).await.unwrap();
    socket.hears("session_ready").await;
    let kept = app.connect(1, &json!({"token": here.token})).await.unwrap();
    kept.hears("session_ready").await;

    let change = json!({"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD});
    let lost = here.put("/api/users/me/password").json(&change).try_send().await;
    assert!(lost.is_err(), "the node died on the way");
    app.nodes[0].died().await;

    let told = socket.hears("session_revoked").await;
    assert_eq!(told["reason"], "password_changed");
    socket.closed().await;
    eventually("the token is cut off", LIMIT, async || {
        let answer = app.at(1, &there).get("/api/users/me").await;
        (answer.status == 401).then_some(())
    })
    .await;
    let refused = app.connect(1, &json!({"token": there.token})).await.err().unwrap();
    assert_eq!(refused["message"], "session_revoked");
    let body = json!({"refreshToken": there.refresh_token});
    let refused = app.anyone_at(1).post("/api/auth/refresh").json(&body).await;
    refused.assert_problem(401, "refresh_token_invalid");
    // The session in which it was changed goes on, and so does its socket.
    app.at(1, &here).get("/api/users/me").await.assert_status(200);
    assert!(!kept.is_closed());
    let room = json!({"roomId": "0198c0de-0000-7000-8000-00000000ffff"});
    assert_eq!(kept.emit("join_room", room).await["error"]["code"], "not_found");
    app.start_again(0).await;
    app.finish().await;
}

#[tokio::test]
async fn a_read_model_that_hangs_lets_nobody_in_whose_session_has_ended_since() {
    let postgres = SpareServer::start("postgres").await;
    let nodes = TestApp::builder().node("api,realtime,relay,processes").node("projectors");
    // Nobody waits for the one that hangs.
    let nodes = nodes.on(postgres.servers()).setting("SERVER__WRITE_WAIT_MS", "0");
    let app = nodes.start().await;
    let kept = app.as_user("ana").await;
    let ended = login(&app, PASSWORD).await;
    app.caught_up().await;
    for person in [&kept, &ended] {
        person.get("/api/users/me").await.assert_status(200);
    }
    eventually("the read model is trusted", LIMIT, async || {
        let keys = app.world.redis_keys().await;
        let fresh = keys.iter().filter(|key| key.contains("fresh:live_sessions:"));
        (fresh.count() == usize::from(eventstore::PARTITIONS)).then_some(())
    })
    .await;
    app.freeze(1).await;
    kept.delete(&format!("/api/auth/sessions/{}", ended.session_id)).await.assert_status(204);
    let since = Instant::now();
    let refused = eventually("what it knew counts no more", LIMIT, async || {
        let answer = ended.get("/api/users/me").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    refused.assert_problem(401, "unauthenticated");
    // What a read model knows counts for two seconds after it was seen at work.
    assert!(since.elapsed() < Duration::from_secs(3), "refused after {:?}", since.elapsed());
    let refused = app.connect(0, &json!({"token": ended.token})).await.err().unwrap();
    assert_eq!(refused["message"], "session_revoked");
    kept.get("/api/users/me").await.assert_status(200);
    app.thaw(1).await;
    app.finish().await;
}

#[tokio::test]
async fn nobody_is_let_in_while_nobody_can_tell_whether_their_session_lives() {
    let mut redis = SpareServer::start("redis").await;
    let app = TestApp::builder()
        .on(redis.servers())
        .allow_error("edis")
        .allow_error("the event store")
        .allow_error("the read models in PostgreSQL")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let ended = login(&app, PASSWORD).await;
    ana.delete(&format!("/api/auth/sessions/{}", ended.session_id)).await.assert_status(204);
    app.caught_up().await;
    redis.kill().await;
    app.world.database.close().await;
    for person in [&ana, &ended] {
        for path in ["/api/users/me", "/api/rooms", "/api/auth/sessions"] {
            let refused = person.get(path).await;
            refused.assert_problem(503, "dependency_unavailable");
            assert!(refused.header("retry-after").is_some());
        }
        let room = person.post("/api/rooms").json(&json!({})).await;
        room.assert_problem(503, "dependency_unavailable");
    }
    // What needs no store is told apart as ever.
    let expired = token::ending_in(&app.world, &ana.token, -60);
    let refused = app.anyone().with_token(&expired).get("/api/users/me").await;
    refused.assert_problem(401, "token_expired");
    app.world.database.open().await;
    redis.start_again().await;
    eventually("who is logged in is let in again", LIMIT, async || {
        (ana.get("/api/users/me").await.status == 200).then_some(())
    })
    .await;
    ended.get("/api/users/me").await.assert_problem(401, "unauthenticated");
    app.finish().await;
}
