//! Who asks: a valid access token of a session that lives.
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use commands::{AccessClaims, Caller, TokenError};
use domain::UserId;

use crate::{
    ApiState,
    problem::Problem,
    problems::{self, Kind},
};

/// Who may call a route at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Public,
    /// People with a valid token of a session that lives.
    SignedIn,
    /// People with a token that we signed, though it may have expired and its session ended.
    OnceSignedIn,
}

/// The person who asks; on every route that is not public.
pub(crate) struct Authenticated(pub(crate) Caller);

impl<S: Send + Sync> FromRequestParts<S> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Put there by the guard of the route; on a public route there is nobody.
        parts.extensions.get::<Caller>().cloned().map(Self).ok_or_else(unauthenticated)
    }
}

/// Finds out who asks, as far as the route needs to know.
///
/// # Errors
/// `unauthenticated` or `token_expired`; `dependency_unavailable` when nobody can tell whether the
/// session lives: then it counts as ended.
pub(crate) async fn authenticate(
    state: &ApiState,
    access: Access,
    headers: &HeaderMap,
    request_id: &str,
) -> Result<Option<Caller>, Problem> {
    let commands = state.commands();
    let claims = match access {
        Access::Public => return Ok(None),
        Access::SignedIn => {
            let claims = commands.verify_access_token(bearer(headers)?).map_err(bad_token)?;
            if !still_counts(state, &claims).await? {
                return Err(refused(
                    &problems::UNAUTHENTICATED,
                    "the session has ended; log in again",
                ));
            }
            claims
        }
        Access::OnceSignedIn => {
            commands.verify_access_token_ignoring_expiry(bearer(headers)?).map_err(bad_token)?
        }
    };
    Ok(Some(Caller {
        user_id: claims.user_id,
        session_id: claims.session_id,
        request_id: request_id.to_owned(),
    }))
}

/// Whose token a request carries, if it counts: a token that was given up must not use up the limits
/// of whoever it was made for.
pub(crate) async fn claimed(state: &ApiState, headers: &HeaderMap) -> Option<UserId> {
    let claims = state.commands().verify_access_token(bearer(headers).ok()?).ok()?;
    let counts = still_counts(state, &claims).await;
    counts.is_ok_and(|counts| counts).then_some(claims.user_id)
}

/// Whether the session lives and the account has not cut the token off. Redis may know; where it
/// does not, the event store does.
async fn still_counts(state: &ApiState, claims: &AccessClaims) -> Result<bool, Problem> {
    let AccessClaims { user_id, session_id, token_version, .. } = *claims;
    let sessions = state.read_models().sessions();
    match sessions.counts(session_id, user_id, token_version).await {
        Ok(Some(counts)) => Ok(counts),
        Ok(None) => Ok(state.commands().token_counts(claims).await?),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "asking the event store whether a session lives"
            );
            metrics::counter!("session_lookup_fallbacks_total").increment(1);
            Ok(state.commands().token_counts(claims).await?)
        }
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1).
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (scheme, token) = value.and_then(|v| v.split_once(' ')).ok_or_else(unauthenticated)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        Ok(token)
    } else {
        Err(unauthenticated())
    }
}

fn unauthenticated() -> Problem {
    Problem::new(&problems::UNAUTHENTICATED).detail("send `Authorization: Bearer <access token>`")
}

fn bad_token(error: TokenError) -> Problem {
    match error {
        TokenError::Expired => {
            refused(&problems::TOKEN_EXPIRED, "refresh the session or log in again")
        }
        TokenError::Invalid => refused(&problems::UNAUTHENTICATED, "the access token is not valid"),
    }
}

/// A token came, but it does not help (RFC 6750, section 3.1).
fn refused(kind: &Kind, detail: &'static str) -> Problem {
    Problem::new(kind).detail(detail).challenge("Bearer error=\"invalid_token\"")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        let read = |value: &'static str| {
            let value = HeaderValue::from_static(value);
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            bearer(&headers).map(str::to_owned).map_err(|problem| problem.code())
        };
        assert_eq!(read("Bearer abc.def"), Ok("abc.def".to_owned()));
        assert_eq!(read("bearer  abc"), Ok("abc".to_owned()));
        for bad in ["", "Bearer", "Bearer ", "Basic abc", "abc"] {
            assert_eq!(read(bad), Err("unauthenticated"), "{bad:?}");
        }
    }
}
