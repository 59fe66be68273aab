//! One client: talks, edits, deletes, reacts, is cut off, comes back and goes on where it was.
use std::time::Duration;

use platform::ids::{new_id, random_bytes};
use serde_json::{Value, json};
use tests::{app::Person, socket::Wire};
use tokio::time::{Instant, sleep_until};

use super::{Acknowledged, Known, text};

const EMOJI: [&str; 4] = ["👍", "❤️", "🎉", "😂"];

/// When a client does what.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Nothing is begun after this; who has no unanswered command left is done.
    pub(crate) end: Instant,
    /// Mean time between two actions of one client.
    pub(crate) act_every: Duration,
    /// How long a connection lasts before it is cut; `None` never cuts.
    pub(crate) cut_every: Option<Duration>,
    /// How long a client is away then.
    pub(crate) away: Duration,
}

/// A command that was not answered yet. It is repeated until it is.
#[derive(Clone)]
struct Command {
    /// Tells its answer from that to an earlier command which was repeated.
    number: u64,
    event: &'static str,
    payload: Value,
}

/// A client.
pub(crate) struct Member {
    pub(crate) room: String,
    token: String,
    pub(crate) known: Known,
    /// Its own messages that it did not delete.
    own: Vec<String>,
    pending: Option<Command>,
    commands: u64,
    number: usize,
    acknowledged: Acknowledged,
    /// When it was let in last.
    pub(crate) back_at: Option<Instant>,
    /// Answers that were neither success nor worth a repeat.
    pub(crate) refused: Vec<String>,
    pub(crate) connections: usize,
}

/// Why a connection is over.
enum Over {
    Cut,
    Done,
    /// The server ended it, and said when to come back.
    Ended(Option<Duration>),
}

impl Member {
    pub(crate) fn new(
        room: &str,
        person: &Person,
        number: usize,
        acknowledged: Acknowledged,
    ) -> Self {
        Self {
            room: room.to_owned(),
            token: person.token.clone(),
            known: Known::default(),
            own: Vec::new(),
            pending: None,
            commands: 0,
            number,
            acknowledged,
            back_at: None,
            refused: Vec::new(),
            connections: 0,
        }
    }

    /// Lives by the plan, connecting to the first address first and to the next one whenever a
    /// server ends the connection.
    pub(crate) async fn live(mut self, addresses: Vec<String>, plan: Plan) -> Self {
        let mut server = 0;
        // Spread out, so that not all are cut in the same moment.
        let mut cut_at = plan.cut_every.map(|every| Instant::now() + every.mul_f64(chance()));
        loop {
            let address = addresses[server % addresses.len()].clone();
            match self.connected(&address, plan, cut_at).await {
                Over::Done => return self,
                Over::Cut => sleep_until(Instant::now() + plan.away).await,
                Over::Ended(pause) => {
                    server += 1;
                    // What official clients wait at first, and somewhat longer in the mean.
                    let pause = pause.unwrap_or(Duration::from_secs(1).mul_f64(0.5 + chance()));
                    sleep_until(Instant::now() + pause).await;
                }
            }
            cut_at = plan.cut_every.map(|every| Instant::now() + every);
        }
    }

    /// Goes on hearing until the room has been heard up to this number, or `limit` is over.
    pub(crate) async fn catch_up(mut self, address: String, seq: i64, limit: Duration) -> Self {
        let give_up = Instant::now() + limit;
        while self.known.last_seq < seq && Instant::now() < give_up {
            let Ok(mut wire) = Wire::open(&address, None).await else { continue };
            self.greet(&mut wire).await;
            while self.known.last_seq < seq && Instant::now() < give_up {
                let Some(packet) = wire.next_but_pings().await else { break };
                self.take(&packet);
            }
        }
        self
    }

    async fn greet(&mut self, wire: &mut Wire) {
        let rooms = json!([{"roomId": self.room, "afterSeq": self.known.last_seq}]);
        let auth = json!({"token": self.token, "protocol": 1, "rooms": rooms});
        wire.send(&format!("40{auth}")).await.ok();
        self.connections += 1;
    }

    async fn connected(&mut self, address: &str, plan: Plan, cut_at: Option<Instant>) -> Over {
        let Ok(mut wire) = Wire::open(address, None).await else { return Over::Ended(None) };
        self.greet(&mut wire).await;
        let mut ready = false;
        let mut come_back = None;
        let mut act_at = Instant::now() + plan.act_every.mul_f64(2.0 * chance());
        loop {
            let now = Instant::now();
            if now >= plan.end && self.pending.is_none() {
                return Over::Done;
            }
            let wake = cut_at.unwrap_or(act_at).min(act_at).max(now);
            tokio::select! {
                packet = wire.next() => {
                    let Some(packet) = packet else { return Over::Ended(come_back) };
                    if packet == "2" {
                        wire.send("3").await.ok();
                    } else if packet.starts_with("44") || packet == "41" || packet == "1" {
                        return Over::Ended(come_back);
                    } else if let Some(event) = self.take(&packet) {
                        match event {
                            Event::Ready => {
                                ready = true;
                                self.back_at = Some(Instant::now());
                                self.say(&mut wire).await;
                            }
                            Event::Draining(pause) => come_back = Some(pause),
                        }
                    }
                }
                () = sleep_until(wake) => {
                    if cut_at.is_some_and(|at| Instant::now() >= at) {
                        return Over::Cut;
                    }
                    act_at = Instant::now() + plan.act_every.mul_f64(2.0 * chance());
                    if ready && self.pending.is_none() && Instant::now() < plan.end {
                        self.commands += 1;
                        let (event, payload) = self.choose();
                        self.pending = Some(Command { number: self.commands, event, payload });
                    }
                    if ready {
                        // A repeat, if there was no answer for so long.
                        self.say(&mut wire).await;
                    }
                }
            }
        }
    }

    /// Sends what was not answered yet.
    async fn say(&mut self, wire: &mut Wire) {
        if let Some(Command { number, event, payload }) = &self.pending {
            wire.send(&format!("42{number}{}", json!([event, payload]))).await.ok();
        }
    }

    fn choose(&self) -> (&'static str, Value) {
        let dice = chance();
        let own = (!self.own.is_empty()).then(|| &self.own[pick(self.own.len())]);
        let any = self.known.any(pick(1 << 16));
        match (own, any) {
            (Some(id), _) if dice < 0.15 => {
                let content = format!("edited {}", new_id());
                ("edit_message", json!({"messageId": id, "content": content}))
            }
            (Some(id), _) if dice < 0.25 => ("delete_message", json!({"messageId": id})),
            (_, Some(id)) if dice < 0.45 => {
                let event = if dice < 0.40 { "add_reaction" } else { "remove_reaction" };
                (event, json!({"messageId": id, "emoji": EMOJI[pick(EMOJI.len())]}))
            }
            _ => {
                let content = format!("{} says {}", self.number, new_id());
                let id = new_id();
                let room = &self.room;
                ("send_message", json!({"roomId": room, "clientMessageId": id, "content": content}))
            }
        }
    }

    /// Takes one packet; answers what the connection must know of.
    fn take(&mut self, packet: &str) -> Option<Event> {
        let arguments = || serde_json::from_str::<Value>(&packet[packet.find('[')?..]).ok();
        if let Some(answer) = packet.strip_prefix("43") {
            let number = answer.split('[').next()?.parse().ok()?;
            self.answered(number, &arguments()?[0]);
            return None;
        }
        if !packet.starts_with("42") {
            return None;
        }
        let arguments = arguments()?;
        let (event, payload) = (arguments[0].as_str()?, &arguments[1]);
        match event {
            "session_ready" => return Some(Event::Ready),
            "server_draining" => {
                let pause = payload["reconnectInMs"].as_u64().unwrap_or_default();
                return Some(Event::Draining(Duration::from_millis(pause)));
            }
            _ => self.known.apply(event, payload),
        }
        None
    }

    fn answered(&mut self, number: u64, answer: &Value) {
        let Some(command) = self.pending.take_if(|pending| pending.number == number) else {
            return;
        };
        if answer["ok"] != true {
            let error = &answer["error"];
            if error["retryable"] == true {
                self.pending = Some(command);
            // Somebody deleted it meanwhile, on another device of the same person.
            } else if text(error, "code") != "gone" {
                self.refused.push(format!("{}: {error}", command.event));
            }
            return;
        }
        let id = text(&command.payload, "messageId");
        match command.event {
            "send_message" => {
                let id = text(&answer["data"]["message"], "id").to_owned();
                let mut all = self.acknowledged.lock().unwrap();
                all.entry(self.room.clone()).or_default().push(id.clone());
                self.own.push(id);
            }
            "delete_message" => self.own.retain(|own| own != id),
            _ => {}
        }
    }
}

enum Event {
    Ready,
    Draining(Duration),
}

/// From 0 to 1.
fn chance() -> f64 {
    f64::from(u32::from_be_bytes(random_bytes())) / f64::from(u32::MAX)
}

fn pick(below: usize) -> usize {
    usize::try_from(u32::from_be_bytes(random_bytes())).unwrap_or_default() % below
}
