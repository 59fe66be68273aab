//! Finding people who want to be found.
use domain::{SubjectId, UserId};
use serde_json::json;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder, Row};

use super::{Profile, Users, profile};
use crate::page::{Page, PageRequest, SortKey, SortValue};
use crate::{ReadError, names};

/// Each word of it, and the handle, begins behind a space.
const WORDS: &str = "(' ' || coalesce(full_name, '') || ' ' || coalesce(username, ''))";

/// What an index of [`WORDS`] is on: trigrams find what begins behind a space.
pub(super) const WORDS_INDEX: &str =
    "using gin ((' ' || coalesce(full_name, '') || ' ' || coalesce(username, '')) gin_trgm_ops)";

/// Which people are wanted.
#[derive(Clone, Debug, Default)]
pub struct PeopleFilter {
    /// What the handle, or a word of the name, begins with, without case.
    pub q: Option<String>,
    /// Only people with this subject on their profile.
    pub subject_id: Option<SubjectId>,
}

impl Users<'_> {
    /// People who want to be found by `reader`, in the order of their names.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn find(
        &self,
        reader: UserId,
        filter: &PeopleFilter,
        page: &PageRequest,
    ) -> Result<Page<Profile>, ReadError> {
        let [users, blocks] = [names::USERS, names::BLOCKS].map(|name| self.0.stored(name));
        let mut query = QueryBuilder::<Postgres>::new(format!(
            "select *, lower(full_name) collate \"C\" as sort_name from {users} u \
             where full_name is not null and discoverable and not deactivated \
             and not exists (select from {blocks} b where b.blocked_by = u.id and b.blocked = "
        ));
        query.push_bind(reader.0).push(")");
        if let Some(q) = &filter.q {
            query.push(format!(" and {WORDS} ilike ")).push_bind(beginning(q));
        }
        if let Some(subject_id) = filter.subject_id {
            let entry = json!([{ "subjectId": subject_id }]);
            query.push(" and subjects @> ").push_bind(Json(entry));
        }
        let (compare, direction) = if page.is_backward() { ("<", "desc") } else { (">", "asc") };
        if let Some(key) = page.anchor() {
            query.push(format!(" and (lower(full_name) collate \"C\", id) {compare} ("));
            query.push_bind(key.value.text()).push(", ").push_bind(key.id).push(")");
        }
        query.push(format!(" order by sort_name {direction}, id {direction} limit "));
        query.push_bind(page.fetch());
        let rows = query.build().fetch_all(self.0.pool()).await?;
        let found = |row| Ok::<_, sqlx::Error>((profile(row)?, row.try_get("sort_name")?));
        let rows: Vec<(Profile, String)> = rows.iter().map(found).collect::<Result<_, _>>()?;
        let key = |(row, name): &(Profile, String)| SortKey {
            value: SortValue::Text(name.clone()),
            id: row.id.0,
        };
        Ok(Page::build(rows, page, key).map(|(row, _)| row))
    }
}

/// The `ilike` pattern for text with a word that begins with `part` as it is.
fn beginning(part: &str) -> String {
    // What contains it behind a space.
    crate::subjects::containing(&format!(" {part}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_letters_like_others() {
        assert_eq!(beginning("50%_\\"), "% 50\\%\\_\\\\%");
    }

    #[test]
    fn the_index_is_on_what_is_asked_for() {
        assert_eq!(WORDS_INDEX, format!("using gin ({WORDS} gin_trgm_ops)"));
    }
}
