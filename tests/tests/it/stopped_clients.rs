//! Clients that are stopped, as by a laptop that is closed, while others talk on.
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::json;
use tests::{LIMIT, Node, Socket, TestApp, eventually};
use tokio::time::Instant;

use crate::silent_losses::{assert_whole, durable, shown, state};

/// How many are stopped, for how long at least, and what passes meanwhile.
const STOPPED: usize = 8;
const LASTING: Duration = Duration::from_secs(30);
const MESSAGES: usize = 5000;
/// What is said before, by two people.
const BEFORE: usize = 500;
/// Messages of one person that wait for their answer. Few: the others must keep up.
const AT_ONCE: usize = 48;
/// Memory that the node may take meanwhile, KiB: half of what it would take to keep everything for those who
/// are stopped, a kilobyte for each message.
const GROWTH: u64 = 20 * 1024;

/// The most memory that a node was seen to take.
struct Most<'a> {
    node: &'a Node,
    kib: AtomicU64,
}

impl Most<'_> {
    fn look(&self) {
        self.kib.fetch_max(self.node.resident_kib(), Ordering::Relaxed);
    }
}

/// Says so many messages, each with its number in front.
async fn talk(socket: &Socket, room: &str, count: usize, most: &Most<'_>) {
    let mut waiting = VecDeque::new();
    for n in 0..count {
        let content = format!("{n} {}", "💬💬💬💬💬💬 ".repeat(20));
        let message = json!({"roomId": room, "content": content});
        waiting.push_back(socket.emit_later("send_message", message).await);
        if waiting.len() == AT_ONCE {
            assert_eq!(socket.ack(waiting.pop_front().unwrap()).await["ok"], true);
            most.look();
        }
    }
    for ack in waiting {
        assert_eq!(socket.ack(ack).await["ok"], true);
    }
}

/// Waits until the socket has heard of this number.
async fn hears_up_to(socket: &Socket, seq: i64) {
    eventually("everything is heard", LIMIT * 9, async || {
        let last = socket.heard().iter().rev().find_map(|it| it.payload["seq"].as_i64());
        (last == Some(seq)).then_some(())
    })
    .await;
}

// `CONTRIBUTING.md` says how to run it.
#[tokio::test]
#[ignore = "takes minutes where everything shares two cores"]
async fn who_is_stopped_while_five_thousand_messages_pass_is_let_go_and_has_them_all_afterwards() {
    // Read models in larger steps: they are not what this is about.
    let app = TestApp::builder().setting("PROJECTIONS__PACE_MS", "1000").start().await;
    let room = app.given_a_room(&["ana", "ben", "cai"]).await;
    let (ana, _) = app.socket_in(0, "ana", &room).await;
    let (cai, joined) = app.socket_in(0, "cai", &room).await;
    let first = joined["lastSeq"].as_i64().unwrap();
    let node = &app.nodes[0];
    let most = Most { node, kib: AtomicU64::new(0) };
    // Whatever a node takes for good is taken by now.
    let half = BEFORE / 2;
    tokio::join!(talk(&ana, &room, half, &most), talk(&cai, &room, half, &most));
    let mut stopped = Vec::new();
    for _ in 0..STOPPED {
        let socket = app.narrow_socket("ben").await;
        assert_eq!(socket.emit("join_room", json!({"roomId": room})).await["ok"], true);
        stopped.push(socket);
    }
    let before = node.resident_kib();
    let since = Instant::now();
    for socket in &stopped {
        socket.set_reading(false);
    }
    let half = MESSAGES / 2;
    tokio::join!(talk(&ana, &room, half, &most), talk(&cai, &room, half, &most));
    let passed = since.elapsed();
    eventually("half a minute is over", LASTING * 2, async || {
        most.look();
        (since.elapsed() >= LASTING).then_some(())
    })
    .await;
    let most = most.kib.into_inner();
    eprintln!("{MESSAGES} messages in {passed:?}, memory from {before} to {most} KiB");
    assert!(most < before + GROWTH, "from {before} to {most} KiB");
    // They still do not read: the node let them go all the same.
    assert!(stopped.iter().all(|socket| !node.holds(socket.own)));

    // Nobody else noticed anything.
    let last = first + i64::try_from(BEFORE + MESSAGES).unwrap();
    for socket in [&ana, &cai] {
        hears_up_to(socket, last).await;
        assert!(!socket.is_closed());
    }
    let everything = durable(&cai);
    assert_whole(&everything);
    assert_eq!(everything.len(), BEFORE + MESSAGES);

    // They go on, find their connections ended, and one of them comes back for what it missed.
    let mut heard = Vec::new();
    for socket in stopped {
        socket.set_reading(true);
        socket.closed().await;
        heard = durable(&socket);
        assert!(everything[BEFORE..].starts_with(&heard), "without gaps as far as it went");
    }
    let reached = heard.last().map_or(everything[BEFORE - 1].0, |(seq, ..)| *seq);
    let back = app.socket("ben").await;
    let resume = json!({"roomId": room, "afterSeq": reached});
    let answer = back.emit_later("join_room", resume).await;
    hears_up_to(&back, last).await;
    assert_eq!(back.ack(answer).await["data"]["status"], "replayed");
    heard.extend(durable(&back));
    assert!(heard == everything[BEFORE..], "all of it, once and in order");
    app.caught_up().await;
    assert!(
        state(&cai) == shown(&app.as_user("ben").await.client, &room).await,
        "what the server has"
    );
    app.finish().await;
}
