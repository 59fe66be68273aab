//! `/api/users/{userId}/block`: wanting nothing to do with someone.
use axum::{Extension, extract::State, http::StatusCode, response::IntoResponse};
use domain::UserId;

use crate::{
    ApiState, Endpoint,
    extract::{Authenticated, PathId},
    problem::Problem,
    writes::Settled,
};

type Route = Extension<&'static Endpoint>;

/// `PUT /api/users/{userId}/block`: no messages from them any more. Idempotent.
pub(super) async fn place(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(user_id): PathId<UserId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().block_user(&caller, user_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `DELETE /api/users/{userId}/block`: messages are allowed again. Idempotent.
pub(super) async fn lift(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(user_id): PathId<UserId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().unblock_user(&caller, user_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}
