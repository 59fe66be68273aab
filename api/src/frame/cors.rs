//! Which foreign pages may call the API: an exact list, with credentials for those only.
use std::{sync::Arc, time::Duration};

use axum::http::{
    HeaderName, HeaderValue, Method,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION, RETRY_AFTER,
    },
    request::Parts,
};
use tower_http::cors::{AllowCredentials, AllowOrigin, CorsLayer};

/// Request headers that pages may send.
const REQUEST_HEADERS: [HeaderName; 10] = [
    ACCEPT,
    AUTHORIZATION,
    CONTENT_TYPE,
    IF_MATCH,
    IF_NONE_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-auth-mode"),
    HeaderName::from_static("x-min-position"),
    HeaderName::from_static("x-request-id"),
];

/// Response headers that pages may read.
const RESPONSE_HEADERS: [HeaderName; 8] = [
    ETAG,
    LOCATION,
    RETRY_AFTER,
    HeaderName::from_static("idempotency-replayed"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("x-event-position"),
    HeaderName::from_static("x-request-id"),
];

/// CORS for the pages of `origins`; the pages of any other origin get no CORS header at all.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    let allowed: Arc<[HeaderValue]> =
        origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let for_credentials = Arc::clone(&allowed);
    let is_allowed = move |origin: &HeaderValue, _: &Parts| allowed.contains(origin);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_allowed))
        .allow_credentials(AllowCredentials::predicate(move |origin, _| {
            for_credentials.contains(origin)
        }))
        .allow_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(REQUEST_HEADERS)
        .expose_headers(RESPONSE_HEADERS)
        .max_age(Duration::from_mins(10))
}
