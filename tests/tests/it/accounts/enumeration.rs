//! Whether somebody has an account: what nobody learns.
use serde_json::{Value, json};
use tests::{
    Answer, Builder, LIMIT, TestApp,
    app::{PASSWORD, email},
    eventually,
};

const CODE: &str = "Your one-time code";

async fn post(app: &TestApp, path: &str, body: Value) -> Answer {
    app.anyone().post(&format!("/api/auth/{path}")).json(&body).await
}

/// What everybody may compare: not the ids and times.
fn shape(answer: &Answer) -> (u16, Value, Vec<String>) {
    let mut body = (**answer).clone();
    for pointer in ["/requestId", "/verification/id", "/verification/expiresAt"] {
        if let Some(value) = body.pointer_mut(pointer) {
            *value = Value::Null;
        }
    }
    for field in ["resendAvailableAt", "maskedDestination"] {
        if let Some(value) = body["verification"].get_mut(field) {
            *value = Value::Null;
        }
    }
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort_unstable();
    (answer.status, body, headers)
}

/// How many passwords were hashed so far.
async fn hashes(app: &TestApp) -> u64 {
    let metrics = app.internal(0).get("/metrics").await.assert_status(200);
    let mut lines = metrics.text.lines();
    let count = lines.find_map(|line| line.strip_prefix("password_hash_seconds_count "));
    count.map_or(0, |count| count.parse().unwrap())
}

/// A number of this test alone: what is caught is shared.
fn number(app: &TestApp, digit: u8) -> String {
    let digits: String = app.world.name.bytes().map(|b| char::from(b'0' + b % 10)).collect();
    format!("+49{digit}{}", &digits[digits.len() - 10..])
}

fn developing() -> Builder {
    TestApp::builder().setting("PHONE__LOG_CODES", "true").setting("ACCOUNTS__RESEND_SECONDS", "0")
}

/// Gets in with a number; the session answer.
async fn with_number(app: &TestApp, phone: &str, count: usize) -> Answer {
    post(app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
    let address = format!("{}@sms.localhost.localdomain", &phone[1..]);
    let code = app.world.mail_to(&address, CODE, count).await.code();
    post(app, "phone/verify", json!({"phone": phone, "code": code})).await
}

#[tokio::test]
async fn every_failed_login_is_the_same_answer_after_the_same_work() {
    let app = developing().start().await;
    app.as_user("ana").await;
    app.as_user("eve").await;
    app.cli(&["account", "suspend", &email("eve")]).await;
    let phone = number(&app, 1);
    with_number(&app, &phone, 1).await.assert_status(201);
    let long = "x".repeat(1000);
    let kinds = [
        json!({"email": email("ana"), "password": "wrong"}),
        json!({"email": email("nobody"), "password": "wrong"}),
        json!({"email": email("eve"), "password": "wrong"}),
        json!({"phone": phone, "password": "wrong"}),
        json!({"phone": number(&app, 2), "password": "wrong"}),
        json!({"email": "no address", "password": "wrong"}),
        json!({"email": email("ana"), "password": long}),
        json!({"email": email("nobody"), "password": long}),
    ];
    let first = shape(&post(&app, "login", kinds[0].clone()).await);
    for body in &kinds {
        let before = hashes(&app).await;
        for _ in 0..20 {
            let refused = post(&app, "login", body.clone()).await;
            refused.assert_problem(401, "invalid_credentials");
            assert_eq!(shape(&refused), first, "{body}");
        }
        assert_eq!(hashes(&app).await - before, 20, "one hash for each: {body}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_registration_with_what_somebody_has_is_like_any_other_and_costs_the_same() {
    let app = developing().setting("ACCOUNTS__REGISTRATION_MODE", "verified").start().await;
    let (taken, free) = (number(&app, 3), number(&app, 4));
    with_number(&app, &taken, 1).await.assert_status(201);
    let registration = |name: &str, phone: &str| json!({"email": app.world.address(name), "password": PASSWORD, "fullName": "X", "phone": phone});
    let register = async |body: Value| {
        let before = hashes(&app).await;
        let answer = post(&app, "register", body).await.assert_status(202);
        (shape(&answer), hashes(&app).await - before)
    };
    let usual = register(registration("ana", &free)).await;
    assert_eq!(usual.1, 1);
    assert_eq!(register(registration("ben", &taken)).await, usual, "the number is somebody's");
    assert_eq!(register(registration("ana", &number(&app, 5))).await, usual, "the address is");
    assert_eq!(register(registration("ana", &taken)).await, usual, "both are");
    // The account is there, without the number, which stays whose it was.
    let mail = app.world.mail_to(&app.world.address("ben"), "Confirm your e-mail address", 1).await;
    let session = post(&app, "email/verify", json!({"token": mail.token()})).await;
    assert_eq!(session.assert_status(200)["user"]["phone"], Value::Null);
    let again = with_number(&app, &taken, 2).await.assert_status(200);
    assert_eq!(again["user"]["phone"], taken.as_str());
    app.finish().await;
}

#[tokio::test]
async fn a_code_is_sent_to_any_number_with_the_same_answer() {
    let app = developing().start().await;
    let [proven, typed, closed, free] = [1, 2, 3, 4].map(|digit| number(&app, digit));
    with_number(&app, &proven, 1).await.assert_status(201);
    let body = json!({
        "email": email("ana"), "password": PASSWORD, "fullName": "Ana", "phone": typed,
    });
    post(&app, "register", body).await.assert_status(201);
    let eve = app.person(&with_number(&app, &closed, 1).await.assert_status(201));
    let address = app.world.address("eve");
    eve.post("/api/users/me/email").json(&json!({"email": address})).await.assert_status(202);
    let link = app.world.mail_to(&address, "Confirm your new e-mail address", 1).await.token();
    post(&app, "email/verify", json!({"token": link})).await.assert_status(200);
    app.cli(&["account", "suspend", &address]).await;

    let mut seen = Vec::new();
    for phone in [&proven, &typed, &closed, &free] {
        let sent = post(&app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
        let time = |field: &str| -> chrono::DateTime<chrono::Utc> {
            sent.text_at(&format!("/{field}")).parse().unwrap()
        };
        // How long it works, not until when.
        let works = time("expiresAt") - time("resendAvailableAt");
        let mut body = (*sent).clone();
        for field in ["verificationId", "expiresAt", "resendAvailableAt"] {
            let value = body[field].take();
            assert!(value.is_string(), "{field}: {}", sent.text);
        }
        let mut headers: Vec<_> = sent.headers.keys().map(ToString::to_string).collect();
        headers.sort_unstable();
        seen.push((body, works, headers));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    app.finish().await;
}

#[tokio::test]
async fn who_has_no_password_chooses_one_right_after_a_login_with_a_code() {
    let app = developing().start().await;
    let phone = number(&app, 6);
    let old = app.person(&with_number(&app, &phone, 1).await.assert_status(201));
    let choose = json!({"newPassword": PASSWORD});
    old.put("/api/users/me/password").json(&choose).await.assert_status(204);
    let login = json!({"phone": phone, "password": PASSWORD});
    let known = app.person(&post(&app, "login", login).await.assert_status(200));
    // Now there is one, and it has to be said.
    let other = json!({"newPassword": "a wholly different sentence"});
    let refused = known.put("/api/users/me/password").json(&other).await;
    refused.assert_problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/currentPassword");
    assert_eq!(refused["errors"][0]["code"], "required");
    for (path, body) in [
        ("email", json!({"email": app.world.address("ana")})),
        ("phone", json!({"phone": number(&app, 7)})),
    ] {
        let refused = known.post(&format!("/api/users/me/{path}")).json(&body).await;
        assert_eq!(refused["errors"][0]["pointer"], "/currentPassword", "{}", refused.text);
    }
    app.finish().await;
}

#[tokio::test]
async fn an_old_session_without_a_password_changes_nothing_about_the_way_in() {
    let app = developing()
        .setting("ACCOUNTS__FRESH_LOGIN_SECONDS", "1")
        .setting("PHONE__ALLOWED_PREFIXES", "+49")
        .start()
        .await;
    let phone = number(&app, 8);
    let ana = app.person(&with_number(&app, &phone, 1).await.assert_status(201));
    eventually("the login is an old one", LIMIT, async || {
        let far = json!({"phone": "+88213000000"});
        let refused = ana.post("/api/users/me/phone").json(&far).await;
        (refused.status == 403).then_some(())
    })
    .await;
    let (address, other) = (app.world.address("ana"), number(&app, 9));
    let changes = [
        ("PUT", "password", json!({"newPassword": PASSWORD})),
        ("PUT", "password", json!({"newPassword": PASSWORD, "currentPassword": "anything"})),
        ("POST", "email", json!({"email": address})),
        ("POST", "email", json!({"email": address, "currentPassword": "anything"})),
        ("POST", "phone", json!({"phone": other})),
        ("POST", "phone", json!({"phone": other, "currentPassword": "anything"})),
    ];
    for (method, path, body) in &changes {
        let path = format!("/api/users/me/{path}");
        let refused = ana.request(method.parse().unwrap(), &path).json(body).await;
        refused.assert_problem(403, "fresh_login_required");
    }
    assert!(app.world.mails_to(&address, "Confirm your new e-mail address").is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_link_is_no_fresh_login_with_a_code() {
    let app = developing().start().await;
    let (phone, address) = (number(&app, 0), app.world.address("ana"));
    let fresh = app.person(&with_number(&app, &phone, 1).await.assert_status(201));
    let change = json!({"email": address});
    fresh.post("/api/users/me/email").json(&change).await.assert_status(202);
    let take = app.world.mail_to(&address, "Confirm your new e-mail address", 1).await.token();
    let session = post(&app, "email/verify", json!({"token": take})).await.assert_status(200);
    assert_eq!(session["user"]["email"], address.as_str());
    assert_eq!(session["user"]["phone"], phone.as_str());
    let linked = app.person(&session);
    let choose = json!({"newPassword": PASSWORD});
    let refused = linked.put("/api/users/me/password").json(&choose).await;
    refused.assert_problem(403, "fresh_login_required");
    fresh.put("/api/users/me/password").json(&choose).await.assert_status(204);
    app.finish().await;
}
