//! A way to a server that can be cut off and mended, as networks are.
use std::{
    future::pending,
    net::{Ipv4Addr, SocketAddr},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// How a network fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Connections break, and there are no new ones: both ends know.
    Refused,
    /// Nothing comes through any more, and nobody is told. New connections stand, and are as silent.
    Silent,
}

type State = watch::Receiver<Option<Cut>>;

/// Nobody else listens at this address of the machine, so a port that was given back is not taken.
const HERE: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// Stands between a node and one of its servers.
pub struct Partition {
    /// The server's URL, through here.
    pub url: String,
    cut: watch::Sender<Option<Cut>>,
}

impl Partition {
    /// A way to the server of this URL, which is whole.
    ///
    /// # Panics
    /// When the URL has no host and port.
    pub async fn before(server: &str) -> Self {
        let mut url: Url = server.parse().expect("the URL of a server");
        let to = url.socket_addrs(|| None).expect("a host and a port")[0];
        let listener = TcpListener::bind((HERE, 0)).await.unwrap();
        let own = listener.local_addr().unwrap();
        url.set_ip_host(own.ip()).expect("a URL with a host");
        url.set_port(Some(own.port())).expect("a URL with a port");
        let (cut, state) = watch::channel(None);
        tokio::spawn(listen(listener, own, to, state));
        Self { url: url.to_string(), cut }
    }

    /// Nothing comes through from now on.
    pub fn cut(&self, how: Cut) {
        self.cut.send_replace(Some(how));
    }

    /// Everything comes through again, also what waited on connections that nobody gave up.
    pub fn mend(&self) {
        self.cut.send_replace(None);
    }
}

async fn listen(first: TcpListener, own: SocketAddr, to: SocketAddr, mut state: State) {
    let mut listener = Some(first);
    loop {
        if *state.borrow_and_update() == Some(Cut::Refused) {
            listener = None;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(own).await.expect("nobody else is here"));
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => pending().await,
            }
        };
        tokio::select! {
            accepted = accepted => if let Ok((client, _)) = accepted {
                tokio::spawn(connect(client, to, state.clone()));
            },
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}

async fn connect(client: TcpStream, to: SocketAddr, state: State) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut refused = state.clone();
    // Whichever ends first breaks off both directions.
    tokio::select! {
        () = pass(&mut from_client, &mut to_server, state.clone()) => {}
        () = pass(&mut from_server, &mut to_client, state) => {}
        _ = refused.wait_for(|cut| *cut == Some(Cut::Refused)) => {}
    }
}

async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut state: State,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // While it is silent nothing more is taken either: who goes on sending fills the buffers on the way.
        if state.wait_for(|cut| *cut != Some(Cut::Silent)).await.is_err()
            || to.write_all(&buffer[..count]).await.is_err()
        {
            return;
        }
    }
}
