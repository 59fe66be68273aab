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
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    full_name: String,
    /// Public and unique.
    #[schema(pattern = "^[A-Za-z0-9_]{3,30}$")]
    username: Option<String>,
    /// International format; blanks, dots, hyphens and parentheses count for nothing.
    #[schema(max_length = 64, pattern = r"^[ .()-]*\+[ .()-]*[1-9]([ .()-]*[0-9]){7,14}[ .()-]*$")]
    phone: Option<String>,
    education_level: Option<EducationLevel>,
    #[schema(min_length = 1, max_length = 120, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
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
    /// Or else `phone`.
    #[schema(max_length = 1024)]
    email: Option<String>,
    /// Or else `email`.
    #[schema(max_length = 1024)]
    phone: Option<String>,
    #[schema(format = Password, max_length = 1024)]
    password: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RefreshToken {
    /// Not needed where a cookie has it.
    #[schema(max_length = 1024)]
    refresh_token: Option<String>,
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
    current_password: Option<String>,
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
    /// Good for one refresh. In browser mode (`X-Auth-Mode: cookie`) it is in a cookie instead.
    #[schema(required = false)]
    refresh_token: String,
    refresh_expires_at: Time,
}

/// Something was sent that is to be answered first.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct VerificationRequired {
    status: VerificationStatus,
    verification: Verification,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum VerificationStatus {
    VerificationRequired,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Verification {
    /// Names it when a code is typed.
    id: Uuid,
    channel: Channel,
    /// Where it went, as far as everyone may know.
    masked_destination: String,
    expires_at: Time,
    /// Not before then another one is sent.
    resend_available_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Channel {
    Email,
    Sms,
}

/// Either `token`, or `code` with `verificationId` or `email`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct EmailProof {
    /// What stands in the link.
    #[schema(max_length = 1024)]
    token: Option<String>,
    verification_id: Option<Uuid>,
    /// Where the code went: the newest one counts.
    #[schema(format = Email, max_length = 254)]
    email: Option<String>,
    /// Six digits.
    #[schema(max_length = 1024)]
    code: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Address {
    #[schema(format = Email, max_length = 254)]
    email: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PasswordReset {
    /// What stands in the link.
    #[schema(max_length = 1024)]
    token: String,
    #[schema(format = Password, min_length = 8, max_length = 128)]
    new_password: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct EmailChange {
    #[schema(format = Email, max_length = 254)]
    email: String,
    #[schema(format = Password, max_length = 1024)]
    current_password: Option<String>,
}

/// A JSON Web Key Set.
#[derive(ToSchema)]
struct KeySet {
    keys: Vec<PublicKey>,
}

/// A public key (RFC 7517, RFC 8037).
#[derive(ToSchema)]
struct PublicKey {
    kty: String,
    crv: String,
    alg: String,
    r#use: String,
    /// Stands in the header of the tokens that it signed.
    kid: String,
    x: String,
}

pub(in crate::routes) fn keys() -> Doc {
    Doc::new("listKeys", "Read the keys that access tokens are signed with")
        .answers::<KeySet>(200, "All keys that verify; the first one signs.")
}

/// An empty object.
#[derive(ToSchema)]
struct Accepted {}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct CodeRequest {
    /// International format; blanks, dots, hyphens and parentheses count for nothing.
    #[schema(max_length = 64, pattern = r"^[ .()-]*\+[ .()-]*[1-9]([ .()-]*[0-9]){7,14}[ .()-]*$")]
    phone: String,
    purpose: Option<CodePurpose>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum CodePurpose {
    Login,
    VerifyPhone,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct CodeSent {
    verification_id: Uuid,
    /// Where it went, as far as everyone may know.
    masked_destination: String,
    expires_at: Time,
    /// Not before then another one is sent.
    resend_available_at: Time,
}

/// The code, with `verificationId` or `phone`.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct CodeAnswer {
    verification_id: Option<Uuid>,
    #[schema(max_length = 64, pattern = r"^[ .()-]*\+[ .()-]*[1-9]([ .()-]*[0-9]){7,14}[ .()-]*$")]
    phone: Option<String>,
    /// Six digits.
    #[schema(max_length = 1024)]
    code: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct PhoneChange {
    /// International format; blanks, dots, hyphens and parentheses count for nothing.
    #[schema(max_length = 64, pattern = r"^[ .()-]*\+[ .()-]*[1-9]([ .()-]*[0-9]){7,14}[ .()-]*$")]
    phone: String,
    #[schema(format = Password, max_length = 1024)]
    current_password: Option<String>,
}

pub(in crate::routes) fn send_otp() -> Doc {
    Doc::new("sendOneTimeCode", "Ask for a one-time code by text message")
        .text(
            "Answers the same whether somebody has the number or not. A new code makes the one before \
             useless. To prove the number of one's account, be logged in and say `verify_phone`.",
        )
        .body::<bodies::SendOtp, CodeRequest>()
        .answers::<CodeSent>(202, "The code is on its way.")
        .refuses(&[
            &problems::RATE_LIMITED,
            &problems::UNAUTHENTICATED,
            &problems::TOKEN_EXPIRED,
            &problems::NOT_YOUR_NUMBER,
            &problems::DEPENDENCY_UNAVAILABLE,
        ])
}

pub(in crate::routes) fn verify_otp() -> Doc {
    Doc::new("verifyOneTimeCode", "Get in with a one-time code")
        .browser_mode()
        .text(
            "Wrong, unknown, used and expired codes are answered alike. `phone` names the newest code for \
             logging in at that number; codes for anything else are named by `verificationId`.",
        )
        .body::<bodies::VerifyOtp, CodeAnswer>()
        .either(&[&["verificationId"], &["phone"]])
        .answers::<SessionOpened>(200, "A new session.")
        .answers::<SessionOpened>(201, "A new account, and its first session.")
        .refuses(&[
            &problems::OTP_INVALID,
            &problems::OTP_ATTEMPTS_EXCEEDED,
            &problems::PHONE_TAKEN,
            &problems::ACCOUNT_SUSPENDED,
            &problems::INVALID_CREDENTIALS,
        ])
}

pub(in crate::routes) fn change_phone() -> Doc {
    Doc::new("changePhone", "Give the account another phone number")
        .text(
            "A code goes to the new number; it is answered at `/api/auth/phone/verify`. Who has no \
             password logs in with a code before, instead of saying it.",
        )
        .body::<bodies::ChangePhone, PhoneChange>()
        .answers::<VerificationRequired>(202, "The code is on its way.")
        .refuses(&[&problems::RATE_LIMITED, &problems::FRESH_LOGIN_REQUIRED])
}

pub(in crate::routes) fn verify_email() -> Doc {
    Doc::new("verifyEmail", "Prove an e-mail address")
        .browser_mode()
        .text(
            "By the token of the link in the e-mail, or by the code beside it, with the id of the \
             verification or the address that it went to. Links that agree to a \
             change of address are answered here too: 202 while the other address has not agreed.",
        )
        .body::<bodies::Verify, EmailProof>()
        .either(&[&["token"], &["verificationId", "code"], &["email", "code"]])
        .answers::<SessionOpened>(200, "The address is proven, and a new session.")
        .answers::<VerificationRequired>(202, "The other address has to agree as well.")
        .refuses(&[
            &problems::TOKEN_INVALID,
            &problems::OTP_INVALID,
            &problems::OTP_ATTEMPTS_EXCEEDED,
            &problems::RATE_LIMITED,
            &problems::EMAIL_TAKEN,
            &problems::ACCOUNT_SUSPENDED,
            &problems::INVALID_CREDENTIALS,
        ])
}

pub(in crate::routes) fn resend_email() -> Doc {
    Doc::new("resendVerification", "Ask for another e-mail that proves an address")
        .text("Answers the same whether the address waits for one or not.")
        .body::<bodies::Resend, Address>()
        .answers::<VerificationRequired>(202, "If the address waits for one, it was sent.")
        .refuses(&[&problems::RATE_LIMITED])
}

pub(in crate::routes) fn forgot_password() -> Doc {
    Doc::new("forgotPassword", "Ask for a link that resets the password")
        .text("Answers the same whether there is such an account or not.")
        .body::<bodies::Resend, Address>()
        .answers::<Accepted>(202, "If there is such an account, the link was sent.")
}

pub(in crate::routes) fn reset_password() -> Doc {
    Doc::new("resetPassword", "Choose another password with the link from the e-mail")
        .browser_mode()
        .text("Ends every session of the account and begins a new one.")
        .body::<bodies::Reset, PasswordReset>()
        .answers::<SessionOpened>(200, "A new session.")
        .refuses(&[
            &problems::TOKEN_INVALID,
            &problems::ACCOUNT_SUSPENDED,
            &problems::INVALID_CREDENTIALS,
        ])
}

pub(in crate::routes) fn change_email() -> Doc {
    Doc::new("changeEmail", "Move the account to another e-mail address")
        .text(
            "Both addresses get a link and have to agree; an address that was never proven has no \
             say. Answers the same whether somebody has the new address or not. Who has no password \
             logs in with a code before, instead of saying it.",
        )
        .body::<bodies::ChangeEmail, EmailChange>()
        .answers::<VerificationRequired>(202, "Both were asked.")
        .refuses(&[&problems::RATE_LIMITED, &problems::FRESH_LOGIN_REQUIRED])
}

/// Where the answer has the id of the person.
const USER: &[(&str, &str)] = &[("userId", "$response.body#/user/id")];

pub(in crate::routes) fn register() -> Doc {
    Doc::new("register", "Open an account and log into it")
        .browser_mode()
        .text(
            "Where accounts work only once their address is proven, the answer is 202, also for an \
             address that has an account.",
        )
        .body::<bodies::Register, Registration>()
        .answers::<SessionOpened>(201, "The account is there, and its first session.")
        .leads("getUser", USER)
        .leads("postDirectMessage", USER)
        .leads("blockUser", USER)
        .leads("unblockUser", USER)
        .leads_with(
            "login",
            &[],
            &[("email", "$request.body#/email"), ("password", "$request.body#/password")],
        )
        .answers::<VerificationRequired>(202, "An e-mail was sent that is to be answered.")
        .refuses(&[&problems::EMAIL_TAKEN, &problems::USERNAME_TAKEN, &problems::PHONE_TAKEN])
}

pub(in crate::routes) fn login() -> Doc {
    Doc::new("login", "Log in with a password")
        .browser_mode()
        .body::<bodies::Login, Credentials>()
        .either(&[&["email"], &["phone"]])
        .answers::<SessionOpened>(200, "A new session.")
        .refuses(&[
            &problems::INVALID_CREDENTIALS,
            &problems::EMAIL_NOT_VERIFIED,
            &problems::ACCOUNT_SUSPENDED,
        ])
}

pub(in crate::routes) fn refresh() -> Doc {
    Doc::new("refreshSession", "Exchange a refresh token for the next pair of tokens")
        .browser_mode()
        .text(
            "Repeating it because the answer was lost gives the same pair. An older token tells \
             that it was stolen: the session ends.",
        )
        .optional_body::<bodies::Refresh, RefreshToken>()
        .answers::<SessionOpened>(200, "The session with new tokens.")
        .refuses(&[&problems::REFRESH_TOKEN_INVALID, &problems::SESSION_REVOKED])
}

pub(in crate::routes) fn logout() -> Doc {
    Doc::new("logout", "End the session")
        .browser_mode()
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
        .text("Its sockets are out before the answer, on every node.")
        .answers_nothing(204, "The session has ended.")
}

pub(in crate::routes) fn change_password() -> Doc {
    Doc::new("changePassword", "Change the password, or choose the first one")
        .text(
            "Ends all other sessions of the caller. Who has no password yet says none, and has logged \
             in with a code a short while ago.",
        )
        .body::<bodies::NewPassword, PasswordChange>()
        .answers_nothing(204, "The new password holds.")
        .if_match()
        .refuses(&[&problems::RATE_LIMITED, &problems::FRESH_LOGIN_REQUIRED])
}
