//! What every request goes through, whatever route it is for: a request id, the limits, CORS, and
//! answers that are complete (problem documents with a place, security headers, cache rules).
mod cors;
mod finish;
mod headers;
mod limits;
mod observe;
mod request_id;

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use platform::config::Server;
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer};

pub use headers::secured;
pub(crate) use request_id::RequestId;

/// Frames a complete router, with its answers to what no route is for.
pub(crate) fn frame(routes: Router, server: &Server) -> Router {
    let origin: Arc<str> = server.public_origin.as_str().into();
    let longest = Duration::from_millis(server.request_timeout_ms);
    // The last layer is the first to see a request.
    routes
        .layer(RequestBodyLimitLayer::new(server.body_limit_bytes))
        .layer(middleware::from_fn_with_state(server.body_limit_bytes, limits::too_large))
        .layer(middleware::from_fn_with_state(longest, limits::timeout))
        .layer(CatchPanicLayer::custom(limits::panicked))
        .layer(cors::layer(&server.allowed_origins))
        .layer(middleware::from_fn_with_state(origin, finish::finish))
}

#[cfg(test)]
mod tests;
