//! Answers for requests that reach no handler, or whose handler does not come back.
use std::{any::Any, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{problem::Problem, problems};

/// There is nothing at this path.
pub(super) async fn unknown_route() -> Problem {
    Problem::new(&problems::NOT_FOUND).detail("there is nothing at this path")
}

/// There is something at this path, for other methods; axum adds `Allow`.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(&problems::METHOD_NOT_ALLOWED).detail("see the Allow header")
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
