//! Descriptions of the API itself, and a page to read them.
use std::sync::LazyLock;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::{
    ApiState,
    etag::{self, IfNoneMatch},
    problem::Problem,
    problems,
};

/// What starts the page: nothing is loaded from anywhere else, and nothing is sent there.
const START: &str = "\
Scalar.createApiReference('#reference', { url: '/api/openapi.json', withDefaultFonts: false, \
telemetry: false, agent: { disabled: true }, hideClientButton: true, showDeveloperTools: 'never' })";

/// The page's own policy. Its script writes styles into the page, hence the one exception.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(START));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

static SCRIPT: LazyLock<Option<(Bytes, String)>> = LazyLock::new(|| {
    let script = Bytes::from(scalar_api_reference::get_asset("scalar.js")?);
    let tag = format!("\"{}\"", STANDARD.encode(&Sha256::digest(&script)[..12]));
    Some((script, tag))
});

/// `GET /api/openapi.json`: the description of the REST API.
pub(super) async fn openapi(State(state): State<ApiState>, if_none_match: IfNoneMatch) -> Response {
    let document = state.openapi();
    if_none_match.answer(&document.tag, etag::PUBLIC, document.body.clone())
}

/// `GET /api/asyncapi.json`: the description of the socket events.
pub(super) async fn asyncapi(
    State(state): State<ApiState>,
    if_none_match: IfNoneMatch,
) -> Response {
    let document = state.asyncapi();
    if_none_match.answer(&document.tag, etag::PUBLIC, document.body.clone())
}

/// `GET /api/docs`: the reference page.
pub(super) async fn docs() -> impl IntoResponse {
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Studyhall API</title>\n</head>\n<body>\n<div id=\"reference\"></div>\n\
         <script src=\"/api/docs/scalar.js\"></script>\n<script>{START}</script>\n</body>\n</html>\n"
    );
    let policy = HeaderValue::from_str(&POLICY)
        .unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static(etag::PUBLIC)),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    (headers, page)
}

/// `GET /api/docs/scalar.js`: the script of the reference page.
pub(super) async fn script(if_none_match: IfNoneMatch) -> Result<Response, Problem> {
    let (script, tag) = SCRIPT.as_ref().ok_or_else(|| Problem::new(&problems::NOT_FOUND))?;
    let kind = [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")];
    Ok(if_none_match.answer_with(tag, etag::PUBLIC, (kind, script.clone())))
}
