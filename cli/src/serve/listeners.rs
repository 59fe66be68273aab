//! Listening sockets and what is served on them.
use std::{convert::Infallible, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Error};
use axum::{
    Router, ServiceExt as _,
    extract::Request,
    response::Response,
    serve::{ListenerExt as _, TapIo},
};
use platform::Shutdown;
use realtime::Realtime;
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, Service};

/// A bound socket that nobody answers yet.
pub(super) struct Listener {
    socket: TapIo<TcpListener, fn(&mut TcpStream)>,
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
        Ok(Self { socket: socket.tap_io(prepare), address })
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

    /// Serves Socket.IO in front of routes.
    pub(super) fn serve_sockets(
        self,
        realtime: &Realtime,
        routes: Router,
        shutdown: &Shutdown,
    ) -> SocketAddr {
        self.run(realtime.layer().layer(routes), "public-listener", shutdown)
    }

    fn run<S>(self, service: S, name: &'static str, shutdown: &Shutdown) -> SocketAddr
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let token = shutdown.token();
        let serving = axum::serve(self.socket, service.into_make_service())
            .with_graceful_shutdown(token.cancelled_owned());
        shutdown.spawn(name, async move {
            // axum goes on after failed accepts by itself: it ends with the shutdown only.
            if let Err(error) = serving.await {
                tracing::error!(%error, "a listener failed");
            }
        });
        self.address
    }
}

/// How long sent bytes may wait for a client that does not take them. Socket.IO gives up on a silent
/// client after as long, but cannot while its writer waits for room in the socket.
#[cfg(target_os = "linux")]
const UNREAD_LIMIT: Duration = Duration::from_secs(45);

/// Small packets go out at once: a chat's latency is worth more than a few headers. A client that
/// never reads is dropped by the kernel.
fn prepare(connection: &mut TcpStream) {
    if let Err(error) = connection.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not set");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) =
        socket2::SockRef::from(&*connection).set_tcp_user_timeout(Some(UNREAD_LIMIT))
    {
        tracing::debug!(%error, "TCP_USER_TIMEOUT is not set");
    }
}
