//! The layer in front of Socket.IO: which pages may open sockets, and which connection each is on.
//!
//! Neither CORS nor Socket.IO stops a foreign page from opening a WebSocket (cross-site WebSocket
//! hijacking), so the `Origin` header is checked here, for polling and for the upgrade alike.
//! Clients that are not browsers send none and may connect.
use std::{
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use platform::ids::new_id;
use serde_json::json;
use socketioxide::{layer::SocketIoLayer, service::SocketIoService, socket::Sid};
use tokio::time::timeout;
use tower::{Layer, Service};

use crate::{
    codes,
    line::Line,
    strangers::Strangers,
    transport::{Transport, Transports},
};

/// Where Socket.IO listens.
pub(crate) const PATH: &str = "/socket.io";

/// Serves Socket.IO beside whatever it wraps. Wrap the whole application once:
/// `realtime.layer().layer(router)`.
#[derive(Clone)]
pub struct RealtimeLayer {
    pub(crate) socket_io: SocketIoLayer,
    pub(crate) origins: Origins,
    pub(crate) strangers: Strangers,
    /// How long a client may take for what it posts.
    pub(crate) post_within: Duration,
}

impl<S> Layer<S> for RealtimeLayer
where
    S: Clone,
    SocketIoService<S>: Service<Request<Body>, Future: Send> + Send + Sync + 'static,
{
    type Service = RealtimeService<SocketIoService<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = self.socket_io.layer(inner);
        RealtimeService {
            transports: Transports::of(inner.clone()),
            inner,
            origins: self.origins.clone(),
            strangers: self.strangers.clone(),
            post_within: self.post_within,
        }
    }
}

/// Checks the origin of Socket.IO requests before `S` sees them.
#[derive(Clone)]
pub struct RealtimeService<S> {
    inner: S,
    origins: Origins,
    strangers: Strangers,
    transports: Transports,
    post_within: Duration,
}

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

/// Whose WebSocket it is that a request asks for.
enum Asking {
    /// Of the session that it opens.
    Opening(Transport),
    /// Of one that polls until then.
    Upgrading(Sid),
}

impl<S, R> Service<Request<Body>> for RealtimeService<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !is_socket_io(request.uri().path()) {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Body::new)) });
        }
        let verdict = self.origins.judge(request.headers());
        let mut asking = named_session(&request).map(Asking::Upgrading);
        if verdict != Verdict::Refused && opens_a_connection(&request) {
            let stranger = self.strangers.enter(request.extensions(), request.headers());
            let Some(stranger) = stranger else {
                let refusal = self.origins.too_many(request.uri().path());
                return Box::pin(async move { Ok(refusal) });
            };
            let transport = self.transports.begin();
            request.extensions_mut().insert(stranger);
            request.extensions_mut().insert(transport.clone());
            asking = Some(Asking::Opening(transport));
        }
        match verdict {
            Verdict::Refused => {
                let refusal = self.origins.refusal(request.uri().path());
                Box::pin(async move { Ok(refusal) })
            }
            Verdict::Native => self.hand_on(request, asking),
            Verdict::Allowed(origin) if request.method() == Method::OPTIONS => {
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::NO_CONTENT;
                allow(answer.headers_mut(), origin);
                preflight(answer.headers_mut());
                Box::pin(async move { Ok(answer) })
            }
            Verdict::Allowed(origin) => {
                let answer = self.hand_on(request, asking);
                Box::pin(async move {
                    let mut answer = answer.await?;
                    allow(answer.headers_mut(), origin);
                    Ok(answer)
                })
            }
        }
    }
}

impl<S, R> RealtimeService<S>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: HttpBody<Data = axum::body::Bytes> + Send + 'static,
    R::Error: Into<axum::BoxError>,
{
    /// Lets the library answer.
    fn hand_on(&mut self, mut request: Request<Body>, asking: Option<Asking>) -> Answer<S::Error> {
        // Out of the request, which lives as long as the session.
        let line = request.extensions_mut().remove::<Line>();
        if request.method() == Method::POST {
            return self.receive(request);
        }
        let transports = self.transports.clone();
        let answer = self.inner.call(slim(request));
        Box::pin(async move {
            let answer = answer.await?.map(Body::new);
            // Only now is the line that of one client, and the library waits for this answer.
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS
                && let (Some(line), Some(asking)) = (line, asking)
            {
                match asking {
                    Asking::Opening(transport) => transport.began_on(line),
                    Asking::Upgrading(sid) => transports.upgraded(sid, line),
                }
            }
            Ok(answer)
        })
    }

    /// As [`Self::hand_on`], of what a client posts. The library reads on for as long as it comes.
    fn receive(&mut self, request: Request<Body>) -> Answer<S::Error> {
        let (within, origins) = (self.post_within, self.origins.clone());
        let path = request.uri().path().to_owned();
        let answer = self.inner.call(slim(request));
        Box::pin(async move {
            match timeout(within, answer).await {
                Ok(answer) => Ok(answer?.map(Body::new)),
                Err(_) => Ok(origins.too_slow(&path)),
            }
        })
    }
}

/// The pages that may open sockets.
#[derive(Clone)]
pub(crate) struct Origins {
    allowed: Arc<HashSet<String>>,
    /// Where the descriptions of problems are.
    public_origin: Arc<str>,
}

/// What the `Origin` header says.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// There is none: not a browser.
    Native,
    /// It is on the list.
    Allowed(HeaderValue),
    /// It is not, or there are several.
    Refused,
}

impl Origins {
    pub(crate) fn new(allowed: &[String], public_origin: &str) -> Self {
        let allowed = Arc::new(allowed.iter().cloned().collect());
        Self { allowed, public_origin: public_origin.into() }
    }

    fn judge(&self, headers: &HeaderMap) -> Verdict {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Verdict::Native,
            (Some(origin), None)
                if origin.to_str().is_ok_and(|text| self.allowed.contains(text)) =>
            {
                Verdict::Allowed(origin.clone())
            }
            _ => Verdict::Refused,
        }
    }

    fn refusal(&self, path: &str) -> Response<Body> {
        let detail = "Pages of this origin may not open sockets.";
        let mut answer = self.problem(
            StatusCode::FORBIDDEN,
            codes::ORIGIN_NOT_ALLOWED,
            "This page may not connect",
            detail,
            path,
        );
        answer.headers_mut().insert(header::VARY, HeaderValue::from_static("origin"));
        answer
    }

    /// Too many connections of one address have not said whose they are.
    fn too_many(&self, path: &str) -> Response<Body> {
        let detail = "Too many connections from here have not said whose they are.";
        let status = StatusCode::TOO_MANY_REQUESTS;
        let mut answer =
            self.problem(status, codes::RATE_LIMITED, "Too many requests", detail, path);
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        answer
    }

    /// What was posted did not end in time: as the API answers. The rest of it is not read.
    fn too_slow(&self, path: &str) -> Response<Body> {
        let detail = "The body of the request did not come in time.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let title = "The answer took too long";
        let mut answer = self.problem(status, codes::REQUEST_TIMEOUT, title, detail, path);
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    }

    /// RFC 9457.
    fn problem(
        &self,
        status: StatusCode,
        code: &str,
        title: &str,
        detail: &str,
        path: &str,
    ) -> Response<Body> {
        let request_id = new_id().to_string();
        let problem = json!({
            "type": format!("{}/api/problems/{code}", self.public_origin),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "instance": path,
            "code": code,
            "requestId": request_id,
        });
        let mut answer = Response::new(Body::from(problem.to_string()));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert("x-request-id", id);
        }
        answer
    }
}

/// Whether a request is the first one of a connection: later ones name it.
fn opens_a_connection<B>(request: &Request<B>) -> bool {
    let mut parameters = request.uri().query().unwrap_or("").split('&');
    request.method() == Method::GET && !parameters.any(|parameter| parameter.starts_with("sid="))
}

/// The session that a request names, as the library reads it.
fn named_session<B>(request: &Request<B>) -> Option<Sid> {
    let mut parameters = request.uri().query()?.split('&');
    parameters.find_map(|parameter| parameter.strip_prefix("sid="))?.parse().ok()
}

/// The headers that the library reads.
const READ: [HeaderName; 2] = [header::SEC_WEBSOCKET_KEY, header::CONTENT_TYPE];

/// The request with copies of what the library reads, and nothing else. It keeps the head as long as
/// the session lives, and the server's head is a window on the 8 KiB into which it was received.
fn slim<B>(request: Request<B>) -> Request<B> {
    let (mut parts, body) = request.into_parts();
    let mut headers = HeaderMap::with_capacity(READ.len());
    for name in READ {
        let value = parts.headers.get(&name);
        let copy = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        headers.extend(copy.map(|copy| (name, copy)));
    }
    parts.headers = headers;
    if let Ok(copy) = parts.uri.to_string().parse() {
        parts.uri = copy;
    }
    Request::from_parts(parts, body)
}

fn is_socket_io(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

fn preflight(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type, authorization"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::strangers::tests::limits;

    fn origins() -> Origins {
        Origins::new(&["https://a.example".to_owned()], "https://hall.example")
    }

    /// What comes out when a request with this method, path and these origins goes in.
    async fn ask(method: Method, path: &str, sent: &[&'static str]) -> Response<Body> {
        let inner = service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::from("inner")))
        });
        let service = RealtimeService {
            transports: Transports::of(inner),
            inner,
            origins: origins(),
            strangers: Strangers::new(&limits(50)),
            post_within: Duration::from_secs(1),
        };
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        for origin in sent {
            request.headers_mut().append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        service.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn listed_origins_pass_and_are_told_so() {
        let answer = ask(Method::GET, "/socket.io/?EIO=4", &["https://a.example"]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let headers = answer.headers();
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://a.example");
        assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[header::VARY], "origin");
    }

    #[tokio::test]
    async fn other_origins_are_refused_on_every_path_of_socket_io() {
        for path in ["/socket.io", "/socket.io/", "/socket.io/?EIO=4&transport=websocket"] {
            for sent in [
                &["https://b.example"][..],
                &["null"],
                &["https://a.example.evil"],
                &["http://a.example"],
                &["https://a.example", "https://a.example"],
                &["https://a.example", "https://b.example"],
            ] {
                for method in [Method::GET, Method::POST, Method::OPTIONS] {
                    let answer = ask(method, path, sent).await;
                    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {sent:?}");
                    let headers = answer.headers();
                    assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
                    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_refusal_is_a_problem() {
        let answer = ask(Method::GET, "/socket.io/", &["https://b.example"]).await;
        let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["type"], "https://hall.example/api/problems/origin_not_allowed");
        assert_eq!(problem["code"], "origin_not_allowed");
        assert_eq!(problem["instance"], "/socket.io/");
    }

    #[tokio::test]
    async fn clients_that_are_not_browsers_have_no_origin() {
        let answer = ask(Method::GET, "/socket.io/", &[]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[tokio::test]
    async fn a_preflight_of_a_listed_origin_is_answered_here() {
        let answer = ask(Method::OPTIONS, "/socket.io/", &["https://a.example"]).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
    }

    #[tokio::test]
    async fn everything_else_is_not_our_business() {
        for path in ["/api/rooms", "/socket.iox", "/"] {
            let answer = ask(Method::GET, path, &["https://b.example"]).await;
            assert_eq!(answer.status(), StatusCode::OK);
            assert!(!answer.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        }
    }
}
