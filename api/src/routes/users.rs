//! `/api/users`: people.
use axum::{extract::State, response::Response};

use crate::{
    ApiState,
    etag::{self, IfNoneMatch},
    extract::Authenticated,
    problem::Problem,
    views,
};

/// `GET /api/users/me`: the caller's own account.
pub(super) async fn me(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let row = state.read_models().users().get(caller.user_id).await?;
    let row = row.ok_or_else(views::not_shown_yet)?;
    let tag = etag::of_version(row.version);
    Ok(if_none_match.answer(&tag, etag::PRIVATE, views::user_self(&row)))
}
