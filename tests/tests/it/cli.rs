//! `studyhall` beside `serve`: what operators type.
use serde_json::json;
use tests::TestApp;

#[tokio::test]
async fn migrating_and_seeding_can_be_repeated() {
    let app = TestApp::builder().setting("ROOMS__REQUIRE_VERIFIED_EMAIL", "true").start().await;
    app.cli(&["migrate"]).await;
    let first = app.cli(&["seed"]).await;
    let logins: Vec<&str> =
        first.lines().filter_map(|line| line.strip_prefix("demo login: ")).collect();
    assert_eq!(logins.len(), 2);
    app.caught_up().await;
    let head = app.status().await["head"].clone();
    assert_eq!(app.cli(&["seed"]).await, first, "the logins every time");
    assert_eq!(app.status().await["head"], head, "and nothing new");

    let (email, password) = logins[0].split_once(' ').unwrap();
    let login = json!({"email": email, "password": password});
    let session = app.anyone().post("/api/auth/login").json(&login).await.assert_status(200);
    let person = app.person(&session);
    let rooms = person.get("/api/rooms?mine=true").await.assert_status(200);
    assert_eq!(rooms.data().len(), 2);
    let path = format!("/api/messages/room/{}", rooms.data()[0]["id"].as_str().unwrap());
    assert!(!person.get(&path).await.assert_status(200).data().is_empty());
    app.finish().await;
}

#[tokio::test]
async fn migrating_adds_the_columns_that_a_table_lacks() {
    let app = TestApp::start().await;
    let pool = app.world.database.pool().await;
    // As an older build made it.
    sqlx::query("alter table users drop column bio").execute(&pool).await.unwrap();
    app.cli(&["migrate"]).await;
    app.cli(&["migrate"]).await;
    let bios: Vec<Option<String>> =
        sqlx::query_scalar("select bio from users").fetch_all(&pool).await.unwrap();
    assert_eq!(bios, Vec::<Option<String>>::new());
    pool.close().await;
    app.as_user("ana").await;
    app.finish().await;
}

#[tokio::test]
async fn the_status_tells_how_far_everything_is() {
    let app = TestApp::start().await;
    app.given_a_room(&["ana"]).await;
    app.caught_up().await;
    let status = app.status().await;
    let head = status["head"].as_i64().unwrap();
    assert!(head > 0);
    assert_eq!(status["unplaced"], 0);
    tests::eventually("the stream reaches the head", tests::LIMIT, async || {
        (app.status().await["stream"]["position"] == head).then_some(())
    })
    .await;
    let models = status["readModels"].as_array().unwrap();
    assert_eq!(models.len(), 16);
    for model in models {
        assert_eq!((&model["position"], &model["lagEvents"]), (&json!(head), &json!(0)), "{model}");
        assert_eq!((&model["lagSeconds"], &model["parked"]), (&json!(0), &json!(0)));
    }
    assert_eq!(status["stall"], json!(null));
    let table = app.cli(&["status"]).await;
    for word in ["messages", "study_rooms", "lag", &head.to_string()] {
        assert!(table.contains(word), "{word}:\n{table}");
    }
    app.finish().await;
}

#[tokio::test]
async fn verify_finds_what_somebody_changed_behind_our_back() {
    let app = TestApp::start().await;
    app.given_a_room(&["ana", "ben"]).await;
    app.caught_up().await;
    let fine = app.cli(&["verify"]).await;
    assert!(fine.contains("positions verified"), "{fine}");

    let pool = app.world.database.pool().await;
    let changed =
        sqlx::query("update users set full_name = 'Mallory' where email like 'ana@people%'");
    assert_eq!(changed.execute(&pool).await.unwrap().rows_affected(), 1);
    let output = app.try_cli(&["verify"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("users: 1 of"), "{said}");
    assert!(!said.contains("Mallory") && !said.contains("Ana"), "keys only: {said}");
    pool.close().await;
    app.finish().await;
}

#[tokio::test]
async fn nothing_is_parked_and_what_is_not_parked_cannot_be_tried_again() {
    let app = TestApp::start().await;
    assert_eq!(app.cli(&["parked", "list"]).await.trim(), "nothing is parked");
    for arguments in [&["parked", "retry", "users", "nobody"], &["parked", "retry", "planets", "x"]]
    {
        let output = app.try_cli(arguments).await;
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1);
    }
    app.finish().await;
}

#[tokio::test]
async fn roles_on_different_nodes_are_one_system() {
    let app =
        TestApp::builder().node("api,realtime").node("relay,projectors,processes").start().await;
    assert!(app.nodes[1].address.is_empty(), "nobody talks to it");
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    ana.emit("send_message", json!({"roomId": room, "content": "hello"})).await;
    ben.hears("new_message").await;
    app.internal(1).get("/health/ready").await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_node_for_sockets_alone_answers_as_every_node_does() {
    let app = TestApp::builder().node("all").node("realtime").start().await;
    let there = app.anyone_at(1);
    there.get("/health/live").await.assert_status(200);
    there.get("/api/rooms").await.assert_problem(404, "not_found");
    there.post("/health/live").await.assert_problem(405, "method_not_allowed");
    app.finish().await;
}
