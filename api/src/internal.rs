//! The routes of the internal listener, which the internet does not see.
use std::sync::Arc;

use axum::{Router, http::header, routing::get};

use crate::{problem::Problem, problems};

/// `GET /metrics`: whatever `render` gives, in the text format of Prometheus.
pub fn internal_routes<F>(render: F) -> Router
where
    F: Fn() -> String + Send + Sync + 'static,
{
    let render = Arc::new(render);
    let metrics = async move || {
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render())
    };
    Router::new()
        .route("/metrics", get(metrics))
        .fallback(async || Problem::new(&problems::NOT_FOUND))
        .method_not_allowed_fallback(async || Problem::new(&problems::METHOD_NOT_ALLOWED))
}
