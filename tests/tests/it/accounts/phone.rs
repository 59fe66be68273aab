//! Getting in with a phone number.
use std::sync::{Arc, Mutex};

use axum::{
    Form, Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Answer, LIMIT, TestApp,
    app::{Builder, PASSWORD, Person, email},
    eventually,
};

const CODE: &str = "Your one-time code";

fn developing() -> Builder {
    TestApp::builder().setting("PHONE__LOG_CODES", "true").setting("ACCOUNTS__RESEND_SECONDS", "1")
}

/// A number of this test alone: what is caught is shared.
fn number(app: &TestApp, digit: u8) -> String {
    let digits: String = app.world.name.bytes().map(|b| char::from(b'0' + b % 10)).collect();
    format!("+49{digit}{}", &digits[digits.len() - 10..])
}

async fn call(app: &TestApp, path: &str, body: Value) -> Answer {
    app.anyone().post(&format!("/api/auth/phone/{path}")).json(&body).await
}

/// Asks for a code until it may be sent.
async fn sent(app: &TestApp, phone: &str) -> Answer {
    eventually("a code may be sent", LIMIT, async || {
        let answer = call(app, "send-otp", json!({"phone": phone})).await;
        if answer.status == 429 {
            answer.assert_problem(429, "rate_limited");
            assert!(answer.header("retry-after").is_some());
        }
        (answer.status != 429).then_some(answer)
    })
    .await
    .assert_status(202)
}

/// The code that went to the number, after so many.
async fn code(app: &TestApp, phone: &str, count: usize) -> String {
    let address = format!("{}@sms.localhost.localdomain", &phone[1..]);
    app.world.mail_to(&address, CODE, count).await.code()
}

fn other(code: &str) -> &str {
    if code == "000000" { "000001" } else { "000000" }
}

async fn me(person: &Person) -> Answer {
    person.get("/api/users/me").await.assert_status(200)
}

#[tokio::test]
async fn a_number_opens_an_account_and_the_same_one_again() {
    let app = developing().start().await;
    let phone = number(&app, 1);
    let first = sent(&app, &phone).await;
    assert!(first.text_at("/maskedDestination").starts_with("+49***"));
    let body = json!({
        "verificationId": first["verificationId"], "code": code(&app, &phone, 1).await,
    });
    let session = call(&app, "verify", body).await.assert_status(201);
    assert_eq!(session["user"]["phone"], phone.as_str());
    assert_eq!(session["user"]["phoneVerified"], true);
    assert_eq!(session["user"]["email"], Value::Null);
    assert_eq!(session["user"]["emailVerified"], false);
    assert_eq!(session["user"]["isVerified"], true);

    sent(&app, &phone).await;
    let body = json!({"phone": phone, "code": code(&app, &phone, 2).await});
    let again = call(&app, "verify", body).await.assert_status(200);
    assert_eq!(again["user"]["id"], session["user"]["id"]);
    // There is no password, and none that is guessed.
    let login = json!({"phone": phone, "password": PASSWORD});
    let refused = app.anyone().post("/api/auth/login").json(&login).await;
    refused.assert_problem(401, "invalid_credentials");
    app.finish().await;
}

#[tokio::test]
async fn codes_are_sent_now_and_then_and_work_once() {
    let app = developing().setting("ACCOUNTS__RESEND_SECONDS", "2").start().await;
    let phone = number(&app, 2);
    let bursts = (0..10).map(|_| call(&app, "send-otp", json!({"phone": phone})));
    let answers = join_all(bursts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    let first = answers.iter().find(|answer| answer.status == 202).unwrap();
    let old = json!({
        "verificationId": first["verificationId"], "code": code(&app, &phone, 1).await,
    });
    let second = sent(&app, &phone).await;
    call(&app, "verify", old).await.assert_problem(400, "otp_invalid");
    let right = code(&app, &phone, 2).await;
    let id = &second["verificationId"];
    let mut answers = Vec::new();
    for wrong in [
        json!({"verificationId": id, "code": other(&right)}),
        json!({"verificationId": id, "code": ""}),
        json!({"verificationId": "0198c0de-0000-7000-8000-00000000ffff", "code": right}),
        json!({"phone": number(&app, 9), "code": right}),
    ] {
        answers.push(call(&app, "verify", wrong).await);
    }
    let body = json!({"verificationId": id, "code": right});
    // A code for one thing is no code for another, while it is fresh and right.
    let proof = app.anyone().post("/api/auth/email/verify").json(&body).await;
    proof.assert_problem(400, "otp_invalid");
    call(&app, "verify", body.clone()).await.assert_status(201);
    answers.push(call(&app, "verify", body).await);
    for answer in &answers {
        answer.assert_problem(400, "otp_invalid");
        assert_eq!(answer.without(&[]), answers[0].without(&[]), "they tell nothing apart");
    }
    let nobody = call(&app, "send-otp", json!({"phone": phone, "purpose": "verify_phone"})).await;
    nobody.assert_problem(401, "unauthenticated");
    app.finish().await;
}

#[tokio::test]
async fn a_code_for_one_thing_is_no_code_for_another() {
    let app = developing().setting("ACCOUNTS__RESEND_SECONDS", "0").start().await;
    let (address, phone) = (app.world.address("ana"), number(&app, 7));
    let body = json!({
        "email": address, "password": PASSWORD, "fullName": "Ana", "phone": phone,
    });
    let session = app.anyone().post("/api/auth/register").json(&body).await.assert_status(201);
    let ana = app.person(&session);
    let mail = app.anyone().post("/api/auth/email/resend").json(&json!({"email": address})).await;
    let mail_id = mail.assert_status(202)["verification"]["id"].clone();
    let mail = app.world.mail_to(&address, "Confirm your e-mail address", 2).await.code();
    let prove = json!({"phone": phone, "purpose": "verify_phone"});
    let text = ana.post("/api/auth/phone/send-otp").json(&prove).await.assert_status(202);
    let text_id = &text["verificationId"];
    let text = code(&app, &phone, 1).await;
    let by_mail = json!({"verificationId": mail_id, "code": mail});
    let by_text = json!({"verificationId": text_id, "code": text});
    let verify_email = async |body: &Value| -> Answer {
        app.anyone().post("/api/auth/email/verify").json(body).await
    };
    // Each of them is right, where it belongs.
    for refused in [
        call(&app, "verify", by_mail.clone()).await,
        verify_email(&by_text).await,
        verify_email(&json!({"email": address, "code": text})).await,
        // Who only names the number asks for the code that lets people in.
        call(&app, "verify", json!({"phone": phone, "code": text})).await,
        app.anyone()
            .post("/api/auth/password/reset")
            .json(&json!({"token": mail, "newPassword": "a wholly different sentence"}))
            .await,
    ] {
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.header("x-event-position").is_none());
    }
    assert_eq!(me(&ana).await["isVerified"], false);
    call(&app, "verify", by_text).await.assert_status(200);
    verify_email(&by_mail).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_code_for_one_number_is_no_code_for_another() {
    let app = developing().start().await;
    let (one, other) = (number(&app, 4), number(&app, 5));
    let mut sent = Vec::new();
    for phone in [&one, &other] {
        let asked = call(&app, "send-otp", json!({"phone": phone})).await.assert_status(202);
        sent.push((asked["verificationId"].clone(), code(&app, phone, 1).await));
    }
    let (ids, codes): (Vec<_>, Vec<_>) = sent.into_iter().unzip();
    for body in [
        json!({"verificationId": ids[1], "code": codes[0]}),
        json!({"phone": other, "code": codes[0]}),
        json!({"phone": one, "code": codes[1]}),
    ] {
        call(&app, "verify", body).await.assert_problem(400, "otp_invalid");
    }
    for (id, code) in ids.iter().zip(codes) {
        let body = json!({"verificationId": id, "code": code});
        call(&app, "verify", body.clone()).await.assert_status(201);
        call(&app, "verify", body).await.assert_problem(400, "otp_invalid");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_number_is_guessed_at_so_often_and_no_more() {
    let app = developing()
        .node("all")
        .node("all")
        .setting("PHONE__GUESSES_PER_HOUR", "7")
        .setting("ACCOUNTS__SENDS_PER_HOUR", "3")
        .start()
        .await;
    let phone = number(&app, 3);
    let first = sent(&app, &phone).await;
    let right = code(&app, &phone, 1).await;
    let guesses = (0..100).filter(|n| format!("{n:06}") != right).map(|n| {
        let body = json!({"verificationId": first["verificationId"], "code": format!("{n:06}")});
        let request = app.anyone_at(n % 2).post("/api/auth/phone/verify").json(&body);
        let request = request.header("x-forwarded-for", &format!("10.0.0.{n}"));
        async move { request.await }
    });
    let answers = join_all(guesses).await;
    assert_eq!(answers.iter().filter(|a| a["code"] == "otp_invalid").count(), 5);
    for answer in answers.iter().filter(|a| a["code"] != "otp_invalid") {
        answer.assert_problem(429, "otp_attempts_exceeded");
        assert!(answer.header("retry-after").is_some());
    }
    // Another code does not begin anew: the number has had its guesses.
    let second = sent(&app, &phone).await;
    let right = code(&app, &phone, 2).await;
    let body = json!({"verificationId": second["verificationId"], "code": right});
    call(&app, "verify", body).await.assert_problem(429, "otp_attempts_exceeded");
    // Nor are there more than so many codes in an hour.
    sent(&app, &phone).await;
    let refused = call(&app, "send-otp", json!({"phone": phone})).await;
    refused.assert_problem(429, "rate_limited");
    app.finish().await;
}

#[tokio::test]
async fn a_number_that_was_only_typed_is_no_way_into_the_account() {
    let app = developing().start().await;
    let phone = number(&app, 4);
    let body = json!({
        "email": email("ana"), "password": PASSWORD, "fullName": "Ana", "phone": phone,
    });
    let session = app.anyone().post("/api/auth/register").json(&body).await.assert_status(201);
    let ana = app.person(&session);
    let login = json!({"phone": phone, "password": PASSWORD});
    app.anyone().post("/api/auth/login").json(&login).await.assert_status(200);

    // It turns out to be Ben's.
    sent(&app, &phone).await;
    let body = json!({"phone": phone, "code": code(&app, &phone, 1).await});
    let ben = call(&app, "verify", body).await.assert_status(201);
    assert_ne!(ben["user"]["id"], ana.id.as_str());
    let me = eventually("the number is gone", LIMIT, async || {
        let me = me(&ana).await;
        me["phone"].is_null().then_some(me)
    });
    assert_eq!(me.await["phoneVerified"], false);
    app.finish().await;
}

#[tokio::test]
async fn an_account_takes_another_number_when_its_code_is_answered() {
    let app = developing().start().await;
    let (old, new) = (number(&app, 5), number(&app, 6));
    let body = json!({
        "email": email("ana"), "password": PASSWORD, "fullName": "Ana", "phone": old,
    });
    let session = app.anyone().post("/api/auth/register").json(&body).await.assert_status(201);
    let ana = app.person(&session);
    // First the one she has.
    let prove = json!({"phone": old, "purpose": "verify_phone"});
    ana.post("/api/auth/phone/send-otp").json(&prove).await.assert_status(202);
    let foreign = json!({"phone": new, "purpose": "verify_phone"});
    let refused = ana.post("/api/auth/phone/send-otp").json(&foreign).await;
    refused.assert_problem(409, "not_your_number");
    let wrong = json!({"phone": new, "currentPassword": "not the password"});
    let refused = ana.post("/api/users/me/phone").json(&wrong).await;
    refused.assert_problem(422, "validation_failed");

    let change = json!({"phone": new, "currentPassword": PASSWORD});
    let sent = ana.post("/api/users/me/phone").json(&change).await.assert_status(202);
    assert_eq!(sent["verification"]["channel"], "sms");
    assert_eq!(me(&ana).await["phone"], old.as_str(), "not yet");
    let id = sent.text_at("/verification/id");
    let right = code(&app, &new, 1).await;
    let body = json!({"verificationId": id, "code": right});
    let session = call(&app, "verify", body).await.assert_status(200);
    assert_eq!(session["user"]["id"], ana.id.as_str());
    assert_eq!(session["user"]["phone"], new.as_str());
    assert_eq!(session["user"]["phoneVerified"], true);
    app.finish().await;
}

type Requests = Arc<Mutex<Vec<(String, String, String)>>>;

/// Answers as Twilio Verify does: the code is 424242, and one number has had enough.
async fn twilio() -> (String, Requests) {
    let requests: Requests = Arc::default();
    let answer =
        async |State(requests): State<Requests>,
               headers: HeaderMap,
               uri: axum::http::Uri,
               Form(form): Form<std::collections::HashMap<String, String>>| {
            let authorization = headers["authorization"].to_str().unwrap().to_owned();
            let to = form["To"].clone();
            requests.lock().unwrap().push((uri.path().to_owned(), authorization, to.clone()));
            if to.ends_with("99") {
                let body =
                    json!({"code": 60203, "message": "Max send attempts reached", "status": 429});
                return (StatusCode::TOO_MANY_REQUESTS, Json(body));
            }
            match form.get("Code").map(String::as_str) {
                None => (StatusCode::CREATED, Json(json!({"status": "pending", "sid": "VE1"}))),
                Some(code) if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) => {
                    let body =
                        json!({"code": 60200, "message": "Invalid parameter", "status": 400});
                    (StatusCode::BAD_REQUEST, Json(body))
                }
                Some("424242") => (StatusCode::OK, Json(json!({"status": "approved"}))),
                Some(_) => (StatusCode::OK, Json(json!({"status": "pending"}))),
            }
        };
    let routes = Router::new()
        .route("/v2/Services/VA1/Verifications", post(answer))
        .route("/v2/Services/VA1/VerificationCheck", post(answer))
        .with_state(Arc::clone(&requests));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (origin, requests)
}

#[tokio::test]
async fn twilio_sends_and_checks_its_own_codes() {
    let (origin, requests) = twilio().await;
    let app = TestApp::builder()
        .setting("PHONE__TWILIO_ORIGIN", &origin)
        .setting("PHONE__TWILIO_ACCOUNT", "AC1")
        .setting("PHONE__TWILIO_TOKEN", "hush")
        .setting("PHONE__TWILIO_SERVICE", "VA1")
        .setting("PHONE__ALLOWED_PREFIXES", "+49,+43")
        .start()
        .await;
    let phone = "+4915112345678";
    let sent = call(&app, "send-otp", json!({"phone": phone})).await.assert_status(202);
    let id = &sent["verificationId"];
    for code in ["111111", "12345", "", "abcdef"] {
        let wrong = call(&app, "verify", json!({"verificationId": id, "code": code})).await;
        wrong.assert_problem(400, "otp_invalid");
    }
    let right = json!({"verificationId": id, "code": "424242"});
    call(&app, "verify", right.clone()).await.assert_status(201);
    call(&app, "verify", right).await.assert_problem(400, "otp_invalid");
    let busy = call(&app, "send-otp", json!({"phone": "+4915112345699"})).await;
    busy.assert_problem(429, "rate_limited");
    assert!(busy.header("retry-after").is_some());
    let far = call(&app, "send-otp", json!({"phone": "+88213000000"})).await;
    far.assert_problem(422, "validation_failed");
    let requests = requests.lock().unwrap().clone();
    let basic = "Basic QUMxOmh1c2g=";
    let paths: Vec<&str> = requests.iter().map(|(path, ..)| path.as_str()).collect();
    let (sending, checking) =
        ("/v2/Services/VA1/Verifications", "/v2/Services/VA1/VerificationCheck");
    assert_eq!(paths, [sending, checking, checking, sending]);
    assert!(requests.iter().all(|(_, authorization, _)| authorization == basic));
    assert_eq!(requests[0].2, phone);
    app.finish().await;
}
