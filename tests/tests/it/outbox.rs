//! E-mails on their way: what the mail server does not take, and what a crash leaves behind.
use serde_json::{Value, json};
use tests::{
    Answer, Builder, LIMIT, SmtpServer, TestApp,
    app::{PASSWORD, email},
    eventually,
};

const VERIFY: &str = "Confirm your e-mail address";
const RESET: &str = "Choose a new password";

fn bringing_mails_to(server: &SmtpServer) -> Builder {
    TestApp::builder()
        .setting("MAIL__URL", &server.url)
        .setting("MAIL__TIMEOUT_MS", "500")
        .setting("MAIL__RETRY_MS", "50")
        .setting("MAIL__MAX_RETRY_MS", "400")
}

async fn post(app: &TestApp, path: &str, body: Value) -> Answer {
    app.anyone().post(&format!("/api/auth/{path}")).json(&body).await
}

async fn register(app: &TestApp, name: &str) {
    let body = json!({"email": email(name), "password": PASSWORD, "fullName": "Somebody"});
    post(app, "register", body).await.assert_status(201);
}

async fn forget(app: &TestApp, name: &str) {
    post(app, "password/forgot", json!({"email": email(name)})).await.assert_status(202);
}

async fn subjects(server: &SmtpServer, name: &str, count: usize) -> Vec<String> {
    eventually(&format!("{count} mails for {name}"), LIMIT, async || {
        let subjects = server.taken(&email(name), "Subject");
        (subjects.len() >= count).then_some(subjects)
    })
    .await
}

#[tokio::test]
async fn a_mail_that_is_not_taken_holds_up_later_ones_of_its_person_only() {
    let server = SmtpServer::start().await;
    let app = bringing_mails_to(&server).start().await;
    server.refuse(&email("ana"), 451);
    register(&app, "ana").await;
    eventually("it is tried again and again", LIMIT, async || {
        (server.tried(&email("ana")) >= 3).then_some(())
    })
    .await;
    forget(&app, "ana").await;
    register(&app, "ben").await;
    assert_eq!(subjects(&server, "ben", 1).await, [VERIFY]);
    assert!(server.taken(&email("ana"), "Subject").is_empty());
    let mails = app.status().await["mails"].clone();
    assert_eq!((&mails["waiting"], &mails["dead"]), (&json!(2), &json!(0)), "{mails}");

    server.take(&email("ana"));
    assert_eq!(subjects(&server, "ana", 2).await, [VERIFY, RESET], "in their order");
    eventually("nothing waits", LIMIT, async || {
        (app.status().await["mails"]["waiting"] == 0).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_shown_and_not_tried_again() {
    let server = SmtpServer::start().await;
    let app = bringing_mails_to(&server).start().await;
    server.refuse(&email("ana"), 550);
    register(&app, "ana").await;
    let mails = eventually("it is given up", LIMIT, async || {
        let mails = app.status().await["mails"].clone();
        (mails["dead"] == 1).then_some(mails)
    })
    .await;
    assert_eq!(mails["waiting"], 0, "{mails}");
    let dead = &mails["newestDead"][0];
    assert_eq!((&dead["kind"], &dead["reason"]), (&json!("verify-email"), &json!("refused")));
    assert_eq!(dead["attempts"], 1);
    assert!(dead["userId"].is_string() && dead["deadAt"].is_string(), "{dead}");
    assert!(app.cli(&["status"]).await.contains("1 e-mails were given up"));
    // The next one of the same person may go.
    server.take(&email("ana"));
    forget(&app, "ana").await;
    assert_eq!(subjects(&server, "ana", 1).await, [RESET]);
    assert_eq!(server.tried(&email("ana")), 2);
    app.finish().await;
}

#[tokio::test]
async fn a_mail_that_nobody_takes_is_given_up_in_the_end() {
    let server = SmtpServer::start().await;
    let app = bringing_mails_to(&server).setting("MAIL__GIVE_UP_SECONDS", "1").start().await;
    server.refuse(&email("ana"), 451);
    register(&app, "ana").await;
    let dead = eventually("it is given up", LIMIT, async || {
        let mails = app.status().await["mails"].clone();
        (mails["dead"] == 1).then(|| mails["newestDead"][0].clone())
    })
    .await;
    assert_eq!(dead["reason"], "given_up", "{dead}");
    assert!(dead["attempts"].as_i64().unwrap() > 1, "{dead}");
    app.finish().await;
}

/// A node dies here, and another mail shows that it went on.
async fn survives(point: &str, most: usize) {
    let server = SmtpServer::start().await;
    let mut app = bringing_mails_to(&server)
        .variable("FAILPOINTS", &format!("{point}=return"))
        .allow_error("crash point")
        .start()
        .await;
    let body = json!({"email": email("ana"), "password": PASSWORD, "fullName": "Ana"});
    // It may die before it answers.
    let _ = app.anyone().post("/api/auth/register").json(&body).try_send().await;
    app.nodes[0].died().await;
    app.start_again(0).await;
    subjects(&server, "ana", 1).await;
    register(&app, "ben").await;
    subjects(&server, "ben", 1).await;
    eventually("nothing waits", LIMIT, async || {
        (app.status().await["mails"]["waiting"] == 0).then_some(())
    })
    .await;
    let ids = server.taken(&email("ana"), "Message-ID");
    assert!((1..=most).contains(&ids.len()), "{ids:?}");
    assert!(ids.iter().all(|id| *id == ids[0]), "one mail, whoever sent it: {ids:?}");
    app.finish().await;
}

#[tokio::test]
async fn a_crash_between_noting_a_mail_and_moving_on_sends_it_once() {
    survives("mail.after_put", 1).await;
}

#[tokio::test]
async fn a_crash_before_sending_a_mail_that_was_taken_sends_it_once() {
    survives("mail.after_take", 1).await;
}

#[tokio::test]
async fn a_crash_after_sending_a_mail_sends_the_same_one_twice_at_most() {
    survives("mail.after_send", 2).await;
}
