//! Which version of each read model is read.
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sqlx::PgPool;

use crate::ReadModels;

/// How long a flip may go unnoticed.
const REFRESH: Duration = Duration::from_secs(1);

/// The active versions as PostgreSQL tells them, at most [`REFRESH`] old.
pub(crate) struct Versions(ArcSwap<HashMap<String, u32>>);

impl Versions {
    /// Reads them. Before the first migration there are none, which is no error.
    pub(crate) async fn read(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let versions = match read(pool).await {
            // undefined_table
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P01") => {
                HashMap::new()
            }
            other => other?,
        };
        Ok(Self(ArcSwap::from_pointee(versions)))
    }

    /// The version of `name` that is read; 1 before it was prepared.
    pub(crate) fn active(&self, name: &str) -> u32 {
        self.0.load().get(name).copied().unwrap_or(1)
    }

    pub(crate) async fn refresh(&self, pool: &PgPool) -> Result<(), sqlx::Error> {
        let versions = read(pool).await?;
        if **self.0.load() != versions {
            self.0.store(Arc::new(versions));
        }
        Ok(())
    }
}

async fn read(pool: &PgPool) -> Result<HashMap<String, u32>, sqlx::Error> {
    let rows: Vec<(String, i32)> =
        sqlx::query_as("select projector, active_version from projection_versions")
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(|(name, version)| (name, version.unsigned_abs())).collect())
}

impl ReadModels {
    /// Follows flips until the last clone is gone.
    pub(crate) fn keep_versions_fresh(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut healthy = true;
            loop {
                tokio::time::sleep(REFRESH).await;
                let Some(inner) = inner.upgrade() else { return };
                let outcome = inner.versions.refresh(inner.store.pool()).await;
                if let Err(error) = &outcome
                    && healthy
                {
                    tracing::warn!(error = %error, "cannot tell the active read model versions");
                }
                healthy = outcome.is_ok();
            }
        });
    }
}
