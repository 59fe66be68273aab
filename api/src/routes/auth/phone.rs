//! One-time codes by text message.
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use commands::{Limit, OtpPurpose, Written};
use serde_json::json;

use super::{
    Route,
    bodies::{ChangePhone, SendOtp, VerifyOtp},
    entering::Entering,
    guesses::Guesses,
};
use crate::{
    ApiState,
    extract::{Access, Authenticated, IdempotencyKeyHeader, JsonBody, authenticate},
    frame::RequestId,
    problem::Problem,
    views,
    writes::Settled,
};

/// `POST /api/auth/phone/send-otp`: a code to a number, whether somebody has it or not.
pub(in crate::routes) async fn send(
    State(state): State<ApiState>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    JsonBody { value: SendOtp { phone, purpose }, .. }: JsonBody<SendOtp>,
) -> Result<impl IntoResponse, Problem> {
    // Open to everyone but for who wants to prove a number: that is somebody's.
    let caller =
        if purpose == OtpPurpose::VerifyPhone && headers.contains_key(header::AUTHORIZATION) {
            authenticate(&state, Access::SignedIn, &headers, request_id.as_str()).await?
        } else {
            None
        };
    let commands = state.commands();
    let sent = commands.send_otp(&phone, purpose, caller.as_ref(), request_id.as_str()).await?;
    let body = json!({
        "verificationId": sent.id,
        "maskedDestination": sent.masked_destination,
        "expiresAt": views::time(sent.expires_at),
        "resendAvailableAt": views::time(sent.resend_available_at),
    });
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// `POST /api/auth/phone/verify`: takes the code and lets its owner in; who has no account gets one.
pub(in crate::routes) async fn verify(
    State(state): State<ApiState>,
    entering: Entering,
    JsonBody { value: VerifyOtp { target, code }, .. }: JsonBody<VerifyOtp>,
) -> Result<impl IntoResponse, Problem> {
    let (user_agent, request_id) = (entering.user_agent.as_deref(), entering.request_id.as_str());
    let written = state.commands().verify_otp(target, &code, user_agent, request_id).await?;
    let Written { value, receipt, replayed } = written;
    let status = if value.created { StatusCode::CREATED } else { StatusCode::OK };
    let written = Written { value: value.session, receipt, replayed };
    Ok((status, entering.opened(&state, written).await?))
}

/// `POST /api/users/me/phone`: a code to the number that the account shall have.
pub(in crate::routes) async fn change(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    key: IdempotencyKeyHeader,
    guesses: Guesses,
    JsonBody { value: ChangePhone { phone, password }, digest }: JsonBody<ChangePhone>,
) -> Result<impl IntoResponse, Problem> {
    // One that is bought here costs as much as one that anybody asks for.
    guesses.counted.count(&state, &[(Limit::SendOtpAddress, &guesses.address.0)]).await?;
    let attempt = guesses.count(&state, &caller, password.as_deref()).await?;
    let key = key.with_body(digest);
    let written = state.commands().change_phone(&caller, &phone, password, key).await?;
    Guesses::settle(&state, attempt, &written).await;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::ACCEPTED, settled, Json(views::verification(&written.value))))
}
