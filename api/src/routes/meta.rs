//! Descriptions of the API itself.
use axum::{extract::State, response::Response};

use crate::{
    ApiState,
    etag::{self, IfNoneMatch},
};

/// `GET /api/openapi.json`: the description of the REST API.
pub(super) async fn openapi(State(state): State<ApiState>, if_none_match: IfNoneMatch) -> Response {
    let document = state.openapi();
    if_none_match.answer(&document.tag, etag::PUBLIC, document.body.clone())
}
