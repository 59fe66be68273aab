//! Answers for requests that are too large, or whose handler does not come back.
use std::{any::Any, time::Duration};

use axum::{
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;

use crate::{problem::Problem, problems};

/// How much more than is allowed is read of a body before it is refused, in multiples of the limit.
const TOLERATED: usize = 8;

/// Refuses a body that says how long it is, and is too long. It is read first, within reason: a
/// connection that is closed over unread bytes is reset, and the client never sees the answer.
pub(super) async fn too_large(
    State(limit): State<usize>,
    request: Request,
    next: Next,
) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_none_or(|length| length <= limit) {
        return next.run(request).await;
    }
    let mut body = request.into_body().into_data_stream();
    let mut read = 0;
    while let Some(Ok(part)) = body.next().await
        && read <= limit.saturating_mul(TOLERATED)
    {
        read += part.len();
    }
    Problem::new(&problems::PAYLOAD_TOO_LARGE).into_response()
}

/// Gives up on a handler after the configured time. What it has already recorded stays recorded.
pub(super) async fn timeout(
    State(longest): State<Duration>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(longest, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(&problems::REQUEST_TIMEOUT)
            .detail(format!("no answer within {} s", longest.as_secs_f32()))
            .into_response(),
    }
}

/// A handler panicked: a defect of ours, nobody else's business. A formatted message may quote what
/// someone typed, so only literal ones are logged; the panic hook tells where it was.
#[expect(clippy::needless_pass_by_value, reason = "the signature of tower-http")]
pub(super) fn panicked(cause: Box<dyn Any + Send>) -> Response {
    let message = cause.downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
    tracing::error!(panic.message = message, "a handler panicked");
    Problem::new(&problems::INTERNAL).into_response()
}
