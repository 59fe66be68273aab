//! Proving e-mail addresses, and moving an account to another one.
use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    Route,
    bodies::{ChangeEmail, Resend, Verify},
    entrance, must_verify,
};
use crate::{
    ApiState,
    extract::{AuthMode, Authenticated, JsonBody, UserAgent},
    frame::RequestId,
    problem::Problem,
    views,
    writes::Settled,
};

/// `POST /api/auth/email/verify`: takes the token of a link, or the code beside it.
pub(in crate::routes) async fn verify(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Extension(request_id): Extension<RequestId>,
    UserAgent(user_agent): UserAgent,
    mode: AuthMode,
    JsonBody { value: Verify { proof }, .. }: JsonBody<Verify>,
) -> Result<Response, Problem> {
    let commands = state.commands();
    let user_agent = user_agent.as_deref();
    let written = commands.verify_email(proof, user_agent, request_id.as_str()).await?;
    entrance(&state, endpoint, &mode, written).await
}

/// `POST /api/auth/email/resend`: another link and code, if the address waits for one.
pub(in crate::routes) async fn resend(
    State(state): State<ApiState>,
    Extension(request_id): Extension<RequestId>,
    JsonBody { value: Resend { email }, .. }: JsonBody<Resend>,
) -> Result<impl IntoResponse, Problem> {
    let sent = state.commands().resend_verification(&email, request_id.as_str()).await?;
    Ok(must_verify(&sent))
}

/// `POST /api/users/me/email`: asks the old and the new address whether the account may move.
pub(in crate::routes) async fn change(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    JsonBody { value: ChangeEmail { email, password }, .. }: JsonBody<ChangeEmail>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().change_email(&caller, email, password).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::ACCEPTED, settled, Json(views::verification(&written.value))))
}
