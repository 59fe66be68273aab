//! Listening sockets and what is served on them.
mod counted;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Error};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    http,
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use platform::Shutdown;
use realtime::Realtime;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::{Layer as _, Service, ServiceExt as _, util::MapResponseLayer};

use counted::Counted;

/// What clients may take of a listener.
#[derive(Clone, Copy)]
struct Limits {
    /// Open at a time; more wait in the kernel's queue.
    connections: usize,
    /// For the headers of a request: from the connection, or from the answer before.
    headers: Duration,
}

/// More connections than a node should carry, few enough for its memory. Longer than load balancers
/// keep a connection that nobody uses; whoever sends no headers for as long connects again.
const LIMITS: Limits = Limits { connections: 20_000, headers: Duration::from_secs(75) };
/// Most headers of a request, and most bytes of its head, which is kept in memory until it is whole.
const MOST_HEADERS: usize = 100;
const MOST_HEAD_BYTES: usize = 32 * 1024;

/// A bound socket that nobody answers yet.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address; port 0 takes a free one.
    ///
    /// # Errors
    /// When it is in use, or not ours. `setting` says what to change.
    pub(super) async fn bind(setting: &str, address: SocketAddr) -> Result<Self, Error> {
        let refused = || format!("{setting}: cannot listen on {address}");
        let socket = TcpListener::bind(address).await.with_context(refused)?;
        let address = socket.local_addr().with_context(refused)?;
        Ok(Self { socket, address })
    }

    /// Serves routes until `shutdown`, then finishes the requests that run.
    pub(super) fn serve(
        self,
        routes: Router,
        name: &'static str,
        shutdown: &Shutdown,
    ) -> SocketAddr {
        self.run(routes, name, shutdown)
    }

    /// Serves Socket.IO in front of routes. Its answers carry the same security headers.
    pub(super) fn serve_sockets(
        self,
        realtime: &Realtime,
        routes: Router,
        shutdown: &Shutdown,
    ) -> SocketAddr {
        let sockets = realtime.layer().layer(routes);
        let secured = MapResponseLayer::new(api::secured).layer(sockets);
        self.run(secured, "public-listener", shutdown)
    }

    fn run<S>(self, service: S, name: &'static str, shutdown: &Shutdown) -> SocketAddr
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let serving = serve(self.socket, service, LIMITS, shutdown.token());
        shutdown.spawn(name, serving);
        self.address
    }
}

/// HTTP/1 with upgrades on every connection, until `shutdown`; then what runs is finished. Does what
/// `axum::serve` does, and sets limits, which that does not.
async fn serve<S>(mut socket: TcpListener, service: S, limits: Limits, shutdown: CancellationToken)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let service = service.map_request(|request: http::Request<Incoming>| request.map(Body::new));
    // Not hyper-util's builder: to tell HTTP/2, it waits without a limit for the first bytes.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers);
    http.max_headers(MOST_HEADERS).max_buf_size(MOST_HEAD_BYTES);
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = TaskTracker::new();
    while let Some((connection, peer)) =
        shutdown.run_until_cancelled(next(&mut socket, &places)).await.flatten()
    {
        let line = connection.line();
        let service = service.clone().map_request(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(line.clone());
            request
        });
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection(TokioIo::new(connection), service).with_upgrades();
        let shutdown = shutdown.clone();
        open.spawn(async move {
            let mut connection = pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = shutdown.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a connection failed");
            }
        });
    }
    drop(socket);
    open.close();
    open.wait().await;
}

/// The next connection and who is at its other end, once there is a place for it.
async fn next(socket: &mut TcpListener, places: &Arc<Semaphore>) -> Option<(Counted, SocketAddr)> {
    let place = places.clone().acquire_owned().await.ok()?; // never closed
    // axum's: goes on after failures, with a pause when there are no file descriptors left.
    let (connection, peer) = axum::serve::Listener::accept(socket).await;
    prepare(&connection);
    Some((Counted::new(connection, place), peer))
}

/// How long sent bytes may wait for a client that does not take them. Socket.IO gives up on a silent
/// client after as long, but cannot while its writer waits for room in the socket.
#[cfg(target_os = "linux")]
const UNREAD_LIMIT: Duration = Duration::from_secs(45);

/// Small packets go out at once: a chat's latency is worth more than a few headers. A client that
/// never reads is dropped by the kernel.
fn prepare(connection: &TcpStream) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not set");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(connection).set_tcp_user_timeout(Some(UNREAD_LIMIT))
    {
        tracing::debug!(%error, "TCP_USER_TIMEOUT is not set");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        task::JoinHandle,
        time::{sleep, timeout},
    };

    use super::*;

    const LONG: Duration = Duration::from_secs(20);
    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    struct Served {
        address: SocketAddr,
        shutdown: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Served {
        async fn with(connections: usize, headers: Duration) -> Self {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            let slow = get(async || {
                sleep(Duration::from_millis(300)).await;
                "slow"
            });
            let routes = Router::new().route("/", get(async || "here")).route("/slow", slow);
            let shutdown = CancellationToken::new();
            let limits = Limits { connections, headers };
            let task = tokio::spawn(serve(socket, routes, limits, shutdown.clone()));
            Self { address, shutdown, task }
        }

        async fn send(&self, bytes: &[u8]) -> TcpStream {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            connection.write_all(bytes).await.unwrap();
            connection
        }

        async fn end(self) {
            self.shutdown.cancel();
            timeout(LONG, self.task).await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn small_packets_go_out_at_once() {
        let mut socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(socket.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = next(&mut socket, &Arc::new(Semaphore::new(1))).await.unwrap();
        // With Nagle's algorithm the second of two small packets waits for the first one's receipt,
        // which the other side may delay by 40 ms.
        assert!(accepted.nodelay());
    }

    async fn hears(connection: &mut TcpStream, text: &str) {
        let mut heard = [0; 1024];
        let length = timeout(LONG, connection.read(&mut heard)).await.unwrap().unwrap();
        let heard = String::from_utf8_lossy(&heard[..length]);
        assert!(heard.ends_with(text), "{heard}");
    }

    async fn is_closed(connection: &mut TcpStream) {
        let mut rest = Vec::new();
        timeout(LONG, connection.read_to_end(&mut rest)).await.unwrap().unwrap();
        assert!(rest.is_empty());
    }

    #[tokio::test]
    async fn whoever_does_not_finish_the_headers_is_dropped() {
        let served = Served::with(10, Duration::from_millis(200)).await;
        for begun in [&b""[..], b"GET / HTTP/1.1\r\nhost:", b"P"] {
            is_closed(&mut served.send(begun).await).await;
        }
        served.end().await;
    }

    #[tokio::test]
    async fn an_answer_may_take_longer_than_headers_may() {
        let served = Served::with(10, Duration::from_millis(100)).await;
        let mut connection = served.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        hears(&mut connection, "slow").await;
        served.end().await;
    }

    #[tokio::test]
    async fn one_too_many_waits_for_a_place() {
        let served = Served::with(1, LONG * 2).await;
        let mut first = served.send(REQUEST).await;
        hears(&mut first, "here").await;
        let mut second = served.send(REQUEST).await;
        let early = timeout(Duration::from_millis(200), second.readable()).await;
        assert!(early.is_err(), "answered beyond the limit");
        drop(first);
        hears(&mut second, "here").await;
        served.end().await;
    }

    #[tokio::test]
    async fn the_end_waits_for_answers_but_not_for_idle_connections() {
        let served = Served::with(10, LONG * 2).await;
        let mut idle = served.send(REQUEST).await;
        hears(&mut idle, "here").await;
        let mut busy = served.send(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sleep(Duration::from_millis(100)).await;
        let mut silent = served.send(b"").await;
        served.end().await;
        is_closed(&mut idle).await;
        is_closed(&mut silent).await;
        hears(&mut busy, "slow").await;
    }
}
