//! What 500 people who chat notice of somebody who tries 200 passwords a second: hashing has cores of its
//! own, as few as are configured, and a queue that is full refuses at once.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use tests::TestApp;
use tokio::time::sleep_until;

use crate::{
    chat::{Times, gather, p99s, talk},
    report::{Report, Target},
};

const ROOMS: usize = 50;
const PEOPLE: usize = 10;
/// Messages a second.
const CHAT: u32 = 50;
/// Logins a second.
const FLOOD: u32 = 200;
const SECONDS: u32 = 15;

pub(crate) async fn run(report: &mut Report) {
    // These clients do not answer pings: none falls due during the run. Passwords cost what they do by
    // default, unlike in other tests.
    let app = TestApp::builder()
        .setting("POSTGRES__MAX_CONNECTIONS", "20")
        .setting("REALTIME__PING_INTERVAL_MS", "25000")
        .setting("REALTIME__PING_TIMEOUT_MS", "600000")
        .setting("ACCOUNTS__ARGON2_MEMORY_KIB", "19456")
        .setting("ACCOUNTS__ARGON2_ITERATIONS", "2")
        .start()
        .await;
    let times = Arc::new(Mutex::new(Times::default()));
    let mut members = gather(&app, ROOMS, PEOPLE, &times).await;

    talk(&mut members, PEOPLE, (CHAT, SECONDS), &times).await;
    let quiet = p99s(&times);
    let flooding = flood(&app);
    talk(&mut members, PEOPLE, (CHAT, SECONDS), &times).await;
    let flooded = p99s(&times);
    let (answered, refused) = flooding.await;
    for (name, quiet, flooded) in [("ack", quiet.0, flooded.0), ("delivery", quiet.1, flooded.1)] {
        report.absolute(&format!("flood: {name} p99 before"), (quiet, "ms"), Target::AtMost(100.0));
        let name = format!("flood of {FLOOD} logins/s: {name} p99");
        report.absolute(&name, (flooded, "ms"), Target::AtMost(100.0));
    }
    let tried = f64::from(FLOOD * SECONDS);
    // What two hashing threads get done beside the chat is some tens a second.
    report.absolute("  logins answered 401", (answered, ""), Target::AtLeast(100.0));
    report.absolute(
        "  logins answered otherwise, or not at all",
        (tried - answered - refused, ""),
        Target::AtMost(0.0),
    );
    drop(members);
    app.caught_up().await;
    app.finish().await;
}

/// Begins to try passwords of as many people. Answers how many were told that theirs is wrong, and how
/// many that there is too much to do.
fn flood(app: &TestApp) -> impl Future<Output = (f64, f64)> + use<> {
    let client = app.anyone();
    let flooding = tokio::spawn(async move {
        let begin = tokio::time::Instant::now();
        let mut logins = Vec::new();
        for n in 0..FLOOD * SECONDS {
            sleep_until(begin + Duration::from_secs_f64(f64::from(n) / f64::from(FLOOD))).await;
            let body = json!({"email": format!("n{n}@example.org"), "password": "not a password"});
            let login = client.post("/api/auth/login").json(&body);
            logins.push(tokio::spawn(async move { login.await.status }));
        }
        let statuses = futures::future::join_all(logins).await;
        let count =
            |status| statuses.iter().filter(|it| matches!(it, Ok(s) if *s == status)).count();
        (count(401) as f64, count(503) as f64)
    });
    async move { flooding.await.unwrap() }
}
