//! Search: messages by their words, of what the searcher may read now.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LIMIT, TestApp, app::Person, eventually};

async fn find(person: &Person, query: &str) -> Answer {
    person.get(&format!("/api/messages/search?{query}")).await.assert_status(200)
}

fn contents(answer: &Answer) -> Vec<String> {
    let content = |hit: &Value| hit["message"]["content"].as_str().unwrap().to_owned();
    answer.data().iter().map(content).collect()
}

async fn say(person: &Person, room: &str, content: &str) -> Answer {
    let path = format!("/api/messages/room/{room}");
    person.post(&path).json(&json!({"content": content})).await.assert_status(201)
}

#[tokio::test]
async fn messages_are_found_by_their_words() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let other = app.given_a_room(&["ana"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    say(&ana, &room, "The exam is on Friday").await;
    say(&ben, &room, "exam? which EXAM?").await;
    say(&ana, &other, "another exam").await;
    let direct = json!({"content": "the exam, between us"});
    ben.post(&format!("/api/messages/direct/{}", ana.id)).json(&direct).await.assert_status(201);
    app.caught_up().await;

    let hits = find(&ana, "q=exam").await;
    assert_eq!(
        contents(&hits),
        ["the exam, between us", "another exam", "exam? which EXAM?", "The exam is on Friday"]
    );
    let marks = json!([{"start": 0, "end": 4}, {"start": 12, "end": 16}]);
    assert_eq!(hits.data()[2]["highlights"], marks);
    assert_eq!(contents(&find(&ana, "q=exam%20friday").await), ["The exam is on Friday"]);
    assert_eq!(contents(&find(&ana, &format!("q=exam&roomId={other}")).await), ["another exam"]);
    let of_ben = find(&ana, &format!("q=exam&from={}", ben.id)).await;
    assert_eq!(contents(&of_ben), ["the exam, between us", "exam? which EXAM?"]);
    let second = hits.data()[2]["message"]["createdAt"].as_str().unwrap();
    let before = find(&ana, &format!("q=exam&before={second}")).await;
    assert_eq!(contents(&before), ["The exam is on Friday"]);
    // Page by page.
    let first = find(&ana, "q=exam&limit=3").await;
    let cursor = first["page"]["nextCursor"].as_str().unwrap();
    let rest = find(&ana, &format!("q=exam&limit=3&cursor={cursor}")).await;
    assert_eq!(contents(&rest), ["The exam is on Friday"]);
    let foreign = ana.get(&format!("/api/messages/search?q=other&cursor={cursor}")).await;
    foreign.assert_problem(400, "invalid_cursor");
    for wrong in ["", "q=", "q=%25_%25_%25", "q=exam&before=yesterday", "q=a%00b", "q=exam&x=1"] {
        let answer = ana.get(&format!("/api/messages/search?{wrong}")).await;
        assert_eq!(answer.status, 422, "{wrong}: {}", answer.text);
    }
    app.finish().await;
}

#[tokio::test]
async fn nobody_finds_what_they_may_not_read() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben, eve) =
        (app.as_user("ana").await, app.as_user("ben").await, app.as_user("eve").await);
    say(&ana, &room, "Zanzibar is ours").await;
    let direct = json!({"content": "Zanzibar, between us"});
    ana.post(&format!("/api/messages/direct/{}", ben.id)).json(&direct).await.assert_status(201);
    app.caught_up().await;
    assert_eq!(find(&ben, "q=zanzibar").await.data().len(), 2);
    // A public room shows itself to all, what is said in it to members only.
    let nothing = find(&eve, "q=zanzibar").await;
    assert_eq!(nothing.text, find(&eve, "q=qwertz").await.text, "not even a count");
    assert_eq!(find(&eve, &format!("q=zanzibar&roomId={room}")).await.data().len(), 0);
    ben.post(&format!("/api/rooms/{room}/leave")).await.assert_status(204);
    assert_eq!(contents(&find(&ben, "q=zanzibar").await), ["Zanzibar, between us"]);
    app.finish().await;
}

#[tokio::test]
async fn what_was_edited_or_taken_back_leaves_the_index() {
    let app = TestApp::start().await;
    let room = app.given_a_room(&["ana"]).await;
    let ana = app.as_user("ana").await;
    let said = say(&ana, &room, "Zanzibar").await;
    let path = format!("/api/messages/{}", said.text_at("/id"));
    app.caught_up().await;
    assert_eq!(find(&ana, "q=zanzibar").await.data().len(), 1);
    let edit = json!({"content": "Tanzania"});
    ana.request(Method::PUT, &path).json(&edit).await.assert_status(200);
    eventually("the old word is gone", LIMIT, async || {
        find(&ana, "q=zanzibar").await.data().is_empty().then_some(())
    })
    .await;
    assert_eq!(contents(&find(&ana, "q=tanzania").await), ["Tanzania"]);
    ana.request(Method::DELETE, &path).await.assert_status(204);
    app.caught_up().await;
    assert!(find(&ana, "q=tanzania").await.data().is_empty());
    let pool = app.world.database.pool().await;
    for (table, row) in crate::sealing::rows(&pool).await {
        assert!(!row.contains("Tanzania") && !row.contains("Zanzibar"), "{table}: {row}");
    }
    pool.close().await;
    app.finish().await;
}
