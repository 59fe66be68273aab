//! The frame around handlers that need no store.
use axum::{
    Json,
    body::Body,
    http::{Method, Request, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use platform::Config;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::{
    extract::{Fields, FromFields, JsonBody, PathId, Query, integer, text},
    problem::CONTENT_TYPE,
    strays,
};

struct Note(String);

impl FromFields for Note {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.required("text", text(|raw| Ok(raw.to_owned()))).map(Self)
    }
}

struct Size(u32);

impl FromFields for Size {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.required("size", integer(1..=9)).map(Self)
    }
}

fn server() -> Server {
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let keys = format!("k1:{secret}");
    let variables = [
        ("STUDYHALL_POSTGRES__URL", "postgres://localhost/x"),
        ("STUDYHALL_MONGODB__URL", "mongodb://localhost"),
        ("STUDYHALL_REDIS__URL", "redis://localhost"),
        ("STUDYHALL_NATS__URL", "nats://localhost"),
        ("STUDYHALL_SECURITY__MASTER_KEY", secret),
        ("STUDYHALL_SECURITY__JWT_KEYS", &keys),
        ("STUDYHALL_SERVER__PUBLIC_ORIGIN", "https://study.example"),
        ("STUDYHALL_SERVER__ALLOWED_ORIGINS", "https://app.example"),
        ("STUDYHALL_SERVER__BODY_LIMIT_BYTES", "20000"),
    ];
    Config::from_sources(None, variables).unwrap().server
}

async fn answer(request: Request<Body>) -> Response {
    let routes = Router::new()
        .route("/api/things", get(async || Json(json!({ "ok": true }))))
        .route("/api/things", post(async |note: JsonBody<Note>| note.value.0))
        .route("/api/sized", get(async |Query(Size(size)): Query<Size>| size.to_string()))
        .route("/api/things/{id}", get(async |PathId(id): PathId<domain::RoomId>| id.to_string()))
        .route("/api/cached", get(async || ([(header::CACHE_CONTROL, "private, no-cache")], "x")))
        .route("/api/panic", get(async || if true { panic!("secret") } else { "" }))
        .route("/api/slow", get(async || std::future::pending::<&str>().await))
        .route("/api/bare", get(async || (StatusCode::FORBIDDEN, "a stack trace")));
    let routes = routes
        .fallback(async || strays::unknown_route())
        .method_not_allowed_fallback(async || strays::method_not_allowed());
    frame(routes, &server()).oneshot(request).await.unwrap()
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path).header("x-request-id", "req-1")
}

fn bare(method: Method, path: &str) -> Request<Body> {
    request(method, path).body(Body::empty()).unwrap()
}

fn json_body(body: impl Into<Body>) -> Request<Body> {
    request(Method::POST, "/api/things")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .body(body.into())
        .unwrap()
}

async fn body_of(response: Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The problem document, after checking what all of them have.
async fn problem(request: Request<Body>) -> Value {
    let path = request.uri().path().to_owned();
    let response = answer(request).await;
    let status = response.status();
    assert_eq!(response.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    assert_eq!(response.headers()["x-request-id"], "req-1");
    let has_retry_after = response.headers().contains_key(header::RETRY_AFTER);
    assert_eq!(has_retry_after, status == StatusCode::SERVICE_UNAVAILABLE);
    let body = body_of(response).await;
    let code = body["code"].as_str().unwrap();
    let kind = crate::problems::find(code).unwrap();
    assert_eq!(body["title"], kind.title);
    assert_eq!((body["status"].clone(), status), (json!(kind.status.as_u16()), kind.status));
    assert_eq!(body["type"], format!("https://study.example/api/problems/{code}"));
    assert_eq!(body["instance"], path);
    assert_eq!(body["requestId"], "req-1");
    body
}

async fn code(request: Request<Body>) -> String {
    problem(request).await["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_nowhere_is_not_found() {
    assert_eq!(code(bare(Method::GET, "/nowhere?token=secret")).await, "not_found");
    assert_eq!(code(bare(Method::GET, "/api/things/not-an-id")).await, "not_found");
    assert_eq!(code(bare(Method::GET, "/api/things/%ff")).await, "not_found");
}

#[tokio::test]
async fn another_method_is_told_the_right_ones() {
    assert_eq!(code(bare(Method::DELETE, "/api/things")).await, "method_not_allowed");
    let response = answer(bare(Method::DELETE, "/api/things")).await;
    let allow = response.headers()[header::ALLOW].to_str().unwrap();
    for method in ["GET", "HEAD", "POST"] {
        assert!(allow.contains(method), "{allow}");
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_they_should_be_are_refused() {
    assert_eq!(code(json_body("{")).await, "malformed_json");
    assert_eq!(code(json_body("")).await, "malformed_json");
    assert_eq!(code(json_body("[1]")).await, "validation_failed");
    let untyped = request(Method::POST, "/api/things").body(Body::from("{}")).unwrap();
    assert_eq!(code(untyped).await, "unsupported_media_type");
    let text = request(Method::POST, "/api/things").header(header::CONTENT_TYPE, "text/plain");
    assert_eq!(code(text.body(Body::from("{}")).unwrap()).await, "unsupported_media_type");
}

#[tokio::test]
async fn an_unknown_field_is_pointed_at() {
    let problem = problem(json_body(r#"{"text":"x","isAdmin":true}"#)).await;
    assert_eq!(problem["code"], "unknown_field");
    assert_eq!(problem["errors"][0]["pointer"], "/isAdmin");
    let bad_query = bare(Method::GET, "/api/sized?size=1&sise=2");
    assert_eq!(code(bad_query).await, "unknown_field");
    assert_eq!(code(bare(Method::GET, "/api/sized?size=1&size=2")).await, "validation_failed");
    assert_eq!(code(bare(Method::GET, "/api/sized?size=10")).await, "validation_failed");
}

#[tokio::test]
async fn a_body_is_too_large_with_and_without_saying_so() {
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000));
    let mut announced = json_body(large.clone());
    announced.headers_mut().insert(header::CONTENT_LENGTH, large.len().into());
    assert_eq!(code(announced).await, "payload_too_large");
    let chunks = large.into_bytes().into_iter().map(|byte| Ok::<_, std::io::Error>(vec![byte]));
    let streamed = Body::from_stream(futures::stream::iter(chunks.collect::<Vec<_>>()));
    assert_eq!(code(json_body(streamed)).await, "payload_too_large");
}

#[tokio::test]
async fn a_panic_is_internal_and_says_nothing() {
    let problem = problem(bare(Method::GET, "/api/panic")).await;
    assert_eq!(problem["code"], "internal");
    assert!(!problem.to_string().contains("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_given_up() {
    assert_eq!(code(bare(Method::GET, "/api/slow")).await, "request_timeout");
}

#[tokio::test]
async fn an_error_without_a_problem_becomes_one() {
    let problem = problem(bare(Method::GET, "/api/bare")).await;
    assert_eq!(problem["code"], "forbidden");
    assert!(!problem.to_string().contains("stack trace"));
}

#[tokio::test]
async fn every_answer_is_hardened_and_not_kept() {
    for path in ["/api/things", "/nowhere", "/api/panic"] {
        let response = answer(bare(Method::GET, path)).await;
        let headers = response.headers();
        for (name, value) in [
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-site"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(headers[name], value, "{name} of {path}");
        }
        assert!(!headers.contains_key(header::SERVER));
    }
    let kept = answer(bare(Method::GET, "/api/cached")).await;
    assert_eq!(kept.headers()[header::CACHE_CONTROL], "private, no-cache");
    let vary: Vec<_> =
        kept.headers().get_all(header::VARY).iter().map(|v| v.to_str().unwrap()).collect();
    let vary = vary.join(",").to_lowercase();
    assert!(vary.contains("authorization") && vary.contains("origin"), "{vary}");
}

#[tokio::test]
async fn only_listed_pages_may_call_and_with_credentials() {
    for (origin, allowed) in [
        ("https://app.example", true),
        ("https://app.example.evil.example", false),
        ("http://app.example", false),
        ("null", false),
    ] {
        for method in [Method::GET, Method::OPTIONS] {
            let request = request(method, "/api/things")
                .header(header::ORIGIN, origin)
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
            let response = answer(request.body(Body::empty()).unwrap()).await;
            let headers = response.headers();
            let echoed = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(echoed.is_some_and(|echoed| echoed == origin), allowed, "{origin}");
            assert_eq!(echoed.is_some(), allowed, "{origin}");
            let credentials = headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
            assert_eq!(credentials, allowed, "{origin}");
        }
    }
}

#[tokio::test]
async fn an_error_reaches_listed_pages_too() {
    let request = request(Method::GET, "/api/panic").header(header::ORIGIN, "https://app.example");
    let response = answer(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
}
