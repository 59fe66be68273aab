//! One-time codes: which of them work, how many there are, and what they tell.
use serde_json::{Value, json};
use tests::{
    Answer, Builder, LIMIT, TestApp,
    app::{PASSWORD, Person},
    eventually,
};

const CODE: &str = "Your one-time code";
const VERIFY: &str = "Confirm your e-mail address";
const RESET: &str = "Choose a new password";
const NEW_PASSWORD: &str = "a wholly different sentence";

fn developing() -> Builder {
    TestApp::builder().setting("PHONE__LOG_CODES", "true").setting("ACCOUNTS__RESEND_SECONDS", "0")
}

/// A number of this test alone: what is caught is shared.
fn number(app: &TestApp, digit: u8) -> String {
    let digits: String = app.world.name.bytes().map(|b| char::from(b'0' + b % 10)).collect();
    format!("+49{digit}{}", &digits[digits.len() - 10..])
}

async fn post(app: &TestApp, path: &str, body: Value) -> Answer {
    app.anyone().post(&format!("/api/auth/{path}")).json(&body).await
}

/// The code that went to the number, after so many.
async fn code(app: &TestApp, phone: &str, count: usize) -> String {
    let address = format!("{}@sms.localhost.localdomain", &phone[1..]);
    app.world.mail_to(&address, CODE, count).await.code()
}

/// Somebody with a number that is proven.
async fn with_number(app: &TestApp, address: &str, phone: &str) -> Person {
    let body = json!({
        "email": address, "password": PASSWORD, "fullName": "Ana", "phone": phone,
        "username": "ana_of_the_hall",
    });
    let session = post(app, "register", body).await.assert_status(201);
    let ana = app.person(&session);
    let prove = json!({"phone": phone, "purpose": "verify_phone"});
    let sent = ana.post("/api/auth/phone/send-otp").json(&prove).await.assert_status(202);
    let body = json!({"verificationId": sent["verificationId"], "code": code(app, phone, 1).await});
    post(app, "phone/verify", body).await.assert_status(200);
    ana
}

fn other(code: &str) -> &str {
    if code == "000000" { "000001" } else { "000000" }
}

#[tokio::test]
async fn codes_from_before_a_reset_or_a_closing_are_void() {
    let app = developing().start().await;
    let (address, phone) = (app.world.address("ana"), number(&app, 1));
    with_number(&app, &address, &phone).await;
    let proof = app.world.mail_to(&address, VERIFY, 1).await.token();
    post(&app, "email/verify", json!({"token": proof})).await.assert_status(200);

    // A login code is for whoever has the number by then: it is not noted for whom.
    post(&app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
    let before = json!({"phone": phone, "code": code(&app, &phone, 2).await});
    post(&app, "password/forgot", json!({"email": address})).await.assert_status(202);
    let token = app.world.mail_to(&address, RESET, 1).await.token();
    let obvious = json!({"token": token, "newPassword": "Ana_of_the_Hall"});
    let refused = post(&app, "password/reset", obvious).await;
    refused.assert_problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["code"], "too_obvious");
    let reset = json!({"token": token, "newPassword": NEW_PASSWORD});
    post(&app, "password/reset", reset).await.assert_status(200);
    post(&app, "phone/verify", before).await.assert_problem(400, "otp_invalid");

    // One that is sent afterwards works, and not when the account was closed in between.
    post(&app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
    let body = json!({"phone": phone, "code": code(&app, &phone, 3).await});
    post(&app, "phone/verify", body).await.assert_status(200);
    post(&app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
    let before = json!({"phone": phone, "code": code(&app, &phone, 4).await});
    app.cli(&["account", "suspend", &address]).await;
    app.cli(&["account", "reinstate", &address]).await;
    post(&app, "phone/verify", before).await.assert_problem(400, "otp_invalid");
    app.finish().await;
}

#[tokio::test]
async fn a_code_in_a_mail_is_void_after_a_reset() {
    let app = developing().setting("ACCOUNTS__REGISTRATION_MODE", "verified").start().await;
    let address = app.world.address("ana");
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Ana"});
    let sent = post(&app, "register", body).await.assert_status(202);
    let code = app.world.mail_to(&address, VERIFY, 1).await.code();
    post(&app, "password/forgot", json!({"email": address})).await.assert_status(202);
    let token = app.world.mail_to(&address, RESET, 1).await.token();
    let reset = json!({"token": token, "newPassword": NEW_PASSWORD});
    post(&app, "password/reset", reset).await.assert_status(200);
    let body = json!({"verificationId": sent["verification"]["id"], "code": code});
    post(&app, "email/verify", body).await.assert_problem(400, "otp_invalid");
    app.finish().await;
}

#[tokio::test]
async fn a_number_gets_so_many_codes_whatever_they_are_for() {
    let app = developing()
        .setting("ACCOUNTS__SENDS_PER_HOUR", "4")
        .setting("PHONE__GUESSES_PER_HOUR", "3")
        .start()
        .await;
    let (address, phone) = (app.world.address("ana"), number(&app, 2));
    let ana = with_number(&app, &address, &phone).await;
    let login = json!({"phone": phone});
    let first = post(&app, "phone/send-otp", login.clone()).await.assert_status(202);
    let old = json!({
        "verificationId": first["verificationId"], "code": code(&app, &phone, 2).await,
    });
    let change = json!({"phone": phone, "currentPassword": PASSWORD});
    let second = ana.post("/api/users/me/phone").json(&change).await.assert_status(202);
    // The newest one is the only one that works.
    post(&app, "phone/verify", old).await.assert_problem(400, "otp_invalid");
    let right = code(&app, &phone, 3).await;
    let guess = |code: &str| json!({"verificationId": second["verification"]["id"], "code": code});
    for _ in 0..2 {
        let wrong = post(&app, "phone/verify", guess(other(&right))).await;
        wrong.assert_problem(400, "otp_invalid");
    }
    // Guesses at any of them are guesses at the number: one has proven it before.
    let late = post(&app, "phone/verify", guess(&right)).await;
    late.assert_problem(429, "otp_attempts_exceeded");
    post(&app, "phone/send-otp", login.clone()).await.assert_status(202);
    let prove = json!({"phone": phone, "purpose": "verify_phone"});
    for refused in [
        post(&app, "phone/send-otp", login).await,
        ana.post("/api/auth/phone/send-otp").json(&prove).await,
        ana.post("/api/users/me/phone").json(&change).await,
    ] {
        refused.assert_problem(429, "rate_limited");
    }
    app.finish().await;
}

#[tokio::test]
async fn one_person_asks_for_so_many_codes_to_whatever_number() {
    let app = developing().setting("ACCOUNTS__SENDS_PER_HOUR", "2").start().await;
    let ana = app.as_user("ana").await;
    for digit in 3..7 {
        let change = json!({"phone": number(&app, digit), "currentPassword": PASSWORD});
        let answer = ana.post("/api/users/me/phone").json(&change).await;
        if digit < 5 {
            answer.assert_status(202);
        } else {
            answer.assert_problem(429, "rate_limited");
            assert!(answer.header("retry-after").is_some());
        }
    }
    app.finish().await;
}

#[tokio::test]
async fn a_code_is_answered_by_address_and_tells_nothing_of_others() {
    let app = developing().start().await;
    let (address, unknown) = (app.world.address("ana"), app.world.address("nobody"));
    let register =
        |address: &str| json!({"email": address, "password": PASSWORD, "fullName": "Ana"});
    post(&app, "register", register(&address)).await.assert_status(201);
    let right = app.world.mail_to(&address, VERIFY, 1).await.code();
    let answer = |address: &str, code: &str| json!({"email": address, "code": code});
    let both = json!({"email": address, "token": "x", "code": right});
    post(&app, "email/verify", both).await.assert_problem(422, "validation_failed");
    let wrong = post(&app, "email/verify", answer(&address, other(&right))).await;
    let nobody = post(&app, "email/verify", answer(&unknown, &right)).await;
    wrong.assert_problem(400, "otp_invalid");
    nobody.assert_problem(400, "otp_invalid");
    assert_eq!(wrong["detail"], nobody["detail"]);
    let body = answer(&address.to_uppercase(), &right);
    let session = post(&app, "email/verify", body).await.assert_status(200);
    assert_eq!(session["user"]["emailVerified"], true);
    let again = post(&app, "email/verify", answer(&address, &right)).await;
    again.assert_problem(400, "otp_invalid");

    // After five guesses the right one is as wrong as all, and nobody hears that there was one.
    let address = app.world.address("ben");
    post(&app, "register", register(&address)).await.assert_status(201);
    let right = app.world.mail_to(&address, VERIFY, 1).await.code();
    for _ in 0..5 {
        let wrong = post(&app, "email/verify", answer(&address, other(&right))).await;
        wrong.assert_problem(400, "otp_invalid");
    }
    let late = post(&app, "email/verify", answer(&address, &right)).await;
    late.assert_problem(400, "otp_invalid");
    app.finish().await;
}

#[tokio::test]
async fn who_registers_an_address_of_somebody_leaves_their_code_and_their_mails_alone() {
    let app = TestApp::builder()
        .setting("ACCOUNTS__REGISTRATION_MODE", "verified")
        .setting("ACCOUNTS__RESEND_SECONDS", "2")
        .start()
        .await;
    let (known, free) = (app.world.address("ana"), app.world.address("ben"));
    let register = async |address: &str| {
        let body = json!({"email": address, "password": PASSWORD, "fullName": "X"});
        post(&app, "register", body).await.assert_status(202)
    };
    let resend = async |address: &str| post(&app, "email/resend", json!({"email": address})).await;
    register(&known).await;
    app.world.mail_to(&known, VERIFY, 1).await;
    eventually("the first one has rested", LIMIT, async || {
        (resend(&known).await.status == 202).then_some(())
    })
    .await;
    let right = app.world.mail_to(&known, VERIFY, 2).await.code();
    // Somebody else keeps registering, and hears what they would of an address that is free.
    register(&known).await;
    register(&free).await;
    for address in [&known, &free] {
        resend(address).await.assert_problem(429, "rate_limited");
    }
    eventually("the owner gets another mail all the same", LIMIT, async || {
        register(&known).await;
        resend(&known).await.assert_problem(429, "rate_limited");
        (app.world.mails_to(&known, VERIFY).len() >= 3).then_some(())
    })
    .await;
    let newest = app.world.mail_to(&known, VERIFY, 3).await.code();
    register(&known).await;
    let old = json!({"email": known, "code": right});
    if right != newest {
        post(&app, "email/verify", old).await.assert_problem(400, "otp_invalid");
    }
    let body = json!({"email": known, "code": newest});
    post(&app, "email/verify", body).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_number_from_before_the_address_was_proven_is_gone_after_its_reset() {
    let app = developing().start().await;
    let (address, phone) = (app.world.address("ana"), number(&app, 7));
    // Somebody opens an account with the address of somebody else, and a number of their own.
    with_number(&app, &address, &phone).await;
    post(&app, "password/forgot", json!({"email": address})).await.assert_status(202);
    let token = app.world.mail_to(&address, RESET, 1).await.token();
    let reset = json!({"token": token, "newPassword": NEW_PASSWORD});
    let session = post(&app, "password/reset", reset).await.assert_status(200);
    assert_eq!(session["user"]["emailVerified"], true);
    assert_eq!(session["user"]["phone"], Value::Null);
    assert_eq!(session["user"]["phoneVerified"], false);
    // The number opens another account now.
    post(&app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
    let body = json!({"phone": phone, "code": code(&app, &phone, 2).await});
    let theirs = post(&app, "phone/verify", body).await.assert_status(201);
    assert_ne!(theirs["user"]["id"], session["user"]["id"]);
    app.finish().await;
}

#[tokio::test]
async fn another_number_is_told_to_the_proven_address() {
    let app = developing().start().await;
    let (address, phone) = (app.world.address("ana"), number(&app, 8));
    let ana = with_number(&app, &address, &phone).await;
    let proof = app.world.mail_to(&address, VERIFY, 1).await.token();
    post(&app, "email/verify", json!({"token": proof})).await.assert_status(200);
    let new = number(&app, 9);
    let change = json!({"phone": new, "currentPassword": PASSWORD});
    let told = "Your phone number was changed";
    let sent = ana.post("/api/users/me/phone").json(&change).await.assert_status(202);
    let body = json!({
        "verificationId": sent["verification"]["id"], "code": code(&app, &new, 1).await,
    });
    post(&app, "phone/verify", body).await.assert_status(200);
    let mail = app.world.mail_to(&address, told, 1).await;
    assert!(!mail.text.contains(&new) && !mail.text.contains(&phone), "{}", mail.text);

    // An address that was never proven may be anybody's: it hears nothing.
    let (silent, phone) = (app.world.address("ben"), number(&app, 0));
    let body = json!({"email": silent, "password": PASSWORD, "fullName": "Ben"});
    let ben = app.person(&post(&app, "register", body).await.assert_status(201));
    let change = json!({"phone": phone, "currentPassword": PASSWORD});
    let sent = ben.post("/api/users/me/phone").json(&change).await.assert_status(202);
    let body = json!({
        "verificationId": sent["verification"]["id"], "code": code(&app, &phone, 1).await,
    });
    post(&app, "phone/verify", body).await.assert_status(200);
    app.caught_up().await;
    assert!(app.world.mails_to(&silent, told).is_empty());
    app.finish().await;
}

#[tokio::test]
async fn who_gets_in_is_shown_though_no_read_model_has_heard_of_them() {
    let nodes = developing().node("api,relay").node("projectors,processes");
    // No answer needs to wait for who is not there.
    let mut app = nodes.setting("SERVER__WRITE_WAIT_MS", "300").start().await;
    assert!(app.nodes[1].stop().await.success());
    let phone = number(&app, 1);
    post(&app, "phone/send-otp", json!({"phone": phone})).await.assert_status(202);
    let body = json!({"phone": phone, "code": code(&app, &phone, 1).await});
    let session = post(&app, "phone/verify", body).await.assert_status(201);
    assert_eq!(session["user"]["phone"], phone.as_str());
    assert_eq!(session["user"]["isVerified"], true);
    let address = app.world.address("ana");
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Ana"});
    let registered = post(&app, "register", body).await.assert_status(201);
    let login = json!({"email": address, "password": PASSWORD});
    let ana = post(&app, "login", login).await.assert_status(200);
    assert_eq!(ana["user"], registered["user"]);
    assert_eq!(ana["user"]["fullName"], "Ana");
    let token = json!({"refreshToken": ana["session"]["refreshToken"]});
    let refreshed = post(&app, "refresh", token).await.assert_status(200);
    assert_eq!(refreshed["user"], ana["user"]);
    // The read model comes to the same.
    app.start_again(1).await;
    let ana = app.person(&refreshed);
    let shown = eventually("the read model has caught up", LIMIT, async || {
        let me = ana.get("/api/users/me").await;
        (me.status == 200).then_some(me)
    })
    .await;
    assert_eq!(*shown, refreshed["user"]);
    app.finish().await;
}
