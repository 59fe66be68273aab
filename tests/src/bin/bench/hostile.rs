//! What 50 people who chat notice of a stranger who means harm, and what memory that costs: one kind of
//! attack after the other, all of them before anybody knows who it is.
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;
use tests::{
    Client, TestApp,
    attacks::{
        self, ATTACHMENTS, FRAGMENTS, LARGE_FRAME, NAMESPACES, NO_ATTACHMENTS, NOT_UTF8, POLLED,
    },
    frames::{self, RawFrames},
    socket::Wire,
};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    chat::{Times, gather, p99s, talk},
    report::{Report, Target},
};

const ROOMS: usize = 5;
const PEOPLE: usize = 10;
/// Messages a second, and how long each kind of attack lasts.
const CHAT: u32 = 50;
const SECONDS: u32 = 10;
/// How often memory is looked at, and when it has to be back: everybody who did not say who they are was sent
/// away by then.
const LOOK: Duration = Duration::from_millis(20);
const AFTERWARDS: Duration = Duration::from_secs(15);
/// Most memory that attacks may take, and that is not given back, MiB.
const TAKEN: f64 = 50.0;
const KEPT: f64 = 10.0;
const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
/// Requests that are never finished, at a time.
const HALVES: usize = 200;

pub(crate) async fn run(report: &mut Report) {
    // Limits are those of any installation. Only registering 50 people from one address takes more, and the
    // stranger has the places of twelve addresses: with those of one, most of what is sent is not let in.
    let app = TestApp::builder()
        .setting("POSTGRES__MAX_CONNECTIONS", "20")
        .setting("LIMITS__ENABLED", "true")
        .setting("LIMITS__ANONYMOUS", "100000/1h")
        .setting("LIMITS__REGISTER_ADDRESS", "1000/1h")
        .setting("LIMITS__UNIDENTIFIED_SOCKETS", "600")
        // These clients do not answer pings: none falls due during the run.
        .setting("REALTIME__PING_INTERVAL_MS", "25000")
        .setting("REALTIME__PING_TIMEOUT_MS", "600000")
        .start()
        .await;
    let times = Arc::new(Mutex::new(Times::default()));
    let mut members = gather(&app, ROOMS, PEOPLE, &times).await;
    // The first time takes memory for good that no attack is to blame for.
    talk(&mut members, PEOPLE, (CHAT, SECONDS), &times).await;
    talk(&mut members, PEOPLE, (CHAT, SECONDS), &times).await;
    report.absolute("hostile: delivery p99 before", (p99s(&times).1, "ms"), Target::AtMost(100.0));

    let node = &app.nodes[0];
    let before = node.resident_kib();
    let grown = || node.resident_kib().saturating_sub(before) as f64 / 1024.0;
    let mut most = 0.0;
    for attack in Attack::ALL {
        let tries = Arc::new(Tries::default());
        let attacking = tokio::spawn(Attacker::new(&app).go_on(attack, Arc::clone(&tries)));
        let looking = async {
            loop {
                most = f64::max(most, grown());
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = talk(&mut members, PEOPLE, (CHAT, SECONDS), &times) => {}
            () = looking => {}
        }
        assert!(!attacking.is_finished(), "{} went on all the time", attack.name());
        attacking.abort();
        let (all, whole) = (tries.all.load(Relaxed), tries.whole.load(Relaxed));
        println!("  {}: {all} times, {whole} of them to the end", attack.name());
        let name = format!("hostile, {}: delivery p99", attack.name());
        report.absolute(&name, (p99s(&times).1, "ms"), Target::AtMost(100.0));
    }
    report.absolute("hostile: memory taken at most", (most, "MiB"), Target::AtMost(TAKEN));
    sleep(AFTERWARDS).await;
    report.absolute("hostile: memory kept afterwards", (grown(), "MiB"), Target::AtMost(KEPT));
    drop(members);
    app.caught_up().await;
    app.finish().await;
}

#[derive(Clone, Copy)]
enum Attack {
    Attachments,
    Placeholders,
    DeepJson,
    NotUtf8,
    LargeFrames,
    Fragments,
    Namespaces,
    UnknownSessions,
    Polling,
    HalfUpgrades,
    SilentSockets,
}

impl Attack {
    const ALL: [Self; 11] = [
        Self::Attachments,
        Self::Placeholders,
        Self::DeepJson,
        Self::NotUtf8,
        Self::LargeFrames,
        Self::Fragments,
        Self::Namespaces,
        Self::UnknownSessions,
        Self::Polling,
        Self::HalfUpgrades,
        Self::SilentSockets,
    ];

    /// What it is, and how often a second it is tried.
    fn what(self) -> (&'static str, u32) {
        match self {
            Self::Attachments => ("5999999 attachments", 50),
            Self::Placeholders => ("placeholders for no attachment", 50),
            Self::DeepJson => ("JSON 10,000 deep", 50),
            Self::NotUtf8 => ("text that is not UTF-8", 50),
            Self::LargeFrames => ("frames of 16 MiB", 5),
            Self::Fragments => ("1,000,000 fragments of one byte", 5),
            Self::Namespaces => ("10,000 namespaces", 1),
            Self::UnknownSessions => ("unknown sessions", 50),
            Self::Polling => ("1,000 packets in one request", 5),
            Self::HalfUpgrades => ("upgrades never finished", 50),
            Self::SilentSockets => ("5,000 sockets that say nothing", 5000 / SECONDS),
        }
    }

    fn name(self) -> &'static str {
        self.what().0
    }
}

/// How often an attack was tried, and how often nobody stopped it before its end.
#[derive(Default)]
struct Tries {
    all: AtomicUsize,
    whole: AtomicUsize,
}

/// Somebody nobody knows.
struct Attacker {
    address: String,
    client: Client,
    /// Connections that are kept for as long as the attack lasts.
    kept: Vec<Wire>,
    halves: Vec<RawFrames>,
    fragments: Vec<u8>,
    large: Vec<u8>,
}

impl Attacker {
    fn new(app: &TestApp) -> Self {
        Self {
            address: app.nodes[0].address.clone(),
            client: app.anyone(),
            kept: Vec::new(),
            halves: Vec::new(),
            // Made before: what it costs the attacker is not to be measured.
            fragments: frames::fragments(FRAGMENTS),
            large: frames::frame(true, 1, &vec![b'x'; LARGE_FRAME]),
        }
    }

    /// Tries again and again, whether it was let in or not.
    async fn go_on(mut self, attack: Attack, tries: Arc<Tries>) {
        let mut ticks = interval(Duration::from_secs(1) / attack.what().1);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let n = tries.all.fetch_add(1, Relaxed);
            // Who is refused or thrown out tries again.
            if self.attack(attack, n).await.is_some() {
                tries.whole.fetch_add(1, Relaxed);
            }
        }
    }

    /// Does it once, in the `n`th way. `None` when the server would not have any of it.
    async fn attack(&mut self, attack: Attack, n: usize) -> Option<()> {
        match attack {
            Attack::Attachments => {
                self.open().await?.send(ATTACHMENTS[n % ATTACHMENTS.len()]).await.ok()?;
            }
            Attack::Placeholders => {
                let mut wire = self.open().await?;
                let num = NO_ATTACHMENTS[n % NO_ATTACHMENTS.len()];
                wire.send(&attacks::placeholder(num)).await.ok()?;
                wire.send_binary(b"splice").await.ok()?;
            }
            Attack::DeepJson => {
                self.open().await?.send(&attacks::deep_packets()[n % 2]).await.ok()?;
            }
            Attack::NotUtf8 => {
                let mut raw = RawFrames::try_open(&self.address).await.ok()?;
                raw.send(true, 1, &NOT_UTF8).await;
            }
            Attack::LargeFrames => {
                RawFrames::try_open(&self.address).await.ok()?.write(&self.large).await;
            }
            Attack::Fragments => {
                RawFrames::try_open(&self.address).await.ok()?.write(&self.fragments).await;
            }
            Attack::Namespaces => {
                let mut wire = self.open().await?;
                for number in 0..NAMESPACES {
                    wire.send(&attacks::namespace(number)).await.ok()?;
                }
            }
            Attack::UnknownSessions => {
                let path = format!("{POLLING}&sid=nobody");
                self.client.get(&path).await;
                self.client.post(&path).body("text/plain", attacks::thousand("4")).await;
                drop(Wire::begin_upgrade(&self.address, "AAAAAAAAAAAAAAAA").await);
            }
            Attack::Polling => {
                let path = format!("{POLLING}&sid={}", self.session().await?);
                let many = attacks::thousand(POLLED[n % POLLED.len()]);
                self.client.post(&path).body("text/plain", many).await;
            }
            Attack::HalfUpgrades => {
                if self.halves.len() < HALVES {
                    self.halves.push(RawFrames::half_open(&self.address).await);
                }
                let sid = self.session().await?;
                let mut wire = Wire::begin_upgrade(&self.address, &sid).await.ok()?;
                wire.send("2probe").await.ok()?;
                self.kept.push(wire);
            }
            Attack::SilentSockets => {
                let wire = self.open().await?;
                self.kept.push(wire);
            }
        }
        Some(())
    }

    async fn open(&self) -> Option<Wire> {
        Wire::open(&self.address, None).await.ok()
    }

    /// A session of a client that polls, if there is a place for one more.
    async fn session(&self) -> Option<String> {
        let opened = self.client.get(POLLING).await;
        let opened: Value = serde_json::from_str(opened.text.strip_prefix('0')?).ok()?;
        Some(opened["sid"].as_str()?.to_owned())
    }
}
