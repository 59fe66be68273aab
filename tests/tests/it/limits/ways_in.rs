//! How often somebody may try to get in.
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Answer, Builder, TestApp,
    app::{PASSWORD, Person, email},
};

/// Who asks is what a proxy says; limits are on, and nothing but the ones of a test is small.
fn behind_a_proxy() -> Builder {
    let mut app = TestApp::builder()
        .setting("LIMITS__ENABLED", "true")
        .setting("LIMITS__TRUSTED_PROXIES", "127.0.0.0/8,::1")
        .setting("LIMITS__ANONYMOUS", "100000/1h")
        .setting("LIMITS__LOGIN_PROMPT", "1000/1h");
    for name in ["REGISTER", "REGISTER_ADDRESS", "LOGIN", "LOGIN_KNOWN", "LOGIN_ADDRESS"] {
        app = app.setting(&format!("LIMITS__{name}"), "1000/1h");
    }
    app
}

async fn post(app: &TestApp, path: &str, body: &Value, from: &str) -> Answer {
    app.anyone().post(path).json(body).header("x-forwarded-for", from).await
}

async fn login(app: &TestApp, name: &str, password: &str, from: &str) -> Answer {
    let body = json!({"email": email(name), "password": password});
    post(app, "/api/auth/login", &body, from).await
}

#[tokio::test]
async fn every_way_in_counts_by_address() {
    let mut app = behind_a_proxy().setting("PHONE__LOG_CODES", "true");
    let classes =
        ["REGISTER_ADDRESS", "LOGIN_ADDRESS", "REFRESH_ADDRESS", "SEND_OTP_ADDRESS"].into_iter();
    for name in
        classes.chain(["RESEND_ADDRESS", "FORGOT_ADDRESS", "VERIFY_ADDRESS", "RESET_ADDRESS"])
    {
        app = app.setting(&format!("LIMITS__{name}"), "2/1h");
    }
    let app = app.start().await;
    let id = "0198c0de-0000-7000-8000-00000000ffff";
    let reset = json!({"token": "x", "newPassword": PASSWORD});
    for (number, (path, body, class)) in [
        ("register", json!({"email": "x"}), "register-address"),
        ("login", json!({"email": "nobody@x.example", "password": "x"}), "login-address"),
        ("refresh", json!({"refreshToken": "x"}), "refresh-address"),
        ("phone/send-otp", json!({"phone": "+4930"}), "send-otp-address"),
        ("phone/verify", json!({"verificationId": id, "code": "1"}), "verify-address"),
        ("email/resend", json!({"email": "x"}), "resend-address"),
        ("password/forgot", json!({"email": "nobody@x.example"}), "forgot-address"),
        ("password/reset", reset, "reset-address"),
    ]
    .into_iter()
    .enumerate()
    {
        let path = format!("/api/auth/{path}");
        let (one, other) = (format!("203.0.113.{number}"), format!("198.51.100.{number}"));
        for left in [1, 0] {
            let answer = post(&app, &path, &body, &one).await;
            assert_ne!(answer.status, 429, "{path}: {}", answer.text);
            let told = answer.header("ratelimit").unwrap();
            assert!(told.contains(&format!("\"{class}\";r={left};t=")), "{path}: {told}");
            let policy = answer.header("ratelimit-policy").unwrap();
            assert!(policy.contains(&format!("\"{class}\";q=2;w=3600")), "{path}: {policy}");
        }
        // What is written before what the proxy wrote is not believed.
        for from in [one.clone(), format!("{other}, {one}")] {
            let refused = post(&app, &path, &body, &from).await;
            refused.assert_problem(429, "rate_limited");
            let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
            assert!((3000..=3600).contains(&wait), "{path}: {wait}");
        }
        assert_ne!(post(&app, &path, &body, &other).await.status, 429, "{path}");
    }
    // Links and codes are answered from the same budget.
    let answered = json!({"token": "x"});
    let refused = post(&app, "/api/auth/email/verify", &answered, "203.0.113.4").await;
    refused.assert_problem(429, "rate_limited");
    app.finish().await;
}

#[tokio::test]
async fn one_address_registers_one_account_so_often() {
    let app = behind_a_proxy().setting("LIMITS__REGISTER", "5/1h").start().await;
    let registration =
        |name: &str| json!({"email": email(name), "password": PASSWORD, "fullName": "X"});
    let ana = registration("ana");
    for n in 0..6 {
        let answer = post(&app, "/api/auth/register", &ana, "203.0.113.1").await;
        match n {
            0 => assert_eq!(answer.status, 201),
            1..5 => answer.assert_problem(409, "email_taken"),
            _ => answer.assert_problem(429, "rate_limited"),
        }
    }
    post(&app, "/api/auth/register", &registration("ben"), "203.0.113.1").await.assert_status(201);
    let elsewhere = post(&app, "/api/auth/register", &ana, "203.0.113.2").await;
    elsewhere.assert_problem(409, "email_taken");
    app.finish().await;
}

#[tokio::test]
async fn who_tries_passwords_elsewhere_does_not_shut_the_owner_out() {
    let app = behind_a_proxy()
        .node("all")
        .node("all")
        .setting("LIMITS__LOGIN", "3/1h")
        .setting("LIMITS__LOGIN_KNOWN", "5/1h")
        .start()
        .await;
    app.as_user("ana").await;
    let right = login(&app, "ana", PASSWORD, "203.0.113.1").await.assert_status(200);
    let told = right.header("ratelimit-policy").unwrap();
    assert!(told.contains("\"login\";q=3;w=3600"), "{told}");
    // From so many addresses that no limit of one of them stands in the way.
    for n in 10..12 {
        let wrong = login(&app, "ana", "wrong", &format!("203.0.113.{n}")).await;
        wrong.assert_problem(401, "invalid_credentials");
    }
    for n in 20..23 {
        let refused = login(&app, "ANA", "wrong", &format!("203.0.113.{n}")).await;
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
    // Ana is at home, where she has logged in before, on whichever node.
    let body = json!({"email": email("ana"), "password": PASSWORD});
    for node in [0, 1] {
        let request = app.anyone_at(node).post("/api/auth/login").json(&body);
        request.header("x-forwarded-for", "203.0.113.1").await.assert_status(200);
    }
    // That is no way to try for ever, and says nothing of other accounts.
    for _ in 0..3 {
        login(&app, "ana", "wrong", "203.0.113.1").await.assert_problem(401, "invalid_credentials");
    }
    login(&app, "ana", "wrong", "203.0.113.1").await.assert_problem(429, "rate_limited");
    for n in 30..33 {
        let nobody = login(&app, "nobody", "wrong", &format!("203.0.113.{n}")).await;
        nobody.assert_problem(401, "invalid_credentials");
    }
    login(&app, "nobody", "wrong", "203.0.113.33").await.assert_problem(429, "rate_limited");
    app.finish().await;
}

/// How often answers to logins were held back so far.
async fn delayed(app: &TestApp) -> u64 {
    let metrics = app.internal(0).get("/metrics").await.assert_status(200);
    let line = metrics.text.lines().find_map(|line| line.strip_prefix("logins_delayed_total "));
    line.map_or(0, |count| count.parse().unwrap())
}

#[tokio::test]
async fn every_further_attempt_is_answered_later_until_one_is_right() {
    let app = behind_a_proxy()
        .setting("LIMITS__LOGIN_PROMPT", "2/1h")
        .setting("LIMITS__LOGIN_DELAY_MS", "200")
        .setting("LIMITS__LOGIN_MAX_DELAY_MS", "400")
        .start()
        .await;
    app.as_user("ana").await;
    // For accounts there are and for those there are not.
    for (name, from) in [("ana", "203.0.113.1"), ("nobody", "203.0.113.2")] {
        let before = delayed(&app).await;
        for least in [0, 0, 200, 400, 400] {
            let begun = Instant::now();
            login(&app, name, "wrong", from).await.assert_problem(401, "invalid_credentials");
            let took = begun.elapsed();
            assert!(took >= Duration::from_millis(least), "{name}: {took:?} instead of {least} ms");
        }
        assert_eq!(delayed(&app).await, before + 3);
    }
    let before = delayed(&app).await;
    login(&app, "ana", PASSWORD, "203.0.113.1").await.assert_status(200);
    assert_eq!(delayed(&app).await, before + 1, "the right one waits as well");
    login(&app, "ana", PASSWORD, "203.0.113.1").await.assert_status(200);
    login(&app, "ana", PASSWORD, "203.0.113.9").await.assert_status(200);
    assert_eq!(delayed(&app).await, before + 1, "and then it begins anew");
    app.finish().await;
}

#[tokio::test]
async fn guesses_at_a_password_by_who_has_a_token_count_as_logins_do() {
    let app = behind_a_proxy()
        .setting("LIMITS__LOGIN", "4/1h")
        .setting("LIMITS__LOGIN_PROMPT", "2/1h")
        .setting("LIMITS__LOGIN_DELAY_MS", "100")
        .setting("LIMITS__LOGIN_MAX_DELAY_MS", "100")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let new = "a wholly different sentence";
    let ask = async |method: &str, what: &str, current: &str| {
        let body = match what {
            "password" => json!({"currentPassword": current, "newPassword": new}),
            "email" => json!({"currentPassword": current, "email": email("ana.new")}),
            _ => json!({"currentPassword": current, "phone": "+4930123456"}),
        };
        let path = format!("/api/users/me/{what}");
        let request = ana.request(method.parse().unwrap(), &path).json(&body);
        request.header("x-forwarded-for", "203.0.113.1").await
    };
    let before = delayed(&app).await;
    for (method, what) in
        [("PUT", "password"), ("POST", "email"), ("POST", "phone"), ("PUT", "password")]
    {
        let wrong = ask(method, what, "wrong").await;
        wrong.assert_problem(422, "validation_failed");
        assert_eq!(wrong["errors"][0]["code"], "wrong_password");
    }
    assert_eq!(delayed(&app).await, before + 2);
    for (method, what) in [("PUT", "password"), ("POST", "email"), ("POST", "phone")] {
        let refused = ask(method, what, PASSWORD).await;
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
    // Nobody is shut out where they have been before.
    let body = json!({"currentPassword": PASSWORD, "newPassword": new});
    ana.put("/api/users/me/password").json(&body).await.assert_status(204);
    app.finish().await;
}

#[tokio::test]
async fn the_names_of_one_account_share_its_attempts_and_nobody_hears_of_it() {
    let app = behind_a_proxy().setting("LIMITS__LOGIN", "3/1h").start().await;
    let body = json!({
        "email": email("ana"), "password": PASSWORD, "fullName": "Ana", "phone": "+4930123460",
    });
    post(&app, "/api/auth/register", &body, "203.0.113.1").await.assert_status(201);
    let named = async |kind: &str, name: &str, password: &str, from: &str| {
        let body = json!({kind: name, "password": password});
        post(&app, "/api/auth/login", &body, from).await
    };
    let attempts = async |address: &str, phone: &str| {
        let mut told = Vec::new();
        for (kind, name, password, from) in [
            ("email", address, "wrong", "203.0.113.10"),
            ("email", address, "wrong", "203.0.113.11"),
            ("phone", phone, "wrong", "203.0.113.12"),
            ("phone", phone, PASSWORD, "203.0.113.13"),
            ("email", address, PASSWORD, "203.0.113.14"),
            ("email", address, PASSWORD, "203.0.113.15"),
        ] {
            let answer = named(kind, name, password, from).await;
            let left = answer.header("ratelimit").unwrap();
            let left = left.split(", ").find_map(|it| it.strip_prefix("\"login\";"));
            let left = left.and_then(|it| it.split(';').next()).unwrap().to_owned();
            let code = answer["code"].as_str().unwrap().to_owned();
            told.push((answer.status, code, left));
        }
        told
    };
    let ana = attempts(&email("ana"), "+4930123460").await;
    let nobody = attempts(&email("nobody"), "+4930123461").await;
    assert_eq!(ana, nobody, "no name tells of another one");
    let codes: Vec<_> = ana.iter().map(|(_, code, ..)| code.as_str()).collect();
    assert_eq!(codes[..5], ["invalid_credentials"; 5], "whoever knows the password hears no more");
    assert_eq!(codes[5], "rate_limited");
    // At home both names work.
    named("email", &email("ana"), PASSWORD, "203.0.113.1").await.assert_status(200);
    named("phone", "+4930123460", PASSWORD, "203.0.113.1").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn codes_to_another_number_count_for_the_address_that_asks() {
    let app = behind_a_proxy()
        .setting("PHONE__LOG_CODES", "true")
        .setting("LIMITS__SEND_OTP_ADDRESS", "2/1h")
        .start()
        .await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let send = json!({"phone": "+4930123451"});
    post(&app, "/api/auth/phone/send-otp", &send, "203.0.113.1").await.assert_status(202);
    let change = async |person: &Person, from: &str| {
        let body = json!({"phone": "+4930123452", "currentPassword": "not the password"});
        let request = person.post("/api/users/me/phone").json(&body);
        request.header("x-forwarded-for", from).await
    };
    let wrong = change(&ana, "203.0.113.1").await;
    wrong.assert_problem(422, "validation_failed");
    assert!(wrong.header("ratelimit").unwrap().contains("\"send-otp-address\";r=0;t="));
    change(&ben, "203.0.113.1").await.assert_problem(429, "rate_limited");
    change(&ben, "203.0.113.2").await.assert_problem(422, "validation_failed");
    app.finish().await;
}

#[tokio::test]
async fn codes_that_are_answered_by_address_are_counted_whether_there_are_any_or_not() {
    let app = behind_a_proxy().setting("LIMITS__VERIFY_EMAIL", "2/1h").start().await;
    let known = app.world.address("ana");
    let body = json!({"email": known, "password": PASSWORD, "fullName": "Ana"});
    post(&app, "/api/auth/register", &body, "203.0.113.1").await.assert_status(201);
    let right = app.world.mail_to(&known, "Confirm your e-mail address", 1).await.code();
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for address in [known.as_str(), "nobody@people.example"] {
        for n in 0..3 {
            let body = json!({"email": address, "code": if n == 2 { &right } else { wrong }});
            let from = format!("203.0.113.{n}");
            let answer = post(&app, "/api/auth/email/verify", &body, &from).await;
            if n < 2 {
                answer.assert_problem(400, "otp_invalid");
            } else {
                answer.assert_problem(429, "rate_limited");
            }
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn text_messages_have_a_budget_for_a_day_however_many_ask_at_once() {
    let app = TestApp::builder()
        .setting("PHONE__LOG_CODES", "true")
        .setting("PHONE__SENDS_PER_DAY", "4")
        .setting("PHONE__ALLOWED_PREFIXES", "+49,+43")
        .node("all")
        .node("all")
        .start()
        .await;
    let path = "/api/auth/phone/send-otp";
    let asked = (0..20).map(|n| {
        let body = json!({"phone": format!("+4930123450{n:02}")});
        let request = app.anyone_at(n % 2).post(path).json(&body);
        async move { request.await }
    });
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 4);
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        refused.assert_problem(429, "rate_limited");
        assert!(refused.header("retry-after").is_some());
    }
    let far = app.anyone().post(path).json(&json!({"phone": "+88213000000"})).await;
    far.assert_problem(422, "validation_failed");
    assert_eq!(far["errors"][0]["code"], "country_not_allowed");
    app.finish().await;
}
