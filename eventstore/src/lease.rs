//! Leases: who leads, until when, with a token that grows with every change.
//!
//! A lease only avoids needless work. What makes two leaders harmless is the fence in the write
//! itself: the primary key of positions, the expected sequence of NATS, the compare-and-set of
//! checkpoints.
use std::time::Duration;

use sqlx::{PgPool, Row as _};

use crate::StoreError;

/// A lease that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What is led.
    pub name: String,
    /// Grows with every change of holder.
    pub token: i64,
}

/// The leases of one holder.
#[derive(Clone)]
pub struct Leases {
    pool: PgPool,
    holder: String,
}

impl Leases {
    /// Leases for `holder`, which must be unique among running processes.
    #[must_use]
    pub fn new(pool: PgPool, holder: String) -> Self {
        Self { pool, holder }
    }

    /// Acquires or renews; one round trip for all names. Returns those held now.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn acquire(&self, names: &[String], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        // Sorted, so that two holders asking for the same names never wait in a circle.
        let mut names = names.to_vec();
        names.sort_unstable();
        let rows = sqlx::query(
            "insert into leases as l (name, holder, token, expires_at)
             select name, $2, 1, now() + make_interval(secs => $3)
             from unnest($1::text[]) as name order by name
             on conflict (name) do update set
                 holder = excluded.holder,
                 token = l.token + (l.holder <> excluded.holder)::int,
                 expires_at = excluded.expires_at
             where l.holder = excluded.holder or l.expires_at < now()
             returning l.name, l.token",
        )
        .bind(&names)
        .bind(&self.holder)
        .bind(ttl.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| Ok(Lease { name: row.try_get("name")?, token: row.try_get("token")? }))
            .collect()
    }

    /// Gives leases back, so that a standby need not wait for them to expire.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn release(&self, names: &[String]) -> Result<(), StoreError> {
        sqlx::query("update leases set expires_at = 'epoch' where name = any($1) and holder = $2")
            .bind(names)
            .bind(&self.holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
