//! `/api/auth`.
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Time, users::UserSelf};
use crate::{openapi::Doc, problems, routes::auth::bodies};

/// What opens an account.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Registration {
    /// Unique without regard to case; kept as typed.
    #[schema(format = Email, max_length = 254)]
    email: String,
    /// Not among the most common ones, and neither the address nor the username.
    #[schema(format = Password, min_length = 8, max_length = 128)]
    password: String,
    #[schema(min_length = 1, max_length = 100)]
    full_name: String,
    /// Public and unique.
    #[schema(pattern = "^[A-Za-z0-9_]{3,30}$")]
    username: Option<String>,
    /// International format.
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$")]
    phone: Option<String>,
    education_level: Option<EducationLevel>,
    #[schema(min_length = 1, max_length = 120)]
    institution: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum EducationLevel {
    School,
    Undergraduate,
    Graduate,
    Doctorate,
    Professional,
    Other,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Credentials {
    #[schema(max_length = 1024)]
    email: String,
    #[schema(format = Password, max_length = 1024)]
    password: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RefreshToken {
    #[schema(max_length = 1024)]
    refresh_token: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct LogoutScope {
    /// Which sessions end: the one of the token (if nothing is said), all others, or all.
    scope: Option<Scope>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Scope {
    Local,
    Others,
    Global,
}

/// One of the caller's sessions.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Login {
    id: Uuid,
    created_at: Time,
    last_seen_at: Time,
    expires_at: Time,
    user_agent: Option<String>,
    /// Whether it is the one that asks.
    current: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PasswordChange {
    #[schema(format = Password, max_length = 1024)]
    current_password: String,
    #[schema(format = Password, min_length = 8, max_length = 128)]
    new_password: String,
}

/// Someone is logged in.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct SessionOpened {
    status: SessionStatus,
    user: UserSelf,
    session: SessionTokens,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum SessionStatus {
    Authenticated,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct SessionTokens {
    id: Uuid,
    /// Goes into `Authorization: Bearer …`.
    access_token: String,
    token_type: String,
    /// Life of the access token, seconds.
    expires_in: u64,
    /// Good for one refresh.
    refresh_token: String,
    refresh_expires_at: Time,
}

pub(in crate::routes) fn register() -> Doc {
    Doc::new("register", "Open an account and log into it")
        .body::<bodies::Register, Registration>()
        .answers::<SessionOpened>(201, "The account is there, and its first session.")
        .refuses(&[&problems::EMAIL_TAKEN, &problems::USERNAME_TAKEN, &problems::PHONE_TAKEN])
}

pub(in crate::routes) fn login() -> Doc {
    Doc::new("login", "Log in with a password")
        .body::<bodies::Login, Credentials>()
        .answers::<SessionOpened>(200, "A new session.")
        .refuses(&[&problems::INVALID_CREDENTIALS, &problems::PROJECTION_LAGGING])
}

pub(in crate::routes) fn refresh() -> Doc {
    Doc::new("refreshSession", "Exchange a refresh token for the next pair of tokens")
        .text(
            "Repeating it because the answer was lost gives the same pair. An older token tells \
             that it was stolen: the session ends.",
        )
        .body::<bodies::Refresh, RefreshToken>()
        .answers::<SessionOpened>(200, "The session with new tokens.")
        .refuses(&[
            &problems::REFRESH_TOKEN_INVALID,
            &problems::SESSION_REVOKED,
            &problems::PROJECTION_LAGGING,
        ])
}

pub(in crate::routes) fn logout() -> Doc {
    Doc::new("logout", "End the session")
        .text("Works with an access token that has expired, and again.")
        .optional_body::<bodies::Logout, LogoutScope>()
        .answers_nothing(204, "The session has ended.")
}

pub(in crate::routes) fn sessions() -> Doc {
    Doc::new("listSessions", "List where the caller is logged in")
        .text("All of them on one page.")
        .answers_page::<Login>("The sessions that live.")
}

pub(in crate::routes) fn end_session() -> Doc {
    Doc::new("endSession", "End one of the caller's sessions")
        .text("Its sockets are closed within a second, on every node.")
        .answers_nothing(204, "The session has ended.")
}

pub(in crate::routes) fn change_password() -> Doc {
    Doc::new("changePassword", "Change the password")
        .text("Ends all other sessions of the caller.")
        .body::<bodies::NewPassword, PasswordChange>()
        .answers_nothing(204, "The new password holds.")
}
