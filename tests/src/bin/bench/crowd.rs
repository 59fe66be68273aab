//! A thousand clients in live rooms: what each of them knows, and what it does.
mod known;
mod member;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tests::{TestApp, app::Person};

pub(crate) use known::Known;
pub(crate) use member::{Member, Plan};

/// Clients, and how they are spread.
pub(crate) const CLIENTS: usize = 1000;
/// Sockets of each person: two tabs and two phones.
const DEVICES: usize = 4;
const ROOMS: usize = 40;
/// Registrations and joins that run at a time.
const AT_ONCE: usize = 16;

/// What was promised to clients: the numbers of messages whose sending was acknowledged, by room.
pub(crate) type Acknowledged = Arc<Mutex<HashMap<String, Vec<String>>>>;

/// Everybody registered, in a room each.
pub(crate) struct Crowd {
    pub(crate) members: Vec<Member>,
    /// Someone of each room, who may read it.
    readers: HashMap<String, Person>,
    pub(crate) acknowledged: Acknowledged,
}

impl Crowd {
    pub(crate) async fn gather(app: &TestApp) -> Self {
        let people = CLIENTS / DEVICES;
        let per_room = people.div_ceil(ROOMS);
        let rooms: Vec<(String, Vec<String>)> = stream::iter((0..people).step_by(per_room))
            .map(|first| async move {
                let names: Vec<String> =
                    (first..people.min(first + per_room)).map(|n| format!("p{n}")).collect();
                let of_room: Vec<&str> = names.iter().map(String::as_str).collect();
                (app.given_a_room(&of_room).await, names)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let acknowledged = Acknowledged::default();
        let (mut members, mut readers) = (Vec::new(), HashMap::new());
        for (room, names) in rooms {
            for name in &names {
                let person = app.as_user(name).await;
                for _ in 0..DEVICES {
                    members.push(Member::new(
                        &room,
                        &person,
                        members.len(),
                        Arc::clone(&acknowledged),
                    ));
                }
            }
            readers.insert(room, app.as_user(&names[0]).await);
        }
        Self { members, readers, acknowledged }
    }

    /// What the server shows of every room, message by message.
    pub(crate) async fn server(&self, app: &TestApp, node: usize) -> HashMap<String, Known> {
        let mut rooms = HashMap::new();
        for (room, person) in &self.readers {
            let mut known = Known::default();
            let mut after = 0;
            loop {
                let path = format!("/api/messages/room/{room}?after={after}&limit=100");
                let page = app.at(node, person).get(&path).await.assert_status(200);
                for message in page.data() {
                    after = message["seq"].as_i64().unwrap();
                    known.see(message);
                }
                known.last_seq = page["roomLastSeq"].as_i64().unwrap();
                if page["page"]["foundNewest"] == json!(true) {
                    break;
                }
            }
            rooms.insert(room.clone(), known);
        }
        rooms
    }

    /// Acknowledged messages that the server does not show.
    pub(crate) fn lost(&self, server: &HashMap<String, Known>) -> usize {
        let acknowledged = self.acknowledged.lock().unwrap();
        let lost = |(room, ids): (&String, &Vec<String>)| {
            ids.iter().filter(|id| !server[room].has(id)).count()
        };
        acknowledged.iter().map(lost).sum()
    }
}

/// The text of a JSON value, or nothing.
fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
