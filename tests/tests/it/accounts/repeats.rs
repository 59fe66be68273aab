//! Changes of address and number that are asked for again with the same key.
use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::{
    Answer, TestApp,
    app::{PASSWORD, Person, email},
};

const TAKE: &str = "Confirm your new e-mail address";
const CODE: &str = "Your one-time code";

async fn register(app: &TestApp, address: &str) -> Person {
    let body = json!({"email": address, "password": PASSWORD, "fullName": "Somebody"});
    let answer = app.anyone().post("/api/auth/register").json(&body).await;
    app.person(&answer.assert_status(201))
}

/// Asks six times at once, on two nodes. All hear the same, and one of them was the first.
async fn six_at_once(app: &TestApp, ana: &Person, path: &str, body: &Value) -> Answer {
    let ask = |node| app.at(node, ana).post(path).header("idempotency-key", "k").json(body);
    let answers = join_all((0..6).map(|n| async move { ask(n % 2).await })).await;
    let (mut first, mut later) = (Vec::new(), 0);
    for answer in answers {
        let answer = answer.assert_status(202);
        match answer.header("idempotency-replayed") {
            None => first.push(answer),
            Some(replayed) => {
                assert_eq!(replayed, "true");
                later += 1;
            }
        }
    }
    assert_eq!((first.len(), later), (1, 5));
    let first = first.remove(0);
    for node in 0..2 {
        let again = ask(node).await.assert_status(202);
        assert_eq!(again.text, first.text);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }
    first
}

#[tokio::test]
async fn a_change_of_address_that_is_asked_for_again_is_one_change() {
    // An e-mail that a killed node had taken rests three times as long.
    let app = TestApp::builder().node("all").node("all").setting("MAIL__TIMEOUT_MS", "3000");
    let mut app = app.start().await;
    let (old, new) = (app.world.address("ana"), app.world.address("ana.new"));
    let ana = register(&app, &old).await;
    let path = "/api/users/me/email";
    let body = json!({"email": new, "currentPassword": PASSWORD});
    let first = six_at_once(&app, &ana, path, &body).await;
    app.kill9_and_restart(0).await;
    let ana = app.at(0, &ana);
    let ask = |body: &Value| ana.post(path).header("idempotency-key", "k").json(body);
    assert_eq!(ask(&body).await.assert_status(202).text, first.text);

    app.world.mail_to(&new, TAKE, 1).await;
    app.caught_up().await;
    // The node that was killed may have sent it already, unknown to the next: as the same e-mail.
    let mails = app.world.mails_to(&new, TAKE);
    let ids: BTreeSet<_> = mails.iter().map(|mail| mail.header("Message-ID")).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let pool = app.world.database.pool().await;
    let sql = "select count(*) from events where event_type = 'EmailChangeRequested'";
    let changes: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    assert_eq!(changes, 1);

    for other in [
        json!({"email": app.world.address("other"), "currentPassword": PASSWORD}),
        json!({"email": new, "currentPassword": "another password"}),
    ] {
        ask(&other).await.assert_problem(422, "idempotency_key_reused");
    }
    // Without the key it is another request, and too soon.
    ana.post(path).json(&body).await.assert_problem(429, "rate_limited");
    // What is refused is not kept.
    let ben = register(&app, &app.world.address("ben")).await;
    let ask = |password: &str| {
        let body = json!({"email": new, "currentPassword": password});
        ben.post(path).header("idempotency-key", "k").json(&body)
    };
    ask("not the password").await.assert_problem(422, "validation_failed");
    let own = ask(PASSWORD).await.assert_status(202);
    assert!(own.header("idempotency-replayed").is_none(), "the key is Ben's own");
    app.finish().await;
}

#[tokio::test]
async fn a_change_of_number_that_is_asked_for_again_is_one_text() {
    let app = TestApp::builder()
        .node("all")
        .node("all")
        .setting("PHONE__LOG_CODES", "true")
        .start()
        .await;
    let ana = register(&app, &email("ana")).await;
    let (path, number) = ("/api/users/me/phone", number(&app));
    let body = json!({"phone": number, "currentPassword": PASSWORD});
    let first = six_at_once(&app, &ana, path, &body).await;
    let to = format!("{}@sms.localhost.localdomain", &number[1..]);
    let code = app.world.mail_to(&to, CODE, 1).await.code();

    let ask = |body: &Value| ana.post(path).header("idempotency-key", "k").json(body);
    for other in [
        json!({"phone": "+4930123456", "currentPassword": PASSWORD}),
        json!({"phone": number, "currentPassword": "another password"}),
    ] {
        ask(&other).await.assert_problem(422, "idempotency_key_reused");
    }
    ana.post(path).json(&body).await.assert_problem(429, "rate_limited");
    let proof = json!({"verificationId": first["verification"]["id"], "code": code});
    let session = app.anyone().post("/api/auth/phone/verify").json(&proof).await;
    assert_eq!(session.assert_status(200)["user"]["phone"], number.as_str());
    // The answer stays what it was, and sends nothing.
    assert_eq!(ask(&body).await.assert_status(202).text, first.text);
    assert_eq!(app.world.mails_to(&to, CODE).len(), 1);
    // Where the code went stands nowhere in the open.
    let pool = app.world.database.pool().await;
    let rows: Vec<String> =
        sqlx::query_scalar("select c::text from one_time_codes c").fetch_all(&pool).await.unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| !row.contains(&number[1..])), "{rows:?}");
    app.finish().await;
}

#[tokio::test]
async fn a_text_that_was_not_sent_is_not_answered_as_if_it_were() {
    let app = TestApp::builder().allow_error("text messages are not set up").start().await;
    let ana = register(&app, &email("ana")).await;
    let body = json!({"phone": number(&app), "currentPassword": PASSWORD});
    let ask = || ana.post("/api/users/me/phone").header("idempotency-key", "k").json(&body);
    ask().await.assert_problem(503, "dependency_unavailable");
    let again = ask().await;
    again.assert_problem(429, "rate_limited");
    assert!(again.header("idempotency-replayed").is_none());
    app.finish().await;
}

/// A number of this test alone: what is caught is shared.
fn number(app: &TestApp) -> String {
    let digits: String = app.world.name.bytes().map(|b| char::from(b'0' + b % 10)).collect();
    format!("+497{}", &digits[digits.len() - 10..])
}
