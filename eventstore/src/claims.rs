//! Claims: uniqueness over all aggregates, as keyed hashes.
use std::collections::HashMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{Claim, EventStore, StoreError};

/// What the claims of several events come to: the statement looks at all of them at once, so a
/// value may be named once only.
pub(crate) fn fold(claims: Vec<Claim>) -> Vec<Claim> {
    // The first change tells whether the value was held before, the last whether it is afterwards.
    let mut folded: Vec<(Claim, bool)> = Vec::with_capacity(claims.len());
    for claim in claims {
        let same = |(known, _): &&mut (Claim, bool)| {
            known.scope == claim.scope && known.value == claim.value
        };
        if let Some((_, last)) = folded.iter_mut().find(same) {
            *last = claim.take;
        } else {
            let last = claim.take;
            folded.push((claim, last));
        }
    }
    folded.into_iter().filter(|(first, last)| first.take == *last).map(|(claim, _)| claim).collect()
}

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
    /// Which of these values are claimed, by whomever.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn claims_held(
        &self,
        scope: &'static str,
        values: &[String],
    ) -> Result<Vec<bool>, StoreError> {
        let hashes: Vec<_> = values.iter().map(|v| hash(self.claim_key(), scope, v)).collect();
        let held: Vec<Vec<u8>> =
            sqlx::query_scalar("select value from claims where scope = $1 and value = any($2)")
                .bind(scope)
                .bind(&hashes)
                .fetch_all(self.pool())
                .await?;
        Ok(hashes.iter().map(|hash| held.contains(hash)).collect())
    }

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

    /// The ids of the aggregates that hold these claims, in the order of `values`.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn claim_owners(
        &self,
        scope: &'static str,
        values: &[String],
    ) -> Result<Vec<Option<String>>, StoreError> {
        let hashes: Vec<_> =
            values.iter().map(|value| hash(self.claim_key(), scope, value)).collect();
        let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(
            "select value, aggregate_id from claims where scope = $1 and value = any($2)",
        )
        .bind(scope)
        .bind(&hashes)
        .fetch_all(self.pool())
        .await?;
        let owners: HashMap<_, _> = rows.into_iter().collect();
        Ok(hashes.iter().map(|value| owners.get(value).cloned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(value: u8, take: bool) -> Claim {
        Claim { scope: "email", value: vec![value], take }
    }

    #[test]
    fn a_value_is_named_once_with_what_its_changes_come_to() {
        let (take, release) = (|v| claim(v, true), |v| claim(v, false));
        assert_eq!(fold(vec![take(1), take(1)]), [take(1)]);
        assert_eq!(fold(vec![release(1), take(2), release(2), take(3)]), [release(1), take(3)]);
        // Given up and taken back: it stays as it is.
        assert_eq!(fold(vec![release(1), take(1)]), []);
    }
}
