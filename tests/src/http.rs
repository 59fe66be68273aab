//! An HTTP client that speaks for a person.
use std::{collections::BTreeMap, ops::Deref};

use futures::{FutureExt as _, future::BoxFuture};
use reqwest::{Method, header::HeaderMap};
use serde_json::Value;

use crate::description::{self, Seen};

/// Calls one node, perhaps with someone's token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    address: String,
    token: Option<String>,
}

impl Client {
    /// Nobody in particular.
    #[must_use]
    pub fn new(http: &reqwest::Client, address: &str) -> Self {
        Self { http: http.clone(), address: address.to_owned(), token: None }
    }

    /// Speaks with this access token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// `GET path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// `POST path`.
    #[must_use]
    pub fn post(&self, path: &str) -> Request {
        self.request(Method::POST, path)
    }

    /// `PUT path`.
    #[must_use]
    pub fn put(&self, path: &str) -> Request {
        self.request(Method::PUT, path)
    }

    /// `DELETE path`.
    #[must_use]
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// `PATCH path`.
    #[must_use]
    pub fn patch(&self, path: &str) -> Request {
        self.request(Method::PATCH, path)
    }

    /// Any method.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn request(&self, method: Method, path: &str) -> Request {
        let mut builder = self.http.request(method, format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            builder = builder.bearer_auth(token);
        }
        Request(builder)
    }
}

/// A request that is being put together.
pub struct Request(reqwest::RequestBuilder);

impl Request {
    /// A JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        Self(self.0.json(body))
    }

    /// A body of any kind.
    #[must_use]
    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", content_type).body(body))
    }

    /// A header.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// Sends it to a server that may be gone, and holds the answer against its description.
    ///
    /// # Errors
    /// When there is no answer.
    ///
    /// # Panics
    /// When the answer is not as described.
    pub async fn try_send(self) -> Result<Answer, reqwest::Error> {
        let (http, request) = self.0.build_split();
        let request = request?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let response = http.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?.to_vec();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status, headers, bytes, text, json };
        let seen = Seen {
            method: &method,
            path: url.path(),
            status,
            content_type: answer.header("content-type"),
            body: &answer.json,
        };
        description::check(&http, &url.origin().ascii_serialization(), &seen).await;
        Ok(answer)
    }
}

impl IntoFuture for Request {
    type Output = Answer;
    type IntoFuture = BoxFuture<'static, Answer>;

    /// Sends it. A server that does not answer fails the test.
    fn into_future(self) -> Self::IntoFuture {
        self.try_send().map(|answer| answer.expect("the server answers")).boxed()
    }
}

/// What came back. Reads as its JSON body: `answer["data"][0]["id"]`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The body, as far as it is text.
    pub text: String,
    json: Value,
}

impl Answer {
    /// Requires a status.
    ///
    /// # Panics
    /// When it is another one.
    #[track_caller]
    #[allow(
        clippy::must_use_candidate,
        clippy::return_self_not_must_use,
        reason = "most tests only want the status"
    )]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Requires a problem document with this code, whole and well-formed.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(self["status"], status);
        let kind = self["type"].as_str().expect("a type");
        assert!(kind.ends_with(&format!("/problems/{code}")), "{kind}");
        for field in ["title", "instance", "requestId"] {
            assert!(
                self[field].as_str().is_some_and(|text| !text.is_empty()),
                "{field}: {}",
                self.text
            );
        }
        assert_eq!(self.header("x-request-id"), self["requestId"].as_str());
    }

    /// One header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The position of what was recorded.
    ///
    /// # Panics
    /// When the answer names none.
    #[must_use]
    #[track_caller]
    pub fn position(&self) -> i64 {
        self.header("x-event-position").expect("a position").parse().expect("a number")
    }

    /// The text at a field of the body.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn text_at(&self, pointer: &str) -> String {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer}: {}", self.text)).to_owned()
    }

    /// All that a client sees of it, but for what was asked for, the time and the request's own id: two
    /// answers of which this is equal tell the same.
    ///
    /// # Panics
    /// Never: every answer has an id.
    #[must_use]
    pub fn without(&self, asked: &[&str]) -> String {
        let headers = self.headers.iter().filter(|(name, _)| name.as_str() != "date");
        let headers: BTreeMap<_, _> = headers
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let seen = format!("{} {headers:?} {}", self.status, self.text);
        let id = self.header("x-request-id").expect("every answer names its request");
        asked.iter().chain([&id]).fold(seen, |seen, part| seen.replace(*part, "…"))
    }

    /// The list under `data`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn data(&self) -> &[Value] {
        self["data"].as_array().unwrap_or_else(|| panic!("no data: {}", self.text))
    }
}

impl Deref for Answer {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.json
    }
}
