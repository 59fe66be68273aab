//! An account, its REST calls, one socket at a time, and all that the socket heard.
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use futures_util::FutureExt as _;
use reqwest::Method;
use rust_socketio::{
    Event, Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};
use uuid::Uuid;

/// For any single answer.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
const DURABLE: [&str; 7] = [
    "new_message",
    "message_updated",
    "user_joined",
    "user_left",
    "room_updated",
    "member_removed",
    "member_role_changed",
];

/// What a person heard so far.
#[derive(Default)]
pub(crate) struct Ears {
    /// Event and payload of every connection, in order of arrival.
    pub(crate) heard: Vec<(String, Value)>,
    /// Of the room's durable events; `None` until the room was joined.
    pub(crate) last_seq: Option<i64>,
    /// `new_message` payloads accepted by the rule of `seq`.
    pub(crate) messages: Vec<Value>,
    /// Found while hearing, returned where somebody waits.
    deviation: Option<String>,
    /// Counts connections and their ends.
    connection: u32,
}

impl Ears {
    fn hear(&mut self, event: &str, payload: &Value) {
        self.heard.push((event.to_owned(), payload.clone()));
        self.apply(event, payload);
    }

    /// The client's rule: the next number is applied, an earlier one dropped, a later one is a gap.
    fn apply(&mut self, event: &str, payload: &Value) {
        let (Some(last), Some(seq)) = (self.last_seq, payload["seq"].as_i64()) else { return };
        if !DURABLE.contains(&event) || seq <= last {
            return;
        }
        if seq != last + 1 {
            self.deviate(format!("{event} was heard with seq {seq} after {last}"));
            return;
        }
        self.last_seq = Some(seq);
        if event == "new_message" {
            self.messages.push(payload.clone());
        }
    }

    fn deviate(&mut self, text: String) {
        self.deviation.get_or_insert(text);
    }
}

#[derive(Default)]
struct Hearing {
    ears: Mutex<Ears>,
    news: Notify,
}

impl Hearing {
    fn lock(&self) -> MutexGuard<'_, Ears> {
        self.ears.lock().expect("nobody panics while hearing")
    }

    /// Lets the current connection's news in. This library reads on after `disconnect()`, until
    /// the server closes; who left hears nothing any more.
    fn note(&self, connection: u32, news: impl FnOnce(&mut Ears)) {
        let mut ears = self.lock();
        if ears.connection == connection {
            news(&mut ears);
            self.news.notify_waiters();
        }
    }
}

/// One of the two who talk.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) id: String,
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    socket: Option<Client>,
    hearing: Arc<Hearing>,
}

impl Person {
    /// Opens an account.
    pub(crate) async fn register(
        http: &reqwest::Client,
        url: &str,
        name: &'static str,
    ) -> Result<Self> {
        let mut person = Self {
            name,
            id: String::new(),
            http: http.clone(),
            url: url.to_owned(),
            token: None,
            socket: None,
            hearing: Arc::default(),
        };
        let unique = &unguessable()[..10];
        let account = json!({
            "email": format!("{name}.{unique}@example.org"),
            "password": unguessable(),
            "fullName": format!("{}{} Example", name[..1].to_uppercase(), &name[1..]),
            "username": format!("{name}_{unique}"),
        });
        let answer = person.call(Method::POST, "/api/auth/register", 201, Some(account)).await?;
        let status = &answer["status"];
        ensure!(status == "authenticated", "register: status is {status}");
        text(&answer["user"]["id"])?.clone_into(&mut person.id);
        person.token = Some(text(&answer["session"]["accessToken"])?.to_owned());
        Ok(person)
    }

    /// One REST call, which must answer with this status.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        status: u16,
        body: Option<Value>,
    ) -> Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let got = answer.status().as_u16();
        let text = answer.text().await?;
        ensure!(got == status, "{method} {path} answered {got} instead of {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Opens the socket and waits for `session_ready`.
    pub(crate) async fn connect(&mut self) -> Result<()> {
        let (already, connection) = {
            let mut ears = self.hearing.lock();
            ears.connection += 1;
            (ears.heard.len(), ears.connection)
        };
        let device = Uuid::new_v4().to_string();
        let (hearing, failing, name) = (self.hearing.clone(), self.hearing.clone(), self.name);
        let connecting = ClientBuilder::new(format!("{}/socket.io/", self.url))
            // As the official clients do it; `Any` would fall back to polling without a word.
            .transport_type(TransportType::WebsocketUpgrade)
            .auth(json!({ "token": self.token, "protocol": 1, "deviceId": device }))
            .reconnect(false)
            .on_any(move |event, payload, _| {
                hearing.note(connection, |ears| ears.hear(event.as_str(), &first(payload)));
                async {}.boxed()
            })
            .on(Event::Error, move |payload, _| {
                let error = first(payload);
                failing.note(connection, |ears| {
                    ears.deviate(format!("the socket of {name} failed: {error}"));
                });
                async {}.boxed()
            })
            .connect();
        let socket = timeout(LIMIT, connecting).await;
        self.socket = Some(socket.with_context(|| format!("connecting {name} took too long"))??);
        let ready = self.wait("session_ready", |_| true, already).await?;
        let named = &ready["userId"];
        ensure!(*named == self.id, "session_ready names {named}, not {name}");
        Ok(())
    }

    /// Tries to connect with a token that is none; returns the refusal.
    pub(crate) async fn refused(&self) -> Result<Value> {
        let (sender, mut refusals) = mpsc::unbounded_channel();
        let connecting = ClientBuilder::new(format!("{}/socket.io/", self.url))
            .transport_type(TransportType::WebsocketUpgrade)
            .auth(json!({ "token": "none", "protocol": 1 }))
            .reconnect(false)
            .on(Event::Error, move |payload, _| {
                sender.send(first(payload)).ok(); // Nobody waits any more.
                async {}.boxed()
            })
            .connect();
        let socket = timeout(LIMIT, connecting).await.context("connecting took too long")??;
        let refusal = timeout(LIMIT, refusals.recv()).await.ok().flatten();
        socket.disconnect().await.ok(); // The server may have ended it.
        let refusal = refusal.context("no refusal came")?;
        // This library makes a sentence of it.
        let (_, said) = text(&refusal)?.split_once(": ").context("a refusal without words")?;
        Ok(serde_json::from_str(said)?)
    }

    /// Closes the socket, if it is open.
    pub(crate) async fn disconnect(&mut self) -> Result<()> {
        if let Some(socket) = self.socket.take() {
            self.hearing.lock().connection += 1;
            timeout(LIMIT, socket.disconnect()).await??;
        }
        Ok(())
    }

    /// A look at what was heard.
    pub(crate) fn ears(&self) -> MutexGuard<'_, Ears> {
        self.hearing.lock()
    }

    /// How much was heard so far.
    pub(crate) fn heard(&self) -> usize {
        self.ears().heard.len()
    }

    /// Waits until `look` finds something, and returns that.
    pub(crate) async fn until<T>(
        &self,
        look: impl Fn(&Ears) -> Option<T>,
        what: &str,
    ) -> Result<T> {
        let found = async {
            loop {
                // Made before looking, so that no news is missed in between.
                let news = self.hearing.news.notified();
                {
                    let ears = self.ears();
                    if let Some(deviation) = &ears.deviation {
                        return Err(anyhow!("{}: {deviation}", self.name));
                    }
                    if let Some(found) = look(&ears) {
                        return Ok(found);
                    }
                }
                news.await;
            }
        };
        let late = || format!("{} did not hear {what} within {LIMIT:?}", self.name);
        timeout(LIMIT, found).await.with_context(late)?
    }

    /// The first such event heard after the first `since` ones.
    pub(crate) async fn wait(
        &self,
        event: &str,
        matches: impl Fn(&Value) -> bool,
        since: usize,
    ) -> Result<Value> {
        let look = |ears: &Ears| {
            let mut late = ears.heard[since..].iter();
            late.find(|(name, payload)| name == event && matches(payload)).map(|it| it.1.clone())
        };
        self.until(look, event).await
    }

    /// Emits and returns nothing, as nothing is answered.
    pub(crate) async fn emit(&self, event: &str, payload: Value) -> Result<()> {
        Ok(self.socket()?.emit(event, payload).await?)
    }

    /// Emits and returns the acknowledgement's data.
    pub(crate) async fn ask(&self, event: &str, payload: Value) -> Result<Value> {
        let (sender, mut acks) = mpsc::unbounded_channel();
        let answered = move |payload, _| {
            sender.send(first(payload)).ok(); // Nobody waits any more.
            async {}.boxed()
        };
        self.socket()?.emit_with_ack(event, payload, LIMIT, answered).await?;
        let late = || format!("{event} of {} was not acknowledged within {LIMIT:?}", self.name);
        let ack = timeout(LIMIT, acks.recv()).await.ok().flatten().with_context(late)?;
        // The list of the acknowledgement's arguments comes as one argument.
        let ack = &ack[0];
        ensure!(ack["ok"] == true, "{event} of {} was refused: {ack}", self.name);
        Ok(ack["data"].clone())
    }

    /// Enters the room; what arrived before the answer counts from the number it names.
    pub(crate) async fn join_room(&self, room: &str) -> Result<()> {
        let data = self.ask("join_room", json!({ "roomId": room })).await?;
        let mut ears = self.ears();
        ears.last_seq = Some(data["lastSeq"].as_i64().context("join_room names no lastSeq")?);
        for (event, payload) in ears.heard.clone() {
            ears.apply(&event, &payload);
        }
        Ok(())
    }

    /// Sends a message and returns the answer.
    pub(crate) async fn send(
        &self,
        room: &str,
        content: &str,
        client_message_id: &str,
    ) -> Result<Value> {
        let message =
            json!({ "roomId": room, "clientMessageId": client_message_id, "content": content });
        let data = self.ask("send_message", message).await?;
        let same = data["message"]["content"] == content;
        ensure!(same, "send_message of {}: the answer has another content", self.name);
        Ok(data)
    }

    /// Checks the `count`th message heard; waits for it.
    pub(crate) async fn hears(
        &self,
        count: usize,
        sender: &Self,
        room: &str,
        content: &str,
    ) -> Result<()> {
        let name = self.name;
        let look = |ears: &Ears| ears.messages.get(count - 1).cloned();
        let payload = self.until(look, &format!("'{content}'")).await?;
        let message = &payload["message"];
        let heard = &message["content"];
        ensure!(heard == content, "{name} heard {heard} instead of '{content}'");
        let named = payload["roomId"] == room && message["roomId"] == room;
        ensure!(named, "'{content}' names another room");
        let named = payload["actorId"] == sender.id && message["senderId"] == sender.id;
        ensure!(named, "'{content}' names another sender");
        ensure!(message["seq"] == payload["seq"], "'{content}' has two numbers");
        let complete = payload["eventId"].is_string()
            && payload["occurredAt"].as_str().is_some_and(|at| at.ends_with('Z'));
        ensure!(complete, "'{content}' has no complete envelope");
        Ok(())
    }

    fn socket(&self) -> Result<&Client> {
        self.socket.as_ref().with_context(|| format!("{} is not connected", self.name))
    }
}

/// The text in an answer.
pub(crate) fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}

/// The first argument of an event; ours have one.
fn first(payload: Payload) -> Value {
    match payload {
        Payload::Text(mut arguments) if !arguments.is_empty() => arguments.swap_remove(0),
        _ => Value::Null,
    }
}

fn unguessable() -> String {
    Uuid::new_v4().simple().to_string()
}
