//! Guesses at the password of who is logged in: whoever stole a token has no more of them than who
//! logs in.
use axum::{Extension, RequestPartsExt as _, extract::FromRequestParts, http::request::Parts};
use commands::{Attempt, Caller, Written};

use crate::{
    ApiState,
    limits::{ClientAddress, Counted},
    problem::Problem,
    problems,
};

/// Counts them, together with the logins to the account.
pub(in crate::routes) struct Guesses {
    pub(super) address: ClientAddress,
    pub(super) counted: Counted,
}

impl FromRequestParts<ApiState> for Guesses {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Problem> {
        // The guard of the route has put these there.
        let missing = |_| Problem::new(&problems::INTERNAL);
        let Extension(counted) = parts.extract::<Extension<_>>().await.map_err(missing)?;
        Ok(Self { address: parts.extract().await?, counted })
    }
}

impl Guesses {
    /// Counts one, if something was typed, and holds it back as it would a login.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(super) async fn count(
        &self,
        state: &ApiState,
        caller: &Caller,
        typed: Option<&str>,
    ) -> Result<Option<Attempt>, Problem> {
        if typed.is_none() {
            return Ok(None);
        }
        let account = caller.user_id.to_string();
        let attempt = state.limits().attempt_login(&account, &self.address.0).await?;
        self.counted.tell(attempt.standings.clone());
        tokio::time::sleep(attempt.delay).await;
        Ok(Some(attempt))
    }

    /// It was right, unless the answer is one that was given before: then nobody has looked at it.
    pub(super) async fn settle<T>(
        state: &ApiState,
        attempt: Option<Attempt>,
        written: &Written<T>,
    ) {
        if let Some(attempt) = attempt.filter(|_| !written.replayed) {
            state.limits().login_succeeded(attempt).await;
        }
    }
}
