//! Pages of others, and whoever stands between: what they can neither ask nor keep.
use platform::ids::new_id;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Answer, Client, TestApp,
    app::{PASSWORD, email},
    socket::Wire,
};
use tokio_tungstenite::tungstenite::Error;

/// One of `server.allowed_origins`.
const ALLOWED: &str = "http://localhost:3000";
/// What looks like it to whoever compares carelessly.
const FOREIGN: &[&str] = &[
    "https://evil.example",
    "null",
    "",
    "http://localhost:3000.evil.example",
    "http://evil-localhost:3000",
    "http://evil.example/http://localhost:3000",
    "http://localhost:30000",
    "http://localhost",
    "https://localhost:3000",
    "http://localhost:3000@evil.example",
    "http://127.0.0.1:8080.evil.example",
];

#[tokio::test]
async fn pages_of_other_origins_open_no_socket_by_whatever_transport() {
    let app = TestApp::start().await;
    for origin in FOREIGN {
        match Wire::open(&app.nodes[0].address, Some(origin)).await.map_err(|error| *error) {
            Err(Error::Http(answer)) => {
                assert_eq!(answer.status(), 403, "{origin:?}");
                assert!(!answer.headers().contains_key("access-control-allow-origin"));
            }
            other => panic!("{origin:?}: {:?}", other.err()),
        }
        let path = "/socket.io/?EIO=4&transport=polling";
        for method in [Method::GET, Method::POST] {
            let refused = app.anyone().request(method, path).header("origin", origin).await;
            refused.assert_problem(403, "origin_not_allowed");
            assert_eq!(refused.header("access-control-allow-origin"), None, "{origin:?}");
        }
    }
    assert!(Wire::open(&app.nodes[0].address, Some(ALLOWED)).await.is_ok());
    app.finish().await;
}

#[tokio::test]
async fn pages_of_other_origins_read_no_answer() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    for origin in FOREIGN {
        for path in ["/api/users/me", "/api/subjects", "/api/nothing"] {
            let answer = ana.get(path).header("origin", origin).await;
            for header in ["access-control-allow-origin", "access-control-allow-credentials"] {
                assert_eq!(answer.header(header), None, "{path} {origin:?}");
            }
            let vary = vary(&answer);
            assert!(vary.contains("origin"), "{path}: {vary}");
        }
        let preflight = app.anyone().request(Method::OPTIONS, "/api/users/me");
        let preflight = preflight
            .header("origin", origin)
            .header("access-control-request-method", "PATCH")
            .header("access-control-request-headers", "authorization")
            .await;
        assert_eq!(preflight.header("access-control-allow-origin"), None, "{origin:?}");
    }
    let ours = ana.get("/api/users/me").header("origin", ALLOWED).await;
    assert_eq!(ours.header("access-control-allow-origin"), Some(ALLOWED));
    app.finish().await;
}

#[tokio::test]
async fn links_lead_where_the_settings_say_whoever_asks() {
    let app = TestApp::builder()
        .setting("ACCOUNTS__REGISTRATION_MODE", "verified")
        .setting("ACCOUNTS__RESEND_SECONDS", "0")
        .start()
        .await;
    let address = app.world.address("ana");
    let ask = async |path: &str, body: Value| -> Answer {
        let request = app.anyone().post(path).json(&body).header("host", "evil.example");
        let request = request.header("x-forwarded-host", "evil.example");
        let request = request.header("forwarded", "host=evil.example;proto=https");
        let request = request.header("x-forwarded-proto", "https").header("x-host", "evil.example");
        request.header("x-original-url", "https://evil.example/").await
    };
    let registration = json!({"email": address, "password": PASSWORD, "fullName": "Ana"});
    ask("/api/auth/register", registration).await.assert_status(202);
    app.world.mail_to(&address, "Confirm your e-mail address", 1).await;
    ask("/api/auth/email/resend", json!({"email": address})).await.assert_status(202);
    let proof = app.world.mail_to(&address, "Confirm your e-mail address", 2).await;
    ask("/api/auth/password/forgot", json!({"email": address})).await.assert_status(202);
    let reset = app.world.mail_to(&address, "Choose a new password", 1).await;
    for mail in app.world.mails_to(&address, "Confirm your e-mail address").iter().chain([&reset]) {
        assert!(!mail.raw.contains("evil"), "{}", mail.raw);
        assert!(mail.text.contains("http://127.0.0.1:8080/"), "{}", mail.text);
    }
    let opened = ask("/api/auth/email/verify", json!({"token": proof.token()})).await;
    assert!(!opened.assert_status(200).text.contains("evil"));
    // What an answer says about where things are does not come from a header either.
    let refused = ask("/api/auth/login", json!({"email": address, "password": "wrong"})).await;
    refused.assert_problem(401, "invalid_credentials");
    assert!(!refused.text.contains("evil"), "{}", refused.text);
    app.finish().await;
}

/// Method and path of every route that is for signed-in people, or of every one that is not, and
/// whether it takes a body.
async fn routes(app: &TestApp, signed_in: bool) -> Vec<(Method, String, bool)> {
    let document = app.anyone().get("/api/openapi.json").await.assert_status(200);
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let secured = operation["security"].as_array().is_some_and(|it| !it.is_empty());
            if secured == signed_in {
                let method = method.to_uppercase().parse().unwrap();
                routes.push((method, path.clone(), operation.get("requestBody").is_some()));
            }
        }
    }
    assert!(routes.len() > if signed_in { 40 } else { 10 }, "{routes:?}");
    routes
}

/// The path with ids of things that are there where they are known, and of nothing elsewhere.
fn filled(path: &str, known: &[(&str, &str)]) -> String {
    let fill = |part: &str| match part.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
        Some("emoji") => "%F0%9F%91%8D".to_owned(),
        Some(name) => known
            .iter()
            .find(|(known, _)| *known == name)
            .map_or_else(|| new_id().to_string(), |(_, id)| (*id).to_owned()),
        None => part.to_owned(),
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// On which headers of the request an answer depends.
fn vary(answer: &Answer) -> String {
    let lines = answer.headers.get_all("vary").iter().map(|line| line.to_str().unwrap());
    lines.collect::<Vec<_>>().join(", ").to_ascii_lowercase()
}

fn stays_with_the_one_who_asked(what: &str, answer: &Answer) {
    let cache = answer.header("cache-control").unwrap_or_default();
    let kept = cache.contains("no-store") || cache.contains("private");
    assert!(kept && !cache.contains("public"), "{what}: {} {cache:?}", answer.status);
    if cache.contains("private") {
        let vary = vary(answer);
        assert!(vary.contains("authorization") && vary.contains("origin"), "{what}: {vary}");
    }
}

#[tokio::test]
async fn no_shared_cache_keeps_what_somebody_signed_in_was_answered() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let said = json!({"content": "hello"});
    let said = ana.post(&format!("/api/messages/room/{room}")).json(&said).await.assert_status(201);
    let message = said.text_at("/id");
    let known = [("roomId", room.as_str()), ("messageId", &message), ("userId", &ben.id)];
    let mut seen = std::collections::BTreeSet::new();
    let mut routes = routes(&app, true).await;
    // Reads first: what is read is there then, and the session at last.
    routes.sort_by_key(|(method, path, _)| (method != Method::GET, path.contains("logout")));
    for (method, path, _) in routes {
        let here = filled(&path, &known);
        for (who, client) in
            [("ana", &*ana), ("nobody", &app.anyone()), ("a forger", &app.anyone().with_token("x"))]
        {
            let answer = ask(client, &method, &here).await;
            let what = format!("{method} {path} as {who}");
            stays_with_the_one_who_asked(&what, &answer);
            seen.insert(answer.status);
            if let Some(tag) = answer.header("etag") {
                let again = client.request(method.clone(), &here).header("if-none-match", tag);
                if method == Method::GET {
                    let again = again.await;
                    assert_eq!(again.status, 304, "{what}");
                    stays_with_the_one_who_asked(&what, &again);
                }
            }
        }
    }
    for status in [200, 204, 401, 404, 422] {
        assert!(seen.contains(&status), "{status} was never seen: {seen:?}");
    }
    // What lets somebody in is nobody else's either.
    let login = json!({"email": email("ben"), "password": PASSWORD});
    let opened = app.anyone().post("/api/auth/login").json(&login).await.assert_status(200);
    stays_with_the_one_who_asked("a login", &opened);
    app.finish().await;
}

async fn ask(client: &Client, method: &Method, path: &str) -> Answer {
    let request = client.request(method.clone(), path);
    if *method == Method::GET { request.await } else { request.json(&json!({})).await }
}

#[tokio::test]
async fn json_is_taken_as_json_only() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    // What a form of another page can send without being asked first.
    let simple = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"];
    let mut routes = [routes(&app, true).await, routes(&app, false).await].concat();
    routes.retain(|(_, _, takes_body)| *takes_body);
    for open in [
        "register",
        "login",
        "refresh",
        "phone/send-otp",
        "phone/verify",
        "email/verify",
        "email/resend",
        "password/forgot",
        "password/reset",
    ] {
        let path = format!("/api/auth/{open}");
        assert!(routes.iter().any(|(_, known, _)| *known == path), "{path} takes no body");
    }
    for (method, path, _) in routes {
        for content_type in simple {
            let request = ana.request(method.clone(), &filled(&path, &[]));
            let refused = request.body(content_type, r#"{"email": "x"}"#).await;
            assert_eq!(refused.status, 415, "{method} {path} {content_type}: {}", refused.text);
            refused.assert_problem(415, "unsupported_media_type");
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_request_is_what_its_method_says_and_no_header_says_otherwise() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let ana = app.as_user("ana").await;
    let path = format!("/api/rooms/{room}");
    for header in ["x-http-method-override", "x-method-override", "x-http-method"] {
        let read = ana.get(&path).header(header, "DELETE").await.assert_status(200);
        assert_eq!(read["id"], room.as_str());
        let refused = ana.post(&path).header(header, "DELETE").json(&json!({})).await;
        refused.assert_problem(405, "method_not_allowed");
    }
    ana.get(&format!("{path}?_method=DELETE")).await;
    let refused = ana.post(&format!("{path}?_method=DELETE")).json(&json!({})).await;
    refused.assert_problem(405, "method_not_allowed");
    assert_eq!(ana.get(&path).await.assert_status(200)["isActive"], true);
    app.finish().await;
}
