//! The ids in a path.
use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};

use crate::{problem::Problem, problems};

/// The one id of a path. What is no id names nothing: `not_found`.
pub(crate) struct PathId<T>(pub(crate) T);

/// The two ids of a path.
pub(crate) struct PathIds<A, B>(pub(crate) A, pub(crate) B);

impl<T: FromStr, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = params(parts, state).await?;
        read(&params, 0).map(Self)
    }
}

impl<A: FromStr, B: FromStr, S: Send + Sync> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = params(parts, state).await?;
        Ok(Self(read(&params, 0)?, read(&params, 1)?))
    }
}

async fn params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_found())
}

fn read<T: FromStr>(params: &RawPathParams, number: usize) -> Result<T, Problem> {
    let (_, raw) = params.iter().nth(number).ok_or_else(not_found)?;
    raw.parse().map_err(|_| not_found())
}

fn not_found() -> Problem {
    Problem::new(&problems::NOT_FOUND).detail("there is nothing of this id")
}
