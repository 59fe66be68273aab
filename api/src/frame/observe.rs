//! One log line and one measurement for each answer.
use std::{borrow::Cow, time::Instant};

use axum::{
    extract::MatchedPath,
    http::{Method, Request, StatusCode},
};

use super::RequestId;

/// What is known of a request before it is handled. Holds the route, never the path: paths and
/// queries are what people typed.
pub(super) struct Observed {
    method: &'static str,
    route: Cow<'static, str>,
    trace_id: Option<String>,
    since: Instant,
}

impl Observed {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let route = request
            .extensions()
            .get::<MatchedPath>()
            .map_or(Cow::Borrowed("unmatched"), |path| path.as_str().to_owned().into());
        Self {
            method: label(request.method()),
            route,
            trace_id: trace_id(request),
            since: Instant::now(),
        }
    }

    pub(super) fn answered(self, status: StatusCode, request_id: &RequestId) {
        let elapsed = self.since.elapsed();
        tracing::info!(
            request.id = request_id.as_str(),
            trace.id = self.trace_id,
            http.method = self.method,
            http.route = &*self.route,
            http.status = status.as_u16(),
            duration_ms = elapsed.as_millis(),
            "answered {} {} with {}",
            self.method,
            self.route,
            status.as_u16(),
        );
        metrics::histogram!(
            "http_request_duration_seconds",
            "method" => self.method,
            "route" => self.route,
            "status" => status.as_str().to_owned(),
        )
        .record(elapsed);
    }
}

/// A closed set: a label that clients choose would grow without bound.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

/// The trace id of a `traceparent` header: version, 32 hexadecimal digits, parent, flags (W3C Trace
/// Context, section 3.2).
fn trace_id<B>(request: &Request<B>) -> Option<String> {
    let value = request.headers().get("traceparent")?.to_str().ok()?;
    let id = value.split('-').nth(1)?;
    let is_id = id.len() == 32
        && id.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
        && id.bytes().any(|b| b != b'0');
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_from_a_well_formed_header_only() {
        let of = |value: &str| {
            trace_id(&Request::builder().header("traceparent", value).body(()).unwrap())
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        for bad in ["", "00-xyz-1-01", &format!("00-{}-1-01", "0".repeat(32))] {
            assert_eq!(of(bad), None);
        }
    }
}
