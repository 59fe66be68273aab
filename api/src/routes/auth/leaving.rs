//! Going for good, and taking along what is kept of one.
use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{Route, bodies::KnownPassword, guesses::Guesses};
use crate::{
    ApiState, archive,
    etag::IfMatch,
    extract::{Authenticated, IdempotencyKeyHeader, JsonBody},
    problem::Problem,
    problems,
    views::time,
    writes::Settled,
};

/// What the file is called that holds the copy.
const FILE: HeaderValue = HeaderValue::from_static("attachment; filename=\"studyhall-export.zip\"");

/// `DELETE /api/users/me`: closes the account; its owner is forgotten later.
pub(in crate::routes) async fn delete(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    IfMatch(if_version): IfMatch,
    guesses: Guesses,
    JsonBody { value: KnownPassword { current }, .. }: JsonBody<KnownPassword>,
) -> Result<impl IntoResponse, Problem> {
    // Before anything counts as a guess; the command looks once more.
    state.commands().require_account_version(&caller, if_version).await?;
    let attempt = guesses.count(&state, &caller, current.as_deref()).await?;
    let written = state.commands().delete_account(&caller, current, if_version).await?;
    Guesses::settle(&state, attempt, &written).await;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    let body = json!({"status": "scheduled", "deletionDueAt": time(written.value)});
    Ok((StatusCode::ACCEPTED, settled, Json(body)))
}

/// `POST /api/users/me/export`: a link to a copy of what is kept of the caller.
pub(in crate::routes) async fn export(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    key: IdempotencyKeyHeader,
    guesses: Guesses,
    JsonBody { value: KnownPassword { current }, digest }: JsonBody<KnownPassword>,
) -> Result<impl IntoResponse, Problem> {
    let attempt = guesses.count(&state, &caller, current.as_deref()).await?;
    let key = key.with_body(digest);
    let written = state.commands().request_export(&caller, current, key).await?;
    Guesses::settle(&state, attempt, &written).await;
    let settled = Settled::of(&state, endpoint, &written).await;
    let link = &written.value;
    let url = format!("{}/api/exports/{}", state.config().server.public_origin, link.token);
    let body = json!({
        "exportId": link.export_id, "status": "ready", "url": url,
        "expiresAt": time(link.expires_at),
    });
    Ok((StatusCode::ACCEPTED, settled, Json(body)))
}

/// `GET /api/exports/{token}`: the copy. Whoever has the link gets it, while it works.
pub(in crate::routes) async fn fetch(
    State(state): State<ApiState>,
    Path(token): Path<String>,
) -> Result<Response, Problem> {
    let owner = state.commands().export_owner(&token).await?;
    let owner = owner
        .ok_or_else(|| Problem::new(&problems::NOT_FOUND).detail("there is nothing of this id"))?;
    let archive = archive::stream(&state, owner)?;
    let mut response = Body::from_stream(archive).into_response();
    let zip = HeaderValue::from_static("application/zip");
    response.headers_mut().insert(header::CONTENT_TYPE, zip);
    response.headers_mut().insert(header::CONTENT_DISPOSITION, FILE);
    Ok(response)
}
