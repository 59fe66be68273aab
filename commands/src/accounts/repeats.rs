//! Changes of address and number that are asked for again with the same `Idempotency-Key`.
//!
//! Something is sent, and counted, before the answer is there: who asks again must neither be counted
//! again nor be told to wait. So the key stands beside the code from the beginning, and a repeat waits
//! for the answer of the first.
//!
//! The current password is in the hash of the request, as everything in the body: with another one it
//! is another request. The hash is keyed ([`crate::RequestHasher`]), so what is stored helps nobody to
//! guess it. And who guesses here with a stolen session needs the owner's key beside it, is counted
//! like everybody who writes, and learns no more than from asking without a key.
use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    text::{Email, Phone},
    user::LinkRequest,
};
use eventstore::{AskedCode, CodeKey};
use uuid::Uuid;

use super::{phone::texted, verification::Verification};
use crate::{CommandError, Commands, IdempotencyKey, Written, requests::replay};

/// How often somebody who waits for the answer to an earlier request looks whether it is there.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Commands {
    /// The key as it stands beside a code.
    pub(super) fn code_key<'a>(&self, key: &'a IdempotencyKey) -> CodeKey<'a> {
        let now = self.now();
        let ago = |time| now - TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
        CodeKey {
            key: &key.key,
            request_hash: key.request_hash,
            kept_since: ago(self.inner.keep_answers),
            running_since: ago(self.inner.longest_request),
        }
    }

    /// What a change to this address was answered that was asked for with the same key.
    pub(super) async fn earlier_email_change(
        &self,
        key: Option<&IdempotencyKey>,
        email: &Email,
    ) -> Result<Option<Written<Verification>>, CommandError> {
        let Some(key) = key else { return Ok(None) };
        loop {
            if let Some(seen) = self.store().seen(&key.key).await? {
                same(key, &seen.request_hash)?;
                // The rest of the answer follows from what is asked.
                let asked: LinkRequest = replay(self.store().open_answer(&seen).await?)?;
                let value = self.sent_to(asked, email);
                return Ok(Some(Written { value, receipt: Some(seen.receipt), replayed: true }));
            }
            if self.code_asked_with(key).await?.is_none() {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// What a change to this number was answered that was asked for with the same key.
    pub(super) async fn earlier_phone_change(
        &self,
        key: Option<&IdempotencyKey>,
        phone: &Phone,
    ) -> Result<Option<Written<Verification>>, CommandError> {
        let Some(key) = key else { return Ok(None) };
        loop {
            let Some(asked) = self.code_asked_with(key).await? else { return Ok(None) };
            if asked.answered {
                let AskedCode { id, created_at, expires_at, .. } = asked;
                let value = texted(id, phone, expires_at, created_at + self.send_limits().gap);
                return Ok(Some(Written { value, receipt: None, replayed: true }));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn code_asked_with(
        &self,
        key: &IdempotencyKey,
    ) -> Result<Option<AskedCode>, CommandError> {
        let asked = self.store().code_of_key(self.code_key(key)).await?;
        if let Some(asked) = &asked {
            same(key, &asked.request_hash)?;
        }
        Ok(asked)
    }

    /// What failed is asked for anew the next time, not answered as it was.
    pub(super) async fn forget_asking(&self, id: Uuid) {
        if let Err(error) = self.store().forget_key_of_code(id).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "an idempotency key is believed to be in use for a moment");
        }
    }
}

fn same(key: &IdempotencyKey, request_hash: &[u8]) -> Result<(), CommandError> {
    if request_hash == key.request_hash.as_slice() {
        Ok(())
    } else {
        Err(CommandError::IdempotencyKeyReused)
    }
}
