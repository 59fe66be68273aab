//! PostgreSQL: rows and checkpoint in one transaction.
use std::collections::BTreeMap;

use domain::UserId;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

use super::{Sink, WriteError};
use crate::changes::{FoldedRow, RowChange, Table, fold_rows};
use crate::checkpoints::{Checkpoints, Step};
use crate::names;

/// The table of one version of a read model.
pub(crate) struct PostgresSink {
    spec: &'static Table,
    table: String,
    checkpoints: Checkpoints,
}

/// Rows that one statement writes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Delete,
    Put,
    Set,
}

/// The same statement: what it does and to which columns.
type Group = (Kind, Vec<String>);

impl PostgresSink {
    pub(crate) fn new(spec: &'static Table, checkpoints: Checkpoints) -> Self {
        Self { spec, table: names::stored(spec.name, checkpoints.version), checkpoints }
    }

    async fn exists(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        // Not `to_regclass`, which remembers within a transaction what was not there.
        sqlx::query_scalar(
            "select exists (select from pg_tables \
             where tablename = $1 and schemaname = any (current_schemas(false)))",
        )
        .bind(&self.table)
        .fetch_one(connection)
        .await
    }

    /// Makes sure that nobody else changes the schema: `if not exists` alone does not stop two of us
    /// from making the same table.
    async fn lock(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query("select pg_advisory_xact_lock(hashtext('studyhall.read_models'))")
            .execute(connection)
            .await?;
        Ok(())
    }

    /// Adds the columns that this build knows and the table does not have yet. Nothing is read
    /// again for them: events that are older than a column say nothing about it.
    async fn add_missing_columns(&self) -> Result<(), WriteError> {
        let wanted = self.spec.add_columns(&self.table);
        let mut connection = self.checkpoints.pool.acquire().await?;
        if self.missing_columns(&mut connection, &wanted).await?.is_empty() {
            return Ok(());
        }
        drop(connection);
        let mut transaction = self.checkpoints.pool.begin().await?;
        self.lock(&mut transaction).await?;
        for statement in self.missing_columns(&mut transaction, &wanted).await? {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The statements for columns that are not there.
    async fn missing_columns<'a>(
        &self,
        connection: &mut PgConnection,
        wanted: &'a [(String, String)],
    ) -> Result<Vec<&'a str>, sqlx::Error> {
        let there: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns \
             where table_name = $1 and table_schema = any (current_schemas(false))",
        )
        .bind(&self.table)
        .fetch_all(connection)
        .await?;
        let missing = wanted.iter().filter(|(name, _)| !there.contains(name));
        Ok(missing.map(|(_, statement)| statement.as_str()).collect())
    }

    /// The statements for indexes that are not there.
    async fn missing<'a>(
        &self,
        connection: &mut PgConnection,
        wanted: &'a [(String, String)],
    ) -> Result<Vec<&'a str>, sqlx::Error> {
        let there: Vec<String> = sqlx::query_scalar(
            "select indexname::text from pg_indexes \
             where tablename = $1 and schemaname = any (current_schemas(false))",
        )
        .bind(&self.table)
        .fetch_all(connection)
        .await?;
        let missing = wanted.iter().filter(|(name, _)| !there.contains(name));
        Ok(missing.map(|(_, statement)| statement.as_str()).collect())
    }

    /// The statement for rows with these columns; `$1` is an array of them.
    fn statement(&self, kind: Kind, columns: &[String]) -> String {
        let table = &self.table;
        let source = format!("jsonb_populate_recordset(null::{table}, $1) s");
        let key = self.spec.key;
        let matches: Vec<String> = key.iter().map(|c| format!("t.{c} = s.{c}")).collect();
        let matches = matches.join(" and ");
        let others = columns.iter().filter(|c| !key.contains(&c.as_str()));
        match kind {
            Kind::Delete => format!("delete from {table} t using {source} where {matches}"),
            Kind::Set => {
                let set: Vec<String> = others.map(|c| format!("{c} = s.{c}")).collect();
                format!("update {table} t set {} from {source} where {matches}", set.join(", "))
            }
            Kind::Put => {
                let set: Vec<String> = others.map(|c| format!("{c} = excluded.{c}")).collect();
                format!(
                    "insert into {table} ({columns}) select {columns} from {source} \
                     on conflict ({key}) do update set {set}",
                    columns = columns.join(", "),
                    key = key.join(", "),
                    set = set.join(", "),
                )
            }
        }
    }

    async fn write_rows(
        &self,
        connection: &mut PgConnection,
        rows: Vec<FoldedRow>,
    ) -> Result<(), WriteError> {
        // One statement for all rows with the same columns. Each row is in one of them only, so
        // that their order does not matter.
        let mut groups: BTreeMap<Group, Vec<Map<String, Value>>> = BTreeMap::new();
        for row in rows {
            let (kind, row) = match row {
                FoldedRow::Put(row) => (Kind::Put, row),
                FoldedRow::Set(row) => (Kind::Set, row),
                FoldedRow::Delete(row) => (Kind::Delete, row),
            };
            let mut columns: Vec<String> = row.keys().cloned().collect();
            columns.sort_unstable();
            groups.entry((kind, columns)).or_default().push(row);
        }
        for ((kind, columns), rows) in groups {
            sqlx::query(&self.statement(kind, &columns))
                .bind(Json(rows))
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }

    /// Puts out what is about people who were forgotten.
    async fn erase(
        &self,
        connection: &mut PgConnection,
        people: &[UserId],
    ) -> Result<(), WriteError> {
        let Some(sql) = self.spec.erase(&self.table).filter(|_| !people.is_empty()) else {
            return Ok(());
        };
        let people: Vec<_> = people.iter().map(|person| person.0).collect();
        sqlx::query(&sql).bind(people).execute(connection).await?;
        Ok(())
    }
}

impl Sink<RowChange> for PostgresSink {
    async fn prepare(&self) -> Result<(), WriteError> {
        let mut connection = self.checkpoints.pool.acquire().await?;
        if self.exists(&mut connection).await? {
            return Ok(());
        }
        drop(connection);
        let mut transaction = self.checkpoints.pool.begin().await?;
        self.lock(&mut transaction).await?;
        if self.exists(&mut transaction).await? {
            return Ok(());
        }
        let table = &self.table;
        self.checkpoints.forget(&mut transaction).await?;
        sqlx::query(&self.spec.create(table)).execute(&mut *transaction).await?;
        if let Some((_, index)) = self.spec.erasure_index(table) {
            sqlx::query(&index).execute(&mut *transaction).await?;
        }
        sqlx::query(&format!(
            "create trigger {table}_restart after truncate on {table} for each statement \
             execute function restart_projection('{name}', '{version}')",
            name = self.checkpoints.name,
            version = self.checkpoints.version,
        ))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn prepare_for_readers(&self) -> Result<(), WriteError> {
        self.add_missing_columns().await?;
        let mut connection = self.checkpoints.pool.acquire().await?;
        let wanted = self.spec.create_indexes(&self.table);
        if self.missing(&mut connection, &wanted).await?.is_empty() {
            return Ok(());
        }
        drop(connection);
        // One index, one transaction: an open one holds back the positions of all events.
        for index in &wanted {
            let mut transaction = self.checkpoints.pool.begin().await?;
            // An index takes as long as it takes.
            sqlx::query("set local statement_timeout = 0").execute(&mut *transaction).await?;
            self.lock(&mut transaction).await?;
            for statement in self.missing(&mut transaction, std::slice::from_ref(index)).await? {
                sqlx::query(statement).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }

    async fn mirror(&self, _: &[u16]) -> Result<Option<BTreeMap<u16, i64>>, WriteError> {
        Ok(None)
    }

    async fn write(&self, changes: Vec<(i64, RowChange)>, step: &Step) -> Result<(), WriteError> {
        if changes.is_empty() && step.erase.is_empty() {
            return self.checkpoints.commit_alone(step).await;
        }
        let rows = fold_rows(self.spec, changes.into_iter().map(|(_, change)| change));
        let mut transaction = self.checkpoints.pool.begin().await?;
        // The checkpoint first: a second writer waits here, and then finds it moved.
        self.checkpoints.commit(&mut transaction, step).await?;
        self.write_rows(&mut transaction, rows).await?;
        self.erase(&mut transaction, &step.erase).await?;
        platform::crash_point!("projection.after_write");
        transaction.commit().await?;
        Ok(())
    }

    async fn dump(&self) -> Result<BTreeMap<String, Value>, WriteError> {
        let rows = sqlx::query(&format!("select to_jsonb(t) from {} t", self.table))
            .fetch_all(&self.checkpoints.pool)
            .await?;
        let mut dump = BTreeMap::new();
        for row in rows {
            let Json(row): Json<Value> = row.try_get(0)?;
            let key: Vec<&str> =
                self.spec.key.iter().filter_map(|column| row[*column].as_str()).collect();
            dump.insert(key.join("/"), row);
        }
        Ok(dump)
    }

    async fn destroy(&self) -> Result<(), WriteError> {
        let mut transaction = self.checkpoints.pool.begin().await?;
        self.lock(&mut transaction).await?;
        if self.exists(&mut transaction).await? {
            sqlx::query(&format!("drop table {}", self.table)).execute(&mut *transaction).await?;
        }
        self.checkpoints.forget(&mut transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}
