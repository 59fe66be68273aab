//! Every error answer of the API (RFC 9457).
use std::{borrow::Cow, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use commands::{Exceeded, FieldError, Standing};
use serde::Serialize;

use crate::{
    etag, limits,
    problems::{self, Kind},
};

mod causes;

/// The content type of problem documents.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// One error answer: a kind of the registry and what is special about this occurrence.
#[derive(Clone, Debug)]
pub struct Problem {
    code: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: Option<Cow<'static, str>>,
    // Boxed, and whole seconds: an error travels in many a `Result`.
    errors: Box<[FieldError]>,
    retry_after: Option<u32>,
    challenge: &'static str,
    /// Rare, and therefore elsewhere.
    extra: Option<Box<Extra>>,
}

/// What few problems have.
#[derive(Clone, Debug, Default)]
struct Extra {
    /// The entity tag that the thing has now.
    tag: Option<String>,
    /// The version that the thing has now.
    version: Option<u64>,
    /// What is left of the limits that the request counts for.
    limits: Vec<Standing>,
}

impl Problem {
    /// An occurrence of `kind`.
    #[must_use]
    pub fn new(kind: &Kind) -> Self {
        // Who is told to come back is told when.
        let retry_after = (kind.status == StatusCode::SERVICE_UNAVAILABLE
            || kind.status == StatusCode::TOO_MANY_REQUESTS)
            .then_some(1);
        Self {
            code: kind.code,
            title: kind.title,
            status: kind.status,
            detail: None,
            errors: Box::default(),
            retry_after,
            challenge: "Bearer",
            extra: None,
        }
    }

    /// What happened here, in a sentence for people.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// What is wrong with which field.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors.into();
        self
    }

    /// When it makes sense to ask again.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        // Rounded up: asking too early is what the header is to prevent.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after = Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX));
        self
    }

    /// What `WWW-Authenticate` says, where this is a 401.
    #[must_use]
    pub(crate) fn challenge(mut self, challenge: &'static str) -> Self {
        self.challenge = challenge;
        self
    }

    /// The entity tag that the thing has now.
    #[must_use]
    pub(crate) fn tag(mut self, tag: String) -> Self {
        self.extra.get_or_insert_default().tag = Some(tag);
        self
    }

    /// The version that the thing has now, in the document and as its tag.
    #[must_use]
    pub(crate) fn version(mut self, version: u64) -> Self {
        self.extra.get_or_insert_default().version = Some(version);
        self.tag(etag::of_version(version))
    }

    /// What is left of the limits that this request counts for.
    #[must_use]
    pub(crate) fn limits(mut self, exceeded: Exceeded) -> Self {
        self.extra.get_or_insert_default().limits = exceeded.standings;
        self
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The problem that an answer without one stands for, by its status.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        Self::new(match status {
            StatusCode::BAD_REQUEST => &problems::MALFORMED_BODY,
            StatusCode::UNAUTHORIZED => &problems::UNAUTHENTICATED,
            StatusCode::FORBIDDEN => &problems::FORBIDDEN,
            StatusCode::NOT_FOUND => &problems::NOT_FOUND,
            StatusCode::METHOD_NOT_ALLOWED => &problems::METHOD_NOT_ALLOWED,
            StatusCode::PRECONDITION_FAILED => &problems::VERSION_MISMATCH,
            StatusCode::PAYLOAD_TOO_LARGE => &problems::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => &problems::UNSUPPORTED_MEDIA_TYPE,
            StatusCode::REQUEST_TIMEOUT => &problems::REQUEST_TIMEOUT,
            StatusCode::UNPROCESSABLE_ENTITY => &problems::VALIDATION_FAILED,
            StatusCode::TOO_MANY_REQUESTS => &problems::RATE_LIMITED,
            StatusCode::SERVICE_UNAVAILABLE => &problems::OVERLOADED,
            _ => &problems::INTERNAL,
        })
    }

    /// The JSON document. `place` tells where it happened; unknown outside the frame of the API.
    pub(crate) fn body(&self, place: Option<&Place<'_>>) -> Vec<u8> {
        let origin = place.map_or("", |place| place.origin);
        let document = Document {
            r#type: format!("{origin}/api/problems/{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
            instance: place.map(|place| place.path),
            code: self.code,
            request_id: place.map(|place| place.request_id),
            current_version: self.extra.as_ref().and_then(|extra| extra.version),
            errors: self.errors.iter().map(FieldDocument::from).collect(),
        };
        serde_json::to_vec(&document).unwrap_or_default() // strings and numbers only: cannot fail
    }
}

/// Where and in which request a problem happened.
pub(crate) struct Place<'a> {
    pub(crate) origin: &'a str,
    pub(crate) path: &'a str,
    pub(crate) request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current_version: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldDocument<'a>>,
}

#[derive(Serialize)]
struct FieldDocument<'a> {
    pointer: &'a str,
    code: &'a str,
    detail: &'a str,
}

impl<'a> From<&'a FieldError> for FieldDocument<'a> {
    fn from(error: &'a FieldError) -> Self {
        Self { pointer: &error.pointer, code: error.code, detail: &error.detail }
    }
}

/// The problem itself travels with the answer, so that the frame can add where it happened.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body(None)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge));
        }
        if let Some(Extra { tag, limits, .. }) = self.extra.as_deref() {
            if let Some(Ok(tag)) = tag.as_deref().map(HeaderValue::from_str) {
                headers.insert(header::ETAG, tag);
            }
            limits::tell(headers, limits);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
