//! Accounts and sessions: getting in, staying in, getting out.
mod codes;
mod cookies;
mod enumeration;
mod leaving;
mod mail;
mod phone;
mod repeats;
mod sessions;
mod standing;
mod tokens;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Answer, LIMIT, TestApp,
    app::{PASSWORD, Person, email},
    eventually,
};
use tokio::time::Instant;

async fn login(app: &TestApp, email: &str, password: &str) -> Answer {
    app.anyone().post("/api/auth/login").json(&json!({"email": email, "password": password})).await
}

async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.anyone().post("/api/auth/refresh").json(&json!({"refreshToken": token})).await
}

/// Refreshes and returns the new refresh token.
async fn rotated(app: &TestApp, token: &str) -> String {
    refresh(app, token).await.assert_status(200).text_at("/session/refreshToken")
}

#[tokio::test]
async fn who_registers_is_logged_in_and_sees_the_account() {
    let app = TestApp::start().await;
    let registration = json!({
        "email": "Ana.Example@People.Example", "password": PASSWORD, "fullName": "Ana Example",
        "username": "Ana_1", "phone": "+49 30 123456", "educationLevel": "undergraduate",
        "institution": "University",
    });
    let session =
        app.anyone().post("/api/auth/register").json(&registration).await.assert_status(201);
    assert!(session.position() > 0);
    assert_eq!(session["status"], "authenticated");
    assert_eq!(session["session"]["tokenType"], "Bearer");
    assert_eq!(session["user"]["email"], "Ana.Example@People.Example", "as typed");
    assert_eq!(session["user"]["username"], "ana_1");
    assert_eq!(session["user"]["phone"], "+4930123456");
    assert_eq!(session["user"]["isVerified"], false);
    assert!(!session.text.contains("password") && !session.text.contains("argon2"));

    let ana = app.person(&session);
    let me = ana.get("/api/users/me").await.assert_status(200);
    assert_eq!(*me, session["user"]);
    assert!(me.header("etag").is_some());

    // The canonical form is the account, however it is typed.
    let again = login(&app, "ana.example@people.example", PASSWORD).await.assert_status(200);
    assert_eq!(again["user"]["id"], ana.id.as_str());
    assert_ne!(again["session"]["id"], ana.session_id.as_str());
    app.finish().await;
}

#[tokio::test]
async fn wrong_credentials_all_look_the_same() {
    let app = TestApp::start().await;
    app.as_user("ana").await;
    let mut seen: Vec<Value> = Vec::new();
    for (address, password) in [
        (email("ana"), "not the password"),
        (email("nobody"), PASSWORD),
        ("no address at all".to_owned(), PASSWORD),
    ] {
        let refused = login(&app, &address, password).await;
        refused.assert_problem(401, "invalid_credentials");
        assert!(refused.header("www-authenticate").is_some_and(|v| v.starts_with("Bearer")));
        let mut body = (*refused).clone();
        body.as_object_mut().unwrap().remove("requestId");
        seen.push(body);
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    app.finish().await;
}

#[tokio::test]
async fn fifty_registrations_of_one_address_at_once_make_one_account() {
    // Everybody's password is hashed, so everybody must fit into the queue.
    let app = TestApp::builder().node("all").node("all").start().await;
    let attempts = (0..50).map(|n| {
        let registration = json!({
            "email": if n % 2 == 0 { "ana@people.example" } else { "ANA@people.example" },
            "password": format!("{PASSWORD} {n}"),
            "fullName": format!("Ana {n}"),
        });
        let client = app.anyone_at(n % 2);
        async move { client.post("/api/auth/register").json(&registration).await }
    });
    let answers = join_all(attempts).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.assert_problem(409, "email_taken");
    }
    // The winner's password is the one that works.
    let ana = app.person(won[0]);
    let me = ana.get("/api/users/me").await.assert_status(200);
    let number = me["fullName"].as_str().unwrap().trim_start_matches("Ana ").to_owned();
    login(&app, "ana@people.example", &format!("{PASSWORD} {number}")).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn handles_and_numbers_belong_to_one_account() {
    let app = TestApp::start().await;
    let register = |name: &str, more: Value| {
        let mut registration =
            json!({"email": email(name), "password": PASSWORD, "fullName": "Somebody"});
        registration.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let client = app.anyone();
        async move { client.post("/api/auth/register").json(&registration).await }
    };
    let both = json!({"username": "ana_1", "phone": "+4930123456"});
    register("ana", both).await.assert_status(201);
    let taken = register("ben", json!({"username": "ANA_1"})).await;
    taken.assert_problem(409, "username_taken");
    let taken = register("ben", json!({"phone": "+49 30 123456"})).await;
    taken.assert_problem(409, "phone_taken");
    // What was refused has claimed nothing.
    register("ben", json!({"username": "ben_1"})).await.assert_status(201);
    app.finish().await;
}

#[tokio::test]
async fn registrations_are_checked_field_by_field() {
    let app = TestApp::start().await;
    let wrong = json!({
        "email": "nowhere", "password": "short", "fullName": " ", "isVerified": true,
    });
    let refused = app.anyone().post("/api/auth/register").json(&wrong).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let pointers: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    for field in ["/email", "/password", "/fullName", "/isVerified"] {
        assert!(pointers.contains(&field), "{field} is not in {pointers:?}");
    }
    for password in ["password123", &email("ana"), "x".repeat(129).as_str()] {
        let registration = json!({"email": email("ana"), "password": password, "fullName": "Ana"});
        let refused = app.anyone().post("/api/auth/register").json(&registration).await;
        refused.assert_problem(422, "validation_failed");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_refresh_token_rotates_and_one_step_back_is_forgiven() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let second = rotated(&app, &ana.refresh_token).await;
    assert_ne!(second, ana.refresh_token);
    // Our answer got lost: the same pair again, and the count does not go on.
    assert_eq!(rotated(&app, &ana.refresh_token).await, second);
    let third = rotated(&app, &second).await;
    assert_ne!(third, second);
    ana.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn an_old_refresh_token_ends_the_session_also_after_a_restart() {
    let mut app = TestApp::start().await;
    // An address of this test alone: what is caught is shared.
    let address = app.world.address("ana");
    let registration = json!({"email": address, "password": PASSWORD, "fullName": "Ana"});
    let session = app.anyone().post("/api/auth/register").json(&registration).await;
    let ana = app.person(&session.assert_status(201));
    let second = rotated(&app, &ana.refresh_token).await;
    let third = rotated(&app, &second).await;
    app.kill9_and_restart(0).await;
    let other = app.person(&login(&app, &address, PASSWORD).await.assert_status(200));
    let socket = app.connect(0, &json!({"token": ana.token})).await.unwrap();
    let kept = app.connect(0, &json!({"token": other.token})).await.unwrap();
    socket.hears("session_ready").await;

    let stolen = refresh(&app, &ana.refresh_token).await;
    let since = Instant::now();
    assert_eq!(stolen.status, 401);
    assert_eq!(socket.hears("session_revoked").await["reason"], "token_reused");
    socket.closed().await;
    assert!(since.elapsed() < tests::A_SECOND, "closed after {:?}", since.elapsed());
    let refused = app.connect(0, &json!({"token": ana.token})).await.err().unwrap();
    assert_eq!(refused["message"], "session_revoked");
    // The end was recorded although the answer was a refusal: for the thief and for the owner.
    for token in [&second, &third] {
        assert_eq!(refresh(&app, token).await.status, 401);
    }
    let refused = eventually("the access token ends as well", LIMIT, async || {
        let answer = app.anyone().with_token(&ana.token).get("/api/users/me").await;
        (answer.status == 401).then_some(answer)
    })
    .await;
    refused.assert_problem(401, "unauthenticated");
    // Nothing in the answers tells which of the reasons it was.
    let unknown = refresh(&app, "AAAA.1.BBBB").await;
    assert_eq!(stolen.without(&[]), unknown.without(&[]));
    // Its owner hears of it, once, and what they did not lose goes on.
    let told = "One of your devices was logged out";
    app.world.mail_to(&address, told, 1).await;
    login(&app, &address, PASSWORD).await.assert_status(200);
    app.anyone().with_token(&other.token).get("/api/users/me").await.assert_status(200);
    assert!(!kept.is_closed());
    app.caught_up().await;
    assert_eq!(app.world.mails_to(&address, told).len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn twenty_refreshes_at_once_are_one_lineage() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let attempts = (0..20).map(|n| {
        let client = app.anyone_at(n % 2);
        let body = json!({"refreshToken": ana.refresh_token});
        async move { client.post("/api/auth/refresh").json(&body).await.assert_status(200) }
    });
    let answers = join_all(attempts).await;
    let tokens: Vec<String> =
        answers.iter().map(|answer| answer.text_at("/session/refreshToken")).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    rotated(&app, &tokens[0]).await;
    ana.get("/api/users/me").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_forged_refresh_token_is_refused() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let mut forged: Vec<String> = vec![String::new(), "x".to_owned(), "x".repeat(4000)];
    for position in [0, ana.refresh_token.len() / 2, ana.refresh_token.len() - 1] {
        let mut bytes = ana.refresh_token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(bytes).unwrap());
    }
    for token in forged {
        let refused = refresh(&app, &token).await;
        assert!(matches!(refused.status, 401 | 422), "{token}: {}", refused.text);
    }
    let none = app.anyone().post("/api/auth/refresh").json(&json!({})).await.assert_status(422);
    assert_eq!(none["errors"][0]["code"], "required");
    rotated(&app, &ana.refresh_token).await;
    app.finish().await;
}

#[tokio::test]
async fn logging_out_ends_the_token_and_the_sockets_of_that_session_everywhere() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let other = login(&app, &email("ana"), PASSWORD).await.assert_status(200);
    let other: Person = app.person(&other);
    let socket = app.socket_at(1, "ana").await;
    let auth = json!({"token": other.token});
    let other_socket = app.connect(0, &auth).await.unwrap();
    other_socket.hears("session_ready").await;

    ana.post("/api/auth/logout").await.assert_status(204);
    socket.hears("session_revoked").await;
    socket.closed().await;
    for node in [0, 1] {
        app.at(node, &ana).get("/api/users/me").await.assert_problem(401, "unauthenticated");
        let refused = app.connect(node, &json!({"token": ana.token})).await.err().unwrap();
        assert_eq!(refused["message"], "session_revoked");
        assert_eq!(refused["data"], json!({"code": "session_revoked", "retryable": false}));
    }
    assert_eq!(refresh(&app, &ana.refresh_token).await.status, 401);
    // Once more is as good as once.
    ana.post("/api/auth/logout").await.assert_status(204);
    // The other device goes on.
    other.get("/api/users/me").await.assert_status(200);
    assert!(!other_socket.is_closed());
    app.finish().await;
}

#[tokio::test]
async fn tokens_of_others_are_no_tokens() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    app.anyone().get("/api/users/me").await.assert_problem(401, "unauthenticated");
    let (header, rest) = ana.token.split_once('.').unwrap();
    let (claims, _) = rest.split_once('.').unwrap();
    // {"alg":"none"}
    let unsigned = format!("eyJhbGciOiJub25lIn0.{claims}.");
    let cut = format!("{header}.{claims}.AAAA");
    for token in ["x", "a.b.c", &unsigned, &cut, &ana.refresh_token] {
        let client = app.anyone().with_token(token);
        client.get("/api/users/me").await.assert_problem(401, "unauthenticated");
        let refused = app.connect(0, &json!({"token": token})).await.err().unwrap();
        assert_eq!(refused["message"], "unauthenticated");
    }
    app.finish().await;
}
