//! Proving e-mail addresses, and moving an account to another one.
use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use commands::{CodeTarget, Limit, Proof};

use super::{
    Route,
    bodies::{ChangeEmail, Resend, Verify},
    entering::{Entering, must_verify},
    guesses::Guesses,
};
use crate::{
    ApiState,
    extract::{Authenticated, IdempotencyKeyHeader, JsonBody},
    frame::RequestId,
    problem::Problem,
    views,
    writes::Settled,
};

/// `POST /api/auth/email/verify`: takes the token of a link, or the code beside it.
pub(in crate::routes) async fn verify(
    State(state): State<ApiState>,
    entering: Entering,
    JsonBody { value: Verify { proof }, .. }: JsonBody<Verify>,
) -> Result<Response, Problem> {
    if let Proof::Code { target: CodeTarget::Email(email), .. } = &proof {
        entering.counted.count(&state, &[(Limit::VerifyEmail, &email.canonical())]).await?;
    }
    let (user_agent, request_id) = (entering.user_agent.as_deref(), entering.request_id.as_str());
    let written = state.commands().verify_email(proof, user_agent, request_id).await?;
    entering.entrance(&state, written).await
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
    key: IdempotencyKeyHeader,
    guesses: Guesses,
    JsonBody { value: ChangeEmail { email, password }, digest }: JsonBody<ChangeEmail>,
) -> Result<impl IntoResponse, Problem> {
    let attempt = guesses.count(&state, &caller, password.as_deref()).await?;
    let key = key.with_body(digest);
    let written = state.commands().change_email(&caller, email, password, key).await?;
    Guesses::settle(&state, attempt, &written).await;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::ACCEPTED, settled, Json(views::verification(&written.value))))
}
