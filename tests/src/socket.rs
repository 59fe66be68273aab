//! A small Socket.IO client (Engine.IO 4 over WebSocket, Socket.IO protocol 5), for tests that
//! need to see every packet. The official clients are run by `make clients`.
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{SinkExt as _, StreamExt as _, stream::SplitSink, stream::SplitStream};
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

use crate::LIMIT;

type Stream = WebSocketStream<TcpStream>;

/// One event from the server.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Its name.
    pub event: String,
    /// Its first argument.
    pub payload: Value,
}

#[derive(Default)]
struct State {
    heard: Vec<Heard>,
    acks: HashMap<u64, Value>,
    closed: Option<String>,
    /// The network connection is gone.
    ended: bool,
}

type Shared = Arc<(Mutex<State>, watch::Sender<()>)>;

/// A WebSocket that has seen the Engine.IO handshake, and nothing else.
pub struct Wire {
    stream: Stream,
    /// Its own end of the connection.
    pub own: SocketAddr,
    /// What the server said about itself: `sid`, `pingInterval`, …
    pub handshake: Value,
}

impl Wire {
    /// Opens the WebSocket, perhaps as a page from `origin` would.
    ///
    /// # Errors
    /// When the server refuses the upgrade.
    ///
    /// # Panics
    /// When it does not speak Engine.IO.
    pub async fn open(address: &str, origin: Option<&str>) -> Result<Self, Box<Error>> {
        Self::open_through(address, origin, None).await
    }

    /// As [`Wire::open`], with a receive buffer of this size.
    async fn open_through(
        address: &str,
        origin: Option<&str>,
        receive_buffer: Option<u32>,
    ) -> Result<Self, Box<Error>> {
        let mut wire = Self::connect(address, "", origin, receive_buffer).await?;
        let open = wire.next().await.expect("the server opens");
        let open = open.strip_prefix('0').unwrap_or_else(|| panic!("not an open packet: {open}"));
        wire.handshake = serde_json::from_str(open).unwrap();
        Ok(wire)
    }

    /// Goes on with a session that polled until now.
    ///
    /// # Panics
    /// When the server does not take it over.
    pub async fn upgrade(address: &str, sid: &str) -> Self {
        let wire = Self::begin_upgrade(address, sid).await;
        let mut wire = wire.expect("the upgrade is accepted");
        wire.send("2probe").await.unwrap();
        assert_eq!(wire.next().await.as_deref(), Some("3probe"));
        wire.send("5").await.unwrap();
        wire
    }

    /// Opens the WebSocket to which a session that polls may move. Nothing is said yet.
    ///
    /// # Errors
    /// When the server refuses the upgrade.
    pub async fn begin_upgrade(address: &str, sid: &str) -> Result<Self, Box<Error>> {
        Self::connect(address, &format!("&sid={sid}"), None, None).await
    }

    /// Upgrades a session that was never there.
    ///
    /// # Panics
    /// When the server does not even answer.
    pub async fn open_unknown(address: &str) -> Self {
        let wire = Self::connect(address, "&sid=AAAAAAAAAAAAAAAA", None, None).await;
        wire.expect("the upgrade is accepted")
    }

    async fn connect(
        address: &str,
        more: &str,
        origin: Option<&str>,
        receive_buffer: Option<u32>,
    ) -> Result<Self, Box<Error>> {
        let address_of_sockets = address.replacen("http", "ws", 1);
        let url = format!("{address_of_sockets}/socket.io/?EIO=4&transport=websocket{more}");
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", HeaderValue::from_str(origin).unwrap());
        }
        let peer: SocketAddr = address.strip_prefix("http://").unwrap().parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        if let Some(size) = receive_buffer {
            socket.set_recv_buffer_size(size).unwrap();
        }
        let connection = socket.connect(peer).await.map_err(Error::Io)?;
        connection.set_nodelay(true).unwrap();
        let own = connection.local_addr().unwrap();
        let (stream, _) = client_async(request, connection).await?;
        Ok(Self { stream, own, handshake: Value::Null })
    }

    /// Sends one packet as it is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, packet: &str) -> Result<(), Box<Error>> {
        Ok(self.stream.send(Message::text(packet)).await?)
    }

    /// Sends one binary attachment.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send_binary(&mut self, attachment: &[u8]) -> Result<(), Box<Error>> {
        Ok(self.stream.send(Message::binary(attachment.to_vec())).await?)
    }

    /// The next text packet; `None` once the connection is gone.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            match timeout(LIMIT, self.stream.next()).await.expect("a packet in time")? {
                Ok(Message::Text(text)) => return Some(text.to_string()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next packet that is no ping; pings are answered.
    ///
    /// # Panics
    /// When nothing comes in time.
    pub async fn next_but_pings(&mut self) -> Option<String> {
        loop {
            let packet = self.next().await?;
            if packet != "2" {
                return Some(packet);
            }
            self.send("3").await.ok()?;
        }
    }

    /// Waits until the server has ended the connection itself. Pings are answered until then.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ends(&mut self) {
        let ended = timeout(LIMIT, async {
            while let Some(Ok(message)) = self.stream.next().await {
                if message == Message::text("2") && self.send("3").await.is_err() {
                    break;
                }
            }
        });
        ended.await.expect("the connection ends in time");
    }
}

/// A connection to the namespace `/` that reads and remembers everything.
pub struct Socket {
    sink: Arc<tokio::sync::Mutex<SplitSink<Stream, Message>>>,
    shared: Shared,
    next_ack: AtomicU64,
    reader: JoinHandle<()>,
    /// Its own end of the connection.
    pub own: SocketAddr,
    /// Whether the reader reads: a client that does not is a slow one.
    reading: watch::Sender<bool>,
}

impl Socket {
    /// Connects with this `auth` payload.
    ///
    /// # Errors
    /// The payload of `CONNECT_ERROR`.
    ///
    /// # Panics
    /// When there is neither a connection nor a refusal.
    pub async fn connect(address: &str, auth: &Value) -> Result<Self, Value> {
        let wire = Wire::open(address, None).await.expect("the upgrade is accepted");
        Self::join(wire, auth).await
    }

    /// As [`Socket::connect`], over a connection that takes little at a time.
    ///
    /// # Errors
    /// The payload of `CONNECT_ERROR`.
    ///
    /// # Panics
    /// When there is neither a connection nor a refusal.
    pub async fn connect_narrow(address: &str, auth: &Value) -> Result<Self, Value> {
        let wire = Wire::open_through(address, None, Some(4096)).await;
        Self::join(wire.expect("the upgrade is accepted"), auth).await
    }

    async fn join(mut wire: Wire, auth: &Value) -> Result<Self, Value> {
        wire.send(&format!("40{auth}")).await.expect("the server listens");
        let mut early = Vec::new();
        loop {
            let packet = wire.next_but_pings().await.expect("an answer to CONNECT");
            if packet.starts_with("40") {
                break;
            }
            if let Some(error) = packet.strip_prefix("44") {
                return Err(serde_json::from_str(error).unwrap());
            }
            early.push(packet);
        }
        assert!(early.is_empty(), "packets before CONNECT was answered: {early:?}");
        let own = wire.own;
        let (sink, stream) = wire.stream.split();
        let sink = Arc::new(tokio::sync::Mutex::new(sink));
        let shared: Shared = Arc::new((Mutex::default(), watch::channel(()).0));
        let reading = watch::channel(true).0;
        let reader =
            tokio::spawn(read(stream, sink.clone(), Arc::clone(&shared), reading.subscribe()));
        Ok(Self { sink, shared, next_ack: AtomicU64::new(0), reader, own, reading })
    }

    /// Emits with an acknowledgement and waits for it.
    ///
    /// # Panics
    /// When it does not come in time or the connection is gone.
    pub async fn emit(&self, event: &str, payload: Value) -> Value {
        let id = self.emit_later(event, payload).await;
        self.ack(id).await
    }

    /// Emits with an acknowledgement; `None` if the connection ends before it comes.
    ///
    /// # Panics
    /// When neither happens in time.
    pub async fn try_emit(&self, event: &str, payload: Value) -> Option<Value> {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        self.try_packet(&format!("42{id}{}", json!([event, payload]))).await.ok()?;
        self.until(&format!("ack {id} or the end"), |state| match state.acks.remove(&id) {
            Some(ack) => Some(Some(ack)),
            None => state.closed.is_some().then_some(None),
        })
        .await
    }

    /// Emits with an acknowledgement that [`Socket::ack`] waits for.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn emit_later(&self, event: &str, payload: Value) -> u64 {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        self.packet(&format!("42{id}{}", json!([event, payload]))).await;
        id
    }

    /// Emits without an acknowledgement.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn send(&self, event: &str, payload: Value) {
        self.packet(&format!("42{}", json!([event, payload]))).await;
    }

    /// Sends one packet as it is.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn packet(&self, packet: &str) {
        self.try_packet(packet).await.expect("the connection is there");
    }

    /// Sends one packet over a connection that may be gone.
    ///
    /// # Errors
    /// When it is.
    pub async fn try_packet(&self, packet: &str) -> Result<(), Box<Error>> {
        Ok(self.sink.lock().await.send(Message::text(packet)).await?)
    }

    /// Waits for one acknowledgement.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn ack(&self, id: u64) -> Value {
        self.until(&format!("ack {id}"), |state| state.acks.remove(&id)).await
    }

    /// Everything heard so far, in order.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.state(|state| state.heard.clone())
    }

    /// The payloads of one event so far, in order.
    #[must_use]
    pub fn heard_of(&self, event: &str) -> Vec<Value> {
        let heard = self.heard().into_iter();
        heard.filter(|h| h.event == event).map(|h| h.payload).collect()
    }

    /// Waits until this event was heard, and returns its first payload.
    ///
    /// # Panics
    /// When it is not heard in time.
    pub async fn hears(&self, event: &str) -> Value {
        self.hears_that(event, |_| true).await
    }

    /// Waits until this event was heard with a payload that fits, and returns the first such.
    ///
    /// # Panics
    /// When it is not heard in time.
    pub async fn hears_that(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.until(event, |state| {
            let mut heard = state.heard.iter().filter(|h| h.event == event);
            heard.find(|h| fits(&h.payload)).map(|h| h.payload.clone())
        })
        .await
    }

    /// Waits until `count` of this event were heard, and returns all of them.
    ///
    /// # Panics
    /// When they are not heard in time.
    pub async fn hears_times(&self, event: &str, count: usize) -> Vec<Value> {
        self.until(&format!("{count} times {event}"), |state| {
            let heard = || state.heard.iter().filter(|h| h.event == event);
            // Counted before they are copied: thousands of them would be, thousands of times.
            (heard().count() >= count).then(|| heard().map(|h| h.payload.clone()).collect())
        })
        .await
    }

    /// Waits until the server has ended the socket, and returns how. The connection may stay a moment
    /// longer, see [`Socket::ended`].
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn closed(&self) -> String {
        self.until("the end of the connection", |state| state.closed.clone()).await
    }

    /// Waits until the server has ended the connection itself. Pings are answered until then.
    ///
    /// # Panics
    /// When it does not in time.
    pub async fn ended(&self) {
        self.until("the end of the network connection", |state| state.ended.then_some(())).await;
    }

    /// Whether the socket has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state(|state| state.closed.is_some())
    }

    /// Stops (`false`) or goes on (`true`) taking packets from the network.
    pub fn set_reading(&self, reading: bool) {
        self.reading.send_replace(reading);
    }

    /// Leaves without a word, like a client whose network is gone.
    pub fn vanish(self) {
        drop(self);
    }

    /// Says goodbye and leaves.
    pub async fn disconnect(self) {
        let _ = self.try_packet("41").await;
        let _ = self.sink.lock().await.close().await;
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.shared.0.lock().unwrap())
    }

    async fn until<T>(&self, what: &str, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut changes = self.shared.1.subscribe();
        let found = timeout(LIMIT, async {
            loop {
                if let Some(found) = self.state(&mut look) {
                    return found;
                }
                changes.changed().await.expect("the sender is in self");
            }
        });
        let Ok(found) = found.await else {
            let (heard, closed) = self.state(|state| (state.heard.clone(), state.closed.clone()));
            let last: Vec<_> = heard.iter().rev().take(8).collect();
            panic!("waited in vain for {what}; closed: {closed:?}, last heard: {last:#?}")
        };
        found
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(
    mut stream: SplitStream<Stream>,
    sink: Arc<tokio::sync::Mutex<SplitSink<Stream, Message>>>,
    shared: Shared,
    mut reading: watch::Receiver<bool>,
) {
    let how = loop {
        if reading.wait_for(|on| *on).await.is_err() {
            return;
        }
        let text = match stream.next().await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            Some(Ok(Message::Close(frame))) => {
                close(&shared, format!("closed: {frame:?}"));
                continue;
            }
            Some(Ok(_)) => continue,
            Some(Err(error)) => break error.to_string(),
            None => break "ended".to_owned(),
        };
        if text == "2" {
            let _ = sink.lock().await.send(Message::text("3")).await;
            continue;
        }
        // "41": the server leaves the namespace; the WebSocket may stay a moment longer.
        if text == "41" || text == "1" {
            close(&shared, format!("disconnected by packet {text}"));
            continue;
        }
        let mut state = shared.0.lock().unwrap();
        if let Some(rest) = text.strip_prefix("43") {
            let (id, arguments) = split_id(rest);
            state.acks.insert(id.expect("an ack has a number"), first(&arguments, 0));
        } else if let Some(rest) = text.strip_prefix("42") {
            let (_, arguments) = split_id(rest);
            let event = arguments[0].as_str().expect("an event has a name").to_owned();
            state.heard.push(Heard { event, payload: first(&arguments, 1) });
        } else {
            panic!("unexpected packet: {text}");
        }
        drop(state);
        shared.1.send_replace(());
    };
    shared.0.lock().unwrap().ended = true;
    close(&shared, how);
}

/// The first word about the end is the one that counts.
fn close(shared: &Shared, how: String) {
    shared.0.lock().unwrap().closed.get_or_insert(how);
    shared.1.send_replace(());
}

/// `12["a"]` is number 12 and the list.
fn split_id(packet: &str) -> (Option<u64>, Value) {
    let start = packet.find('[').expect("a packet has arguments");
    let arguments = serde_json::from_str(&packet[start..]).expect("arguments are JSON");
    (packet[..start].parse().ok(), arguments)
}

fn first(arguments: &Value, index: usize) -> Value {
    arguments.get(index).cloned().unwrap_or(Value::Null)
}
