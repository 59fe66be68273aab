//! How the transport of a session ends: the network connection of a WebSocket, or the session of a
//! client that polls. Sockets end with it; it does not end with them by itself, see `line.rs`.
use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use axum::{
    body::Body,
    http::{Method, Request},
};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use socketioxide::socket::Sid;
use tower::{Service, ServiceExt as _};

use crate::{line::Line, origin::PATH};

/// The packet by which a client closes its session.
const CLOSE: &str = "1";

/// Closes a session as its client would, if it polls.
type Close = Box<dyn Fn(Sid) -> BoxFuture<'static, ()> + Send + Sync>;

/// The transports of this process.
#[derive(Clone)]
pub(crate) struct Transports(Arc<Shared>);

struct Shared {
    close: Close,
    /// The lines of sessions that began with polling and go on over a WebSocket. A line is there as
    /// long as it is open, so strangers cannot fill the table with sessions that they made up.
    upgraded: Mutex<HashMap<Sid, Vec<Line>>>,
}

/// The transport of one session. Travels with the request that opened it, which lives as long.
#[derive(Clone)]
pub(crate) struct Transport {
    /// If it began as a WebSocket.
    line: Arc<OnceLock<Line>>,
    all: Transports,
}

impl Transports {
    /// Of the sessions that this service serves.
    pub(crate) fn of<S>(service: S) -> Self
    where
        S: Service<Request<Body>> + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        let close = move |sid| -> BoxFuture<'static, ()> {
            let service = service.clone();
            Box::pin(async move {
                if let Ok(request) = closing(sid) {
                    // Refused where it is a WebSocket, or gone.
                    let _ = service.oneshot(request).await;
                }
            })
        };
        Self(Arc::new(Shared { close: Box::new(close), upgraded: Mutex::default() }))
    }

    /// Of a session that is about to begin.
    pub(crate) fn begin(&self) -> Transport {
        Transport { line: Arc::default(), all: self.clone() }
    }

    /// The session goes on as the WebSocket on this line, or says that it does.
    pub(crate) fn upgraded(&self, sid: Sid, line: Line) {
        let (all, own) = (self.clone(), line.clone());
        line.when_closed(move || all.forget(sid, &own));
        self.0.upgraded.lock().entry(sid).or_default().push(line);
    }

    fn forget(&self, sid: Sid, line: &Line) {
        let mut upgraded = self.0.upgraded.lock();
        if let Some(lines) = upgraded.get_mut(&sid) {
            lines.retain(|other| !other.is(line));
            if lines.is_empty() {
                upgraded.remove(&sid);
            }
        }
    }
}

impl Transport {
    /// The session began as the WebSocket on this line. No other client uses it: proxies share
    /// connections between requests, but not those that were upgraded.
    pub(crate) fn began_on(&self, line: Line) {
        // A request is answered once.
        let _ = self.line.set(line);
    }

    /// Ends it, by whichever way the session goes by now.
    pub(crate) async fn end(&self, sid: Sid) {
        if let Some(line) = self.line.get() {
            return line.hang_up();
        }
        // First the one, then the other: a session that is upgraded meanwhile is either closed, or
        // its line is known.
        (self.all.0.close)(sid).await;
        let lines = self.all.0.upgraded.lock().get(&sid).cloned().unwrap_or_default();
        lines.iter().for_each(Line::hang_up);
    }
}

fn closing(sid: Sid) -> Result<Request<Body>, axum::http::Error> {
    let uri = format!("{PATH}/?EIO=4&transport=polling&sid={sid}");
    Request::builder().method(Method::POST).uri(uri).body(Body::from(CLOSE))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, task::Context, task::Waker};

    use axum::http::Response;
    use tower::service_fn;

    use super::*;

    fn transports() -> Transports {
        Transports::of(service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }))
    }

    fn is_hung_up(line: &Line) -> bool {
        line.may_read(&Context::from_waker(Waker::noop())).is_err()
    }

    #[tokio::test]
    async fn a_session_ends_on_every_line_that_it_goes_on_and_on_no_other() {
        let all = transports();
        let (one, other, foreign) = (Line::default(), Line::default(), Line::default());
        let sid = Sid::new();
        all.upgraded(sid, one.clone());
        all.upgraded(sid, other.clone());
        all.upgraded(Sid::new(), foreign.clone());
        all.begin().end(sid).await;
        assert!(is_hung_up(&one) && is_hung_up(&other) && !is_hung_up(&foreign));

        let transport = all.begin();
        transport.began_on(foreign.clone());
        transport.end(sid).await;
        assert!(is_hung_up(&foreign));
    }

    #[test]
    fn a_line_that_is_closed_is_forgotten() {
        let all = transports();
        let (one, other) = (Line::default(), Line::default());
        let sid = Sid::new();
        all.upgraded(sid, one.clone());
        all.upgraded(sid, other.clone());
        one.closed();
        assert_eq!(all.0.upgraded.lock()[&sid].len(), 1);
        other.closed();
        assert!(all.0.upgraded.lock().is_empty());
    }
}
