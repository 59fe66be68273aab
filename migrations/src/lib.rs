//! The write side's schema: SQL files, embedded, applied in the order of their names.
//!
//! Files are forward only and never edited once merged. Read models own their tables, because a
//! rebuild creates them under other names; see the `projections` crate.
use sqlx::{PgPool, migrate::MigrateError};

/// Applies what is missing. Safe to run on several nodes at once: an advisory lock serialises them.
///
/// # Errors
/// When the database is unreachable, refuses a statement, or has a migration that this build does
/// not know.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    sqlx::migrate!("./postgres").run(pool).await
}
