//! `subjects`: the catalogue, one row each. PostgreSQL.
use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::{AnyEvent, Recorded, SubjectEvent, SubjectId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::cache::Cached;
use crate::changes::{Erasure, RowChange, Table, fields};
use crate::last_changes::Topic;
use crate::page::{Page, PageRequest, SortKey, SortValue};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::SUBJECTS,
    key: &["id"],
    // Names are compared by their bytes, so that a cursor means the same on every server.
    columns: "id uuid not null, name text not null, sort_name text collate \"C\" not null, \
              category text not null, description text not null, icon_url text, \
              created_at timestamptz not null, version bigint not null",
    indexes: &[("name", "(sort_name, id)"), ("category", "(category, sort_name, id)")],
    erasure: Erasure::Nothing,
};

/// Feeds `subjects`.
#[derive(Clone, Copy, Debug, Default)]
pub struct SubjectsProjector;

impl Projector for SubjectsProjector {
    type Change = RowChange;
    const NAME: &'static str = names::SUBJECTS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["subject"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Subject(event) = &recorded.event else { return vec![] };
        let SubjectEvent::SubjectAdded { subject_id, name, category, description, at } = event;
        let row = fields(json!({
            "id": subject_id, "name": name, "sort_name": name.to_lowercase(), "category": category,
            "description": description, "icon_url": null, "created_at": at,
            "version": recorded.sequence,
        }));
        vec![RowChange::Put { row }]
    }
}

/// A subject as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRow {
    /// Which subject.
    pub id: SubjectId,
    /// Unique without case.
    pub name: String,
    /// The shelf it stands on.
    pub category: String,
    /// One sentence.
    pub description: String,
    /// Where its icon is.
    pub icon_url: Option<String>,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// The sequence of the subject's last event.
    pub version: i64,
    sort_name: String,
}

impl SubjectRow {
    fn sort_key(&self) -> SortKey {
        SortKey { value: SortValue::Text(self.sort_name.clone()), id: self.id.0 }
    }
}

const NAME: Cached<SubjectId> = Cached { query: "subject_name", topic: |_| Topic::Subjects };
const LIST: Cached<String> = Cached { query: "subjects", topic: |_| Topic::Subjects };

/// Queries of `subjects`.
#[derive(Clone, Copy)]
pub struct Subjects<'a>(pub(crate) &'a ReadModels);

impl Subjects<'_> {
    /// One subject.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get(&self, id: SubjectId) -> Result<Option<SubjectRow>, ReadError> {
        let table = self.0.stored(names::SUBJECTS);
        let row = sqlx::query(&format!("select * from {table} where id = $1"))
            .bind(id.0)
            .fetch_optional(self.0.pool())
            .await?;
        Ok(row.as_ref().map(subject_row).transpose()?)
    }

    /// The names of several subjects. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn names(&self, ids: &[SubjectId]) -> Result<HashMap<SubjectId, String>, ReadError> {
        NAME.through(self.0, ids, async |ids| self.read_names(ids).await).await
    }

    async fn read_names(self, ids: &[SubjectId]) -> Result<HashMap<SubjectId, String>, ReadError> {
        let table = self.0.stored(names::SUBJECTS);
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<(uuid::Uuid, String)> =
            sqlx::query_as(&format!("select id, name from {table} where id = any($1)"))
                .bind(ids)
                .fetch_all(self.0.pool())
                .await?;
        Ok(rows.into_iter().map(|(id, name)| (SubjectId(id), name)).collect())
    }

    /// Subjects in the order of their names; `q` is part of the name, without case.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn list(
        &self,
        q: Option<&str>,
        category: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<SubjectRow>, ReadError> {
        // What somebody typed is hardly asked twice.
        if q.is_some() {
            return self.read_list(q, category, page).await;
        }
        // No text of a client in keys.
        let asked = Sha256::digest(json!([category, page]).to_string());
        let read = async || self.read_list(None, category, page).await.map(Some);
        let list = LIST.one(self.0, URL_SAFE_NO_PAD.encode(asked), read).await?;
        Ok(list.unwrap_or_default())
    }

    async fn read_list(
        self,
        q: Option<&str>,
        category: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<SubjectRow>, ReadError> {
        let table = self.0.stored(names::SUBJECTS);
        let mut query = QueryBuilder::<Postgres>::new(format!("select * from {table} where true"));
        if let Some(q) = q {
            query.push(" and name ilike ").push_bind(containing(q));
        }
        if let Some(category) = category {
            query.push(" and category = ").push_bind(category);
        }
        let (compare, direction) = if page.is_backward() { ("<", "desc") } else { (">", "asc") };
        if let Some(key) = page.anchor() {
            query.push(format!(" and (sort_name, id) {compare} ("));
            query.push_bind(key.value.text()).push(", ").push_bind(key.id).push(")");
        }
        query.push(format!(" order by sort_name {direction}, id {direction} limit "));
        query.push_bind(page.fetch());
        let rows = query.build().fetch_all(self.0.pool()).await?;
        let rows: Vec<_> = rows.iter().map(subject_row).collect::<Result<_, _>>()?;
        Ok(Page::build(rows, page, SubjectRow::sort_key))
    }
}

/// The `ilike` pattern for text that contains `part` as it is.
pub(crate) fn containing(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn subject_row(row: &PgRow) -> Result<SubjectRow, sqlx::Error> {
    Ok(SubjectRow {
        id: SubjectId(row.try_get("id")?),
        name: row.try_get("name")?,
        category: row.try_get("category")?,
        description: row.try_get("description")?,
        icon_url: row.try_get("icon_url")?,
        created_at: row.try_get("created_at")?,
        version: row.try_get("version")?,
        sort_name: row.try_get("sort_name")?,
    })
}

#[cfg(test)]
mod tests {
    use domain::Subject;

    use super::*;
    use crate::samples::{assert_whole, at, recorded};

    #[test]
    fn a_subject_is_a_whole_row_that_sorts_without_case() {
        let id = Subject::id_of("Algebra");
        let added = SubjectEvent::SubjectAdded {
            subject_id: id,
            name: "Algebra".into(),
            category: "Mathematics".into(),
            description: "Structures.".into(),
            at: at(0),
        };
        let recorded = recorded(&id, 1, AnyEvent::Subject(added));
        let [RowChange::Put { row }] = &SubjectsProjector.project(&recorded)[..] else {
            panic!("not a whole row")
        };
        assert_whole(&TABLE, row);
        assert_eq!(row["sort_name"], "algebra");
    }

    #[test]
    fn what_people_search_for_is_no_pattern() {
        assert_eq!(containing("50%_\\"), "%50\\%\\_\\\\%");
    }
}
