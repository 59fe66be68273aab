//! Claims: uniqueness over all aggregates, as keyed hashes.
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{EventStore, StoreError};

/// The keyed hash under which a claimed value is stored.
pub(crate) fn hash(key: &[u8; 32], scope: &str, value: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of any length")
    };
    mac.update(scope.as_bytes());
    mac.update(&[0]);
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl EventStore {
    /// The id of the aggregate that holds a claim.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn claim_owner(
        &self,
        scope: &'static str,
        value: &str,
    ) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("select aggregate_id from claims where scope = $1 and value = $2")
            .bind(scope)
            .bind(hash(self.claim_key(), scope, value))
            .fetch_optional(self.pool())
            .await?)
    }
}
