//! The routes of the internal listener, which the internet does not see.
use std::sync::Arc;

use axum::{Router, http::header, routing::get};

use platform::config::Server;

use crate::{Readiness, frame::frame, problem::Problem, problems, routes::health};

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

/// The public routes of a node without the API: its health. [`crate::router`] has it already.
pub fn public_health_routes(readiness: Readiness, server: &Server) -> Router {
    let routes = health_routes(readiness)
        .fallback(async || Problem::new(&problems::NOT_FOUND))
        .method_not_allowed_fallback(async || Problem::new(&problems::METHOD_NOT_ALLOWED));
    frame(routes, server)
}

/// `GET /health/live` and `GET /health/ready`, to be merged into the internal listener.
pub fn health_routes(readiness: Readiness) -> Router {
    Router::new()
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .with_state(readiness)
}

#[cfg(test)]
mod tests {
    use axum::{
        body::Body,
        http::{Request, StatusCode},
    };
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_internal_listener_tells_measurements_and_health() {
        let routes = || {
            let readiness = Readiness::new().with("nats", async || Err("away".to_owned()));
            internal_routes(|| "up 1\n".to_owned()).merge(health_routes(readiness))
        };
        for (path, status) in [
            ("/metrics", StatusCode::OK),
            ("/health/live", StatusCode::OK),
            ("/health/ready", StatusCode::SERVICE_UNAVAILABLE),
            ("/api/rooms", StatusCode::NOT_FOUND),
        ] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            assert_eq!(routes().oneshot(request).await.unwrap().status(), status, "{path}");
        }
    }
}
