//! The name of a request in logs, events and error answers.
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue, Request};

/// Carries the request id in both directions.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id we take from a client.
const MAX_LENGTH: usize = 128;

/// The id of a request: the client's if it is sane, else a fresh one. An extension of every request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    /// Takes the client's id or makes one.
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let sent = request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok());
        let sane = |id: &&str| {
            (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
        };
        Self(match sent.filter(sane) {
            Some(id) => id.into(),
            None => platform::ids::new_id().to_string().into(),
        })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(sent: &str) -> String {
        let request = Request::builder().header(X_REQUEST_ID, sent).body(()).unwrap();
        RequestId::of(&request).as_str().to_owned()
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_for("req-42/a.b"), "req-42/a.b");
        assert_eq!(id_for(&"x".repeat(128)).len(), 128);
        for bad in ["", "two words", "tab\there", &"x".repeat(129)] {
            assert_eq!(id_for(bad).len(), 36, "{bad:?}");
        }
    }
}
