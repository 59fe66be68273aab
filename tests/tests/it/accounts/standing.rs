//! What operators decide about accounts, and the keys that tokens are signed with.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tests::{
    Answer, LIMIT, TestApp,
    app::{PASSWORD, email},
    eventually,
};
use tokio::time::{Instant, timeout};

async fn login(app: &TestApp, password: &str) -> Answer {
    let body = json!({"email": email("ana"), "password": password});
    app.anyone().post("/api/auth/login").json(&body).await
}

#[tokio::test]
async fn a_role_is_given_by_the_operator_and_shows() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    assert_eq!(ana.get("/api/users/me").await.assert_status(200)["role"], "student");
    app.cli(&["role", "ANA@people.example", "instructor"]).await;
    app.cli(&["role", &email("ana"), "instructor"]).await;
    eventually("the role shows", LIMIT, async || {
        let me = ana.get("/api/users/me").await.assert_status(200);
        (me["role"] == "instructor").then_some(())
    })
    .await;
    assert!(!app.try_cli(&["role", "nobody@people.example", "admin"]).await.status.success());
    assert!(!app.try_cli(&["role", &email("ana"), "king"]).await.status.success());
    app.finish().await;
}

#[tokio::test]
async fn a_closed_account_is_out_everywhere_at_once() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let room = app.given_a_room(&["ben", "ana"]).await;
    let ana = app.as_user("ana").await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    let (witness, _) = app.socket_in(1, "ben", &room).await;
    let deactivated = login(&app, "not the password").await;
    for (action, reason) in
        [("suspend", "account_suspended"), ("deactivate", "account_deactivated")]
    {
        let person = app.person(&login(&app, PASSWORD).await.assert_status(200));
        let socket = app.connect(1, &json!({"token": person.token})).await.unwrap();
        socket.hears("session_ready").await;
        assert_eq!(socket.emit("join_room", json!({"roomId": room})).await["ok"], true);
        app.cli(&["account", action, &email("ana")]).await;
        let since = Instant::now();
        assert_eq!(socket.hears("session_revoked").await["reason"], reason);
        timeout(LIMIT, socket.closed()).await.unwrap();
        assert!(since.elapsed() < tests::A_SECOND, "closed after {:?}", since.elapsed());
        for node in [0, 1] {
            eventually("the token ends", LIMIT, async || {
                let answer = app.at(node, &person).get("/api/users/me").await;
                (answer.status == 401).then_some(())
            })
            .await;
            assert!(since.elapsed() < tests::A_SECOND, "refused after {:?}", since.elapsed());
        }
        for node in [0, 1] {
            let refused = app.connect(node, &json!({"token": person.token})).await.err().unwrap();
            assert_eq!(refused["message"], "session_revoked");
        }
        // What is said from here on does not reach it.
        let said = json!({"roomId": room, "content": action});
        assert_eq!(ben.emit("send_message", said).await["ok"], true);
        witness.hears_that("new_message", |it| it["message"]["content"] == action).await;
        assert!(socket.heard_of("new_message").is_empty(), "a closed socket heard something");
        let body = json!({"refreshToken": person.refresh_token});
        let refused = app.anyone().post("/api/auth/refresh").json(&body).await;
        refused.assert_problem(401, "refresh_token_invalid");
        // Who does not know the password learns nothing.
        login(&app, "not the password").await.assert_problem(401, "invalid_credentials");
        let refused = login(&app, PASSWORD).await;
        if action == "suspend" {
            refused.assert_problem(403, "account_suspended");
        } else {
            refused.assert_problem(401, "invalid_credentials");
            assert_eq!(refused["detail"], deactivated["detail"]);
        }
        app.cli(&["account", "reinstate", &email("ana")]).await;
    }
    login(&app, PASSWORD).await.assert_status(200);
    ana.get("/api/users/me").await.assert_problem(401, "unauthenticated");
    app.finish().await;
}

#[tokio::test]
async fn an_account_that_was_deactivated_is_not_there_for_others() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let socket = app.socket("ben").await;
    let path = format!("/api/users/{}", ana.id);
    let found = async || {
        let page = ben.get("/api/users?q=ana").await.assert_status(200);
        page.data().iter().any(|it| it["id"] == ana.id.as_str())
    };
    let write =
        || socket.emit("send_direct_message", json!({"recipientId": ana.id, "content": "x"}));
    ben.get(&path).await.assert_status(200);
    assert!(found().await);
    // Suspended is not gone.
    app.cli(&["account", "suspend", &email("ana")]).await;
    app.caught_up().await;
    ben.get(&path).await.assert_status(200);

    assert_eq!(write().await["ok"], true);
    app.cli(&["account", "deactivate", &email("ana")]).await;
    app.caught_up().await;
    let list = ben.get("/api/messages/conversations").await.assert_status(200);
    let participants = list.data()[0]["participants"].as_array().unwrap();
    let shown = participants.iter().find(|it| it["id"] == ana.id.as_str()).unwrap();
    assert!(shown["fullName"].is_null() && shown["createdAt"].is_null(), "{shown}");
    let nobody = ben.get(&format!("/api/users/{}", platform::ids::new_id())).await;
    let gone = ben.get(&path).await;
    gone.assert_problem(404, "not_found");
    assert_eq!((&gone["title"], &gone["detail"]), (&nobody["title"], &nobody["detail"]));
    assert!(!found().await);
    assert_eq!(write().await["error"]["code"], "recipient_unavailable");

    app.cli(&["account", "reinstate", &email("ana")]).await;
    app.caught_up().await;
    ben.get(&path).await.assert_status(200);
    assert!(found().await);
    assert_eq!(write().await["ok"], true);
    app.finish().await;
}

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_signs_while_the_old_one_still_verifies() {
    let mut app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let key = "HwAcAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0=";
    let old = app.world.environment()["STUDYHALL_SECURITY__JWT_KEYS"].clone();
    app.set("SECURITY__JWT_KEYS", &format!("k2:{key},{old}"));
    app.restart(0).await;
    app.as_user("ana").await.get("/api/users/me").await.assert_status(200);
    let fresh = login(&app, PASSWORD).await.assert_status(200);
    let fresh = fresh.text_at("/session/accessToken");
    assert_eq!((kid(&ana.token).as_str(), kid(&fresh).as_str()), ("k1", "k2"));
    let set = app.anyone().get("/.well-known/jwks.json").await.assert_status(200);
    let kids: Vec<&str> =
        set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
    assert_eq!(kids, ["k2", "k1"]);
    assert_eq!(set["keys"][0]["crv"], "Ed25519");
    assert_eq!(set["keys"][0].get("d"), None, "nothing secret");
    // Once the old key is gone, so are its tokens.
    app.set("SECURITY__JWT_KEYS", &format!("k2:{key}"));
    app.restart(0).await;
    let gone = app.as_user("ana").await.get("/api/users/me").await;
    gone.assert_problem(401, "unauthenticated");
    app.anyone().with_token(&fresh).get("/api/users/me").await.assert_status(200);
    app.finish().await;
}
