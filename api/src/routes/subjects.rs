//! `/api/subjects`: the catalogue.
use axum::{extract::State, response::Response};
use projections::SubjectRow;
use serde_json::{Value, json};

use crate::{
    ApiState,
    etag::{self, IfNoneMatch},
    extract::{Fields, FromFields, Query, search, text},
    page::{self, Paging},
    problem::Problem,
};

/// Query of `GET /api/subjects`.
pub(super) struct List {
    q: Option<String>,
    category: Option<String>,
    paging: Paging,
}

impl FromFields for List {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.optional("q", text(search));
        let category = fields.optional("category", text(search));
        let paging = Paging::from_fields(fields);
        Some(Self { q: q?.flatten(), category: category?.flatten(), paging: paging? })
    }
}

/// `GET /api/subjects`: subjects in the order of their names; the same for everyone.
pub(super) async fn list(
    State(state): State<ApiState>,
    if_none_match: IfNoneMatch,
    Query(query): Query<List>,
) -> Result<Response, Problem> {
    let list = ("subjects", &query.q, &query.category);
    let request = query.paging.request(state.cursors(), &list)?;
    let subjects = state.read_models().subjects();
    let page = subjects.list(query.q.as_deref(), query.category.as_deref(), &request).await?;
    let body = page::answer(page.map(|row| subject(&row)), state.cursors(), &list);
    Ok(if_none_match.answer(&page::tag(&body), etag::PUBLIC, body))
}

fn subject(row: &SubjectRow) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "category": row.category,
        "description": row.description,
        "iconUrl": row.icon_url,
    })
}
