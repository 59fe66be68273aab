//! Changes of tables in PostgreSQL.
use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A table of a read model. It is no migration: each version of the model has one of its own,
/// made when the version is.
#[derive(Debug)]
pub struct Table {
    /// The read model's name: the table's, too, in version 1.
    pub name: &'static str,
    /// The columns of the primary key.
    pub key: &'static [&'static str],
    /// The definitions of all columns, none of which has a comma in it. A column that is added
    /// later says with `default` what it holds in rows that are there already.
    pub columns: &'static str,
    /// Further indexes: a suffix of the name, and what is indexed.
    pub indexes: &'static [(&'static str, &'static str)],
    /// What is about somebody who is not the row's own aggregate.
    pub erasure: Erasure,
}

/// What goes when a person is forgotten: just what is missing as well when the log is read again after
/// that.
#[derive(Clone, Copy, Debug)]
pub enum Erasure {
    /// Nothing: there are ids only.
    Nothing,
    /// What these assignments put out, in rows that say in a column whose they are.
    Fields {
        /// Holds the person's id.
        of: &'static str,
        /// `content = null`.
        set: &'static str,
        /// Of which rows: the others have nothing to put out. `true` for all.
        given: &'static str,
    },
    /// Rows that say in this column whose they are.
    Rows {
        /// Holds the person's id.
        of: &'static str,
    },
}

impl Table {
    /// The statement that makes the table under another name.
    pub(crate) fn create(&self, table: &str) -> String {
        let (columns, key) = (self.columns, self.key.join(", "));
        format!(
            "create table {table} ({columns}, \
             constraint {table}_pkey primary key ({key}))"
        )
    }

    /// The columns: names, and the statements that add them to a table without.
    pub(crate) fn add_columns(&self, table: &str) -> Vec<(String, String)> {
        let add = |definition: &str| {
            let definition = definition.trim();
            let name = definition.split_whitespace().next().unwrap_or_default().to_owned();
            (name, format!("alter table {table} add column {definition}"))
        };
        self.columns.split(',').map(add).collect()
    }

    /// The further indexes: names, and the statements that make them.
    pub(crate) fn create_indexes(&self, table: &str) -> Vec<(String, String)> {
        let create = |(suffix, on): &(&str, &str)| {
            let name = format!("{table}_{suffix}_idx");
            let statement = format!("create index {name} on {table} {on}");
            (name, statement)
        };
        self.indexes.iter().map(create).chain(self.erasure_index(table)).collect()
    }

    /// The index by which rows are found when somebody is forgotten. Made with the table: a rebuild that
    /// looked through all of it for each of them would not end.
    pub(crate) fn erasure_index(&self, table: &str) -> Option<(String, String)> {
        let on = match self.erasure {
            Erasure::Nothing => return None,
            // The key is an index already.
            Erasure::Fields { of, .. } | Erasure::Rows { of } if self.key == [of] => return None,
            Erasure::Rows { of } => format!("({of})"),
            Erasure::Fields { of, given, .. } => format!("({of}) where {given}"),
        };
        let name = format!("{table}_erasure_idx");
        let statement = format!("create index {name} on {table} {on}");
        Some((name, statement))
    }

    /// The statement that puts out what is about the people in `$1`.
    pub(crate) fn erase(&self, table: &str) -> Option<String> {
        match self.erasure {
            Erasure::Nothing => None,
            Erasure::Fields { of, set, given } => {
                Some(format!("update {table} set {set} where {of} = any($1) and {given}"))
            }
            Erasure::Rows { of } => Some(format!("delete from {table} where {of} = any($1)")),
        }
    }
}

/// A change of one row. Values are JSON as PostgreSQL's `jsonb_populate_recordset` reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum RowChange {
    /// The whole row, key and all other columns: it replaces what was there.
    Put {
        /// Every column.
        row: Map<String, Value>,
    },
    /// Some columns of a row that exists. Where it does not, nothing happens.
    Set {
        /// The columns of the primary key.
        key: Map<String, Value>,
        /// The changed columns.
        fields: Map<String, Value>,
    },
    /// No row any more.
    Delete {
        /// The columns of the primary key.
        key: Map<String, Value>,
    },
}

/// What remains of all changes of one row in a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FoldedRow {
    /// Insert or replace.
    Put(Map<String, Value>),
    /// Update, if there: key and changed columns together.
    Set(Map<String, Value>),
    /// Delete: the key.
    Delete(Map<String, Value>),
}

/// Folds changes in order into at most one per row, in the order of the keys: two writers then lock
/// rows in the same order.
pub(crate) fn fold_rows(
    table: &Table,
    changes: impl IntoIterator<Item = RowChange>,
) -> Vec<FoldedRow> {
    let mut rows: BTreeMap<String, FoldedRow> = BTreeMap::new();
    for change in changes {
        match change {
            RowChange::Put { row } => {
                rows.insert(key_of(table, &row), FoldedRow::Put(row));
            }
            RowChange::Set { mut key, fields } => match rows.entry(key_of(table, &key)) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    key.extend(fields);
                    entry.insert(FoldedRow::Set(key));
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => match entry.get_mut() {
                    FoldedRow::Put(row) | FoldedRow::Set(row) => row.extend(fields),
                    // There is no row to change.
                    FoldedRow::Delete(_) => {}
                },
            },
            RowChange::Delete { key } => {
                rows.insert(key_of(table, &key), FoldedRow::Delete(key));
            }
        }
    }
    rows.into_values().collect()
}

fn key_of(table: &Table, row: &Map<String, Value>) -> String {
    let parts: Vec<String> = table
        .key
        .iter()
        .map(|column| row.get(*column).map(Value::to_string).unwrap_or_default())
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::changes::fields;

    const TABLE: Table = Table {
        name: "things",
        key: &["id"],
        columns: "id int",
        indexes: &[("x", "(id)")],
        erasure: Erasure::Nothing,
    };

    fn put(id: i32, name: &str) -> RowChange {
        RowChange::Put { row: fields(json!({"id": id, "name": name, "size": 0})) }
    }

    fn set(id: i32, name: &str, value: i32) -> RowChange {
        RowChange::Set { key: fields(json!({"id": id})), fields: fields(json!({name: value})) }
    }

    fn delete(id: i32) -> RowChange {
        RowChange::Delete { key: fields(json!({"id": id})) }
    }

    fn fold(changes: Vec<RowChange>) -> Vec<FoldedRow> {
        fold_rows(&TABLE, changes)
    }

    #[test]
    fn later_fields_win_over_earlier_ones() {
        assert_eq!(
            fold(vec![set(1, "a", 1), set(2, "a", 9), set(1, "b", 2), set(1, "a", 3)]),
            [
                FoldedRow::Set(fields(json!({"id": 1, "a": 3, "b": 2}))),
                FoldedRow::Set(fields(json!({"id": 2, "a": 9}))),
            ]
        );
    }

    #[test]
    fn a_new_row_takes_up_what_is_changed_after_it() {
        assert_eq!(
            fold(vec![put(1, "one"), set(1, "size", 7)]),
            [FoldedRow::Put(fields(json!({"id": 1, "name": "one", "size": 7})))]
        );
    }

    #[test]
    fn a_deleted_row_stays_deleted_until_it_is_put_again() {
        let deleted = FoldedRow::Delete(fields(json!({"id": 1})));
        assert_eq!(fold(vec![put(1, "one"), delete(1)]), std::slice::from_ref(&deleted));
        assert_eq!(fold(vec![delete(1), set(1, "size", 7)]), [deleted]);
        assert_eq!(
            fold(vec![set(1, "size", 7), delete(1), put(1, "new")]),
            [FoldedRow::Put(fields(json!({"id": 1, "name": "new", "size": 0})))]
        );
    }

    #[test]
    fn each_column_can_be_added_by_itself() {
        let table = Table { columns: "id int, tags jsonb not null default '[]'", ..TABLE };
        assert_eq!(
            table.add_columns("things_v2"),
            [
                ("id".to_owned(), "alter table things_v2 add column id int".to_owned()),
                (
                    "tags".to_owned(),
                    "alter table things_v2 add column tags jsonb not null default '[]'".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn every_version_has_names_of_its_own() {
        assert_eq!(
            TABLE.create("things_v2"),
            "create table things_v2 (id int, constraint things_v2_pkey primary key (id))"
        );
        assert_eq!(
            TABLE.create_indexes("things_v2"),
            [(
                "things_v2_x_idx".to_owned(),
                "create index things_v2_x_idx on things_v2 (id)".to_owned()
            )]
        );
    }
}
