//! Invites: codes that let people into rooms which they could not join otherwise.
use futures::future::join_all;
use serde_json::json;
use sqlx::Row as _;
use tests::TestApp;

#[tokio::test]
async fn an_invite_opens_a_room_that_nobody_could_find() {
    let app = TestApp::start().await;
    let room = app.given_a_room_like(json!({"roomType": "private"}), &["ana"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let invites = format!("/api/rooms/{room}/invites");
    let join = format!("/api/rooms/{room}/join");

    let body = json!({"expiresIn": 3600, "maxUses": 2});
    let invite = ana.post(&invites).json(&body).await.assert_status(201);
    let code = invite.text_at("/code");
    assert_eq!(code.len(), 22, "128 bits in base64url");
    assert!(invite.text_at("/url").contains(&code));
    assert_eq!((&invite["uses"], &invite["maxUses"]), (&json!(0), &json!(2)));
    let listed = ana.get(&invites).await.assert_status(200);
    assert_eq!(listed.data()[0]["id"], invite["id"]);
    assert!(!listed.text.contains(&code), "the code is told once");

    ben.post(&join).await.assert_problem(404, "not_found");
    let wrong = json!({"inviteCode": "AAAAAAAAAAAAAAAAAAAAAA"});
    ben.post(&join).json(&wrong).await.assert_problem(404, "not_found");
    let right = json!({"inviteCode": code});
    let joined = ben.post(&join).json(&right).await.assert_status(201);
    assert_eq!(joined["membership"]["role"], "member");
    ben.post(&join).json(&right).await.assert_status(200);
    assert_eq!(ana.get(&invites).await.assert_status(200).data()[0]["uses"], 1);
    ben.get(&invites).await.assert_problem(403, "forbidden");
    ben.post(&invites).await.assert_problem(403, "forbidden");

    // A code that was revoked opens nothing, and revoking it twice succeeds.
    let one = format!("{invites}/{}", invite.text_at("/id"));
    ben.delete(&one).await.assert_problem(403, "forbidden");
    ana.delete(&one).await.assert_status(204);
    ana.delete(&one).await.assert_status(204);
    let cai = app.as_user("cai").await;
    cai.post(&join).json(&right).await.assert_problem(404, "not_found");
    assert!(ana.get(&invites).await.assert_status(200).data().is_empty());
    app.finish().await;
}

#[tokio::test]
async fn an_invite_lets_in_as_many_as_it_says_however_many_come_at_once() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room_like(json!({"roomType": "invite_only"}), &["ana"]).await;
    let ana = app.as_user("ana").await;
    let invites = format!("/api/rooms/{room}/invites");
    let invite = ana.post(&invites).json(&json!({"maxUses": 3})).await.assert_status(201);
    let (join, body) =
        (format!("/api/rooms/{room}/join"), json!({"inviteCode": invite.text_at("/code")}));
    let mut people = Vec::new();
    for n in 0..10 {
        people.push(app.as_user(&format!("person{n}")).await);
    }
    people[0].post(&join).await.assert_problem(403, "invite_required");
    let attempts = people.iter().enumerate().map(|(n, person)| {
        let request = app.at(n % 2, person).post(&join).json(&body);
        async move { request.await }
    });
    let answers = join_all(attempts).await;
    let (joined, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 201);
    assert_eq!(joined.len(), 3);
    for answer in refused {
        answer.assert_problem(403, "invite_invalid");
    }
    app.finish().await;
}

#[tokio::test]
async fn an_invite_is_made_once_and_its_code_is_stored_nowhere() {
    let app = TestApp::builder().setting("ROOMS__MAX_INVITES", "2").start().await;
    let room = app.given_a_room(&["ana"]).await;
    let ana = app.as_user("ana").await;
    let invites = format!("/api/rooms/{room}/invites");
    let send = || ana.post(&invites).header("idempotency-key", "k").json(&json!({}));
    let first = send().await.assert_status(201);
    let again = send().await.assert_status(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((&again["id"], &again["code"]), (&first["id"], &first["code"]));
    ana.post(&invites).await.assert_status(201);
    ana.post(&invites).await.assert_problem(409, "limit_reached");
    for body in [json!({"expiresIn": 59}), json!({"expiresIn": 2_592_001}), json!({"maxUses": 0})] {
        ana.post(&invites).json(&body).await.assert_problem(422, "validation_failed");
    }

    app.caught_up().await;
    let pool = sqlx::PgPool::connect(app.world.database.url.as_str()).await.unwrap();
    let code = first.text_at("/code");
    for query in ["select payload::text as t from events", "select answer as t from command_log"] {
        for row in sqlx::query(query).fetch_all(&pool).await.unwrap() {
            assert!(!row.get::<String, _>("t").contains(&code));
        }
    }
    pool.close().await;
    app.finish().await;
}
