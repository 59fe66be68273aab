//! E-mails that are to be sent: which event each follows from, and how often it was tried.
//!
//! Nothing that an e-mail says stands here, nor where it goes: that is written anew from the event each
//! time. The oldest one of a person goes first, and the later ones wait for it; those of others do not.
use chrono::{DateTime, TimeDelta, Utc};
use domain::LogPosition;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{EventStore, StoreError};

/// An e-mail that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingMail {
    /// The event that it follows from.
    pub position: LogPosition,
    /// Which of the e-mails that follow from it.
    pub kind: String,
    /// How often it was tried, this time included.
    pub attempts: i32,
    /// Since when it waits.
    pub created_at: DateTime<Utc>,
}

/// An e-mail that is not tried any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadMail {
    /// The event that it follows from.
    pub position: LogPosition,
    /// Which of the e-mails that follow from it.
    pub kind: String,
    /// Whom it is about.
    pub person_id: Uuid,
    /// How often it was tried.
    pub attempts: i32,
    /// Why it is not any more.
    pub reason: String,
    /// Since when.
    pub dead_at: DateTime<Utc>,
}

/// How it stands with e-mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailStatus {
    /// How many wait.
    pub waiting: i64,
    /// Since when the oldest of them does.
    pub oldest: Option<DateTime<Utc>>,
    /// How many are not tried any more.
    pub dead: i64,
}

impl EventStore {
    /// Notes the e-mails that follow from an event. Noting them twice notes them once.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn put_mails(
        &self,
        position: LogPosition,
        person_id: Uuid,
        kinds: &[&str],
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "insert into mail_outbox (position, kind, person_id, created_at, next_try_at)
             select $1, kind, $2, $4, $4 from unnest($3::text[]) as kind
             on conflict do nothing",
        )
        .bind(position.0)
        .bind(person_id)
        .bind(kinds)
        .bind(at)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Takes e-mails that are due, the oldest of each person, and counts the try. Nobody else gets
    /// them before `until`. Those of events that `process` is not done with are not ready yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn take_mails(
        &self,
        process: &str,
        most: i64,
        at: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Vec<OutgoingMail>, StoreError> {
        let rows = sqlx::query(
            "with oldest as (
                 select distinct on (person_id) position, kind, next_try_at from mail_outbox
                 where dead_at is null
                   and position <= (select position from process_positions where process = $1)
                 order by person_id, position, kind
             ), due as (
                 select position, kind from oldest
                 where next_try_at <= $3 order by next_try_at, position limit $2
             )
             update mail_outbox mail set attempts = attempts + 1, next_try_at = $4
             from due
             where (mail.position, mail.kind) = (due.position, due.kind) and next_try_at <= $3
             returning mail.position, mail.kind, attempts, created_at",
        )
        .bind(process)
        .bind(most)
        .bind(at)
        .bind(until)
        .fetch_all(self.pool())
        .await?;
        let read = |row: PgRow| -> Result<_, StoreError> {
            Ok(OutgoingMail {
                position: LogPosition(row.try_get("position")?),
                kind: row.try_get("kind")?,
                attempts: row.try_get("attempts")?,
                created_at: row.try_get("created_at")?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// The e-mail was sent, or there is nothing to send any more.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn remove_mail(&self, mail: &OutgoingMail) -> Result<(), StoreError> {
        sqlx::query("delete from mail_outbox where position = $1 and kind = $2")
            .bind(mail.position.0)
            .bind(&mail.kind)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// The e-mail is tried again, not before then.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn delay_mail(
        &self,
        mail: &OutgoingMail,
        until: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query("update mail_outbox set next_try_at = $3 where position = $1 and kind = $2")
            .bind(mail.position.0)
            .bind(&mail.kind)
            .bind(until)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// The e-mail is not tried any more.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn bury_mail(
        &self,
        mail: &OutgoingMail,
        reason: &str,
        at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "update mail_outbox set dead_at = $4, reason = $3 where position = $1 and kind = $2",
        )
        .bind(mail.position.0)
        .bind(&mail.kind)
        .bind(reason)
        .bind(at)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Forgets e-mails that have been dead for so many days. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn forget_dead_mails(&self, at: DateTime<Utc>, days: u32) -> Result<u64, StoreError> {
        let query = sqlx::query("delete from mail_outbox where dead_at < $1");
        Ok(query
            .bind(at - TimeDelta::days(i64::from(days)))
            .execute(self.pool())
            .await?
            .rows_affected())
    }

    /// How it stands with e-mails.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn mail_status(&self) -> Result<MailStatus, StoreError> {
        let row = sqlx::query(
            "select count(*) filter (where dead_at is null) as waiting,
                    min(created_at) filter (where dead_at is null) as oldest,
                    count(dead_at) as dead
             from mail_outbox",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(MailStatus {
            waiting: row.try_get("waiting")?,
            oldest: row.try_get("oldest")?,
            dead: row.try_get("dead")?,
        })
    }

    /// E-mails that are not tried any more, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn dead_mails(&self, most: i64) -> Result<Vec<DeadMail>, StoreError> {
        let rows = sqlx::query(
            "select position, kind, person_id, attempts, reason, dead_at from mail_outbox
             where dead_at is not null order by dead_at desc, position desc limit $1",
        )
        .bind(most)
        .fetch_all(self.pool())
        .await?;
        let read = |row: PgRow| -> Result<_, StoreError> {
            Ok(DeadMail {
                position: LogPosition(row.try_get("position")?),
                kind: row.try_get("kind")?,
                person_id: row.try_get("person_id")?,
                attempts: row.try_get("attempts")?,
                reason: row.try_get("reason")?,
                dead_at: row.try_get("dead_at")?,
            })
        };
        rows.into_iter().map(read).collect()
    }
}
