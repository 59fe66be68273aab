//! `reports`: what people reported to the moderators, one row each. PostgreSQL.
use chrono::{DateTime, Utc};
use domain::report::{ReportReason, ReportTarget};
use domain::{AnyEvent, Recorded, ReportId, ReportsEvent, UserId};
use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::projector::Projector;
use crate::room_members::stored_name;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::REPORTS,
    key: &["id"],
    columns: "id uuid not null, reporter_id uuid not null, target_type text not null, \
              target_id uuid not null, reason text not null, text text, \
              created_at timestamptz not null",
    indexes: &[("created", "(created_at, id)")],
    erasure: Erasure::Fields { of: "reporter_id", set: "text = null", given: "true" },
};

/// Feeds `reports`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReportsProjector;

impl Projector for ReportsProjector {
    type Change = RowChange;
    const NAME: &'static str = names::REPORTS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["reports"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Reports(event) = &recorded.event else { return vec![] };
        let ReportsEvent::ReportFiled {
            report_id,
            reporter_id,
            target_type,
            target_id,
            reason,
            text,
            at,
        } = event;
        let row = fields(json!({
            "id": report_id, "reporter_id": reporter_id, "target_type": target_type,
            "target_id": target_id, "reason": reason,
            "text": text.known().and_then(Option::as_ref), "created_at": at,
        }));
        vec![RowChange::Put { row }]
    }
}

/// A report as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRow {
    /// Which report.
    pub id: ReportId,
    /// Who reported.
    pub reporter_id: UserId,
    /// What kind of thing.
    pub target_type: ReportTarget,
    /// Which one.
    pub target_id: Uuid,
    /// What is wrong.
    pub reason: ReportReason,
    /// In the reporter's words; `None` also when the reporter was erased.
    pub text: Option<String>,
    /// UTC.
    pub created_at: DateTime<Utc>,
}

/// Queries of `reports`.
#[derive(Clone, Copy)]
pub struct Reports<'a>(pub(crate) &'a ReadModels);

impl Reports<'_> {
    /// The newest reports, newest first.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn newest(&self, limit: i64) -> Result<Vec<ReportRow>, ReadError> {
        let table = self.0.stored(names::REPORTS);
        let rows = sqlx::query(&format!(
            "select * from {table} order by created_at desc, id desc limit $1"
        ))
        .bind(limit)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(report_row).collect::<Result<_, _>>()?)
    }

    /// What a person reported, oldest first.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn by(&self, reporter: UserId) -> Result<Vec<ReportRow>, ReadError> {
        let table = self.0.stored(names::REPORTS);
        let rows = sqlx::query(&format!(
            "select * from {table} where reporter_id = $1 order by created_at, id"
        ))
        .bind(reporter.0)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(report_row).collect::<Result<_, _>>()?)
    }
}

fn report_row(row: &PgRow) -> Result<ReportRow, sqlx::Error> {
    Ok(ReportRow {
        id: ReportId(row.try_get("id")?),
        reporter_id: UserId(row.try_get("reporter_id")?),
        target_type: stored_name(row.try_get("target_type")?)?,
        target_id: row.try_get("target_id")?,
        reason: stored_name(row.try_get("reason")?)?,
        text: row.try_get("text")?,
        created_at: row.try_get("created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use domain::Personal;
    use domain::text::ReportText;
    use serde_json::Value;

    use super::*;
    use crate::samples::{ANA, BEN, assert_whole, at, recorded};

    fn project(text: Personal<Option<ReportText>>) -> serde_json::Map<String, Value> {
        let filed = ReportsEvent::ReportFiled {
            report_id: ReportId(Uuid::from_u128(1)),
            reporter_id: ANA,
            target_type: ReportTarget::User,
            target_id: BEN.0,
            reason: ReportReason::Spam,
            text,
            at: at(0),
        };
        let changes = ReportsProjector.project(&recorded(&ANA, 1, AnyEvent::Reports(filed)));
        let [RowChange::Put { row }] = &changes[..] else { panic!("not a whole row") };
        row.clone()
    }

    #[test]
    fn a_report_is_a_whole_row() {
        let row = project(Some(ReportText::parse("again").unwrap()).into());
        assert_whole(&TABLE, &row);
        assert_eq!((&row["reason"], &row["text"]), (&json!("spam"), &json!("again")));
    }

    #[test]
    fn the_words_of_an_erased_reporter_are_gone() {
        assert_eq!(project(Personal::Erased)["text"], Value::Null);
    }
}
