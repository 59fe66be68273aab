//! JSON bodies.
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Fields, FromFields};
use crate::{problem::Problem, problems};

/// Identifies the meaning of a body: bodies that differ in spelling only have the same digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyDigest(pub(crate) [u8; 32]);

/// A JSON object that is a valid `T`.
pub(crate) struct JsonBody<T> {
    pub(crate) value: T,
    pub(crate) digest: BodyDigest,
}

/// As [`JsonBody`], where no body at all means an empty object.
pub(crate) struct OptionalJsonBody<T>(pub(crate) JsonBody<T>);

impl<T: FromFields, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(not_json());
        }
        parse(&read(request, state).await?)
    }
}

impl<T: FromFields, S: Send + Sync> FromRequest<S> for OptionalJsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let body = read(request, state).await?;
        if body.is_empty() {
            return parse(b"{}").map(Self);
        }
        if !is_json {
            return Err(not_json());
        }
        parse(&body).map(Self)
    }
}

/// `application/json` with any parameters; JSON is UTF-8 whatever they say (RFC 8259, section 11).
fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn not_json() -> Problem {
    Problem::new(&problems::UNSUPPORTED_MEDIA_TYPE).detail("send application/json")
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => Problem::new(&problems::PAYLOAD_TOO_LARGE),
            _ => Problem::new(&problems::MALFORMED_BODY).detail("the body ended too early"),
        }
    })
}

fn parse<T: FromFields>(body: &[u8]) -> Result<JsonBody<T>, Problem> {
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        Problem::new(&problems::MALFORMED_JSON).detail(format!(
            "not valid JSON at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let digest = digest(&value);
    let Value::Object(fields) = value else {
        return Err(Problem::new(&problems::VALIDATION_FAILED).errors(vec![
            commands::FieldError {
                pointer: String::new(),
                code: "wrong_type",
                detail: "must be an object".to_owned(),
            },
        ]));
    };
    Ok(JsonBody { value: Fields::new(fields).read()?, digest })
}

/// SHA-256 of the value with its keys in order and no spaces.
fn digest(value: &Value) -> BodyDigest {
    let canonical = sorted(value).to_string();
    BodyDigest(Sha256::digest(canonical.as_bytes()).into())
}

/// Whether the map of `serde_json` keeps its keys sorted depends on what else is built with it.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Anything;

    impl FromFields for Anything {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            fields.optional("a", |_| Ok(()))?;
            fields.optional("b", |_| Ok(()))?;
            Some(Self)
        }
    }

    fn code(body: &[u8]) -> Option<&'static str> {
        parse::<Anything>(body).err().map(|problem| problem.code())
    }

    #[test]
    fn what_is_not_json_is_malformed() {
        let deep = "[".repeat(100_000);
        for bad in ["", "{", "{\"a\":1e999}", "{\"a\":\"\\ud800\"}", "{} {}", &deep] {
            assert_eq!(code(bad.as_bytes()), Some("malformed_json"), "{bad:.20}");
        }
        assert_eq!(code(b"{\"a\":\"\xff\"}"), Some("malformed_json"));
        assert_eq!(code(b"[]"), Some("validation_failed"));
        assert_eq!(code(b"{}"), None);
    }

    #[test]
    fn the_digest_ignores_order_and_spaces_only() {
        let of = |body: &str| parse::<Anything>(body.as_bytes()).map(|json| json.digest).unwrap();
        let one = of(r#"{"a":{"x":1,"y":[2,3]},"b":null}"#);
        assert_eq!(one, of("{ \"b\" : null, \"a\":{\"y\":[2, 3],\"x\":1}}"));
        assert_ne!(one, of(r#"{"a":{"x":1,"y":[3,2]},"b":null}"#));
    }
}
