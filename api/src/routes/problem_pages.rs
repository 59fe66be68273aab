//! `/api/problems`: what the `type` of a problem document leads to.
use axum::{Json, http::header, response::IntoResponse};
use serde_json::{Value, json};

use crate::{
    etag,
    extract::PathId,
    problem::Problem,
    problems::{self, Kind},
};

/// `GET /api/problems`: the registry.
pub(super) async fn list() -> impl IntoResponse {
    let data: Vec<_> = problems::ALL.iter().copied().map(describe).collect();
    let field = |(code, title): &(&str, &str)| json!({ "code": code, "title": title });
    let fields: Vec<_> = problems::FIELDS.iter().map(field).collect();
    ([(header::CACHE_CONTROL, etag::PUBLIC)], Json(json!({ "data": data, "fields": fields })))
}

/// `GET /api/problems/{code}`: one of its entries.
pub(super) async fn show(PathId(code): PathId<String>) -> Result<impl IntoResponse, Problem> {
    let kind = problems::find(&code).ok_or_else(|| Problem::new(&problems::NOT_FOUND))?;
    Ok(([(header::CACHE_CONTROL, etag::PUBLIC)], Json(describe(kind))))
}

fn describe(kind: &Kind) -> Value {
    json!({ "code": kind.code, "status": kind.status.as_u16(), "title": kind.title })
}
