//! People who are going: until when they may come back, and where they were.
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{EventStore, StoreError};

impl EventStore {
    /// Notes that a person is to be forgotten. What is noted later counts.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn put_departure(
        &self,
        person_id: Uuid,
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into departures (person_id, due_at) values ($1, $2)
             on conflict (person_id) do update set due_at = excluded.due_at",
        )
        .bind(person_id)
        .bind(due_at)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// The person stays, or is gone.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn drop_departure(&self, person_id: Uuid) -> Result<(), StoreError> {
        let delete = "delete from departures where person_id = $1";
        sqlx::query(delete).bind(person_id).execute(self.pool()).await?;
        Ok(())
    }

    /// People whose time has come, the first ones first.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn due_departures(
        &self,
        now: DateTime<Utc>,
        limit: i64,
    ) -> Result<Vec<Uuid>, StoreError> {
        let due = "select person_id from departures where due_at <= $1 order by due_at limit $2";
        Ok(sqlx::query_scalar(due).bind(now).bind(limit).fetch_all(self.pool()).await?)
    }

    /// The ids of all rooms that the person ever joined, as text.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn rooms_joined_by(&self, person_id: Uuid) -> Result<Vec<String>, StoreError> {
        // As in the index `events_joined_idx`.
        Ok(sqlx::query_scalar(
            "select distinct e.aggregate_id from events e
             where e.payload -> e.event_type ->> 'userId' = $1 and e.event_type = 'MemberJoined'",
        )
        .bind(person_id.to_string())
        .fetch_all(self.pool())
        .await?)
    }
}
