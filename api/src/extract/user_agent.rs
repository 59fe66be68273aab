//! What a client calls itself.
use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

/// The `User-Agent` header, cut to a length that is enough to recognise a device by.
pub(crate) struct UserAgent(pub(crate) Option<String>);

const MAX_LENGTH: usize = 256;

impl<S: Send + Sync> FromRequestParts<S> for UserAgent {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // `to_str` refuses everything but visible ASCII, spaces and tabs.
        let sent = parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let cut = sent.map(|text| text.chars().filter(|c| *c != '\t').take(MAX_LENGTH).collect());
        Ok(Self(cut.filter(|text: &String| !text.is_empty())))
    }
}
