//! Other passwords: for those who know theirs, and for those who do not.
use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use commands::ChangePassword;
use serde_json::json;

use super::{
    Route,
    bodies::{NewPassword, Resend, Reset},
    entering::Entering,
    guesses::Guesses,
};
use crate::{
    ApiState,
    etag::IfMatch,
    extract::{Authenticated, JsonBody},
    frame::RequestId,
    problem::Problem,
    writes::Settled,
};

/// `PUT /api/users/me/password`: another password; the caller's other sessions end.
pub(in crate::routes) async fn change(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    IfMatch(if_version): IfMatch,
    guesses: Guesses,
    JsonBody { value: NewPassword { current, new }, .. }: JsonBody<NewPassword>,
) -> Result<impl IntoResponse, Problem> {
    // Before anything counts as a guess; the command looks once more.
    state.commands().require_account_version(&caller, if_version).await?;
    let attempt = guesses.count(&state, &caller, current.as_deref()).await?;
    let request = ChangePassword { current, new, if_version };
    let written = state.commands().change_password(&caller, request).await?;
    Guesses::settle(&state, attempt, &written).await;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `POST /api/auth/password/forgot`: a link, if there is such an account; nobody is told.
pub(in crate::routes) async fn forgot(
    State(state): State<ApiState>,
    Extension(request_id): Extension<RequestId>,
    JsonBody { value: Resend { email }, .. }: JsonBody<Resend>,
) -> Result<impl IntoResponse, Problem> {
    state.commands().forgot_password(email, request_id.as_str())?;
    Ok((StatusCode::ACCEPTED, Json(json!({}))))
}

/// `POST /api/auth/password/reset`: another password for who has the link. All sessions end, and a
/// new one begins.
pub(in crate::routes) async fn reset(
    State(state): State<ApiState>,
    entering: Entering,
    JsonBody { value: Reset { token, password }, .. }: JsonBody<Reset>,
) -> Result<impl IntoResponse, Problem> {
    let (user_agent, request_id) = (entering.user_agent.as_deref(), entering.request_id.as_str());
    let written = state.commands().reset_password(&token, password, user_agent, request_id).await?;
    let (settled, headers, body) = entering.opened(&state, written).await?;
    Ok((settled.told(&state).await, headers, body))
}
