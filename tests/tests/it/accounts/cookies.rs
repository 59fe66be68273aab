//! Browser mode: the refresh token in a cookie.
use serde_json::json;
use tests::{
    Answer, TestApp,
    app::{PASSWORD, email},
};

/// Where pages of this server come from, by the settings.
const OWN: &str = "http://127.0.0.1:8080";

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").expect("a cookie").to_owned()
}

fn pair(cookie: &str) -> &str {
    cookie.split(';').next().unwrap()
}

#[tokio::test]
async fn a_browser_keeps_its_refresh_token_in_a_cookie_for_its_own_origin() {
    let app = TestApp::start().await;
    app.as_user("ana").await;
    let body = json!({"email": email("ana"), "password": PASSWORD});
    let login = |origin: &str| {
        let request = app.anyone().post("/api/auth/login").json(&body);
        request.header("x-auth-mode", "cookie").header("origin", origin)
    };
    let session = login(OWN).await.assert_status(200);
    assert_eq!(session["session"].get("refreshToken"), None);
    let first = cookie(&session);
    for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/api/auth"] {
        assert!(first.contains(part), "{first}");
    }
    let refresh = |cookie: &str, origin: Option<&str>| {
        let request = app.anyone().post("/api/auth/refresh").header("cookie", pair(cookie));
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
    };
    for origin in [None, Some("https://evil.example"), Some("null"), Some("http://127.0.0.1:80800")]
    {
        refresh(&first, origin).await.assert_problem(403, "origin_not_allowed");
    }
    login("https://evil.example").await.assert_problem(403, "origin_not_allowed");
    let renewed = refresh(&first, Some(OWN)).await.assert_status(200);
    assert_eq!(renewed["session"].get("refreshToken"), None);
    let second = cookie(&renewed);
    assert_ne!(pair(&first), pair(&second));

    let token = renewed.text_at("/session/accessToken");
    let logout = |origin: &str| {
        let request = app.anyone().with_token(&token).post("/api/auth/logout");
        request.header("cookie", pair(&second)).header("origin", origin)
    };
    logout("https://evil.example").await.assert_problem(403, "origin_not_allowed");
    let out = logout(OWN).await.assert_status(204);
    assert!(cookie(&out).contains("Max-Age=0"), "{}", cookie(&out));
    refresh(&second, Some(OWN)).await.assert_problem(401, "refresh_token_invalid");
    // Without a cookie and without a body there is nothing to refresh.
    let nothing = app.anyone().post("/api/auth/refresh").await;
    nothing.assert_problem(422, "validation_failed");
    app.finish().await;
}
