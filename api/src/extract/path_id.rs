//! The id in a path.
use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};

use crate::{problem::Problem, problems};

/// The one id of a path. What is no id names nothing: `not_found`.
pub(crate) struct PathId<T>(pub(crate) T);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::new(&problems::NOT_FOUND).detail("there is nothing of this id");
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        let (_, raw) = params.iter().next().ok_or_else(not_found)?;
        raw.parse().map(Self).map_err(|_| not_found())
    }
}
