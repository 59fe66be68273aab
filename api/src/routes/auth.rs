//! `/api/auth`: accounts and sessions.
//!
//! An `Idempotency-Key` has no effect here. Keys belong to a person, and before these requests there
//! is none; kept answers would hold tokens. Repeating is safe by other means: an address registers
//! once, a refresh that is repeated gets the same pair, every login is a session of its own, and
//! logging out twice is logging out once.
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use commands::{
    Entrance, FieldError, Limit, LoginName, LoginRequest, LogoutScope, RegisterRequest, Written,
};
use domain::{
    SessionId,
    text::{Email, Phone},
};
use projections::SessionRow;
use serde_json::json;

use crate::{
    ApiState, Endpoint, etag,
    extract::{AuthMode, Authenticated, JsonBody, OptionalJsonBody, PathId},
    problem::Problem,
    problems, views,
    writes::Settled,
};

pub(super) mod bodies;
pub(super) mod email;
mod entering;
mod guesses;
pub(super) mod leaving;
pub(super) mod password;
pub(super) mod phone;

use bodies::{Login, Logout, Refresh, Register};
use entering::{Entering, must_verify};

type Route = Extension<&'static Endpoint>;

/// `POST /api/auth/register`: opens an account and logs into it, or sends what proves its address.
pub(super) async fn register(
    State(state): State<ApiState>,
    entering: Entering,
    JsonBody { value, .. }: JsonBody<Register>,
) -> Result<Response, Problem> {
    let (account, address) = (value.email.canonical(), &entering.address.0);
    let pair = format!("{account} {address}");
    entering.counted.count(&state, &[(Limit::Register, &pair)]).await?;
    let request = RegisterRequest {
        email: value.email,
        password: value.password,
        full_name: value.full_name,
        username: value.username,
        phone: value.phone,
        education_level: value.education_level,
        institution: value.institution,
        user_agent: entering.user_agent.clone(),
    };
    let request_id = entering.request_id.as_str();
    let written = state.commands().register(request, request_id).await?;
    let Written { value, receipt, replayed } = written;
    let session = match value {
        Entrance::In(session) => session,
        Entrance::MustVerify(verification) => return Ok(must_verify(&verification).into_response()),
    };
    // Whoever chose the password is no stranger to the account.
    state.limits().know_login(&account, address).await;
    let written = Written { value: session, receipt, replayed };
    Ok((StatusCode::CREATED, entering.opened(&state, written).await?).into_response())
}

/// `POST /api/auth/login`: a new session for who knows the password.
pub(super) async fn login(
    State(state): State<ApiState>,
    entering: Entering,
    JsonBody { value: Login { name, password }, .. }: JsonBody<Login>,
) -> Result<impl IntoResponse, Problem> {
    let (account, address) = (counted_name(&name), &entering.address.0);
    let (limits, commands) = (state.limits(), state.commands());
    let attempt = limits.attempt_login(&account, address).await?;
    entering.counted.tell(attempt.standings.clone());
    tokio::time::sleep(attempt.delay).await;
    // However many names an account has, it is tried so often and no more. A refusal would tell that two
    // names are one account's: every password is wrong instead.
    let owner = commands.owner_of_name(&name).await?;
    let counted = owner.map_or_else(|| format!("nobody {account}"), |owner| owner.to_string());
    let of_owner = limits.attempt_silently(&counted, address).await;
    let request = LoginRequest {
        owner,
        password,
        user_agent: entering.user_agent.clone(),
        spent: of_owner.is_err(),
    };
    let written = commands.login(request, entering.request_id.as_str()).await?;
    limits.login_succeeded(attempt).await;
    if let Ok(of_owner) = of_owner {
        limits.login_succeeded(of_owner).await;
    }
    entering.opened(&state, written).await
}

/// The account that a login counts against, whether there is one or not: however it is typed, it is
/// the same one.
fn counted_name(name: &LoginName) -> String {
    match name {
        LoginName::Email(email) => {
            Email::parse(email).map_or_else(|_| email.to_lowercase(), |email| email.canonical())
        }
        LoginName::Phone(phone) => Phone::parse(phone)
            .map_or_else(|_| phone.to_lowercase(), |phone| phone.as_str().to_owned()),
    }
}

/// `POST /api/auth/refresh`: the next pair of tokens for a refresh token.
pub(super) async fn refresh(
    State(state): State<ApiState>,
    entering: Entering,
    OptionalJsonBody(JsonBody { value: Refresh { refresh_token }, .. }): OptionalJsonBody<Refresh>,
) -> Result<impl IntoResponse, Problem> {
    let token = match (refresh_token, &entering.mode.refresh_token) {
        (Some(token), _) => token,
        (None, Some(token)) => token.clone(),
        (None, None) => {
            return Err(Problem::new(&problems::VALIDATION_FAILED).errors(vec![FieldError {
                pointer: "/refreshToken".to_owned(),
                code: "required",
                detail: "must be given, in the body or in the cookie".to_owned(),
            }]));
        }
    };
    let written = state.commands().refresh(&token, entering.request_id.as_str()).await?;
    entering.opened(&state, written).await
}

/// `POST /api/auth/logout`: ends the session of the token, which may have expired, or all others,
/// or all. Idempotent.
pub(super) async fn logout(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    mode: AuthMode,
    OptionalJsonBody(JsonBody { value: Logout { scope }, .. }): OptionalJsonBody<Logout>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().logout(&caller, scope).await?;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    let mut headers = HeaderMap::new();
    if mode.cookie && scope != LogoutScope::Others {
        headers.extend(AuthMode::forget().map(|cookie| (header::SET_COOKIE, cookie)));
    }
    Ok((StatusCode::NO_CONTENT, settled, headers))
}

/// `GET /.well-known/jwks.json`: the keys that access tokens are signed with (RFC 7517, RFC 8037).
pub(super) async fn keys(State(state): State<ApiState>) -> impl IntoResponse {
    let key = |(kid, public): &(String, [u8; 32])| {
        json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
            "x": URL_SAFE_NO_PAD.encode(public),
        })
    };
    let keys: Vec<_> = state.commands().public_keys().iter().map(key).collect();
    ([(header::CACHE_CONTROL, etag::PUBLIC)], Json(json!({ "keys": keys })))
}

/// `GET /api/auth/sessions`: where the caller is logged in. There are few: no pages.
pub(super) async fn sessions(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
) -> Result<impl IntoResponse, Problem> {
    let now = state.commands().now();
    let rows = state.read_models().sessions().live_of(caller.user_id, now).await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    // Without it there is still a list.
    let seen = state.read_models().sessions().last_seen(&ids).await.unwrap_or_default();
    let login = |row: &SessionRow| {
        views::login(row, seen.get(&row.id).copied(), row.id == caller.session_id)
    };
    let data: Vec<_> = rows.iter().map(login).collect();
    let page = json!({"nextCursor": null, "prevCursor": null, "hasMore": false});
    Ok(Json(json!({"data": data, "page": page})))
}

/// `DELETE /api/auth/sessions/{sessionId}`: ends one of the caller's sessions. Idempotent.
pub(super) async fn end_session(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(session_id): PathId<SessionId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().end_session(&caller, session_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}
