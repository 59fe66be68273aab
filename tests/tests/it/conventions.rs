//! What holds for every route: problems, headers, cursors, positions, health, metrics.
use serde_json::{Value, json};
use tests::TestApp;

#[tokio::test]
async fn every_error_is_a_problem_with_the_id_of_its_request() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    ana.get("/api/nothing").await.assert_problem(404, "not_found");
    ana.get("/nothing/at/all").await.assert_problem(404, "not_found");
    let wrong = ana.request("PATCH".parse().unwrap(), "/api/rooms").await;
    wrong.assert_problem(405, "method_not_allowed");
    let allowed = wrong.header("allow").expect("which methods there are");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");

    let post = |kind: &str, body: String| ana.post("/api/rooms").body(kind, body);
    post("application/json", "{".to_owned()).await.assert_problem(400, "malformed_json");
    post("text/plain", "{}".to_owned()).await.assert_problem(415, "unsupported_media_type");
    let large = "x".repeat(2 << 20);
    post("application/json", large).await.assert_problem(413, "payload_too_large");
    for body in ["[]", "7", "null", "{\"name\":\"\\ud800\"}"] {
        let refused = post("application/json", body.to_owned()).await;
        assert!(matches!(refused.status, 400 | 422), "{body}: {}", refused.text);
        assert!(refused["code"].is_string() && refused["requestId"].is_string());
    }
    // Nothing of the inside shows.
    let refused = post("application/json", "{\"name\": {\"a\": 1}}".to_owned()).await;
    for word in ["serde", "expected", "sqlx", "line 1"] {
        assert!(!refused.text.contains(word), "{word}: {}", refused.text);
    }
    app.finish().await;
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let app = TestApp::start().await;
    let first = app.anyone().get("/health/live").await;
    let second = app.anyone().get("/health/live").await;
    let id = |answer: &tests::Answer| answer.header("x-request-id").unwrap().to_owned();
    assert_ne!(id(&first), id(&second));
    let own = app.anyone().get("/health/live").header("x-request-id", "my-own.id_7").await;
    assert_eq!(id(&own), "my-own.id_7");
    // What a client sends stands in logs: no line breaks, no novels.
    for odd in ["a b", "x".repeat(300).as_str()] {
        let answer = app.anyone().get("/health/live").header("x-request-id", odd).await;
        assert_ne!(id(&answer), odd);
    }
    app.finish().await;
}

#[tokio::test]
async fn answers_carry_the_headers_that_browsers_heed() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let answer = ana.get("/api/rooms").await.assert_status(200);
    let polling = ana.get("/socket.io/?EIO=4&transport=polling").await.assert_status(200);
    for answer in [&answer, &polling] {
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ] {
            assert_eq!(answer.header(name), Some(value));
        }
        assert!(answer.header("strict-transport-security").is_some());
        assert!(answer.header("x-powered-by").is_none() && answer.header("server").is_none());
    }
    assert_eq!(polling.header("cache-control"), Some("no-store"));
    let cache = answer.header("cache-control").unwrap();
    assert!(cache.contains("private") || cache.contains("no-store"), "{cache}");

    let asked = |origin: &'static str| app.anyone().get("/api/subjects").header("origin", origin);
    let ours = asked("http://localhost:3000").await;
    assert_eq!(ours.header("access-control-allow-origin"), Some("http://localhost:3000"));
    let theirs = asked("https://evil.example").await;
    assert_eq!(theirs.header("access-control-allow-origin"), None);
    app.finish().await;
}

#[tokio::test]
async fn a_write_tells_its_position_and_a_read_waits_for_one() {
    let app = TestApp::builder()
        .setting("SERVER__WRITE_WAIT_MS", "0")
        .setting("PROJECTIONS__READ_WAIT_MS", "4000")
        .start()
        .await;
    let person = app.as_user("ana").await;
    let before = app.given_a_subject().await;
    let mut last = 0;
    for n in 0..10 {
        let room = json!({
            "name": format!("Room {n}"), "description": "", "subjectId": before,
            "roomType": "public",
        });
        let opened = person.post("/api/rooms").json(&room).await.assert_status(201);
        assert!(opened.position() > last);
        last = opened.position();
        let path = format!("/api/rooms/{}", opened.text_at("/id"));
        let read = person.get(&path).header("x-min-position", &last.to_string()).await;
        assert_eq!(read.assert_status(200)["memberCount"], 1);
    }
    // A position that nothing reaches.
    let far = (last + 1_000_000).to_string();
    let lagging = person.get("/api/rooms").header("x-min-position", &far).await;
    lagging.assert_problem(503, "projection_lagging");
    assert!(lagging.header("retry-after").is_some());
    for wrong in ["x", "-1", "1.5"] {
        let refused = person.get("/api/rooms").header("x-min-position", wrong).await;
        refused.assert_problem(400, "invalid_header");
    }
    app.finish().await;
}

#[tokio::test]
async fn cursors_belong_to_their_list() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    app.cli(&["seed"]).await;
    app.caught_up().await;
    let page = ana.get("/api/subjects?limit=5").await.assert_status(200);
    let cursor = page["page"]["nextCursor"].as_str().unwrap().to_owned();
    let next = ana.get(&format!("/api/subjects?limit=5&cursor={cursor}")).await.assert_status(200);
    let back = next["page"]["prevCursor"].as_str().unwrap();
    let again = ana.get(&format!("/api/subjects?limit=5&cursor={back}")).await.assert_status(200);
    assert_eq!(again.data(), page.data());

    let mut forged = cursor.clone().into_bytes();
    forged[3] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    for path in [
        format!("/api/subjects?category=Arts&cursor={cursor}"),
        format!("/api/rooms?cursor={cursor}"),
        format!("/api/subjects?cursor={forged}"),
        "/api/subjects?cursor=x".to_owned(),
    ] {
        ana.get(&path).await.assert_problem(400, "invalid_cursor");
    }
    for limit in ["0", "101", "-1", "many"] {
        let refused = ana.get(&format!("/api/subjects?limit={limit}")).await;
        refused.assert_problem(422, "validation_failed");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_catalogue_is_public_ordered_and_searchable() {
    let app = TestApp::start().await;
    app.cli(&["seed"]).await;
    app.caught_up().await;
    let all = app.anyone().get("/api/subjects?limit=100").await.assert_status(200);
    let names: Vec<&str> = all.data().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert!(names.len() >= 20 && names.is_sorted_by_key(|name| name.to_lowercase()), "{names:?}");
    let categories: std::collections::BTreeSet<_> =
        all.data().iter().map(|s| s["category"].as_str().unwrap()).collect();
    assert!(categories.len() >= 5);
    // For everybody's caches, for a while; then who asks again is told that it is the same.
    let path = "/api/subjects?limit=100";
    let tag = all.header("etag").expect("a tag");
    assert_eq!(all.header("cache-control"), Some("public, max-age=300"));
    let same = app.anyone().get(path).header("if-none-match", tag).await.assert_status(304);
    assert_eq!((same.text.as_str(), same.header("etag")), ("", Some(tag)));
    assert_eq!(same.header("cache-control"), Some("public, max-age=300"));
    let fewer = app.anyone().get("/api/subjects?limit=5").header("if-none-match", tag).await;
    assert_ne!(fewer.assert_status(200).header("etag"), Some(tag));
    let found = app.anyone().get("/api/subjects?q=ALGEBRA").await.assert_status(200);
    assert_eq!(found.data()[0]["name"], "Linear algebra");
    let cache = all.header("cache-control").unwrap();
    assert!(cache.contains("public"), "{cache}");
    app.finish().await;
}

#[tokio::test]
async fn a_node_tells_its_health_and_its_measurements_inside_only() {
    let app = TestApp::start().await;
    app.as_user("ana").await;
    for client in [app.anyone(), app.internal(0)] {
        client.get("/health/live").await.assert_status(200);
        let ready = client.get("/health/ready").await.assert_status(200);
        for part in ["eventStore", "nats", "projections"] {
            assert!(ready.text.contains(part), "{}", ready.text);
        }
    }
    let measured = ["append_seconds", "command_seconds", "relay_position", "projection_"];
    tests::eventually("everything is measured", tests::LIMIT, async || {
        let metrics = app.internal(0).get("/metrics").await.assert_status(200);
        measured.iter().all(|name| metrics.text.contains(name)).then_some(())
    })
    .await;
    app.anyone().get("/metrics").await.assert_problem(404, "not_found");
    app.internal(0).get("/api/rooms").await.assert_status(404);
    app.finish().await;
}

#[tokio::test]
async fn every_code_has_a_page() {
    let app = TestApp::start().await;
    let page = app.anyone().get("/api/problems/room_full").await.assert_status(200);
    assert_eq!(page["status"], 409);
    app.anyone().get("/api/problems/no_such_code").await.assert_problem(404, "not_found");
    app.finish().await;
}

/// Every key of a document, however deep.
fn keys(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                found.push(key.clone());
                keys(value, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_field_is_camel_case_and_every_time_has_milliseconds() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let id = app.given_a_room(&["ana", "ben"]).await;
    let (socket, ack) = app.socket_in(0, "ana", &id).await;
    let sent = socket.emit("send_message", json!({"roomId": id, "content": "hello"})).await;
    let heard = socket.hears("new_message").await;
    let mut documents = vec![ack, sent, heard];
    for path in [
        "/api/users/me",
        "/api/rooms",
        "/api/subjects?limit=2",
        &format!("/api/rooms/{id}"),
        &format!("/api/rooms/{id}/members"),
        &format!("/api/messages/room/{id}"),
    ] {
        documents.push((*ana.get(path).await.assert_status(200)).clone());
    }
    for document in &documents {
        let mut found = Vec::new();
        keys(document, &mut found);
        for key in found {
            let camel = key.starts_with(|c: char| c.is_ascii_lowercase())
                && key.chars().all(|c| c.is_ascii_alphanumeric());
            assert!(camel, "{key}");
        }
    }
    let at = documents[2]["message"]["createdAt"].as_str().unwrap();
    assert_eq!((at.len(), &at[19..20], &at[23..]), (24, ".", "Z"), "{at}");
    app.finish().await;
}

#[tokio::test]
async fn the_api_describes_itself() {
    let app = TestApp::start().await;
    let answer = app.anyone().get("/api/openapi.json").await.assert_status(200);
    assert_eq!(answer["openapi"], "3.1.0");
    assert!(answer["paths"]["/api/rooms/{roomId}/join"]["post"].is_object());
    let tag = answer.header("etag").unwrap();
    app.anyone().get("/api/openapi.json").header("if-none-match", tag).await.assert_status(304);
    app.finish().await;
}

#[tokio::test]
async fn the_reference_page_loads_nothing_from_elsewhere() {
    let app = TestApp::start().await;
    let sockets = app.anyone().get("/api/asyncapi.json").await.assert_status(200);
    assert_eq!(sockets["asyncapi"], "3.0.0");
    assert!(sockets["operations"]["receive_send_message"].is_object());
    let page = app.anyone().get("/api/docs").await.assert_status(200);
    assert!(!page.text.contains("//"), "something is elsewhere: {}", page.text);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("'sha256-"), "{policy}");
    assert!(!policy.contains("https:") && !policy.contains("script-src 'unsafe"), "{policy}");
    let script = app.anyone().get("/api/docs/scalar.js").await.assert_status(200);
    assert!(script.text.len() > 1_000_000);
    assert!(script.header("etag").is_some());
    app.finish().await;
}

const UNKNOWN: &str = "0198c0de-0000-7000-8000-00000000ffff";
/// What somebody signed in posts without a key: nothing to repeat.
const WITHOUT_KEYS: [(&str, &str); 1] = [(
    "/api/auth/logout",
    "a token that has expired is enough, and a second time ends nothing more",
)];

#[tokio::test]
async fn every_post_of_somebody_signed_in_heeds_an_idempotency_key() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let described = app.anyone().get("/api/openapi.json").await.assert_status(200);
    let mut heeding = 0;
    for (path, operations) in described["paths"].as_object().unwrap() {
        let post = &operations["post"];
        if post["security"].as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        let parameters = post["parameters"].as_array().unwrap();
        let described = parameters
            .iter()
            .any(|parameter| parameter["$ref"] == "#/components/parameters/IdempotencyKey");
        let exempt = WITHOUT_KEYS.iter().any(|(without, _)| without == path);
        assert_ne!(described, exempt, "{path}");
        if exempt {
            continue;
        }
        // Who does not look at the header does not notice that it is none.
        let parts = path.split('/').map(|it| if it.starts_with('{') { UNKNOWN } else { it });
        let url = parts.collect::<Vec<_>>().join("/");
        let refused = ana.post(&url).header("idempotency-key", "two words").json(&json!({})).await;
        assert_eq!(refused.status, 400, "{path}: {}", refused.text);
        refused.assert_problem(400, "invalid_header");
        heeding += 1;
    }
    assert!(heeding > 8, "{heeding} routes");
    app.finish().await;
}
