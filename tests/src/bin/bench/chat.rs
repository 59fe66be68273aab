//! Chat at 300 messages a second into rooms of ten: acknowledgement and delivery.
//!
//! An open loop: a message is due at its time whether the ones before were answered or not, and its
//! latency counts from when it was due.
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures::{SinkExt as _, StreamExt as _, stream::SplitSink};
use hdrhistogram::Histogram;
use platform::ids;
use serde_json::{Value, json};
use tests::TestApp;
use tokio::{net::TcpStream, time::sleep_until};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use crate::{
    create::{insert_one, insert_pool},
    report::{Report, Target},
};

const ROOMS: usize = 10;
const PEOPLE: usize = 10;
const RATE: u32 = 300;
const WARM_UP: u32 = 3 * RATE;
const MEASURED: u32 = 20 * RATE;

pub(crate) type Sink = SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Message>;

/// When each message was due, was acknowledged and was heard.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) due: HashMap<String, Instant>,
    pub(crate) acks: Vec<Duration>,
    pub(crate) deliveries: Vec<Duration>,
    refused: u64,
}

pub(crate) async fn run(report: &mut Report) {
    // These clients do not answer pings: none falls due during the run.
    let app = TestApp::builder()
        .setting("POSTGRES__MAX_CONNECTIONS", "20")
        .setting("REALTIME__PING_INTERVAL_MS", "25000")
        .setting("REALTIME__PING_TIMEOUT_MS", "600000")
        .start()
        .await;
    let insert = bare_inserts(app.world.database.url.as_str()).await;

    let times = Arc::new(Mutex::new(Times::default()));
    let mut members = gather(&app, ROOMS, PEOPLE, &times).await;

    let begin = tokio::time::Instant::now() + Duration::from_millis(200);
    for n in 0..WARM_UP + MEASURED {
        let due = begin + Duration::from_secs_f64(f64::from(n) / f64::from(RATE));
        sleep_until(due).await;
        // Rooms in turn, and in each room its people in turn.
        let n_usize = n as usize;
        let index = (n_usize % ROOMS) * PEOPLE + (n_usize / ROOMS) % PEOPLE;
        let id = ids::new_id().to_string();
        if n >= WARM_UP {
            times.lock().unwrap().due.insert(id.clone(), due.into_std());
        }
        let (sink, room_id) = &mut members[index];
        let message = json!(["send_message", {"roomId": room_id, "clientMessageId": id,
            "content": id}]);
        sink.send(Message::text(format!("42{n}{message}"))).await.unwrap();
    }
    let expected = MEASURED as usize * PEOPLE;
    let patience = Instant::now() + Duration::from_secs(20);
    while times.lock().unwrap().deliveries.len() < expected && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let (acks, deliveries, lost) = {
        let times = times.lock().unwrap();
        assert_eq!(times.refused, 0, "every message is accepted");
        let lost = expected - times.deliveries.len();
        (histogram(&times.acks), histogram(&times.deliveries), lost)
    };
    let ms = |h: &Histogram<u64>, q: f64| h.value_at_quantile(q) as f64 / 1000.0;
    let yardstick = ("bare durable insert at 300/s, p50", ms(&insert, 0.5));
    report.ratio(
        "chat 300/s: send_message ack p50",
        (ms(&acks, 0.5), "ms"),
        yardstick,
        Target::AtMost(3.0),
    );
    report.ratio(
        "chat 300/s: delivery p50",
        (ms(&deliveries, 0.5), "ms"),
        yardstick,
        Target::AtMost(6.0),
    );
    for (name, h) in [("ack", &acks), ("delivery", &deliveries)] {
        report.ratio(
            &format!("chat 300/s: {name} p99"),
            (ms(h, 0.99), "ms"),
            ("its own p50", ms(h, 0.5)),
            Target::AtMost(4.0),
        );
    }
    report.absolute("  deliveries missing", (lost as f64, ""), Target::AtMost(0.0));
    drop(members);
    app.caught_up().await;
    app.finish().await;
}

/// So many people in each of so many rooms, every one with a socket and its room, room by room.
pub(crate) async fn gather(
    app: &TestApp,
    rooms: usize,
    people: usize,
    times: &Arc<Mutex<Times>>,
) -> Vec<(Sink, String)> {
    let mut members = Vec::new();
    for room in 0..rooms {
        let names: Vec<String> = (0..people).map(|n| format!("r{room}p{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let room_id = app.given_a_room(&names).await;
        for name in names {
            let token = app.as_user(name).await.token;
            let sink = enter(&app.nodes[0].address, &token, &room_id, Arc::clone(times)).await;
            members.push((sink, room_id.clone()));
        }
    }
    members
}

/// So many messages a second for so many seconds, each in another room, where so many people are; each is
/// due at its time whatever became of the others. All of them are delivered.
pub(crate) async fn talk(
    members: &mut [(Sink, String)],
    people: usize,
    (rate, seconds): (u32, u32),
    times: &Mutex<Times>,
) {
    *times.lock().unwrap() = Times::default();
    let rooms = members.len() / people;
    let begin = tokio::time::Instant::now() + Duration::from_millis(200);
    for n in 0..rate * seconds {
        let due = begin + Duration::from_secs_f64(f64::from(n) / f64::from(rate));
        sleep_until(due).await;
        let n_usize = n as usize;
        let index = (n_usize % rooms) * people + (n_usize / rooms) % people;
        let id = ids::new_id().to_string();
        times.lock().unwrap().due.insert(id.clone(), due.into_std());
        let (sink, room_id) = &mut members[index];
        let message = json!(["send_message", {"roomId": room_id, "clientMessageId": id,
            "content": id}]);
        sink.send(Message::text(format!("42{n}{message}"))).await.unwrap();
    }
    let expected = (rate * seconds) as usize * people;
    let patience = Instant::now() + Duration::from_secs(20);
    while times.lock().unwrap().deliveries.len() < expected && Instant::now() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(times.lock().unwrap().deliveries.len(), expected, "every message is delivered");
}

/// Of acknowledgements and of deliveries, milliseconds.
pub(crate) fn p99s(times: &Mutex<Times>) -> (f64, f64) {
    let times = times.lock().unwrap();
    let p99 = |all| histogram(all).value_at_quantile(0.99) as f64 / 1000.0;
    (p99(&times.acks), p99(&times.deliveries))
}

/// One row, one transaction, at the same rate, with a connection always free.
async fn bare_inserts(url: &str) -> Histogram<u64> {
    let pool = insert_pool(url, 8).await;
    let begin = tokio::time::Instant::now();
    let mut running = Vec::new();
    for n in 0..WARM_UP + MEASURED / 2 {
        let due = begin + Duration::from_secs_f64(f64::from(n) / f64::from(RATE));
        sleep_until(due).await;
        let pool = pool.clone();
        running.push(tokio::spawn(async move {
            insert_one(pool).await;
            (n >= WARM_UP).then(|| due.into_std().elapsed())
        }));
    }
    let mut all = Vec::new();
    for task in running {
        all.extend(task.await.unwrap());
    }
    pool.close().await;
    histogram(&all)
}

fn histogram(durations: &[Duration]) -> Histogram<u64> {
    let mut histogram = Histogram::new(3).unwrap();
    for duration in durations {
        histogram.record(u64::try_from(duration.as_micros()).unwrap()).unwrap();
    }
    histogram
}

/// Connects, enters the room, and notes the times of what it hears.
async fn enter(address: &str, token: &str, room_id: &str, times: Arc<Mutex<Times>>) -> Sink {
    let url = format!("{}/socket.io/?EIO=4&transport=websocket", address.replacen("http", "ws", 1));
    let (stream, _) = connect_async(url).await.unwrap();
    if let MaybeTlsStream::Plain(tcp) = stream.get_ref() {
        tcp.set_nodelay(true).unwrap();
    }
    let (mut sink, mut stream) = stream.split();
    let (entered, has_entered) = tokio::sync::oneshot::channel();
    let connect = json!({"token": token, "protocol": 1});
    sink.send(Message::text(format!("40{connect}"))).await.unwrap();
    while !stream.next().await.unwrap().unwrap().into_text().unwrap().starts_with("40") {}
    let join = json!(["join_room", {"roomId": room_id}]);
    sink.send(Message::text(format!("4299999{join}"))).await.unwrap();
    tokio::spawn(async move {
        let mut entered = Some(entered);
        while let Some(Ok(message)) = stream.next().await {
            let now = Instant::now();
            let Message::Text(text) = message else { continue };
            if let Some(ack) = text.strip_prefix("43") {
                if let (true, Some(entered)) = (ack.starts_with("99999"), entered.take()) {
                    assert!(ack.contains("\"ok\":true"), "{ack}");
                    entered.send(()).ok();
                } else if !ack.starts_with("99999") {
                    note_ack(ack, now, &times);
                }
            } else if let Some(event) = text.strip_prefix("42[\"new_message\",") {
                note_delivery(event, now, &times);
            }
        }
    });
    has_entered.await.unwrap();
    sink
}

fn note_ack(ack: &str, now: Instant, times: &Mutex<Times>) {
    let json = &ack[ack.find('[').unwrap()..];
    let reply: Value = serde_json::from_str(json).unwrap();
    let mut times = times.lock().unwrap();
    if reply[0]["ok"] != true {
        times.refused += 1;
        return;
    }
    let id = reply[0]["data"]["message"]["clientMessageId"].as_str().unwrap_or_default();
    if let Some(due) = times.due.get(id).copied() {
        times.acks.push(now - due);
    }
}

/// `clientMessageId` reaches the sender only, so the content carries it for everyone.
fn note_delivery(event: &str, now: Instant, times: &Mutex<Times>) {
    let payload: Value = serde_json::from_str(event.trim_end_matches(']')).unwrap();
    let content = payload["message"]["content"].as_str().unwrap_or_default();
    let mut times = times.lock().unwrap();
    if let Some(due) = times.due.get(content).copied() {
        times.deliveries.push(now - due);
    }
}
