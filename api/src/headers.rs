//! Headers of answers.
use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};

/// Adds a header. Text that can be none is left out; ours always can.
pub(crate) fn with(mut response: Response, name: HeaderName, text: &str) -> Response {
    let value = HeaderValue::from_str(text).ok();
    response.headers_mut().extend(value.map(|value| (name, value)));
    response
}
