//! Headers that every answer carries: what Helmet sets for an API, and more.
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};

const SECURITY: [(HeaderName, &str); 12] = [
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000; includeSubDomains"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-site"),
    (HeaderName::from_static("origin-agent-cluster"), "?1"),
    (HeaderName::from_static("x-dns-prefetch-control"), "off"),
    (HeaderName::from_static("x-download-options"), "noopen"),
    (HeaderName::from_static("x-permitted-cross-domain-policies"), "none"),
    // The filter of old browsers did more harm than good.
    (HeaderName::from_static("x-xss-protection"), "0"),
];

/// An answer that no route of ours gave, with what every answer carries.
#[must_use]
pub fn secured(mut response: Response) -> Response {
    let headers = response.headers_mut();
    secure(headers);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Adds the security headers, unless the handler has its own (a documentation page does).
pub(super) fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURITY {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// Nothing may keep an answer unless its handler said so; kept answers differ by who asks.
pub(super) fn limit_caching(headers: &mut HeaderMap) {
    match headers.get(header::CACHE_CONTROL) {
        None => {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Some(rule) if rule.as_bytes().starts_with(b"private") => {
            headers.append(header::VARY, HeaderValue::from_static("authorization"));
        }
        Some(_) => {}
    }
}
