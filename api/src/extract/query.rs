//! Query parameters: read and refused like the fields of a body.
use axum::{
    extract::{FromRequestParts, Query as Pairs},
    http::request::Parts,
};
use commands::FieldError;
use serde_json::{Map, Value};

use super::{Fields, FromFields, fields::pointer_to};
use crate::{problem::Problem, problems};

/// A query string that is a valid `T`.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: FromFields, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::new(&problems::VALIDATION_FAILED).detail("unreadable query"))?;
        let mut fields = Map::new();
        for (name, value) in pairs.0 {
            let pointer = pointer_to(&name);
            if fields.insert(name, Value::String(value)).is_some() {
                let detail = "must be given once".to_owned();
                let twice = FieldError { pointer, code: "duplicate", detail };
                return Err(Problem::new(&problems::VALIDATION_FAILED).errors(vec![twice]));
            }
        }
        Fields::new(fields).read().map(Self)
    }
}
