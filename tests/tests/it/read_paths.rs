//! Every path that reads, asked by those who must learn nothing of what is private: strangers, people who
//! left, were removed or banned, and people whom somebody blocks.
//!
//! The routes come from the description of the API. One that nobody says here how to ask fails the test.
use domain::{ConversationId, UserId};
use platform::ids::new_id;
use serde_json::{Value, json};
use tests::{Answer, Socket, TestApp, app::Person};

/// What nobody here may find: words of messages, and the name of the room.
const WORD: &str = "Zanzibar";
const NAME: &str = "Hideaway";

/// How a route that reads is asked.
#[derive(Clone, Copy)]
enum Way {
    /// It tells everyone the same, and takes no id of anything private.
    Public,
    /// It tells of the caller and of what they take part in, and can be narrowed like this. `{room}`,
    /// `{user}` are private, or of nothing.
    Own(&'static [&'static str]),
    /// As [`Way::Own`], and there is nothing in it, not even a page behind it: those who ask here take
    /// part in nothing of the kind.
    Nothing(&'static [&'static str]),
    /// Its path names something private: the answer is 404, as for what does not exist.
    Absent,
    /// Its path names a person: the answer is an empty page, as for one who does not exist.
    Empty,
}

/// One line for every route that reads.
fn way(path: &str) -> Option<Way> {
    Some(match path {
        "/api/subjects"
        | "/api/problems"
        | "/api/problems/{code}"
        | "/api/openapi.json"
        | "/api/asyncapi.json"
        | "/api/docs"
        | "/api/docs/scalar.js"
        | "/.well-known/jwks.json"
        | "/health/live"
        | "/health/ready"
        // Whoever has the link may have what it leads to: `accounts::leaving` holds it against others.
        | "/api/exports/{token}" => Way::Public,
        "/api/auth/sessions" | "/api/users/me" => Way::Own(&[""]),
        "/api/messages/conversations" => Way::Nothing(&["", "?limit=1"]),
        "/api/users" => Way::Own(&["?q=keeper", "?q=example"]),
        "/api/rooms" => Way::Nothing(&[
            "",
            "?limit=1",
            "?q=hideaway",
            "?roomType=private",
            "?mine=true",
            "?sort=members",
            "?sort=created",
            "?hasSpace=true",
            "?active=true",
        ]),
        "/api/messages/search" => Way::Nothing(&[
            "?q=zanzibar",
            "?q=zanzibar&limit=1",
            "?q=zanzibar&roomId={room}",
            "?q=zanzibar&from={user}",
            "?q=zanzibar&before=2100-01-01T00:00:00Z",
        ]),
        "/api/users/{userId}"
        | "/api/rooms/{roomId}"
        | "/api/rooms/{roomId}/members"
        | "/api/rooms/{roomId}/bans"
        | "/api/rooms/{roomId}/mutes"
        | "/api/rooms/{roomId}/invites"
        | "/api/messages/room/{roomId}"
        | "/api/messages/room/{roomId}/events"
        | "/api/messages/{messageId}"
        | "/api/messages/{messageId}/history" => Way::Absent,
        "/api/messages/direct/{userId}" => Way::Empty,
        _ => return None,
    })
}

/// What one person must not learn of, by its kind. Each is an id.
struct Private {
    rooms: Vec<String>,
    messages: Vec<String>,
    /// People who block them.
    people: Vec<String>,
    conversation: String,
}

impl Private {
    /// The private ids that fit a parameter of a path.
    fn fitting(&self, parameter: &str) -> &[String] {
        match parameter {
            "roomId" => &self.rooms,
            "messageId" => &self.messages,
            "userId" => &self.people,
            other => panic!("say which private ids there are for {{{other}}}"),
        }
    }
}

/// The parameter of a path. There is none with two that reads.
fn parameter(path: &str) -> &str {
    let (_, rest) = path.split_once('{').expect("it names something");
    let (parameter, rest) = rest.split_once('}').unwrap();
    assert!(!rest.contains('{'), "{path} names two things: say how it is asked");
    parameter
}

fn url(path: &str, id: &str) -> String {
    let url = path.replace(&format!("{{{}}}", parameter(path)), id);
    if path.ends_with("/events") { format!("{url}?afterSeq=0") } else { url }
}

async fn ask(person: &Person, url: &str) -> Answer {
    person.get(url).await
}

async fn learns_nothing(who: &str, person: &Person, paths: &[String], private: &Private) {
    for path in paths {
        let what = format!("GET {path} as {who}");
        match way(path).unwrap_or_else(|| panic!("say in `way` how GET {path} is asked")) {
            Way::Public => assert!(!path.contains("Id}"), "{what} names something"),
            Way::Own(queries) => {
                for query in queries {
                    own(&what, person, path, query, private).await;
                }
            }
            Way::Nothing(queries) => {
                for query in queries {
                    let page = own(&what, person, path, query, private).await;
                    assert!(page.data().is_empty(), "{what}{query}: {}", page.text);
                    assert_eq!(page["page"]["nextCursor"], Value::Null, "{what}{query}");
                }
            }
            Way::Absent => {
                for id in private.fitting(parameter(path)) {
                    let nothing = new_id().to_string();
                    let absent = ask(person, &url(path, &nothing)).await;
                    absent.assert_problem(404, "not_found");
                    let hidden = ask(person, &url(path, id)).await;
                    assert_eq!(hidden.without(&[id]), absent.without(&[&nothing]), "{what}");
                    // Nor does it tell those who say that they know it already.
                    let known = person.get(&url(path, id)).header("if-none-match", "*").await;
                    assert_eq!(known.without(&[id]), absent.without(&[&nothing]), "{what}");
                }
            }
            Way::Empty => {
                let nobody = new_id().to_string();
                let between = |other: &str| {
                    let id = |id: &str| UserId(id.parse().unwrap());
                    ConversationId::between(id(&person.id), id(other)).to_string()
                };
                for id in private.fitting(parameter(path)) {
                    let absent = ask(person, &url(path, &nobody)).await.assert_status(200);
                    assert!(absent.data().is_empty(), "{what}: {}", absent.text);
                    let hidden = ask(person, &url(path, id)).await;
                    assert_eq!(
                        hidden.without(&[id, &between(id)]),
                        absent.without(&[&nobody, &between(&nobody)]),
                        "{what}"
                    );
                }
            }
        }
    }
}

/// Nothing private is in it, and narrowed to something private it is as narrowed to nothing.
async fn own(what: &str, person: &Person, path: &str, query: &str, private: &Private) -> Answer {
    let with = |room: &str, user: &str| {
        format!("{path}{}", query.replace("{room}", room).replace("{user}", user))
    };
    let nothing = new_id().to_string();
    let absent = ask(person, &with(&nothing, &nothing)).await.assert_status(200);
    let all = [&private.rooms, &private.messages, &private.people];
    let ids = all.into_iter().flatten().chain([&private.conversation]);
    for secret in ids.map(String::as_str).chain([WORD, NAME]) {
        assert!(!absent.text.contains(secret), "{what}{query}: {}", absent.text);
    }
    for room in &private.rooms {
        for user in private.people.iter().chain([&private.conversation]) {
            let hidden = ask(person, &with(room, user)).await;
            let hidden = hidden.without(&[room, user]);
            let absent = absent.without(&[&nothing]);
            // Both answers are the same moment's, but for when the session was seen last.
            if path != "/api/auth/sessions" {
                assert_eq!(hidden, absent, "{what}{query}");
            }
        }
    }
    absent
}

async fn sockets_learn_nothing(who: &str, socket: &Socket, private: &Private) {
    let nothing = new_id().to_string();
    let (room, id) = (&private.rooms[0], &private.conversation);
    for (event, field, hidden, rest) in [
        ("join_room", "roomId", room, json!({"afterSeq": 0})),
        ("sync", "roomId", room, json!({"afterSeq": 0})),
        ("sync", "conversationId", id, json!({"afterSeq": 0})),
        ("mark_read", "roomId", room, json!({"lastReadSeq": 1})),
        ("mark_read", "conversationId", id, json!({"lastReadSeq": 1})),
    ] {
        let asked = async |id: &str| {
            let mut payload = rest.clone();
            payload[field] = json!(id);
            socket.emit(event, payload).await
        };
        let answer = asked(hidden).await;
        assert_eq!(answer["error"]["code"], "not_found", "{event} as {who}: {answer}");
        assert_eq!(answer, asked(&nothing).await, "{event} as {who}");
    }
    for message in &private.messages {
        for (event, rest) in [
            ("edit_message", json!({"content": "x"})),
            ("delete_message", json!({})),
            ("add_reaction", json!({"emoji": "👍"})),
            ("remove_reaction", json!({"emoji": "👍"})),
        ] {
            let asked = async |id: &str| {
                let mut payload = rest.clone();
                payload["messageId"] = json!(id);
                socket.emit(event, payload).await
            };
            let answer = asked(message).await;
            assert_eq!(answer["error"]["code"], "not_found", "{event} as {who}: {answer}");
            assert_eq!(answer, asked(&nothing).await, "{event} as {who}");
        }
    }
}

/// What the person resumes with in the handshake.
async fn resuming_tells_nothing(who: &str, app: &TestApp, person: &Person, private: &Private) {
    let resumed = async |room: &str, id: &str| {
        let handshake = json!({"token": person.token,
            "rooms": [{"roomId": room, "afterSeq": 0}],
            "conversations": [{"conversationId": id, "afterSeq": 0}],
        });
        let socket = app.connect(0, &handshake).await.unwrap();
        let ready = socket.hears("session_ready").await;
        ready["resume"].to_string().replace(room, "…").replace(id, "…")
    };
    let hidden = resumed(&private.rooms[0], &private.conversation).await;
    let absent = resumed(&new_id().to_string(), &new_id().to_string()).await;
    assert_eq!(hidden, absent, "the handshake of {who}");
    assert!(!hidden.contains("replayed") && hidden.contains("forbidden"), "{hidden}");
}

/// The paths that read, by the description of the API.
async fn paths(app: &TestApp) -> Vec<String> {
    let description = app.anyone().get("/api/openapi.json").await.assert_status(200);
    let paths = description["paths"].as_object().unwrap().iter();
    let reading = paths.filter(|(_, methods)| methods.get("get").is_some());
    reading.map(|(path, _)| path.clone()).collect()
}

async fn say(socket: &Socket, event: &str, mut message: Value) -> Value {
    message["content"] = json!(format!("{WORD} at noon"));
    let ack = socket.emit(event, message).await;
    assert_eq!(ack["ok"], true, "{ack}");
    ack["data"].clone()
}

fn id_of(said: &Value) -> String {
    said["message"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn no_path_that_reads_tells_of_what_is_private() {
    let app = TestApp::start().await;
    let like = json!({"roomType": "private", "name": NAME});
    let former = ["leaver", "kicked", "banned"];
    let room = app.given_a_room_like(like, &["keeper", "leaver", "kicked", "banned"]).await;
    let keeper = app.as_user("keeper").await;
    let in_room = json!({"roomId": room});
    let (speaker, _) = app.socket_in(0, "keeper", &room).await;
    let mut messages = vec![id_of(&say(&speaker, "send_message", in_room.clone()).await)];
    for name in former {
        // What they said themselves is not theirs to read any more either.
        let (socket, _) = app.socket_in(0, name, &room).await;
        messages.push(id_of(&say(&socket, "send_message", in_room.clone()).await));
    }
    let friend = app.as_user("friend").await;
    let to_friend = json!({"recipientId": friend.id});
    let direct = say(&speaker, "send_direct_message", to_friend).await;
    messages.push(id_of(&direct));
    let conversation = direct["conversationId"].as_str().unwrap().to_owned();

    app.as_user("leaver").await.post(&format!("/api/rooms/{room}/leave")).await.assert_status(204);
    let kicked = app.as_user("kicked").await;
    let path = format!("/api/rooms/{room}/members/{}", kicked.id);
    keeper.delete(&path).await.assert_status(204);
    let banned = app.as_user("banned").await;
    keeper.put(&format!("/api/rooms/{room}/bans/{}", banned.id)).await.assert_status(204);
    let blocked = app.as_user("blocked").await;
    keeper.put(&format!("/api/users/{}/block", blocked.id)).await.assert_status(204);
    app.caught_up().await;

    let paths = paths(&app).await;
    assert!(paths.len() >= 20, "{paths:?}");
    for who in ["stranger", "leaver", "kicked", "banned", "blocked"] {
        let person = app.as_user(who).await;
        let people = if who == "blocked" { vec![keeper.id.clone()] } else { vec![] };
        let (rooms, messages) = (vec![room.clone()], messages.clone());
        let private = Private { rooms, messages, people, conversation: conversation.clone() };
        learns_nothing(who, &person, &paths, &private).await;
        resuming_tells_nothing(who, &app, &person, &private).await;
        sockets_learn_nothing(who, &app.socket(who).await, &private).await;
    }
    app.finish().await;
}
