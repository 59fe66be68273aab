//! Who holds the log back: the oldest running write transaction of the whole cluster.
use std::time::Duration;

use sqlx::Row as _;

use crate::{EventStore, StoreError};

/// A transaction that keeps recorded events from getting their positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The backend to look at, or to terminate; 0 for a prepared transaction.
    pub pid: i32,
    /// Which database it works in; the order of transactions is the cluster's.
    pub database: String,
    /// What it calls itself.
    pub application: String,
    /// `active`, `idle in transaction`, …
    pub state: String,
    /// How long the transaction has been open.
    pub age: Duration,
}

impl EventStore {
    /// The oldest write transaction that is open longer than `limit`, if any.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn stall(&self, limit: Duration) -> Result<Option<Stall>, StoreError> {
        let row = sqlx::query(
            "select pid, database, application, state, age from (
                 select pid, datname as database, application_name as application, state,
                        extract(epoch from clock_timestamp() - xact_start)::float8 as age
                 from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()
                 union all
                 select 0, database, gid, 'prepared',
                        extract(epoch from clock_timestamp() - prepared)::float8
                 from pg_prepared_xacts
             ) running where age > $1 order by age desc limit 1",
        )
        .bind(limit.as_secs_f64())
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| {
            let text = |name: &str| -> Result<String, sqlx::Error> {
                Ok(row.try_get::<Option<String>, _>(name)?.unwrap_or_default())
            };
            Ok(Stall {
                pid: row.try_get("pid")?,
                database: text("database")?,
                application: text("application")?,
                state: text("state")?,
                age: Duration::try_from_secs_f64(row.try_get("age")?).unwrap_or_default(),
            })
        })
        .transpose()
    }
}
