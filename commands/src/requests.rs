//! What all commands need around the command itself: idempotency keys and how long it took.
use std::{fmt, sync::Arc, time::Instant};

use domain::AggregateRoot;
use eventstore::StoreError;
use hmac::{Hmac, KeyInit, Mac};
use platform::Secrets;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    Caller, CommandError, Commands,
    bus::{Idempotency, RequestKey},
};

/// A client's key for one request, so that repeating the request does nothing twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Already scoped to the person, the method and the route: no two of them share a key.
    pub key: String,
    /// Tells a repetition from another request under the same key; see [`RequestHasher`].
    pub request_hash: [u8; 32],
}

/// Hashes requests. The hash is keyed: what was said cannot be guessed from a stored hash, not
/// even after the person's own key was destroyed.
#[derive(Clone)]
pub struct RequestHasher {
    mac: Hmac<Sha256>,
}

impl RequestHasher {
    /// Takes its key from `secrets`.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        let Ok(mac) = Hmac::new_from_slice(secrets.derive("request-hash").as_slice()) else {
            unreachable!("HMAC takes keys of any length")
        };
        Self { mac }
    }

    /// The hash of a request, given as its parts in a fixed order. Where one part ends and the
    /// next begins counts.
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for RequestHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestHasher(…)")
    }
}

impl Commands {
    /// The client's key, if there is one, and how the answer that it keeps is made.
    pub(crate) fn keep_answer<A: AggregateRoot, T: Serialize>(
        &self,
        key: Option<IdempotencyKey>,
        caller: &Caller,
        answer: impl Fn(&[A::Event], &A) -> T + Send + Sync + 'static,
    ) -> Option<Idempotency<A>> {
        self.keep_answer_for(None, key, caller, answer)
    }

    /// As [`Self::keep_answer`], with a key of ours beside the client's.
    pub(crate) fn keep_answer_for<A: AggregateRoot, T: Serialize>(
        &self,
        ours: Option<RequestKey>,
        key: Option<IdempotencyKey>,
        caller: &Caller,
        answer: impl Fn(&[A::Event], &A) -> T + Send + Sync + 'static,
    ) -> Option<Idempotency<A>> {
        let keep = self.inner.keep_answers;
        let theirs =
            key.map(|IdempotencyKey { key, request_hash }| RequestKey { key, request_hash, keep });
        let keys: Vec<_> = ours.into_iter().chain(theirs).collect();
        (!keys.is_empty()).then(|| Idempotency {
            keys,
            subject: caller.user_id,
            answer: Arc::new(move |events, state| stored(&answer(events, state))),
        })
    }
}

/// The form in which an answer is kept. Our answers are plain records, which always have one.
pub(crate) fn stored(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

/// Reads back an answer that was kept. It is missing once the person who asked was erased.
///
/// # Errors
/// [`CommandError::Unavailable`] when this build cannot read it.
pub(crate) fn replay<T: DeserializeOwned>(answer: Option<Value>) -> Result<T, CommandError> {
    let answer = answer.ok_or(StoreError::SubjectErased)?;
    serde_json::from_value(answer).map_err(CommandError::unavailable)
}

/// Measures a command until it is dropped: `command_seconds{command}`.
pub(crate) struct Timer {
    command: &'static str,
    started: Instant,
}

impl Timer {
    pub(crate) fn start(command: &'static str) -> Self {
        Self { command, started: Instant::now() }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        metrics::histogram!("command_seconds", "command" => self.command)
            .record(self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use crate::tokens::tests::secrets;

    use super::*;

    #[test]
    fn the_same_request_has_the_same_hash_everywhere() {
        let (here, there) = (RequestHasher::new(&secrets(1)), RequestHasher::new(&secrets(1)));
        assert_eq!(here.hash(&[b"text", b"hello"]), there.hash(&[b"text", b"hello"]));
    }

    #[test]
    fn another_request_has_another_hash() {
        let hasher = RequestHasher::new(&secrets(1));
        let hash = hasher.hash(&[b"text", b"hello"]);
        assert_ne!(hash, hasher.hash(&[b"text", b"hello!"]));
        assert_ne!(hash, hasher.hash(&[b"tex", b"thello"]), "the boundary of parts counts");
        assert_ne!(hash, hasher.hash(&[b"text", b"hello", b""]));
    }

    #[test]
    fn without_the_key_a_hash_says_nothing() {
        let (ours, theirs) = (RequestHasher::new(&secrets(1)), RequestHasher::new(&secrets(2)));
        assert_ne!(ours.hash(&[b"yes"]), theirs.hash(&[b"yes"]));
    }

    #[test]
    fn an_answer_is_read_back_or_reported() {
        assert_eq!(replay::<u32>(Some(stored(&7_u32))).unwrap(), 7);
        let unreadable = replay::<u32>(Some("seven".into()));
        assert!(matches!(unreadable, Err(CommandError::Unavailable(_))));
    }

    #[test]
    fn an_erased_person_gets_no_answer() {
        let refusal = replay::<u32>(None).unwrap_err();
        assert!(matches!(refusal, CommandError::Rejected { code: "unauthenticated", .. }));
    }
}
