//! What many routes have in common: problems, headers, parameters.
use axum::http::Method;
use serde_json::{Value, json};

use super::doc::Doc;
use crate::{
    Endpoint,
    extract::Access,
    problems::{self, Kind},
};

/// The problems of a route: its own, and those that follow from what it is.
pub(super) fn problems_of(endpoint: &Endpoint, doc: &Doc) -> Vec<&'static Kind> {
    let mut kinds = doc.refusals.clone();
    let mut also = |more: &[&'static Kind]| {
        for kind in more {
            if !kinds.contains(kind) {
                kinds.push(kind);
            }
        }
    };
    if endpoint.access != Access::Public {
        also(&[&problems::UNAUTHENTICATED, &problems::TOKEN_EXPIRED]);
    }
    if endpoint.path.contains('{') {
        also(&[&problems::NOT_FOUND]);
    }
    if !endpoint.reads.is_empty() {
        also(&[&problems::INVALID_HEADER, &problems::PROJECTION_LAGGING]);
    }
    if !endpoint.writes.is_empty() {
        also(&[&problems::CONFLICT]);
    }
    if takes_idempotency_key(endpoint) {
        also(&[&problems::INVALID_HEADER, &problems::IDEMPOTENCY_KEY_REUSED]);
    }
    if doc.heeds_if_match {
        also(&[&problems::INVALID_HEADER, &problems::VERSION_MISMATCH]);
    }
    if doc.query.is_some() || doc.body.is_some() {
        also(&[&problems::VALIDATION_FAILED, &problems::UNKNOWN_FIELD]);
    }
    if pages(doc) {
        also(&[&problems::INVALID_CURSOR]);
    }
    if doc.body.is_some() {
        also(&[
            &problems::MALFORMED_JSON,
            &problems::MALFORMED_BODY,
            &problems::UNSUPPORTED_MEDIA_TYPE,
        ]);
    }
    also(&[
        &problems::PAYLOAD_TOO_LARGE,
        &problems::RATE_LIMITED,
        &problems::INTERNAL,
        &problems::OVERLOADED,
        &problems::DEPENDENCY_UNAVAILABLE,
        &problems::REQUEST_TIMEOUT,
    ]);
    kinds
}

/// Keys belong to a person.
pub(super) fn takes_idempotency_key(endpoint: &Endpoint) -> bool {
    endpoint.method == Method::POST && endpoint.access == Access::SignedIn
}

/// Whether the route takes cursors.
pub(super) fn pages(doc: &Doc) -> bool {
    doc.query.as_ref().is_some_and(|query| query.shape.schema["properties"]["cursor"].is_object())
}

pub(super) fn header(name: &str) -> Value {
    json!({ "$ref": format!("#/components/headers/{name}") })
}

pub(super) fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// `components.headers`.
pub(super) fn headers() -> Value {
    let text =
        |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "X-Request-Id": text("The name of this request in our logs."),
        "ETag": text("The version of what was answered."),
        "Location": text("The path of what was made."),
        "X-Event-Position": {
            "description": "The position of what was recorded. Absent when nothing was, or when it is not known yet.",
            "schema": { "type": "string", "pattern": "^[0-9]+$" },
        },
        "Idempotency-Replayed": text("`true` when this is the answer to an earlier request with the same key."),
        "RateLimit-Policy": text("The limits that apply (draft-ietf-httpapi-ratelimit-headers)."),
        "RateLimit": text("What is left of them."),
        "Retry-After": {
            "description": "Seconds to wait before asking again.",
            "schema": { "type": "string", "pattern": "^[0-9]+$" },
        },
        "Set-Cookie": text("The refresh token, in browser mode (`X-Auth-Mode: cookie`)."),
        "WWW-Authenticate": text("How to say who you are (RFC 6750)."),
    })
}

/// `components.parameters`.
pub(super) fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header",
            "description": "Makes repeating safe: the same key with the same body gets the first answer.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        },
        "MinPosition": {
            "name": "X-Min-Position", "in": "header",
            "description": "Wait until the answer shows everything up to this `X-Event-Position`.",
            "schema": { "type": "string", "pattern": "^[0-9]{1,18}$" },
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header",
            "description": "The `ETag` that is known already: 304 when it is still the one.",
            "schema": { "type": "string" },
        },
        "IfMatch": {
            "name": "If-Match", "in": "header",
            "description": "Only if the version is still this `ETag`: 412 when it is not. `*` is any version.",
            "schema": { "type": "string", "pattern": r#"^(\*|(W/)?"[!#-+.-~-]*")$"# },
        },
        "AuthMode": {
            "name": "X-Auth-Mode", "in": "header",
            "description": "`cookie` keeps the refresh token in a cookie that pages cannot read. For pages of this \
                origin only: `Origin` must say so.",
            "schema": { "type": "string", "enum": ["cookie"] },
        },
    })
}
