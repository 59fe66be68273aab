//! Putting it together, and taking it down without losing anyone.
use std::{sync::Arc, time::Duration};

use commands::{Commands, Limits};
use domain::LogPosition;
use nats::{Feed, Nats};
use platform::{Clock, Config, Shutdown, ids::random_bytes};
use projections::ReadModels;
use serde_json::json;
use socketioxide::{
    ParserConfig, SocketIo,
    extract::{SocketRef, TryData},
    handler::ConnectHandler,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    broadcaster,
    departures::{self, Departures},
    expiry,
    history::History,
    node::{Absence, Node, NodeParts},
    nodes::Nodes,
    origin::{Origins, PATH, RealtimeLayer},
    presence::{self, Presence},
    stats, status,
    strangers::Strangers,
    typing, worker,
};

/// How long clients get to hear why they have to go, before their transport is closed.
pub(crate) const FAREWELL: Duration = Duration::from_millis(500);
/// How long running commands get to end.
const LAST_COMMANDS: Duration = Duration::from_secs(3);
/// What each socket keeps ready for receiving, bytes: more than most packets have. Longer ones are
/// received in parts.
const READ_BUFFER: usize = 1024;

/// What the Socket.IO side needs.
pub struct Parts {
    /// What people can do.
    pub commands: Commands,
    /// How often they may.
    pub limits: Limits,
    /// Sessions, names, numbers of rooms.
    pub read_models: ReadModels,
    /// Every recorded event.
    pub feed: Feed,
    /// For what is never recorded.
    pub nats: Nats,
    /// The past of rooms.
    pub history: History,
    /// The other processes with sockets.
    pub nodes: Nodes,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Why the Socket.IO side cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The Redis URL is malformed.
    #[error("redis.url cannot be used")]
    Redis(#[from] redis::RedisError),
}

/// The Socket.IO side of this process.
#[derive(Clone)]
pub struct Realtime {
    layer: RealtimeLayer,
    node: Arc<Node>,
}

impl Realtime {
    /// Starts the tasks and answers what serves the sockets. Everything ends with `shutdown`.
    ///
    /// # Errors
    /// [`SetupError`] if the configuration cannot be used.
    pub fn start(parts: Parts, config: &Config, shutdown: &Shutdown) -> Result<Self, SetupError> {
        let settings = config.realtime.clone();
        let debounce = Duration::from_millis(settings.presence_debounce_ms);
        let (departures, queue) = Departures::new(debounce);
        let feed = parts.feed;
        let node = Node::new(NodeParts {
            commands: parts.commands.clone(),
            limits: parts.limits.clone(),
            read_models: parts.read_models,
            nats: parts.nats,
            history: parts.history,
            nodes: parts.nodes,
            clock: parts.clock,
            settings,
            presence: Presence::new(config)?,
            departures,
        });
        let (socket_io, io) = sockets(&node, config);
        // Before the first socket: what is recorded from here on is heard.
        let head = feed.head();
        let stop = shutdown.token();
        let last = CancellationToken::new();
        shutdown
            .spawn("broadcaster", broadcaster::run(Arc::clone(&node), feed, head, stop.clone()));
        // Before the first socket as well: who removes somebody elsewhere waits for this process.
        node.nodes.has_sockets(node.told());
        shutdown.spawn("typing", typing::run(Arc::clone(&node), stop.clone()));
        shutdown.spawn("presence-updates", status::run(Arc::clone(&node), stop.clone()));
        shutdown.spawn("presence-shown", status::show(Arc::clone(&node), stop.clone()));
        shutdown.spawn("presence", presence::run(Arc::clone(&node), stop.clone()));
        shutdown.spawn("stats", stats::run(Arc::clone(&node), stop.clone()));
        shutdown.spawn("token-expiry", expiry::run(Arc::clone(&node), stop.clone()));
        let departing = departures::run(parts.commands, queue, stop.clone(), last.clone());
        shutdown.spawn("departures", departing);
        shutdown.spawn("sockets", drain(Arc::clone(&node), io, stop, last));

        let origins = Origins::new(&config.server.allowed_origins, &config.server.public_origin);
        let strangers = Strangers::new(&config.limits);
        let post_within = Duration::from_millis(config.server.request_timeout_ms);
        let layer = RealtimeLayer { socket_io, origins, strangers, post_within };
        Ok(Self { layer, node })
    }

    /// Serves Socket.IO at `/socket.io/`. Wrap the whole application once, from the outside:
    /// `realtime.layer().layer(router)`; each further use would be a server of its own.
    #[must_use]
    pub fn layer(&self) -> RealtimeLayer {
        self.layer.clone()
    }

    /// The sockets of this process now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.node.connections.len()
    }
}

/// Socket.IO with every limit set: the defaults let strangers send 16 MiB before they say who
/// they are.
fn sockets(node: &Arc<Node>, config: &Config) -> (socketioxide::layer::SocketIoLayer, SocketIo) {
    let settings = &config.realtime;
    let largest = settings.max_payload_bytes;
    let parser = ParserConfig::common()
        .max_incoming_binaries(settings.max_binaries)
        .max_incoming_binary_buf_size(largest);
    let (layer, io) = SocketIo::builder()
        .req_path(PATH)
        .ping_interval(Duration::from_millis(settings.ping_interval_ms))
        .ping_timeout(Duration::from_millis(settings.ping_timeout_ms))
        .connect_timeout(Duration::from_millis(settings.connect_timeout_ms))
        .max_buffer_size(settings.send_buffer)
        .max_payload(u64::try_from(largest).unwrap_or(u64::MAX))
        .ws_max_message_size(largest)
        .ws_max_frame_size(largest)
        .ws_read_buffer_size(READ_BUFFER)
        .with_parser(parser)
        .build_layer();
    let letting_in = Arc::clone(node);
    // Runs after CONNECT went out: the worker may begin.
    let on_connect = async |socket: SocketRef| worker::begin(&socket);
    let let_in = move |socket: SocketRef, auth: TryData<serde_json::Value>| {
        let node = Arc::clone(&letting_in);
        async move { node.let_in(socket, auth).await }
    };
    io.ns("/", on_connect.with(let_in));
    (layer, io)
}

/// At the end: nobody is let in, and everyone hears when to come back. Who does is not seen to go and
/// come: for others they are in their rooms until the reaper misses them.
async fn drain(node: Arc<Node>, io: SocketIo, stop: CancellationToken, last: CancellationToken) {
    stop.cancelled().await;
    node.begin_draining();
    let connections = node.connections.all();
    for connection in &connections {
        connection.begin_moving();
        node.leave_all(connection, Absence::Moving);
        let within = u64::from_be_bytes(random_bytes()) % node.settings.reconnect_within_ms.max(1);
        connection.emit_last("server_draining", &json!({ "reconnectInMs": within }));
    }
    if !connections.is_empty() {
        sleep(FAREWELL).await;
    }
    node.workers.close();
    if timeout(LAST_COMMANDS, io.close()).await.is_err() {
        tracing::warn!("some sockets did not close in time");
    }
    // The library forgets the sockets before it could tell of their end.
    for connection in &connections {
        node.disconnected(connection);
    }
    // Nobody is left here to be told anything: who waits for this process need not any more.
    node.told_up_to(LogPosition(i64::MAX));
    node.nodes.has_no_sockets().await;
    if timeout(LAST_COMMANDS, node.workers.wait()).await.is_err() {
        tracing::warn!("some socket commands did not end in time");
    }
    last.cancel();
}
