//! Entity tags, conditional reads and conditional writes (RFC 9110, sections 8.8.3, 13.1.1 and
//! 13.1.2).
use std::convert::Infallible;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{problem::Problem, problems};

/// For the one person who asked; to be asked for again each time.
pub(crate) const PRIVATE: &str = "private, no-cache";
/// For everyone, for five minutes.
pub(crate) const PUBLIC: &str = "public, max-age=300";

/// The tags that the client has already.
#[derive(Debug, Default)]
pub(crate) struct IfNoneMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let sent = parts.headers.get_all(header::IF_NONE_MATCH).iter();
        let tags: Vec<_> = sent.filter_map(|value| value.to_str().ok()).collect();
        Ok(Self((!tags.is_empty()).then(|| tags.join(","))))
    }
}

impl IfNoneMatch {
    /// Whether the client has this one. The comparison is the weak one (section 8.8.3.2).
    fn has(&self, tag: &str) -> bool {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let Some(sent) = &self.0 else { return false };
        sent.split(',').any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
    }

    /// 200 with the body, or 304 when the client has it already.
    pub(crate) fn answer(&self, tag: &str, cache: &'static str, body: Value) -> Response {
        self.answer_with(tag, cache, Json(body))
    }

    /// As [`Self::answer`], with a body of any kind.
    pub(crate) fn answer_with(
        &self,
        tag: &str,
        cache: &'static str,
        body: impl IntoResponse,
    ) -> Response {
        let mut response = if self.has(tag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            body.into_response()
        };
        let headers = response.headers_mut();
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(header::ETAG, tag);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        response
    }
}

/// The version that the client means to change: `If-Match: "v17"`. `None` where it does not say, or
/// where any will do (`*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IfMatch(pub(crate) Option<i64>);

/// No version has this number: what the client knows is none of ours.
const NO_VERSION: i64 = -1;

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers)
    }
}

impl IfMatch {
    /// A tag that was not made by [`of_version`] matches nothing, and so do weak ones: the comparison
    /// is the strong one (section 8.8.3.2). Of a list, only a list of one can be promised to be true.
    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let invalid = || {
            Problem::new(&problems::INVALID_HEADER)
                .detail("If-Match must be one entity tag, as it was answered, or *")
        };
        let mut sent = headers.get_all(header::IF_MATCH).iter();
        let Some(value) = sent.next() else { return Ok(Self(None)) };
        let tag = value.to_str().map_err(|_| invalid())?.trim();
        if sent.next().is_some() || tag.contains(',') {
            return Err(invalid());
        }
        if tag == "*" {
            return Ok(Self(None));
        }
        let opaque = tag.strip_prefix("W/").unwrap_or(tag);
        let inner = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
        if !inner.is_some_and(|inner| inner.bytes().all(visible)) {
            return Err(invalid());
        }
        let version = tag.strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"'));
        // What stands behind the version tells bodies of the same version apart.
        let version = version.and_then(|rest| rest.split('-').next());
        Ok(Self(Some(version.and_then(|digits| digits.parse().ok()).unwrap_or(NO_VERSION))))
    }
}

/// The tag of a version: `"v17"`. For what shows nothing but that one thing.
pub(crate) fn of_version(version: impl std::fmt::Display) -> String {
    format!("\"v{version}\"")
}

/// The tag of a body that shows a version of one thing, and others beside it: `"v17-…"`. A write may
/// depend on its version.
pub(crate) fn of_version_and_body(version: impl std::fmt::Display, body: &Value) -> String {
    format!("\"v{version}-{}\"", digest(body))
}

/// The tag of a body that no single version covers. Weak: it says what the client knows, not which bytes.
pub(crate) fn of_body(body: &Value) -> String {
    format!("W/\"{}\"", digest(body))
}

fn digest(body: &Value) -> String {
    let hash = Sha256::digest(body.to_string());
    URL_SAFE_NO_PAD.encode(&hash[..12])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(sent: Option<&str>) -> StatusCode {
        IfNoneMatch(sent.map(str::to_owned)).answer("\"v17\"", PRIVATE, json!({})).status()
    }

    #[test]
    fn who_has_the_version_is_told_so() {
        for sent in ["\"v17\"", "W/\"v17\"", "\"v1\", \"v17\"", "*"] {
            assert_eq!(answered(Some(sent)), StatusCode::NOT_MODIFIED, "{sent}");
        }
        for sent in [None, Some("\"v1\""), Some("v17"), Some("")] {
            assert_eq!(answered(sent), StatusCode::OK, "{sent:?}");
        }
    }

    #[test]
    fn a_not_modified_answer_carries_the_tag_and_no_body() {
        let response = IfNoneMatch(Some("*".to_owned())).answer("\"v17\"", PUBLIC, json!({"a": 1}));
        assert_eq!(response.headers()[header::ETAG], "\"v17\"");
        assert!(!response.headers().contains_key(header::CONTENT_TYPE));
    }

    #[test]
    fn a_write_may_depend_on_one_version() {
        let read = |sent: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(header::IF_MATCH, value.parse().unwrap());
            }
            IfMatch::read(&headers).map(|it| it.0).map_err(|problem| problem.code())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"v17\""]), Ok(Some(17)));
        assert_eq!(read(&[&of_version_and_body(17, &json!({}))]), Ok(Some(17)));
        for none_of_ours in ["\"17\"", "W/\"v17\"", "\"vx\"", "\"\""] {
            assert_eq!(read(&[none_of_ours]), Ok(Some(NO_VERSION)), "{none_of_ours}");
        }
        for bad in [
            &["v17"][..],
            &["\"v1\", \"v2\""],
            &["\"v1\"", "\"v2\""],
            &[""],
            &["\""],
            &["\"a b\""],
            &["\"a\"b\""],
        ] {
            assert_eq!(read(bad), Err("invalid_header"), "{bad:?}");
        }
    }

    #[test]
    fn equal_bodies_have_equal_tags() {
        assert_eq!(of_body(&json!({"a": 1})), of_body(&json!({"a": 1})));
        assert_ne!(of_body(&json!({"a": 1})), of_body(&json!({"a": 2})));
    }
}
