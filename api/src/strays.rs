//! Requests that no route is for. They count like those for a route that is open to everyone: looking
//! for what there is, is no way around the limits.
use axum::{
    extract::State,
    http::request::Parts,
    response::{IntoResponse as _, Response},
};

use crate::{
    ApiState,
    extract::claimed,
    limits::{self, ClientAddress},
    problem::Problem,
    problems,
};

/// There is nothing at this path.
pub(crate) fn unknown_route() -> Problem {
    Problem::new(&problems::NOT_FOUND).detail("there is nothing at this path")
}

/// There is something at this path, for other methods; axum adds `Allow`.
pub(crate) fn method_not_allowed() -> Problem {
    Problem::new(&problems::METHOD_NOT_ALLOWED).detail("see the Allow header")
}

/// [`unknown_route`], counted.
pub(crate) async fn count_unknown_route(
    State(state): State<ApiState>,
    request: Parts,
) -> Result<Response, Problem> {
    counted(&state, &request, unknown_route()).await
}

/// [`method_not_allowed`], counted.
pub(crate) async fn count_method_not_allowed(
    State(state): State<ApiState>,
    request: Parts,
) -> Result<Response, Problem> {
    counted(&state, &request, method_not_allowed()).await
}

async fn counted(state: &ApiState, request: &Parts, answer: Problem) -> Result<Response, Problem> {
    let address = ClientAddress::of(state, &request.extensions, &request.headers);
    let person = claimed(state, &request.headers).await;
    let standings = limits::count_usual(state, &request.method, person, &address).await?;
    let mut response = answer.into_response();
    limits::tell(response.headers_mut(), &standings);
    Ok(response)
}
