//! Browser mode: the refresh token in a cookie.
use serde_json::{Value, json};
use tests::{
    Answer, TestApp,
    app::{PASSWORD, email},
    http::Request,
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
    let logout = |origin: Option<&str>| {
        let request = app.anyone().with_token(&token).post("/api/auth/logout");
        let request = request.header("cookie", pair(&second));
        match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        }
    };
    for origin in [None, Some("null"), Some("https://evil.example")] {
        logout(origin).await.assert_problem(403, "origin_not_allowed");
    }
    app.anyone().with_token(&token).get("/api/users/me").await.assert_status(200);
    let out = logout(Some(OWN)).await.assert_status(204);
    assert!(cookie(&out).contains("Max-Age=0"), "{}", cookie(&out));
    refresh(&second, Some(OWN)).await.assert_problem(401, "refresh_token_invalid");
    // Without a cookie and without a body there is nothing to refresh.
    let nothing = app.anyone().post("/api/auth/refresh").await;
    nothing.assert_problem(422, "validation_failed");
    app.finish().await;
}

#[tokio::test]
async fn every_way_in_puts_the_refresh_token_into_a_cookie_for_a_browser() {
    let app = TestApp::builder()
        .setting("PHONE__LOG_CODES", "true")
        .setting("ACCOUNTS__RESEND_SECONDS", "0")
        .start()
        .await;
    let enter = |path: &str, body: &Value| -> Request {
        let request = app.anyone().post(&format!("/api/auth/{path}")).json(body);
        request.header("x-auth-mode", "cookie")
    };
    let (address, digits) = (app.world.address("ana"), app.world.name.bytes());
    let digits: String = digits.map(|b| char::from(b'0' + b % 10)).collect();
    let phone = format!("+491{}", &digits[digits.len() - 10..]);
    let sms = format!("{}@sms.localhost.localdomain", &phone[1..]);
    let mail = async |subject: &str| app.world.mail_to(&address, subject, 1).await;

    for path in ["register", "phone/verify", "email/verify", "password/reset"] {
        let body = match path {
            "register" => json!({"email": address, "password": PASSWORD, "fullName": "Ana"}),
            "phone/verify" => {
                let ask = app.anyone().post("/api/auth/phone/send-otp");
                ask.json(&json!({"phone": phone})).await.assert_status(202);
                let code = app.world.mail_to(&sms, "Your one-time code", 1).await.code();
                json!({"phone": phone, "code": code})
            }
            "email/verify" => json!({"token": mail("Confirm your e-mail address").await.token()}),
            _ => {
                let ask = app.anyone().post("/api/auth/password/forgot");
                ask.json(&json!({"email": address})).await.assert_status(202);
                let token = mail("Choose a new password").await.token();
                json!({"token": token, "newPassword": "a wholly different sentence"})
            }
        };
        // A page of others uses up nothing on its way out.
        for origin in ["https://evil.example", "null"] {
            let refused = enter(path, &body).header("origin", origin).await;
            refused.assert_problem(403, "origin_not_allowed");
            assert!(refused.header("set-cookie").is_none());
        }
        enter(path, &body).await.assert_problem(403, "origin_not_allowed");
        let session = enter(path, &body).header("origin", OWN).await;
        assert!([200, 201].contains(&session.status), "{path}: {}", session.text);
        let kept = cookie(&session);
        for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/api/auth"] {
            assert!(kept.contains(part), "{path}: {kept}");
        }
        let secret = pair(&kept).split_once('=').unwrap().1;
        assert!(secret.len() > 20 && !session.text.contains(secret), "{path}");
        assert_eq!(session["session"].get("refreshToken"), None, "{path}");
        let refresh = app.anyone().post("/api/auth/refresh").header("cookie", pair(&kept));
        refresh.header("origin", OWN).await.assert_status(200);
    }
    app.finish().await;
}
