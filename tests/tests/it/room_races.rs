//! Ending a membership while its holder speaks, enters and reads.
use domain::{AnyEvent, Room, RoomEvent};
use eventstore::EventStore;
use futures::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::{Socket, TestApp, app::Person};

/// 200 rounds altogether.
const ROOMS: usize = 10;
const ROUNDS: usize = 20;

/// Ben as he is told to go, on two devices of two nodes; and Ana, who says when.
struct People {
    ana: Person,
    ben: Person,
    speaker: Socket,
    one: Socket,
    two: Socket,
}

#[tokio::test]
async fn nothing_of_a_person_stands_behind_their_removal_and_they_hear_nothing_of_it() {
    let app = TestApp::builder().node("all").node("all").start().await;
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(app.given_a_room(&["ana", "ben"]).await);
    }
    let people = People {
        ana: app.as_user("ana").await,
        ben: app.as_user("ben").await,
        speaker: app.socket("ana").await,
        one: app.socket_at(0, "ben").await,
        two: app.socket_at(1, "ben").await,
    };
    let seen = join_all(rooms.iter().map(|room| come_and_go(&app, &people, room))).await;

    let store = EventStore::connect(&app.world.config(), &app.world.secrets()).await.unwrap();
    for (room, seen) in rooms.iter().zip(seen) {
        let Hidden { seqs: hidden, ends } = hidden_from(&store, room, &people.ben.id).await;
        // Until he was a member again, he had seen nothing from behind his removal.
        for (round, (newest, end)) in seen.into_iter().zip(ends).enumerate() {
            assert!(newest <= Some(end), "round {round}: {newest:?} is behind {end}");
        }
        // The other socket asked for the past again and again, which a member may see.
        let heard = people.one.heard().into_iter().filter(|h| h.event != "removed_from_room");
        let heard = heard.filter(|h| h.payload["roomId"] == room.as_str());
        for seq in heard.filter_map(|h| h.payload["seq"].as_i64()) {
            assert!(!hidden.contains(&seq), "{seq} was none of his business");
        }
    }
    store.pool().close().await;
    app.finish().await;
}

/// Answers, for each round, the newest number that Ben read or heard on his second device before he
/// was let in again.
async fn come_and_go(app: &TestApp, people: &People, room: &str) -> Vec<Option<i64>> {
    let People { ana, ben, speaker, one, two } = people;
    let mut seen = Vec::new();
    let enter = || json!({"roomId": room});
    assert_eq!(speaker.emit("join_room", enter()).await["ok"], true);
    let ban = format!("/api/rooms/{room}/bans/{}", ben.id);
    for round in 0..ROUNDS {
        if round > 0 {
            ben.post(&format!("/api/rooms/{room}/join")).await.assert_status(201);
        }
        let (a, b) = tokio::join!(one.emit("join_room", enter()), two.emit("join_room", enter()));
        assert_eq!((&a["ok"], &b["ok"]), (&json!(true), &json!(true)), "{a} {b}");

        let message = |n: usize| json!({"roomId": room, "content": format!("round {round}, {n}")});
        let ending = async {
            match round % 3 {
                0 => ana.delete(&format!("/api/rooms/{room}/members/{}", ben.id)).await,
                1 => ana.put(&ban).await,
                _ => ben.post(&format!("/api/rooms/{room}/leave")).await,
            }
        };
        let reading = async {
            let page = app.at(1, ben).get(&format!("/api/messages/room/{room}")).await;
            assert!([200, 403].contains(&page.status), "{}", page.text);
            let messages = page["data"].as_array().cloned().unwrap_or_default();
            messages.iter().filter_map(|message| message["seq"].as_i64()).max()
        };
        let (ended, _, _, _, _, read) = tokio::join!(
            ending,
            one.emit("send_message", message(1)),
            two.emit("send_message", message(2)),
            speaker.emit("send_message", message(3)),
            two.emit("join_room", json!({"roomId": room, "afterSeq": 0})),
            reading,
        );
        ended.assert_status(204);
        if round % 3 == 1 {
            ana.delete(&ban).await.assert_status(204);
        }
        // Whatever was on its way to this device when he was put out is there with this answer.
        let sync = two.emit("sync", json!({"roomId": room, "afterSeq": 0})).await;
        assert_eq!(sync["error"]["code"], "not_a_member", "{sync}");
        let heard = two.heard().into_iter().filter(|h| h.payload["roomId"] == room);
        seen.push(heard.filter_map(|h| h.payload["seq"].as_i64()).max().max(read));
    }
    seen
}

/// What a person must not see.
struct Hidden {
    /// The numbers of what happened while they were no member.
    seqs: Vec<i64>,
    /// The numbers of the ends of their memberships.
    ends: Vec<i64>,
}

/// What happened while the person was no member. Requires that they said none of it.
async fn hidden_from(store: &EventStore, room: &str, person: &str) -> Hidden {
    let (mut after, mut member, mut seqs, mut ends) = (0, false, Vec::new(), Vec::new());
    loop {
        let records = store.read_channel(&Room::channel_of(room), after, 500).await.unwrap();
        if records.is_empty() {
            break;
        }
        for opened in store.open(records).await.unwrap() {
            let recorded = opened.outcome.unwrap();
            let AnyEvent::Room(event) = &recorded.event else { panic!("{recorded:?}") };
            let seq = recorded.channel.unwrap().1;
            match event {
                RoomEvent::MemberJoined { user_id, .. } if user_id.to_string() == person => {
                    member = true;
                }
                RoomEvent::MemberLeft { user_id, .. }
                | RoomEvent::MemberRemoved { user_id, .. }
                    if user_id.to_string() == person =>
                {
                    member = false;
                    ends.push(seq);
                }
                RoomEvent::MessagePosted { author_id, .. } if author_id.to_string() == person => {
                    assert!(member, "said while not a member: {event:?}");
                }
                _ => {}
            }
            if !member && !ends.is_empty() {
                seqs.push(seq);
            }
            after = seq;
        }
    }
    assert_eq!(ends.len(), ROUNDS);
    Hidden { seqs, ends }
}

#[tokio::test]
async fn who_is_removed_while_they_enter_or_read_gets_nothing_that_was_said_since() {
    // Ben's node lingers after it saw that he is a member, and hears of his removal later still.
    let points = "socket.admitted=sleep(4000);history.admitted=sleep(4000);page.admitted=sleep(4000);\
         broadcaster.batch=sleep(6000)";
    let nodes = TestApp::builder().node("api,realtime").node("api,relay,projectors,processes");
    // Writes do not wait for read models.
    let nodes = nodes.setting("SERVER__WRITE_WAIT_MS", "1");
    let app = nodes.variable("FAILPOINTS", points).start().await;
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(app.given_a_room(&["ana", "ben"]).await);
    }
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let elsewhere = app.at(1, &ana);
    let say = async |room: &str, content: &str| {
        let path = format!("/api/messages/room/{room}");
        elsewhere.post(&path).json(&json!({"content": content})).await.assert_status(201);
    };
    let remove_and_speak = async |room: &str| {
        say(room, "for members").await;
        let path = format!("/api/rooms/{room}/members/{}", ben.id);
        elsewhere.request(Method::DELETE, &path).await.assert_status(204);
        say(room, "not for him").await;
    };
    let socket = app.socket("ben").await;
    let enter = json!({"roomId": rooms[0], "afterSeq": 2});
    let (entered, ()) = tokio::join!(socket.emit("join_room", enter), remove_and_speak(&rooms[0]));
    assert_eq!(entered["error"]["code"], "not_a_member", "{entered}");
    let told = socket.heard_of("new_message");
    assert!(told.iter().all(|p| p["message"]["content"] == "for members"), "{told:?}");
    let path = format!("/api/messages/room/{}/events?afterSeq=2", rooms[1]);
    let (read, ()) = tokio::join!(async { ben.get(&path).await }, remove_and_speak(&rooms[1]));
    read.assert_problem(403, "not_a_member");
    let path = format!("/api/messages/room/{}", rooms[2]);
    let (read, ()) = tokio::join!(async { ben.get(&path).await }, remove_and_speak(&rooms[2]));
    read.assert_problem(403, "not_a_member");
    app.finish().await;
}
