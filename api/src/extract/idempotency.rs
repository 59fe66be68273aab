//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, request::Parts},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use commands::{Commands, IdempotencyKey};
use sha2::{Digest, Sha256};

use super::{Authenticated, BodyDigest, single};
use crate::{endpoint::Endpoint, problem::Problem};

const HEADER: &str = "idempotency-key";
const MAX_LENGTH: usize = 255;

/// The client's key, if it sent one, with everything of the request but its body.
pub(crate) struct IdempotencyKeyHeader(Option<Scoped>);

struct Scoped {
    key: String,
    commands: Commands,
    method: &'static str,
    path: String,
}

impl IdempotencyKeyHeader {
    /// The key for the command: the same person, method, route and key give the same one, and the
    /// same path and body under it the same request.
    pub(crate) fn with_body(self, body: BodyDigest) -> Option<IdempotencyKey> {
        let Scoped { key, commands, method, path } = self.0?;
        let parts = [method.as_bytes(), path.as_bytes(), &body.0];
        Some(IdempotencyKey { key, request_hash: commands.request_hasher().hash(&parts) })
    }
}

impl<S> FromRequestParts<S> for IdempotencyKeyHeader
where
    S: Send + Sync,
    Commands: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Some(sent) = sent(&parts.headers)? else { return Ok(Self(None)) };
        let sent = sent.to_owned();
        let Authenticated(caller) = Authenticated::from_request_parts(parts, state).await?;
        let endpoint = Endpoint::of(&parts.extensions)?;
        // Hashed, because a key may hold whatever a client likes, personal data included.
        let mut scoped = Sha256::new();
        scoped.update(caller.user_id.0.as_bytes());
        for part in [endpoint.method.as_str(), endpoint.path, &sent] {
            scoped.update((part.len() as u64).to_be_bytes());
            scoped.update(part);
        }
        Ok(Self(Some(Scoped {
            key: URL_SAFE_NO_PAD.encode(scoped.finalize()),
            commands: Commands::from_ref(state),
            method: endpoint.method.as_str(),
            path: parts.uri.path().to_owned(),
        })))
    }
}

/// The header's value, if there is one.
fn sent(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let rule = "Idempotency-Key must be one value of 1 to 255 visible ASCII characters";
    single(headers, HEADER, rule, |key| {
        (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, &'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, value.parse().unwrap());
        }
        sent(&headers).map(|key| key.map(str::to_owned)).map_err(|problem| problem.code())
    }

    #[test]
    fn a_key_is_optional_and_visible_ascii() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"a-1\""]), Ok(Some("\"a-1\"".to_owned())));
        assert!(read(&[&"k".repeat(255)]).is_ok());
        for bad in [&[""][..], &["a b"], &["é"], &[&"k".repeat(256)], &["a", "b"]] {
            assert_eq!(read(bad), Err("invalid_header"), "{bad:?}");
        }
    }
}
