//! Browser mode: the refresh token in a cookie that pages cannot read.
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, HeaderValue, header, request::Parts},
};

use super::single;
use crate::{ApiState, problem::Problem, problems};

const HEADER: &str = "x-auth-mode";
/// `__Host-` would need the path `/`; this one goes to the routes that need it, and nowhere else.
const NAME: &str = "__Secure-refresh";
const ATTRIBUTES: &str = "Path=/api/auth; HttpOnly; Secure; SameSite=Strict";

/// Where the client wants its refresh token, and the one that a cookie brought.
pub(crate) struct AuthMode {
    /// Whether it goes into a cookie.
    pub(crate) cookie: bool,
    /// What the cookie brought.
    pub(crate) refresh_token: Option<String>,
}

impl AuthMode {
    /// The cookie that keeps a refresh token for so many seconds.
    pub(crate) fn keep(token: &str, seconds: i64) -> Option<HeaderValue> {
        let seconds = seconds.max(0);
        HeaderValue::from_str(&format!("{NAME}={token}; Max-Age={seconds}; {ATTRIBUTES}")).ok()
    }

    /// The cookie that ends the one before.
    pub(crate) fn forget() -> Option<HeaderValue> {
        HeaderValue::from_str(&format!("{NAME}=; Max-Age=0; {ATTRIBUTES}")).ok()
    }
}

impl<S> FromRequestParts<S> for AuthMode
where
    S: Send + Sync,
    ApiState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let rule = "X-Auth-Mode must be cookie, or absent";
        let cookie = single(&parts.headers, HEADER, rule, |mode| mode == "cookie")?.is_some();
        let refresh_token = sent(&parts.headers);
        if refresh_token.is_some() || cookie {
            // Browsers send cookies whoever asks: only our own pages may make use of this one.
            let state = ApiState::from_ref(state);
            let own = &state.config().server.public_origin;
            let origin = parts.headers.get(header::ORIGIN).and_then(|it| it.to_str().ok());
            if origin != Some(own.as_str()) {
                return Err(Problem::new(&problems::ORIGIN_NOT_ALLOWED)
                    .detail("cookies are for pages of this origin"));
            }
        }
        Ok(Self { cookie: cookie || refresh_token.is_some(), refresh_token })
    }
}

/// The cookie's value, if there is one.
fn sent(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == NAME && !value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_found_among_others() {
        let read = |line: &'static str| {
            sent(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(line))]))
        };
        assert_eq!(read("a=b; __Secure-refresh=tok; c=d").as_deref(), Some("tok"));
        assert_eq!(read("__Secure-refresh="), None);
        assert_eq!(read("x__Secure-refresh=tok"), None);
    }

    #[test]
    fn the_cookie_is_for_the_server_only() {
        let cookie = AuthMode::keep("tok", 60).unwrap();
        let text = cookie.to_str().unwrap();
        for part in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/api/auth", "Max-Age=60"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
