//! How often people may ask.
mod ways_in;

use serde_json::json;
use tests::{
    SpareServer, TestApp,
    app::{PASSWORD, email},
};

/// Quotas small enough to be used up; windows long enough to last.
fn limited() -> tests::Builder {
    let mut app = TestApp::builder().setting("LIMITS__ENABLED", "true");
    for (name, rate) in [
        ("ANONYMOUS", "1000/1h"),
        ("READS", "5/1h"),
        ("WRITES", "4/1h"),
        ("MESSAGES", "3/1h"),
        ("REGISTER", "2/1h"),
        ("REGISTER_ADDRESS", "1000/1h"),
        ("LOGIN", "3/1h"),
        ("LOGIN_KNOWN", "3/1h"),
        ("LOGIN_PROMPT", "1000/1h"),
        ("LOGIN_ADDRESS", "5/1h"),
        ("SOCKET_COMMANDS", "1000/1h"),
        ("SOCKET", "1000/1h"),
    ] {
        app = app.setting(&format!("LIMITS__{name}"), rate);
    }
    app
}

#[tokio::test]
async fn reads_and_writes_of_a_person_are_limited_on_all_nodes_together() {
    let app = limited().node("all").node("api").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    for left in (0..5).rev() {
        let answer = app.at(left % 2, &ana).get("/api/users/me").await.assert_status(200);
        assert_eq!(answer.header("ratelimit-policy"), Some("\"reads\";q=5;w=3600"));
        let told = answer.header("ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"reads\";r={left};t=")), "{told}");
    }
    for node in [0, 1] {
        let refused = app.at(node, &ana).get("/api/users/me").await;
        refused.assert_problem(429, "rate_limited");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((3000..=3600).contains(&wait), "{wait}");
        assert!(refused.header("ratelimit").unwrap().starts_with("\"reads\";r=0;t="));
    }
    // Neither others nor other limits are touched.
    ben.get("/api/users/me").await.assert_status(200);
    for _ in 0..4 {
        ana.post("/api/rooms").json(&json!({})).await.assert_problem(422, "validation_failed");
    }
    ana.post("/api/rooms").json(&json!({})).await.assert_problem(429, "rate_limited");
    app.finish().await;
}

#[tokio::test]
async fn as_many_pass_at_once_as_there_are_and_no_more() {
    let app = limited().setting("LIMITS__READS", "20/1h").node("all").node("api").start().await;
    let ana = app.as_user("ana").await;
    let asked = (0..100).map(|n| {
        let client = app.at(n % 2, &ana);
        async move { client.get("/api/users/me").await.status }
    });
    let answers = futures::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 20);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 80);
    app.finish().await;
}

#[tokio::test]
async fn strangers_are_limited_by_address_and_guessing_tokens_counts() {
    // Six, and the description of the API, which every test reads once.
    let app = limited().setting("LIMITS__ANONYMOUS", "7/1h").start().await;
    let guesser = app.anyone().with_token("not.a.token");
    for _ in 0..3 {
        guesser.get("/api/users/me").await.assert_problem(401, "unauthenticated");
        app.anyone().get("/api/subjects").await.assert_status(200);
    }
    guesser.get("/api/users/me").await.assert_problem(429, "rate_limited");
    // No proxy is trusted: what a client says about its address counts for nothing.
    let disguised = app.anyone().get("/api/subjects").header("x-forwarded-for", "203.0.113.9");
    disguised.await.assert_problem(429, "rate_limited");
    // Load balancers ask as often as they like, and people with a token are no strangers.
    app.anyone().get("/health/live").await.assert_status(200);
    app.as_user("ana").await.get("/api/subjects").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn what_no_route_is_for_counts_all_the_same() {
    // Six, and the description of the API, which every test reads once.
    let app = limited().setting("LIMITS__ANONYMOUS", "7/1h").start().await;
    let ana = app.as_user("ana").await;
    let unknown = ["/nope", "/api/nope/at/all", "/"];
    for path in unknown {
        let answer = app.anyone().get(path).await;
        answer.assert_problem(404, "not_found");
        assert_eq!(answer.header("ratelimit-policy"), Some("\"anonymous\";q=7;w=3600"));
    }
    for _ in unknown {
        let answer = app.anyone().delete("/api/subjects").await;
        answer.assert_problem(405, "method_not_allowed");
        assert!(answer.header("ratelimit").unwrap().starts_with("\"anonymous\";r="));
    }
    let refused = app.anyone().get("/nope").await;
    refused.assert_problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    app.anyone().delete("/api/subjects").await.assert_problem(429, "rate_limited");
    app.anyone().get("/api/subjects").await.assert_problem(429, "rate_limited");
    // Who is signed in looks around at their own cost.
    for _ in 0..5 {
        ana.get("/nope").await.assert_problem(404, "not_found");
    }
    ana.get("/nope").await.assert_problem(429, "rate_limited");
    ana.get("/api/users/me").await.assert_problem(429, "rate_limited");
    app.finish().await;
}

#[tokio::test]
async fn a_token_that_was_given_up_uses_up_nobodys_limits() {
    let app =
        limited().setting("LIMITS__READS", "3/1h").setting("LIMITS__WRITES", "3/1h").start().await;
    let ana = app.as_user("ana").await;
    let body = json!({"email": email("ana"), "password": PASSWORD});
    let login = app.anyone().post("/api/auth/login").json(&body).await.assert_status(200);
    let found = app.person(&login);
    found.post("/api/auth/logout").await.assert_status(204);
    // Whoever found it asks for what takes such tokens.
    for _ in 0..5 {
        found.post("/api/auth/logout").await;
        found.get("/api/subjects").await;
    }
    ana.get("/api/users/me").await.assert_status(200);
    ana.patch("/api/users/me").json(&json!({"bio": "still here"})).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_trusted_proxy_says_who_asks() {
    let app = limited()
        .setting("LIMITS__ANONYMOUS", "2/1h")
        .setting("LIMITS__TRUSTED_PROXIES", "127.0.0.0/8,::1")
        .start()
        .await;
    let ask = |from: &'static str| {
        let request = app.anyone().get("/api/subjects").header("x-forwarded-for", from);
        async { request.await.status }
    };
    for from in ["203.0.113.1", "203.0.113.2, 203.0.113.1"] {
        assert_eq!(ask(from).await, 200);
    }
    assert_eq!(ask("6.6.6.6, 203.0.113.1").await, 429, "what it wrote itself is not believed");
    assert_eq!(ask("203.0.113.2").await, 200);
    app.finish().await;
}

#[tokio::test]
async fn logins_and_registrations_have_limits_of_their_own() {
    let app = limited().start().await;
    app.as_user("ana").await;
    app.as_user("ben").await;
    let login = |name: &str, password: &str| {
        let body = json!({"email": format!("{name}@People.Example"), "password": password});
        let request = app.anyone().post("/api/auth/login").json(&body);
        async { request.await }
    };
    for _ in 0..3 {
        login("ana", "wrong").await.assert_problem(401, "invalid_credentials");
    }
    let refused = login("ANA", PASSWORD).await;
    refused.assert_problem(429, "rate_limited");
    assert!(refused.header("ratelimit-policy").unwrap().contains("\"login-known\";q=3;w=3600"));
    // One more from this address is possible, for another account; then it has asked often enough.
    login("ben", PASSWORD).await.assert_status(200);
    login("ben", PASSWORD).await.assert_problem(429, "rate_limited");

    let registration =
        json!({"email": "ana@people.example", "password": PASSWORD, "fullName": "Ana"});
    let register = || app.anyone().post("/api/auth/register").json(&registration);
    register().await.assert_problem(409, "email_taken");
    register().await.assert_problem(429, "rate_limited");
    app.finish().await;
}

#[tokio::test]
async fn messages_are_limited_over_all_sockets_of_a_person() {
    let app = limited().setting("LIMITS__SOCKET_COMMANDS", "12/1h").start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (one, _) = app.socket_in(0, "ana", &room).await;
    let (two, _) = app.socket_in(0, "ana", &room).await;
    let message = json!({"roomId": room, "content": "hello"});
    for socket in [&one, &two, &one] {
        assert_eq!(socket.emit("send_message", message.clone()).await["ok"], true);
    }
    let refused = two.emit("send_message", message.clone()).await;
    assert_eq!(refused["error"]["code"], "rate_limited", "{refused}");
    assert_eq!(refused["error"]["retryable"], true);
    assert!(refused["error"]["retryAfterMs"].as_u64().unwrap() > 3_000_000, "{refused}");
    // Other commands go on, up to their own limit: two joins and three messages are counted.
    for _ in 0..7 {
        let synced = one.emit("sync", json!({"roomId": room, "afterSeq": 0})).await;
        assert_eq!(synced["ok"], true, "{synced}");
    }
    let refused = one.emit("sync", json!({"roomId": room, "afterSeq": 0})).await;
    assert_eq!(refused["error"]["code"], "rate_limited", "{refused}");
    app.finish().await;
}

#[tokio::test]
async fn a_socket_that_asks_too_fast_is_told_when_to_go_on() {
    let app = limited().setting("LIMITS__SOCKET", "5/1m").start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (socket, _) = app.socket_in(0, "ana", &room).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(socket.emit("sync", json!({"roomId": room, "afterSeq": 0})).await);
    }
    assert!(answers[..4].iter().all(|answer| answer["ok"] == true), "{answers:?}");
    let refused = &answers[5]["error"];
    assert_eq!(refused["code"], "rate_limited");
    assert!((1..=12_000).contains(&refused["retryAfterMs"].as_u64().unwrap()), "{refused}");
    app.finish().await;
}

#[tokio::test]
async fn without_redis_every_node_counts_for_itself() {
    let mut redis = SpareServer::start("redis").await;
    let app = limited().on(redis.servers()).allow_error("edis").start().await;
    let ana = app.as_user("ana").await;
    ana.get("/api/users/me").await.assert_status(200);
    redis.kill().await;
    for _ in 0..5 {
        ana.get("/api/users/me").await.assert_status(200);
    }
    ana.get("/api/users/me").await.assert_problem(429, "rate_limited");
    redis.start_again().await;
    app.finish().await;
}

#[tokio::test]
async fn limits_can_be_turned_off_and_the_log_warns() {
    let app = limited().setting("LIMITS__ENABLED", "false").start().await;
    let ana = app.as_user("ana").await;
    for _ in 0..12 {
        let answer = ana.get("/api/users/me").await.assert_status(200);
        assert_eq!(answer.header("ratelimit"), None);
    }
    let lines = app.nodes[0].log.lines();
    assert!(
        lines.iter().any(|line| line.contains("WARN") && line.contains("limits.enabled")),
        "no warning"
    );
    app.finish().await;
}

#[tokio::test]
async fn editing_counts_like_saying_something() {
    let app = limited().start().await;
    let room = app.given_a_room(&["ana"]).await;
    let (socket, _) = app.socket_in(0, "ana", &room).await;
    let ana = app.as_user("ana").await;
    let said = socket.emit("send_message", json!({"roomId": room, "content": "one"})).await;
    let id = said["data"]["message"]["id"].as_str().expect("it was said");
    let edit = |content: &str| json!({"messageId": id, "content": content});
    assert_eq!(socket.emit("edit_message", edit("two")).await["ok"], true);
    let path = format!("/api/messages/{id}");
    let edited = ana.put(&path).json(&json!({"content": "three"})).await.assert_status(200);
    assert!(edited.header("ratelimit").unwrap().starts_with("\"messages\";r=0;t="));
    ana.put(&path).json(&json!({"content": "four"})).await.assert_problem(429, "rate_limited");
    let refused = socket.emit("edit_message", edit("four")).await;
    assert_eq!(refused["error"]["code"], "rate_limited", "{refused}");
    app.finish().await;
}

#[tokio::test]
async fn what_no_event_is_counts_for_its_socket_all_the_same() {
    let app = limited().setting("LIMITS__SOCKET", "3/1h").start().await;
    let socket = app.socket("ana").await;
    for _ in 0..3 {
        let refused = socket.emit("no_such_event", json!({})).await;
        assert_eq!(refused["error"]["code"], "unknown_event", "{refused}");
    }
    for event in ["no_such_event", "leave_room"] {
        let refused = socket.emit(event, json!({"roomId": platform::ids::new_id()})).await;
        assert_eq!(refused["error"]["code"], "rate_limited", "{refused}");
    }
    app.finish().await;
}
