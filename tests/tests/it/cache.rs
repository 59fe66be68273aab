//! Answers that are kept for others who ask.
use serde_json::json;
use tests::{LIMIT, TestApp, eventually};

/// How many answers to one kind of query a node found kept.
async fn hits(app: &TestApp, node: usize, query: &str) -> u64 {
    let metrics = app.internal(node).get("/metrics").await.assert_status(200);
    let line = metrics.text.lines().find(|line| {
        line.starts_with("cache_lookups_total{")
            && line.contains(&format!("query=\"{query}\""))
            && line.contains("outcome=\"hit\"")
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn names_are_kept_until_they_change_and_never_after() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let elsewhere = app.at(1, &ben);
    let members = format!("/api/rooms/{room}/members");
    let profile = format!("/api/users/{}", ana.id);
    for round in 0..30 {
        let name = format!("Ana number {round}");
        let changed = ana.patch("/api/users/me").json(&json!({"fullName": name})).await;
        let position = changed.assert_status(200).position().to_string();
        // Whoever names the position sees the change, on any node, however often it was asked before.
        for reader in [&ben.client, &elsewhere, &ben.client, &elsewhere] {
            let seen = reader.get(&members).header("x-min-position", &position).await;
            let seen = seen.assert_status(200);
            let names: Vec<_> = seen.data().iter().map(|m| &m["user"]["fullName"]).collect();
            assert!(names.contains(&&json!(name)), "round {round}: {names:?}");
            let seen = reader.get(&profile).header("x-min-position", &position).await;
            assert_eq!(seen.assert_status(200)["fullName"], json!(name), "round {round}");
        }
    }
    for (node, reader) in [(0, &ben.client), (1, &elsewhere)] {
        eventually("names are answered without the table", LIMIT, async || {
            reader.get(&members).await.assert_status(200);
            reader.get(&profile).await.assert_status(200);
            (hits(&app, node, "person").await.min(hits(&app, node, "profile").await) > 0)
                .then_some(())
        })
        .await;
    }
    app.finish().await;
}

#[tokio::test]
async fn the_catalogue_is_kept_until_a_subject_is_added() {
    let app = TestApp::start().await;
    let list = async || app.anyone().get("/api/subjects").await.assert_status(200);
    eventually("the catalogue is answered without the table", LIMIT, async || {
        list().await;
        (hits(&app, 0, "subjects").await > 0).then_some(())
    })
    .await;
    assert_eq!(list().await.data().len(), 0);
    let subject = app.given_a_subject().await;
    app.caught_up().await;
    for _ in 0..3 {
        let list = list().await;
        let ids: Vec<_> = list.data().iter().map(|subject| &subject["id"]).collect();
        assert_eq!(ids, [&json!(subject)]);
    }
    app.finish().await;
}
