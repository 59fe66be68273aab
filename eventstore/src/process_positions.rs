//! How far processes have read the log.
use domain::LogPosition;

use crate::{EventStore, StoreError};

impl EventStore {
    /// The position of the last event that a process is done with. A process that is new here begins
    /// at the log's present end.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn process_position(&self, process: &str) -> Result<LogPosition, StoreError> {
        let known = "select position from process_positions where process = $1";
        let known = sqlx::query_scalar(known).bind(process).fetch_optional(self.pool()).await?;
        if let Some(position) = known {
            return Ok(LogPosition(position));
        }
        let position: i64 = sqlx::query_scalar(
            "insert into process_positions as p (process, position)
             select $1, coalesce(max(position), 0) from positions
             on conflict (process) do update set process = p.process
             returning p.position",
        )
        .bind(process)
        .fetch_one(self.pool())
        .await?;
        Ok(LogPosition(position))
    }

    /// Moves a process on. `false` when it is not where the caller left it: somebody else works.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn advance_process(
        &self,
        process: &str,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<bool, StoreError> {
        let moved = sqlx::query(
            "update process_positions set position = $3, updated_at = now()
             where process = $1 and position = $2",
        )
        .bind(process)
        .bind(from.0)
        .bind(to.0)
        .execute(self.pool())
        .await?;
        Ok(moved.rows_affected() == 1)
    }
}
