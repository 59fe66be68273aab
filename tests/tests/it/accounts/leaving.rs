//! Going for good, coming back in time, and taking along what is kept of one.
use serde_json::{Value, json};
use tests::{
    Answer, LIMIT, TestApp,
    app::{PASSWORD, Person, email},
    eventually,
};
use tokio::process::Command;

use crate::sealing::{has_marker, kept_elsewhere, rows, talk};

const TALKATIVE: &str = "Ana.Xylophone@people.example";
const TALKATIVES_PASSWORD: &str = "a-Xylophone-password";
const GOING: &str = "Your account is going to be deleted";
const COPIED: &str = "A copy of your data was asked for";

fn grace(seconds: u32) -> tests::app::Builder {
    let app = TestApp::builder().setting("ACCOUNTS__DELETION_GRACE_SECONDS", &seconds.to_string());
    // What is cached goes by itself, a minute later unless told otherwise.
    app.setting("REDIS__CACHE_SECONDS", "2")
}

async fn leave(person: &Person, password: &str) -> Answer {
    let body = json!({"currentPassword": password});
    person.delete("/api/users/me").json(&body).await
}

async fn login(app: &TestApp, address: &str, password: &str) -> Answer {
    let body = json!({"email": address, "password": password});
    app.anyone().post("/api/auth/login").json(&body).await
}

/// Nothing of what the person said or said about themselves is left anywhere.
async fn nothing_is_left(app: &TestApp) {
    let pool = app.world.database.pool().await;
    eventually("the person is forgotten everywhere", LIMIT, async || {
        let rows = rows(&pool).await.into_iter().map(|(table, row)| format!("{table}: {row}"));
        let kept = rows.chain(kept_elsewhere(app).await);
        (!kept.into_iter().any(|text| has_marker(&text))).then_some(())
    })
    .await;
    pool.close().await;
}

#[tokio::test]
async fn who_asks_to_be_forgotten_is_forgotten_in_every_store_and_the_others_go_on() {
    let app = grace(2).start().await;
    let (ana, room) = talk(&app).await;
    let ben = app.as_user("ben").await;
    let path = format!("/api/messages/direct/{}", ben.id);
    ana.post(&path).json(&json!({"content": "Xylophone for two"})).await.assert_status(201);
    // A room of hers, in which Cai keeps order, and one that is hers alone.
    let created = json!({"name": "Percussion", "subjectId": app.given_a_subject().await, "roomType": "public"});
    let own = ana.post("/api/rooms").json(&created).await.assert_status(201)["id"].clone();
    let own = own.as_str().unwrap().to_owned();
    let alone = ana.post("/api/rooms").json(&created).await.assert_status(201)["id"].clone();
    let cai = app.as_user("cai").await;
    for person in [&ben, &cai] {
        person.post(&format!("/api/rooms/{own}/join")).await.assert_status(201);
    }
    let role = format!("/api/rooms/{own}/members/{}/role", cai.id);
    ana.post(&role).json(&json!({"role": "moderator"})).await.assert_status(200);
    let socket = app.connect(0, &json!({"token": ana.token})).await.unwrap();
    socket.hears("session_ready").await;

    leave(&ana, "not her password").await.assert_problem(422, "validation_failed");
    let gone = leave(&ana, TALKATIVES_PASSWORD).await.assert_status(202);
    assert_eq!(gone["status"], "scheduled");
    assert!(gone["deletionDueAt"].as_str().is_some());
    assert_eq!(socket.hears("session_revoked").await["reason"], "account_deactivated");
    ana.get("/api/users/me").await.assert_problem(401, "unauthenticated");
    // To others there is no such person any more, though they could still come back.
    let profile = format!("/api/users/{}", ana.id);
    ben.get(&profile).await.assert_problem(404, "not_found");
    app.world.mail_to(TALKATIVE, GOING, 1).await;
    app.caught_up().await;
    let page = ben.get(&format!("/api/rooms/{own}/members")).await.assert_status(200);
    assert!(
        page.data().iter().all(|it| it["user"]["username"] != "xylophone_ana"),
        "{}",
        page.text
    );

    nothing_is_left(&app).await;
    login(&app, TALKATIVE, TALKATIVES_PASSWORD).await.assert_problem(401, "invalid_credentials");
    let page = ben.get(&format!("/api/messages/room/{room}")).await.assert_status(200);
    assert_eq!(page.data().len(), 5);
    for message in page.data() {
        assert_eq!((&message["content"], &message["isDeleted"]), (&json!(""), &json!(true)));
        assert_eq!(message["senderName"], json!(null));
    }
    let page = ben.get(&format!("/api/messages/direct/{}", ana.id)).await.assert_status(200);
    assert_eq!(page.data()[0]["content"], "");
    let found = ben.get("/api/messages/search?q=lesson").await.assert_status(200);
    assert!(found.data().is_empty());
    ben.get(&profile).await.assert_problem(404, "not_found");
    eventually("her room is Cai's", LIMIT, async || {
        let members = ben.get(&format!("/api/rooms/{own}/members")).await.assert_status(200);
        let owns = |it: &Value| it["user"]["id"] == cai.id.as_str() && it["role"] == "owner";
        (members.data().len() == 2 && members.data().iter().any(owns)).then_some(())
    })
    .await;
    let alone = format!("/api/rooms/{}", alone.as_str().unwrap());
    eventually("what was hers alone is closed", LIMIT, async || {
        let room = ben.get(&alone).await.assert_status(200);
        (room["isActive"] == false && room["memberCount"] == 0).then_some(())
    })
    .await;
    // Nobody can open what is sealed for her, now or from a backup that comes later.
    let pool = app.world.database.pool().await;
    let key =
        "select wrapped_key is null and erased_at is not null from data_keys where subject_id = $1";
    let id: uuid::Uuid = ana.id.parse().unwrap();
    eventually("her key is destroyed", LIMIT, async || {
        let destroyed: bool = sqlx::query_scalar(key).bind(id).fetch_one(&pool).await.unwrap();
        destroyed.then_some(())
    })
    .await;
    pool.close().await;
    // What was hers is free, for somebody else.
    let again = json!({
        "email": TALKATIVE, "password": PASSWORD, "fullName": "Another Ana",
        "username": "xylophone_ana",
    });
    let other = app.anyone().post("/api/auth/register").json(&again).await.assert_status(201);
    assert_ne!(other["user"]["id"], ana.id);
    // The read models are what the log gives, and the chain still fits.
    app.verified().await;
    app.finish().await;
}

#[tokio::test]
async fn who_logs_in_before_that_keeps_everything() {
    let app = grace(3600).start().await;
    let ana = app.as_user("ana").await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let due = leave(&ana, PASSWORD).await.assert_status(202)["deletionDueAt"].clone();
    assert!(due.is_string());
    login(&app, &email("ana"), "not her password").await.assert_problem(401, "invalid_credentials");
    let back = app.person(&login(&app, &email("ana"), PASSWORD).await.assert_status(200));
    assert_eq!(back.id, ana.id);
    // The sessions from before stay ended.
    ana.get("/api/users/me").await.assert_problem(401, "unauthenticated");
    let ben = app.as_user("ben").await;
    ben.get(&format!("/api/users/{}", ana.id)).await.assert_status(200);
    let members = back.get(&format!("/api/rooms/{room}/members")).await.assert_status(200);
    assert_eq!(members.data().len(), 2);
    let pool = app.world.database.pool().await;
    eventually("nobody waits to be forgotten", LIMIT, async || {
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from departures").fetch_one(&pool).await.unwrap();
        let done: bool = sqlx::query_scalar(
            "select position >= (select max(position) from positions) from process_positions
             where process = 'departures'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        (done && waiting == 0).then_some(())
    })
    .await;
    pool.close().await;
    app.finish().await;
}

#[tokio::test]
async fn a_crash_on_the_way_leaves_nobody_half_forgotten() {
    let mut app = grace(1)
        .variable("FAILPOINTS", "departures.before_key=return")
        .allow_error("crash point")
        .start()
        .await;
    let (ana, _) = talk(&app).await;
    leave(&ana, TALKATIVES_PASSWORD).await.assert_status(202);
    app.nodes[0].died().await;
    app.start_again(0).await;
    nothing_is_left(&app).await;
    app.verified().await;
    app.finish().await;
}

#[tokio::test]
async fn sessions_are_cut_off_though_nobody_lived_to_end_them() {
    let mut app = TestApp::builder()
        .node("all")
        .node("api,realtime,relay,projectors")
        .variable("FAILPOINTS", "deletion.before_sessions_end=return")
        .allow_error("crash point")
        .start()
        .await;
    let ana = app.as_user("ana").await;
    let socket = app.connect(1, &json!({"token": ana.token})).await.unwrap();
    socket.hears("session_ready").await;
    let body = json!({"currentPassword": PASSWORD});
    assert!(
        ana.delete("/api/users/me").json(&body).try_send().await.is_err(),
        "it died on the way"
    );
    app.nodes[0].died().await;
    assert_eq!(socket.hears("session_revoked").await["reason"], "account_deactivated");
    eventually("the token is cut off", LIMIT, async || {
        (app.at(1, &ana).get("/api/users/me").await.status == 401).then_some(())
    })
    .await;
    app.start_again(0).await;
    app.finish().await;
}

#[tokio::test]
async fn an_operator_erases_who_cannot_ask_any_more() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let told = app.cli(&["account", "erase", &email("ana")]).await;
    assert!(told.contains(&format!("account {} is closed", ana.id)), "{told}");
    eventually("she is out", LIMIT, async || {
        (ana.get("/api/users/me").await.status == 401).then_some(())
    })
    .await;
    let told = app.cli(&["account", "reinstate", &email("ana")]).await;
    assert!(told.contains("done"), "{told}");
    login(&app, &email("ana"), PASSWORD).await.assert_status(200);
    app.finish().await;
}

/// The files of a copy and what they hold, in their order, as somebody else's reader of archives sees them.
async fn unzip(archive: &[u8]) -> Vec<(String, String)> {
    const READ: &str = "import json, sys, zipfile\n\
        archive = zipfile.ZipFile(sys.argv[1])\n\
        assert archive.testzip() is None\n\
        print(json.dumps([[name, archive.read(name).decode()] for name in archive.namelist()]))";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), archive).unwrap();
    let read = Command::new("python3").arg("-c").arg(READ).arg(file.path()).output().await.unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    serde_json::from_slice(&read.stdout).unwrap()
}

#[tokio::test]
async fn a_copy_holds_what_is_kept_of_somebody_and_nothing_of_others() {
    let app = TestApp::builder().setting("ACCOUNTS__EXPORT_MINUTES", "5").start().await;
    let (ana, room) = talk(&app).await;
    let ben = app.as_user("ben").await;
    let said = json!({"content": "a word of Ben's"});
    ben.post(&format!("/api/messages/room/{room}")).json(&said).await.assert_status(201);
    let path = format!("/api/messages/direct/{}", ben.id);
    ana.post(&path).json(&json!({"content": "Xylophone for two"})).await.assert_status(201);
    let slip = ana.post(&path).json(&json!({"content": "a slip of hers"})).await.assert_status(201);
    let slip = format!("/api/messages/{}", slip["id"].as_str().unwrap());
    ana.delete(&slip).await.assert_status(204);
    let ask = async |password: &str| {
        let body = json!({"currentPassword": password});
        ana.post("/api/users/me/export").header("idempotency-key", "one-copy").json(&body).await
    };
    ask("not her password").await.assert_problem(422, "validation_failed");
    let first = ask(TALKATIVES_PASSWORD).await.assert_status(202);
    let again = ask(TALKATIVES_PASSWORD).await.assert_status(202);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(first["url"], again["url"]);
    app.world.mail_to(TALKATIVE, COPIED, 1).await;
    app.caught_up().await;

    let path =
        |link: &Value| link["url"].as_str().unwrap().split_once("/api/").unwrap().1.to_owned();
    let fetch = async |path: &str| app.anyone().get(&format!("/api/{path}")).await;
    let copy = fetch(&path(&first)).await.assert_status(200);
    assert_eq!(copy.header("content-type"), Some("application/zip"));
    assert_eq!(copy.header("cache-control"), Some("no-store"));
    let files = unzip(&copy.bytes).await;
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "profile.json",
        "account.json",
        "sessions.json",
        "rooms.json",
        "contacts.json",
        "reports.json",
        "room-messages.jsonl",
        "direct-messages.jsonl",
    ];
    assert_eq!(names, expected);
    let text = |name: &str| &files.iter().find(|(file, _)| file == name).unwrap().1;
    let lines = |name: &str| -> Vec<Value> {
        text(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let profile: Value = serde_json::from_str(text("profile.json")).unwrap();
    assert_eq!((&profile["id"], &profile["email"]), (&json!(ana.id), &json!(TALKATIVE)));
    assert_eq!(lines("room-messages.jsonl").len(), 5);
    assert_eq!(lines("direct-messages.jsonl")[0]["content"], "Xylophone for two");
    assert!(text("account.json").contains("UserRegistered"));
    assert!(text("sessions.json").contains("Xylophone/1.0") && text("rooms.json").contains(&room));
    assert!(text("reports.json").contains("Xylophones everywhere"));
    assert!(text("contacts.json").contains(&ben.id));
    for (name, text) in &files {
        for absent in ["argon2", "a word of Ben's", "a slip of hers"] {
            assert!(!text.contains(absent), "{absent} is in {name}: {text}");
        }
    }

    // Another link makes this one useless, and so does whatever it is not.
    let body = json!({"currentPassword": TALKATIVES_PASSWORD});
    let second = ana.post("/api/users/me/export").json(&body).await.assert_status(202);
    fetch(&path(&first)).await.assert_problem(404, "not_found");
    fetch("exports/none").await.assert_problem(404, "not_found");
    fetch(&path(&second)).await.assert_status(200);
    leave(&ana, TALKATIVES_PASSWORD).await.assert_status(202);
    fetch(&path(&second)).await.assert_problem(404, "not_found");
    app.finish().await;
}
