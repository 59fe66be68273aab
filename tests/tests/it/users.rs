//! People: what they show, what they study, how others find and report them.
use std::collections::BTreeMap;

use domain::Subject;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Answer, LIMIT, TestApp,
    app::{PASSWORD, Person},
    eventually,
};

async fn edit(person: &Person, body: Value) -> Answer {
    person.put("/api/users/me").json(&body).await
}

async fn subjects(app: &TestApp) {
    app.cli(&["seed"]).await;
    app.caught_up().await;
}

/// The errors of a refusal: `/bio too_long`.
fn errors(answer: &Answer) -> Vec<String> {
    let errors = answer["errors"].as_array().unwrap().iter();
    errors.map(|e| format!("{} {}", e["pointer"], e["code"]).replace('"', "")).collect()
}

#[tokio::test]
async fn an_edit_sets_what_is_given_clears_what_is_null_and_leaves_the_rest() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let before = ana.get("/api/users/me").await.assert_status(200);
    for field in ["bio", "goals", "timeZone", "username", "profilePictureUrl"] {
        assert_eq!(before[field], json!(null), "{field}");
    }
    assert_eq!(before["role"], "student");
    assert_eq!(
        before["preferences"],
        json!({
            "dmPolicy": "everyone", "typingVisible": true, "readReceipts": true,
            "discoverable": true,
        })
    );

    let wanted = json!({
        "fullName": "Ana López", "username": "Ana_1", "bio": "Likes rings\nand fields.",
        "educationLevel": "graduate", "institution": "University", "goals": "Pass the exam",
        "languages": ["ES", "pt-br", "es"], "timeZone": "Europe/Madrid",
        "availability": [
            {"day": "friday", "from": "18:00", "to": "24:00"},
            {"day": "monday", "from": "08:00", "to": "10:30"},
        ],
        "preferences": {"dmPolicy": "shared_room", "readReceipts": false},
    });
    let edited = edit(&ana, wanted).await.assert_status(200);
    assert!(edited.position() > before["version"].as_i64().unwrap_or(0));
    assert_eq!(edited["fullName"], "Ana López");
    assert_eq!(edited["username"], "ana_1");
    assert_eq!(edited["languages"], json!(["es", "pt-BR"]), "once each, in canonical form");
    assert_eq!(edited["availability"][0]["day"], "monday", "in the order of the week");
    assert_eq!(edited["preferences"]["dmPolicy"], "shared_room");
    assert_eq!(edited["preferences"]["typingVisible"], true);
    assert_eq!(edited["email"], before["email"]);
    let read = ana.get("/api/users/me").await.assert_status(200);
    assert_eq!((&*read, read.header("etag")), (&*edited, edited.header("etag")));
    assert_ne!(read.header("etag"), before.header("etag"));

    // Null is what everybody begins with, for one preference as for all of them.
    let body = json!({"preferences": {"dmPolicy": null, "typingVisible": false}});
    let one = edit(&ana, body).await.assert_status(200);
    let expected = json!({
        "dmPolicy": "everyone", "typingVisible": false, "readReceipts": false, "discoverable": true,
    });
    assert_eq!(one["preferences"], expected);

    // PATCH is the same request under another name.
    let body = json!({"bio": null, "languages": null, "preferences": null});
    let cleared = ana.patch("/api/users/me").json(&body).await.assert_status(200);
    assert_eq!((&cleared["bio"], &cleared["languages"]), (&json!(null), &json!([])));
    assert_eq!(cleared["preferences"], before["preferences"]);
    assert_eq!(cleared["goals"], "Pass the exam");

    // Saying again what holds is no change.
    let again = edit(&ana, json!({"goals": "Pass the exam"})).await.assert_status(200);
    assert_eq!(again.header("etag"), cleared.header("etag"));
    // Whoever waits for its position sees what holds, whichever node answers next.
    let position =
        |answer: &Answer| answer.header("x-event-position").unwrap().parse::<i64>().unwrap();
    assert!(position(&again) >= position(&cleared));
    app.finish().await;
}

#[tokio::test]
async fn nobody_gives_themselves_rights_and_every_wrong_field_is_named() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let tag = ana.get("/api/users/me").await.header("etag").unwrap().to_owned();
    for field in ["email", "phone", "isVerified", "isPremium", "role", "emailVerified", "id"] {
        let refused = edit(&ana, json!({field: "admin", "bio": "x"})).await;
        refused.assert_problem(422, "unknown_field");
        assert_eq!(errors(&refused), [format!("/{field} unknown_field")]);
    }
    let slot = json!([{"day": "monday", "from": "08:00", "to": "09:00", "place": "library"}]);
    let refused = edit(&ana, json!({"availability": slot})).await;
    refused.assert_problem(422, "unknown_field");
    let refused = edit(
        &ana,
        json!({
            "fullName": null, "bio": "x".repeat(501), "educationLevel": "genius",
            "institution": "x".repeat(121), "languages": ["?"], "timeZone": "Mars/Olympus",
            "availability": [{"day": "monday", "from": "10:00", "to": "09:00"}],
            "username": "admin", "preferences": {"dmPolicy": "friends"},
            "profilePictureUrl": "https://evil.example/pixel.gif",
        }),
    )
    .await;
    refused.assert_problem(422, "validation_failed");
    let wrong = errors(&refused);
    for expected in [
        "/fullName required",
        "/bio too_long",
        "/educationLevel invalid_value",
        "/institution too_long",
        "/languages invalid_language",
        "/timeZone invalid_time_zone",
        "/availability invalid_time",
        "/username reserved",
        "/preferences/dmPolicy invalid_value",
        "/profilePictureUrl unknown_upload",
    ] {
        assert!(wrong.iter().any(|it| it == expected), "{expected} is not in {wrong:?}");
    }
    let read = ana.get("/api/users/me").await;
    assert_eq!(read.header("etag"), Some(tag.as_str()), "nothing of it happened");
    app.anyone().put("/api/users/me").json(&json!({})).await.assert_problem(401, "unauthenticated");
    app.finish().await;
}

#[tokio::test]
async fn an_edit_of_an_old_version_is_refused_with_the_version_it_has_now() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let put = |tag: &str, bio: &str| {
        ana.put("/api/users/me").header("if-match", tag).json(&json!({"bio": bio}))
    };
    let first = ana.get("/api/users/me").await.header("etag").unwrap().to_owned();
    let second = put(&first, "one").await.assert_status(200);
    let second = second.header("etag").unwrap();
    let refused = put(&first, "two").await;
    refused.assert_problem(412, "version_mismatch");
    assert_eq!(refused.header("etag"), Some(second));
    assert_eq!(ana.get("/api/users/me").await["bio"], "one");
    // Also where nothing would change.
    put(&first, "one").await.assert_problem(412, "version_mismatch");
    put("\"something-else\"", "two").await.assert_problem(412, "version_mismatch");
    put("\"something else\"", "two").await.assert_problem(400, "invalid_header");
    put("v2", "two").await.assert_problem(400, "invalid_header");
    put("*", "three").await.assert_status(200);
    // Whatever changes the account heeds it.
    let words = json!({"currentPassword": PASSWORD, "newPassword": "another horse, another day"});
    let change = ana.put("/api/users/me/password").header("if-match", &first).json(&words);
    change.await.assert_problem(412, "version_mismatch");
    let word = json!({"currentPassword": PASSWORD});
    let leave = ana.request(Method::DELETE, "/api/users/me").header("if-match", &first);
    leave.json(&word).await.assert_problem(412, "version_mismatch");
    // The client that has it is not sent it again.
    let tag = ana.get("/api/users/me").await.header("etag").unwrap().to_owned();
    let read = ana.get("/api/users/me").header("if-none-match", &tag).await.assert_status(304);
    assert_eq!(read.text, "");
    app.finish().await;
}

#[tokio::test]
async fn of_twenty_edits_of_one_version_at_once_one_happens() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let tag = ana.get("/api/users/me").await.header("etag").unwrap().to_owned();
    let edits = (0..20).map(|n| {
        let body = json!({"bio": format!("number {n}")});
        app.at(n % 2, &ana).put("/api/users/me").header("if-match", &tag).json(&body).into_future()
    });
    let answers = futures::future::join_all(edits).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        answer.assert_problem(412, "version_mismatch");
    }
    assert_eq!(ana.get("/api/users/me").await["bio"], won[0]["bio"]);
    app.finish().await;
}

#[tokio::test]
async fn a_handle_changes_hands_and_takes_nothing_along() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let room = app.given_a_room(&["ana"]).await;
    edit(&ana, json!({"username": "scholar", "bio": "of rings"})).await.assert_status(200);
    edit(&ben, json!({"username": "SCHOLAR"})).await.assert_problem(409, "username_taken");

    edit(&ana, json!({"username": "other"})).await.assert_status(200);
    edit(&ben, json!({"username": "scholar"})).await.assert_status(200);
    edit(&ana, json!({"username": "scholar"})).await.assert_problem(409, "username_taken");
    // The handle is ben's, and nothing else of ana's is.
    app.caught_up().await;
    let found = ana.get("/api/users?q=scholar").await.assert_status(200);
    assert_eq!(found.data().len(), 1);
    assert_eq!((&found.data()[0]["id"], &found.data()[0]["bio"]), (&json!(ben.id), &json!(null)));
    assert_eq!(ben.get("/api/rooms?mine=true").await.data().len(), 0);
    let members = ben.get(&format!("/api/rooms/{room}/members")).await.assert_status(200);
    assert_eq!(members.data()[0]["user"]["id"], ana.id.as_str());
    assert_eq!(members.data()[0]["user"]["username"], "other");

    // Given up and taken back.
    for handle in [json!(null), json!("scholar"), json!("scholar_2"), json!("scholar")] {
        edit(&ben, json!({"username": handle})).await.assert_status(200);
    }
    edit(&ana, json!({"username": "scholar_2"})).await.assert_status(200);
    app.finish().await;
}

#[tokio::test]
async fn a_new_name_shows_in_member_lists_and_in_what_is_said_from_then_on() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let ana = app.as_user("ana").await;
    let room = app.given_a_room(&["ben", "ana"]).await;
    let (ben, _) = app.socket_in(1, "ben", &room).await;
    let (socket, _) = app.socket_in(1, "ana", &room).await;
    let say = async |text: &str| {
        let sent = socket.emit("send_message", json!({"roomId": room, "content": text})).await;
        sent["data"]["message"]["senderName"].as_str().unwrap().to_owned()
    };
    assert_eq!(say("before").await, "Ana Example");
    edit(&ana, json!({"fullName": "Ana López"})).await.assert_status(200);
    // The other node hears of it like of any event.
    eventually("the new name is in what is said", LIMIT, async || {
        (say("after").await == "Ana López").then_some(())
    })
    .await;
    let members = ana.get(&format!("/api/rooms/{room}/members?q=L%C3%B3pez")).await;
    assert_eq!(members.data()[0]["user"]["fullName"], "Ana López");
    // What was said before was said under the name of then.
    app.caught_up().await;
    let said = ana.get(&format!("/api/messages/room/{room}")).await.assert_status(200);
    assert_eq!(said.data()[0]["senderName"], "Ana Example");
    drop(ben);
    app.finish().await;
}

#[tokio::test]
async fn others_see_the_public_part_of_a_profile() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    edit(&ana, json!({"bio": "Likes rings", "languages": ["es"]})).await.assert_status(200);
    let path = format!("/api/users/{}", ana.id);
    let seen = ben.get(&path).await.assert_status(200);
    assert_eq!((&seen["fullName"], &seen["bio"]), (&json!("Ana Example"), &json!("Likes rings")));
    assert_eq!((&seen["sharedRoomsCount"], &seen["presence"]), (&json!(0), &json!(null)));
    for private in ["email", "phone", "preferences", "emailVerified", "isPremium"] {
        assert!(seen.get(private).is_none(), "{private}");
    }
    let tag = seen.header("etag").unwrap();
    ben.get(&path).header("if-none-match", tag).await.assert_status(304);

    // In a room together there is more to see.
    let room = app.given_a_room(&["ana", "ben"]).await;
    let seen = ben.get(&path).await;
    assert_eq!((&seen["sharedRoomsCount"], &seen["presence"]), (&json!(1), &json!("offline")));
    let (_socket, _) = app.socket_in(0, "ana", &room).await;
    eventually("ana is there", LIMIT, async || {
        (ben.get(&path).await["presence"] == "online").then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test]
async fn a_person_who_is_not_there_is_not_found_whatever_the_reason() {
    let mut app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let store = eventstore::EventStore::connect(&app.world.config(), &app.world.secrets()).await;
    let store = store.unwrap();
    assert!(store.keyring().erase(ben.id.parse().unwrap()).await.unwrap());
    store.pool().close().await;
    // The node may remember the key; what it shows comes from the log again.
    app.restart(0).await;
    let pool = app.world.database.pool().await;
    sqlx::query("truncate users").execute(&pool).await.unwrap();
    pool.close().await;
    let ana = app.at(0, &ana);
    eventually("ana is back", LIMIT, async || {
        (ana.get("/api/users/me").await.status == 200).then_some(())
    })
    .await;
    app.caught_up().await;

    let mut seen = Vec::new();
    for id in [ben.id.clone(), platform::ids::new_id().to_string(), "nobody".to_owned()] {
        let path = format!("/api/users/{id}");
        let missing = ana.get(&path).await;
        missing.assert_problem(404, "not_found");
        let request = missing.text_at("/requestId");
        seen.push(missing.text.replace(&request, "").replace(&path, ""));
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
    app.finish().await;
}

#[tokio::test]
async fn people_are_found_by_what_their_names_begin_with_if_they_want_to_be_found() {
    let app = TestApp::start().await;
    subjects(&app).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let hidden = app.as_user("hidden").await;
    edit(&ana, json!({"fullName": "Ana María López", "username": "rings_100"})).await;
    edit(&ben, json!({"fullName": "Ben 100% Öztürk"})).await.assert_status(200);
    let algebra = Subject::id_of("Linear algebra");
    ben.post("/api/users/subjects").json(&json!({"subjectId": algebra})).await.assert_status(201);
    let unseen = json!({"fullName": "Ana Hidden", "preferences": {"discoverable": false}});
    edit(&hidden, unseen).await.assert_status(200);
    app.caught_up().await;

    let names = async |query: &str| -> Vec<String> {
        let found = hidden.get(&format!("/api/users?{query}")).await.assert_status(200);
        found.data().iter().map(|user| user["fullName"].as_str().unwrap().to_owned()).collect()
    };
    for query in ["q=ana+ma", "q=LÓP", "q=rings", "q=mar%C3%ADa", "q=ana+mar%C3%ADa+l"] {
        assert_eq!(names(query).await, ["Ana María López"], "{query}");
    }
    assert_eq!(names("q=%C3%B6z").await, ["Ben 100% Öztürk"]);
    assert_eq!(names("q=ana").await, ["Ana Example", "Ana María López"], "the demo's, and ana");
    assert_eq!(names(&format!("subjectId={algebra}")).await, ["Ben 100% Öztürk"]);
    assert_eq!(names(&format!("q=ana&subjectId={algebra}")).await, [] as [&str; 0]);
    // A wildcard is a letter like any other, and the middle of a word is not its beginning.
    assert_eq!(names("q=100%25").await, ["Ben 100% Öztürk"]);
    for query in ["q=%25%25", "q=_n", "q=%25_%25_%25_%25", "q=opez", "q=%5C%25"] {
        assert_eq!(names(query).await, [] as [&str; 0], "{query}");
    }
    for query in ["", "?q=a", "?q=%00a", "?q=ana&sort=name"] {
        let refused = hidden.get(&format!("/api/users{query}")).await;
        assert_eq!(refused.status, 422, "{query}: {}", refused.text);
    }
    app.anyone().get("/api/users?q=ana").await.assert_problem(401, "unauthenticated");
    let found = hidden.get("/api/users?q=rings").await;
    for private in ["email", "phone", "preferences"] {
        assert!(found.data()[0].get(private).is_none(), "{private}");
    }
    app.finish().await;
}

#[tokio::test]
async fn paging_through_people_shows_everybody_once_while_others_come() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let mut expected = Vec::new();
    for n in 0..12 {
        let person = app.as_user(&format!("person{n}")).await;
        // Some have the same name.
        edit(&person, json!({"fullName": format!("Someone {}", n / 3)})).await.assert_status(200);
        expected.push(person.id.clone());
    }
    app.caught_up().await;
    let (mut seen, mut query, mut round) = (Vec::new(), String::new(), 0);
    loop {
        let page = ana.get(&format!("/api/users?q=someone&limit=5{query}")).await;
        let page = page.assert_status(200);
        seen.extend(page.data().iter().map(|user| user["id"].as_str().unwrap().to_owned()));
        let newcomer = app.as_user(&format!("newcomer{round}")).await;
        edit(&newcomer, json!({"fullName": "Someone 0"})).await.assert_status(200);
        round += 1;
        let Some(next) = page["page"]["nextCursor"].as_str() else { break };
        query = format!("&cursor={next}");
        let foreign = ana.get(&format!("/api/users?q=other&limit=5{query}")).await;
        foreign.assert_problem(400, "invalid_cursor");
    }
    for id in expected {
        assert_eq!(seen.iter().filter(|it| **it == id).count(), 1);
    }
    app.finish().await;
}

#[tokio::test]
async fn subjects_are_put_on_the_profile_and_taken_off() {
    let app = TestApp::builder().setting("USERS__MAX_SUBJECTS", "3").start().await;
    subjects(&app).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let id = |name: &str| Subject::id_of(name).to_string();
    let add = |body: Value| ana.post("/api/users/subjects").json(&body);
    let algebra = id("Linear algebra");

    let added = add(json!({"subjectId": algebra, "level": "beginner"})).await.assert_status(201);
    assert_eq!((&added["name"], &added["level"]), (&json!("Linear algebra"), &json!("beginner")));
    assert_eq!(added["role"], "learn");
    let updated = add(json!({"subjectId": algebra, "level": "advanced", "role": "teach"})).await;
    let updated = updated.assert_status(200);
    assert_eq!((&updated["level"], &updated["role"]), (&json!("advanced"), &json!("teach")));
    let same = add(json!({"subjectId": algebra})).await.assert_status(200);
    assert_eq!(*same, *updated);
    assert!(same.header("x-event-position").is_some());
    let me = ana.get("/api/users/me").await;
    assert_eq!(me["subjects"], json!([*updated]));
    let seen = ben.get(&format!("/api/users/{}", ana.id)).await;
    assert_eq!(seen["subjects"], me["subjects"]);

    let unknown = platform::ids::new_id();
    add(json!({"subjectId": unknown})).await.assert_problem(404, "subject_not_found");
    for wrong in [
        json!({"subjectId": "algebra"}),
        json!({"subjectId": algebra, "level": "genius"}),
        json!({"subjectId": algebra, "role": "admin"}),
        json!({}),
    ] {
        add(wrong).await.assert_problem(422, "validation_failed");
    }
    for name in ["Calculus", "Physics"] {
        add(json!({"subjectId": id(name)})).await.assert_status(201);
    }
    add(json!({"subjectId": id("Biology")})).await.assert_problem(409, "limit_reached");

    for _ in 0..2 {
        ana.delete(&format!("/api/users/subjects/{algebra}")).await.assert_status(204);
    }
    ana.delete(&format!("/api/users/subjects/{unknown}")).await.assert_status(204);
    ana.delete("/api/users/subjects/algebra").await.assert_problem(404, "not_found");
    add(json!({"subjectId": id("Biology")})).await.assert_status(201);
    let me = ana.get("/api/users/me").await;
    let names: Vec<_> = me["subjects"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["Calculus", "Physics", "Biology"]);
    app.finish().await;
}

#[tokio::test]
async fn thirty_subjects_at_once_stay_within_the_limit_and_a_key_adds_once() {
    let app = TestApp::builder().setting("USERS__MAX_SUBJECTS", "5").start().await;
    subjects(&app).await;
    let ana = app.as_user("ana").await;
    let all = ana.get("/api/subjects?limit=20").await;
    let adds = all.data().iter().map(|subject| {
        let body = json!({"subjectId": subject["id"]});
        ana.post("/api/users/subjects").json(&body).into_future()
    });
    let answers = futures::future::join_all(adds).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 5);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        refused.assert_problem(409, "limit_reached");
    }
    let me = ana.get("/api/users/me").await;
    let subject = &me["subjects"][0];
    ana.delete(&format!("/api/users/subjects/{}", subject["subjectId"].as_str().unwrap())).await;
    let body = json!({"subjectId": subject["subjectId"], "level": "advanced"});
    let add = || ana.post("/api/users/subjects").header("idempotency-key", "k-1").json(&body);
    let first = add().await.assert_status(201);
    let again = add().await.assert_status(201);
    assert_eq!((&*again, again.header("idempotency-replayed")), (&*first, Some("true")));
    // Setting what holds already changes nothing, and is kept as well.
    let same = || ana.post("/api/users/subjects").header("idempotency-key", "k-2").json(&body);
    let first = same().await.assert_status(200);
    assert_eq!(first.header("idempotency-replayed"), None);
    let other = json!({"subjectId": subject["subjectId"], "level": "beginner"});
    ana.post("/api/users/subjects").json(&other).await.assert_status(200);
    let again = same().await.assert_status(200);
    assert_eq!((&*again, again.header("idempotency-replayed")), (&*first, Some("true")));
    let me = ana.get("/api/users/me").await;
    let mine = me["subjects"].as_array().unwrap();
    let now = mine.iter().find(|it| it["subjectId"] == subject["subjectId"]).unwrap();
    assert_eq!(now["level"], "beginner", "the repeat set nothing");
    app.finish().await;
}

#[tokio::test]
async fn reports_reach_the_moderators_and_tell_nobody_what_there_is() {
    let app = TestApp::builder().setting("USERS__REPORTS_PER_DAY", "4").start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let report = |person: &Person, target: &str, id: &str| {
        let body = json!({
            "targetType": target, "targetId": id, "reason": "harassment",
            "text": "Look at\nthis",
        });
        person.post("/api/reports").json(&body)
    };
    let room = app.given_a_room(&["ana"]).await;
    let nothing = platform::ids::new_id().to_string();
    for (target, id) in [("user", &ana.id), ("room", &room), ("message", &nothing)] {
        let taken = report(&ben, target, id).await.assert_status(202);
        let fields: Vec<_> = taken.as_object().unwrap().keys().cloned().collect();
        assert_eq!(fields, ["createdAt", "id", "status"], "the same whatever there is");
    }
    let keyed = || report(&ben, "room", &room).header("idempotency-key", "r-1");
    let first = keyed().await.assert_status(202);
    assert_eq!(keyed().await.assert_status(202)["id"], first["id"]);

    let refused = report(&ben, "user", &ana.id).await;
    refused.assert_problem(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((80_000..=86_400).contains(&wait), "{wait}");
    report(&ana, "user", &ben.id).await.assert_status(202);

    for wrong in [
        json!({"targetType": "planet", "targetId": nothing, "reason": "spam"}),
        json!({"targetType": "user", "targetId": "ben", "reason": "spam"}),
        json!({"targetType": "user", "targetId": nothing, "reason": "boring"}),
        json!({"targetType": "user", "targetId": nothing, "reason": "spam", "text": "x".repeat(2001)}),
        json!({}),
    ] {
        ana.post("/api/reports").json(&wrong).await.assert_problem(422, "validation_failed");
    }
    app.caught_up().await;
    let list = app.cli(&["reports"]).await;
    assert_eq!(list.lines().count(), 5, "{list}");
    assert!(
        list.lines().next().unwrap().contains(&format!("harassment user {}", ben.id)),
        "{list}"
    );
    assert!(list.contains(&format!("by {} Look at\\nthis", ben.id)), "{list}");
    assert_eq!(app.cli(&["reports", "--limit", "2"]).await.lines().count(), 2);
    app.finish().await;
}

#[tokio::test]
async fn who_does_not_want_to_be_seen_typing_is_not() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let room = app.given_a_room(&["ben", "ana"]).await;
    let (ben, _) = app.socket_in(0, "ben", &room).await;
    edit(&ana, json!({"preferences": {"typingVisible": false}})).await.assert_status(200);
    let (socket, _) = app.socket_in(0, "ana", &room).await;
    let ack = socket.emit("typing", json!({"roomId": room, "isTyping": true})).await;
    assert_eq!(ack["ok"], true);
    socket.emit("send_message", json!({"roomId": room, "content": "hello"})).await;
    ben.hears("new_message").await;
    edit(&ana, json!({"preferences": {"typingVisible": true}})).await.assert_status(200);
    app.caught_up().await;
    socket.emit("typing", json!({"roomId": room, "isTyping": true})).await;
    let seen = ben.hears("user_typing").await;
    assert_eq!(seen["isTyping"], true, "the first that was heard");
    app.finish().await;
}

/// Whatever comes in is refused with a code, or comes back byte for byte, and hurts nobody else.
#[tokio::test]
async fn odd_names_and_bios_are_refused_or_kept_as_they_are() {
    let app = TestApp::start().await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let path = format!("/api/users/{}", ana.id);
    let family = "👨‍👩‍👧‍👦".repeat(10);
    for kept in [
        "<script>alert(1)</script>",
        "{\"$gt\":\"\"}",
        "__proto__",
        "Robert'); drop table users;--",
        "%_%\\",
        &family,
        "Ñandú 李 עברית",
        "null",
    ] {
        for field in ["fullName", "bio", "goals", "institution"] {
            let edited = edit(&ana, json!({field: kept})).await.assert_status(200);
            assert_eq!(edited[field], kept);
        }
        let seen = ben.get(&path).await.assert_status(200);
        assert_eq!((&seen["fullName"], &seen["bio"]), (&json!(kept), &json!(kept)));
        ben.get("/api/users?q=null").await.assert_status(200);
    }
    // Normalised: composed, and without what turns text around.
    let edited = edit(&ana, json!({"fullName": "Cafe\u{301} \u{202e}gnirts"})).await;
    assert_eq!(edited.assert_status(200)["fullName"], "Café gnirts");
    let edited =
        edit(&ana, json!({"fullName": "Cafe\u{202e}\u{301}", "bio": "", "institution": ""}));
    let edited = edited.await.assert_status(200);
    assert_eq!(edited["fullName"], "Café", "without it, the letters on both sides are one");
    assert_eq!((&edited["bio"], &edited["institution"]), (&json!(null), &json!(null)));
    for (value, code) in [
        (json!("a\0b"), "invalid_characters"),
        (json!("a\u{7f}b"), "invalid_characters"),
        (json!("🎉".repeat(250_000)), "too_long"),
        (json!(" "), "blank"),
        (json!("\u{202e}"), "blank"),
        (json!({"$gt": ""}), "wrong_type"),
        (json!(9_007_199_254_740_993_i64), "wrong_type"),
        (json!(["x"]), "wrong_type"),
    ] {
        for field in ["fullName", "bio", "username"] {
            let refused = edit(&ana, json!({field: value})).await;
            if field == "username" {
                assert_eq!(refused.status, 422);
            } else if refused.status != 413 {
                assert_eq!(errors(&refused), [format!("/{field} {code}")]);
            }
        }
    }
    for body in ["{\"bio\":\"\\ud800\"}", "{\"bio\":1e999}", "{\"bio\":\"\u{1}\"}"] {
        let refused = ana.put("/api/users/me").body("application/json", body.to_owned()).await;
        refused.assert_problem(400, "malformed_json");
    }
    // Nothing is parked, and others go on.
    edit(&ben, json!({"bio": "fine"})).await.assert_status(200);
    app.finish().await;
}

/// A client that remembers what it asked for reads just that.
#[tokio::test]
async fn what_is_read_is_what_all_edits_come_to() {
    let app = TestApp::start().await;
    let ana = app.as_user("ana").await;
    let mut expected: BTreeMap<&str, Value> = BTreeMap::new();
    let values = |field: &str| match field {
        "languages" => [json!(["de"]), json!(["en", "fr"]), json!([])],
        "fullName" => [json!("Ana"), json!("Ana López"), json!("A. L.")],
        "timeZone" => [json!("UTC"), json!("Europe/Madrid"), json!(null)],
        "educationLevel" => [json!("school"), json!("other"), json!(null)],
        "username" => [json!("ana_1"), json!("ana_2"), json!(null)],
        _ => [json!("one"), json!("two"), json!(null)],
    };
    let fields = [
        "bio",
        "goals",
        "institution",
        "languages",
        "fullName",
        "timeZone",
        "username",
        "educationLevel",
    ];
    let mut random = 7_usize;
    for step in 0..40 {
        let mut body = serde_json::Map::new();
        for field in fields {
            // A fixed sequence (Knuth's multiplier): every run asks the same.
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let choice = (random >> 33) % 6;
            if let Some(value) = values(field).get(choice) {
                body.insert(field.to_owned(), value.clone());
                expected.insert(field, value.clone());
            }
        }
        let request =
            if step % 2 == 0 { ana.put("/api/users/me") } else { ana.patch("/api/users/me") };
        let edited = request.json(&Value::Object(body)).await.assert_status(200);
        let read = ana.get("/api/users/me").await;
        assert_eq!((&*read, read.header("etag")), (&*edited, edited.header("etag")));
        for (field, value) in &expected {
            assert_eq!(&read[*field], value, "{field} after {step}");
        }
    }
    app.finish().await;
}
