//! What is proven and recovered by e-mail.
use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Answer, LIMIT, TestApp,
    app::{PASSWORD, Person},
    eventually,
};
use tokio::time::{Instant, timeout};

const VERIFY: &str = "Confirm your e-mail address";
const KNOWN: &str = "You have an account already";
const RESET: &str = "Choose a new password";
const CHANGED: &str = "Your password was changed";
const LEAVE: &str = "Confirm that your account may move";
const TAKE: &str = "Confirm your new e-mail address";
const MOVED: &str = "Your e-mail address was changed";
const NEW_PASSWORD: &str = "a wholly different sentence";

async fn register(app: &TestApp, address: &str) -> Answer {
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Somebody"});
    app.anyone().post("/api/auth/register").json(&body).await
}

async fn login(app: &TestApp, address: &str, password: &str) -> Answer {
    let body = json!({"email": address, "password": password});
    app.anyone().post("/api/auth/login").json(&body).await
}

async fn verify(app: &TestApp, body: Value) -> Answer {
    app.anyone().post("/api/auth/email/verify").json(&body).await
}

async fn post(app: &TestApp, path: &str, body: Value) -> Answer {
    app.anyone().post(path).json(&body).await
}

async fn me(person: &Person) -> Answer {
    person.get("/api/users/me").await.assert_status(200)
}

/// What everybody may compare: not the ids and times.
fn shape(answer: &Answer) -> (u16, Vec<String>, Value, Vec<String>) {
    let verification = &answer["verification"];
    let keys = verification.as_object().map(|it| it.keys().cloned().collect()).unwrap_or_default();
    let mut headers: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    headers.sort_unstable();
    (answer.status, keys, verification["channel"].clone(), headers)
}

async fn verified_mode() -> TestApp {
    TestApp::builder().setting("ACCOUNTS__REGISTRATION_MODE", "verified").start().await
}

#[tokio::test]
async fn an_address_is_proven_by_the_link_in_the_mail_once() {
    let app = TestApp::start().await;
    let address = app.world.address("ana");
    // Whoever asks cannot say where links lead to.
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Ana"});
    let request = app.anyone().post("/api/auth/register").json(&body);
    let request = request.header("x-forwarded-host", "evil.example");
    let request = request.header("forwarded", "host=evil.example");
    let session = request.await.assert_status(201);
    let ana = app.person(&session);
    assert_eq!(me(&ana).await["isVerified"], false);

    let mail = app.world.mail_to(&address, VERIFY, 1).await;
    assert!(!mail.raw.contains("evil.example"), "{}", mail.raw);
    assert!(mail.text.contains("http://127.0.0.1:8080/verify-email#token="), "{}", mail.text);
    assert!(mail.raw.contains("text/plain") && mail.raw.contains("text/html"), "{}", mail.raw);
    assert!(mail.header("Message-ID").is_some());

    let session = verify(&app, json!({"token": mail.token()})).await.assert_status(200);
    assert_eq!(session["status"], "authenticated");
    eventually("it shows", LIMIT, async || {
        let me = me(&ana).await;
        (me["isVerified"] == true && me["emailVerified"] == true).then_some(())
    })
    .await;
    let again = verify(&app, json!({"token": mail.token()})).await;
    again.assert_problem(400, "token_invalid");
    app.finish().await;
}

#[tokio::test]
async fn an_address_is_proven_by_the_code_in_the_mail_once() {
    let app = verified_mode().await;
    let address = app.world.address("ana");
    let sent = register(&app, &address).await.assert_status(202);
    assert_eq!(sent["status"], "verification_required");
    assert_eq!(sent["verification"]["channel"], "email");
    assert_eq!(sent["verification"]["maskedDestination"], "a***@people.example");
    let id = sent.text_at("/verification/id");
    // The right password alone does not open the account, the wrong one says nothing of it.
    login(&app, &address, PASSWORD).await.assert_problem(403, "email_not_verified");
    login(&app, &address, "not the password").await.assert_problem(401, "invalid_credentials");

    let code = app.world.mail_to(&address, VERIFY, 1).await.code();
    let other = if code == "000000" { "000001" } else { "000000" };
    let wrong = verify(&app, json!({"verificationId": id, "code": other})).await;
    wrong.assert_problem(400, "otp_invalid");
    let body = json!({"verificationId": id, "code": code});
    let session = verify(&app, body.clone()).await.assert_status(200);
    assert_eq!(session["user"]["emailVerified"], true);
    verify(&app, body).await.assert_problem(400, "otp_invalid");
    login(&app, &address, PASSWORD).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_code_is_guessed_at_five_times_at_most_however_many_try_at_once() {
    let app = TestApp::builder()
        .node("all")
        .node("all")
        .setting("ACCOUNTS__REGISTRATION_MODE", "verified")
        .start()
        .await;
    let address = app.world.address("ana");
    let sent = register(&app, &address).await.assert_status(202);
    let id = sent.text_at("/verification/id");
    let code = app.world.mail_to(&address, VERIFY, 1).await.code();
    let guesses = (0..100).filter(|n| format!("{n:06}") != code).map(|n| {
        let body = json!({"verificationId": id, "code": format!("{n:06}")});
        let request = app.anyone_at(n % 2).post("/api/auth/email/verify").json(&body);
        let request = request.header("x-forwarded-for", &format!("10.0.0.{n}"));
        async move { request.await }
    });
    let answers = join_all(guesses).await;
    let compared = answers.iter().filter(|answer| answer["code"] == "otp_invalid").count();
    assert_eq!(compared, 5);
    for answer in answers.iter().filter(|answer| answer["code"] != "otp_invalid") {
        answer.assert_problem(429, "otp_attempts_exceeded");
        assert!(answer.header("retry-after").is_some());
    }
    // The right one comes too late.
    let late = verify(&app, json!({"verificationId": id, "code": code})).await;
    late.assert_problem(429, "otp_attempts_exceeded");
    app.finish().await;
}

#[tokio::test]
async fn an_address_with_an_account_registers_like_any_other_and_its_owner_is_told() {
    let app = verified_mode().await;
    let address = app.world.address("ana");
    let first = register(&app, &address).await.assert_status(202);
    let again = register(&app, &address.to_uppercase()).await.assert_status(202);
    assert_eq!(shape(&first), shape(&again));
    app.world.mail_to(&address, KNOWN, 1).await;
    // Nobody's code is like everybody's: wrong, and then too often.
    let id = again.text_at("/verification/id");
    for n in 0..6 {
        let guess = verify(&app, json!({"verificationId": id, "code": format!("00000{n}")})).await;
        if n < 5 {
            guess.assert_problem(400, "otp_invalid");
        } else {
            guess.assert_problem(429, "otp_attempts_exceeded");
        }
    }
    // A name that is taken is no way to find out about an address.
    let named = |address: &str| {
        let body = json!({
            "email": address, "password": PASSWORD, "fullName": "X", "username": "taken_name",
        });
        app.anyone().post("/api/auth/register").json(&body)
    };
    named(&app.world.address("cleo")).await.assert_status(202);
    for address in [app.world.address("ben"), address] {
        named(&address).await.assert_problem(409, "username_taken");
    }
    app.finish().await;
}

#[tokio::test]
async fn another_mail_is_sent_after_a_minute_and_makes_the_first_one_useless() {
    let app = TestApp::builder()
        .setting("ACCOUNTS__REGISTRATION_MODE", "verified")
        .setting("ACCOUNTS__RESEND_SECONDS", "2")
        .start()
        .await;
    let (known, unknown) = (app.world.address("ana"), app.world.address("nobody"));
    let sent = register(&app, &known).await.assert_status(202);
    let first = app.world.mail_to(&known, VERIFY, 1).await;
    let path = "/api/auth/email/resend";
    let resend = async |address: &str| {
        eventually("it may be sent again", LIMIT, async || {
            let answer = post(&app, path, json!({"email": address})).await;
            if answer.status == 429 {
                answer.assert_problem(429, "rate_limited");
                assert!(answer.header("retry-after").is_some());
            }
            (answer.status != 429).then_some(answer)
        })
        .await
        .assert_status(202)
    };
    let again = resend(&known).await;
    let nobody = resend(&unknown).await;
    assert_eq!(shape(&again), shape(&nobody));
    assert_ne!(again["verification"]["id"], sent["verification"]["id"]);
    let second = app.world.mail_to(&known, VERIFY, 2).await;
    assert_ne!(first.token(), second.token());
    verify(&app, json!({"token": first.token()})).await.assert_problem(400, "token_invalid");
    let old = json!({"verificationId": sent["verification"]["id"], "code": first.code()});
    verify(&app, old).await.assert_problem(400, "otp_invalid");
    verify(&app, json!({"token": second.token()})).await.assert_status(200);
    // Once it is proven the answer stays the same, and nothing is sent.
    assert_eq!(shape(&resend(&known).await), shape(&again));
    app.caught_up().await;
    assert_eq!(app.world.mails_to(&known, VERIFY).len(), 2);
    assert!(app.world.mails_to(&unknown, VERIFY).is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_forgotten_password_is_reset_by_mail_and_ends_every_session() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let address = app.world.address("ana");
    let ana = app.person(&register(&app, &address).await.assert_status(201));
    let socket = app.connect(1, &json!({"token": ana.token})).await.unwrap();
    socket.hears("session_ready").await;
    let pending = app.world.mail_to(&address, VERIFY, 1).await;

    let forgot = "/api/auth/password/forgot";
    let asked = post(&app, forgot, json!({"email": address})).await.assert_status(202);
    let unknown = app.world.address("nobody");
    let nobody = post(&app, forgot, json!({"email": unknown})).await.assert_status(202);
    assert_eq!(asked.text, nobody.text);
    let token = app.world.mail_to(&address, RESET, 1).await.token();

    let reset = "/api/auth/password/reset";
    let weak = post(&app, reset, json!({"token": token, "newPassword": "password123"})).await;
    weak.assert_problem(422, "validation_failed");
    let body = json!({"token": token, "newPassword": NEW_PASSWORD});
    let session = post(&app, reset, body.clone()).await.assert_status(200);
    let since = Instant::now();
    let told = socket.hears("session_revoked").await;
    assert_eq!(told["reason"], "password_changed");
    timeout(LIMIT, socket.closed()).await.unwrap();
    assert!(since.elapsed() < tests::A_SECOND, "closed after {:?}", since.elapsed());
    for node in [0, 1] {
        app.at(node, &ana).get("/api/users/me").await.assert_problem(401, "unauthenticated");
    }
    // The mailbox was proven on the way, so what was sent before is of no use any more.
    assert_eq!(me(&app.person(&session)).await["emailVerified"], true);
    post(&app, reset, body).await.assert_problem(400, "token_invalid");
    let old = json!({"token": pending.token()});
    verify(&app, old).await.assert_problem(400, "token_invalid");
    login(&app, &address, PASSWORD).await.assert_problem(401, "invalid_credentials");
    login(&app, &address, NEW_PASSWORD).await.assert_status(200);
    app.world.mail_to(&address, CHANGED, 1).await;
    assert!(app.world.mails_to(&unknown, RESET).is_empty());
    app.finish().await;
}

#[tokio::test]
async fn a_link_does_what_it_was_sent_for_and_nothing_else() {
    let app = TestApp::start().await;
    let address = app.world.address("ana");
    register(&app, &address).await.assert_status(201);
    let proof = app.world.mail_to(&address, VERIFY, 1).await.token();
    post(&app, "/api/auth/password/forgot", json!({"email": address})).await.assert_status(202);
    let reset = app.world.mail_to(&address, RESET, 1).await.token();
    let body = json!({"token": proof, "newPassword": NEW_PASSWORD});
    post(&app, "/api/auth/password/reset", body).await.assert_problem(400, "token_invalid");
    verify(&app, json!({"token": reset})).await.assert_problem(400, "token_invalid");
    let mut forged = proof.clone().into_bytes();
    forged[40] = if forged[40] == b'A' { b'B' } else { b'A' };
    for token in ["", "x", std::str::from_utf8(&forged).unwrap()] {
        verify(&app, json!({"token": token})).await.assert_problem(400, "token_invalid");
    }
    verify(&app, json!({"token": proof})).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn an_account_moves_when_both_addresses_agree() {
    let app = TestApp::start().await;
    let (old, new) = (app.world.address("ana"), app.world.address("ana.new"));
    let ana = app.person(&register(&app, &old).await.assert_status(201));
    let proof = app.world.mail_to(&old, VERIFY, 1).await.token();
    verify(&app, json!({"token": proof})).await.assert_status(200);

    let change = |password: &str| {
        let body = json!({"email": new, "currentPassword": password});
        ana.post("/api/users/me/email").json(&body)
    };
    let refused = change("not the password").await;
    refused.assert_problem(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/currentPassword");
    change(PASSWORD).await.assert_status(202);
    assert_eq!(me(&ana).await["email"], old.as_str(), "nothing has moved yet");
    let leave = app.world.mail_to(&old, LEAVE, 1).await.token();
    let take = app.world.mail_to(&new, TAKE, 1).await.token();

    // Half of the proof, twice, is half of the proof.
    let half = verify(&app, json!({"token": take})).await.assert_status(202);
    assert_eq!(half["status"], "verification_required");
    verify(&app, json!({"token": take})).await.assert_problem(400, "token_invalid");
    assert_eq!(me(&ana).await["email"], old.as_str());
    let session = verify(&app, json!({"token": leave})).await.assert_status(200);
    assert_eq!(session["user"]["email"], new.as_str());
    app.world.mail_to(&old, MOVED, 1).await;
    login(&app, &old, PASSWORD).await.assert_problem(401, "invalid_credentials");
    login(&app, &new, PASSWORD).await.assert_status(200);
    // The old address is free again.
    register(&app, &old).await.assert_status(201);
    app.finish().await;
}

#[tokio::test]
async fn an_account_does_not_move_to_an_address_that_somebody_has() {
    let app = TestApp::start().await;
    let (old, taken) = (app.world.address("ana"), app.world.address("ben"));
    let ana = app.person(&register(&app, &old).await.assert_status(201));
    register(&app, &taken).await.assert_status(201);
    let body = json!({"email": taken, "currentPassword": PASSWORD});
    ana.post("/api/users/me/email").json(&body).await.assert_status(202);
    // Its owner hears of it, and gets no link.
    app.world.mail_to(&taken, KNOWN, 1).await;
    assert!(app.world.mails_to(&taken, TAKE).is_empty());
    let same = json!({"email": old.to_uppercase(), "currentPassword": PASSWORD});
    let refused = ana.post("/api/users/me/email").json(&same).await;
    assert!(matches!(refused.status, 422 | 429), "{}", refused.text);
    app.finish().await;
}

#[tokio::test]
async fn rebuilding_and_restarting_send_nothing_again() {
    let mut app = TestApp::start().await;
    let address = app.world.address("ana");
    register(&app, &address).await.assert_status(201);
    app.world.mail_to(&address, VERIFY, 1).await;
    app.caught_up().await;
    app.cli(&["verify"]).await;
    app.kill9_and_restart(0).await;
    // What is recorded later is sent, so the process is past everything before.
    let later = app.world.address("ben");
    register(&app, &later).await.assert_status(201);
    app.world.mail_to(&later, VERIFY, 1).await;
    assert_eq!(app.world.mails_to(&address, VERIFY).len(), 1);
    app.finish().await;
}
