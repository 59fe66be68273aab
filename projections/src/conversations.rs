//! `conversations`: who writes to whom, one row per pair that has. PostgreSQL. No words: the last
//! message is read where messages are.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{AnyEvent, ConversationEvent, ConversationId, MessageId, Recorded, UserId};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::page::{Page, PageRequest, SortKey, SortValue};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::CONVERSATIONS,
    key: &["id"],
    columns: "id uuid not null, one uuid not null, other uuid not null, last_message_id uuid, \
              last_seq bigint not null, active_at timestamptz not null, \
              created_at timestamptz not null, muted_by jsonb not null default '[]'",
    indexes: &[("one", "(one, active_at, id)"), ("other", "(other, active_at, id)")],
    erasure: Erasure::Nothing,
};

/// Feeds `conversations`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConversationsProjector;

impl Projector for ConversationsProjector {
    type Change = RowChange;
    const NAME: &'static str = names::CONVERSATIONS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["conversation"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Conversation(event) = &recorded.event else { return vec![] };
        let (id, at) = event.place_and_time();
        if let ConversationEvent::ConversationStarted { started_by, with, .. } = event {
            let row = fields(json!({
                "id": id, "one": started_by, "other": with, "last_message_id": null,
                "last_seq": 0, "active_at": at, "created_at": at, "muted_by": [],
            }));
            return vec![RowChange::Put { row }];
        }
        if let ConversationEvent::ConversationMuted { muted_by, .. }
        | ConversationEvent::ConversationUnmuted { muted_by, .. } = event
        {
            let fields = fields(json!({"muted_by": muted_by}));
            return vec![RowChange::Set { key: key(id), fields }];
        }
        // Events without a number are about the people, not about what was said.
        let Some((_, seq)) = recorded.channel else { return vec![] };
        let mut changed = fields(json!({"last_seq": seq}));
        if let ConversationEvent::DirectMessageSent { message_id, .. } = event {
            changed.extend(fields(json!({"last_message_id": message_id, "active_at": at})));
        }
        vec![RowChange::Set { key: key(id), fields: changed }]
    }
}

fn key(id: ConversationId) -> Map<String, Value> {
    fields(json!({"id": id}))
}

/// A conversation as one of the two sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRow {
    /// Which conversation.
    pub id: ConversationId,
    /// The other one.
    pub partner_id: UserId,
    /// What was said last, even if it was taken back since.
    pub last_message_id: Option<MessageId>,
    /// The number of the last event.
    pub last_seq: i64,
    /// When something was said last, UTC.
    pub active_at: DateTime<Utc>,
    /// Whether the reader does not want to be told of it.
    pub is_muted: bool,
}

impl ConversationRow {
    fn sort_key(&self) -> SortKey {
        let value = SortValue::Number(self.active_at.timestamp_micros());
        SortKey { value, id: self.id.0 }
    }
}

/// Queries of `conversations`.
#[derive(Clone, Copy)]
pub struct Conversations<'a>(pub(crate) &'a ReadModels);

impl Conversations<'_> {
    /// One conversation as `reader` sees it; `None` before anything was said, and for others.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get(
        &self,
        reader: UserId,
        id: ConversationId,
    ) -> Result<Option<ConversationRow>, ReadError> {
        let mut query = self.of(reader);
        query.push(" and id = ").push_bind(id.0);
        let row = query.build().fetch_optional(self.0.pool()).await?;
        Ok(row.as_ref().map(conversation_row).transpose()?)
    }

    /// The conversations of a person, the liveliest first.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn list(
        &self,
        reader: UserId,
        page: &PageRequest,
    ) -> Result<Page<ConversationRow>, ReadError> {
        let mut query = self.of(reader);
        let (compare, direction) = if page.is_backward() { (">", "asc") } else { ("<", "desc") };
        if let Some(SortKey { value, id }) = page.anchor() {
            let at = DateTime::from_timestamp_micros(value.number()).unwrap_or_default();
            query.push(format!(" and (active_at, id) {compare} (")).push_bind(at);
            query.push(", ").push_bind(*id).push(")");
        }
        query.push(format!(" order by active_at {direction}, id {direction} limit "));
        query.push_bind(page.fetch());
        let rows = query.build().fetch_all(self.0.pool()).await?;
        let rows: Vec<_> = rows.iter().map(conversation_row).collect::<Result<_, _>>()?;
        Ok(Page::build(rows, page, ConversationRow::sort_key))
    }

    /// The liveliest conversations of a person, so many of them.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn liveliest(
        &self,
        person: UserId,
        most: i64,
    ) -> Result<Vec<ConversationRow>, ReadError> {
        let mut query = self.of(person);
        query.push(" order by active_at desc, id desc limit ").push_bind(most);
        let rows = query.build().fetch_all(self.0.pool()).await?;
        Ok(rows.iter().map(conversation_row).collect::<Result<_, _>>()?)
    }

    /// With whom the person talked last, so many of them.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn partners(&self, person: UserId, most: i64) -> Result<Vec<UserId>, ReadError> {
        let rows = self.liveliest(person, most).await?;
        Ok(rows.into_iter().map(|row| row.partner_id).collect())
    }

    /// How far the others of a person's conversations have read them; missing where they do not let
    /// the person see it.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn read_by_others(
        &self,
        reader: UserId,
        ids: &[ConversationId],
    ) -> Result<HashMap<ConversationId, i64>, ReadError> {
        let [conversations, users, markers, blocks] =
            [names::CONVERSATIONS, names::USERS, names::READ_MARKERS, names::BLOCKS]
                .map(|name| self.0.stored(name));
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        // Who may see it is part of the question.
        let rows = sqlx::query(&format!(
            "select c.id as channel_id, coalesce(k.last_read_seq, 0) as last_read_seq \
             from {conversations} c \
             join {users} u on u.id = case when c.one = $1 then c.other else c.one end \
             left join {markers} k on k.channel_id = c.id and k.user_id = u.id \
             where c.id = any($2) and $1 in (c.one, c.other) and u.read_receipts \
             and not exists (select from {blocks} b \
             where $1 in (b.blocked_by, b.blocked) and u.id in (b.blocked_by, b.blocked))"
        ))
        .bind(reader.0)
        .bind(ids)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(marker).collect::<Result<_, _>>()?)
    }

    /// How far a person has read each of these conversations; missing where they have not begun.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn read_by(
        &self,
        user_id: UserId,
        ids: &[ConversationId],
    ) -> Result<HashMap<ConversationId, i64>, ReadError> {
        let table = self.0.stored(names::READ_MARKERS);
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query(&format!(
            "select channel_id, last_read_seq from {table} \
             where user_id = $1 and channel_id = any($2)"
        ))
        .bind(user_id.0)
        .bind(ids)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(marker).collect::<Result<_, _>>()?)
    }

    fn of(self, reader: UserId) -> QueryBuilder<'static, Postgres> {
        let table = self.0.stored(names::CONVERSATIONS);
        let mut query = QueryBuilder::new("select *, case when one = ");
        query.push_bind(reader.0).push(" then other else one end as partner, ");
        query.push("muted_by @> to_jsonb(").push_bind(reader.to_string());
        query.push(format!(") as is_muted from {table}"));
        query.push(" where (one = ").push_bind(reader.0);
        query.push(" or other = ").push_bind(reader.0).push(")");
        query
    }
}

fn marker(row: &PgRow) -> Result<(ConversationId, i64), sqlx::Error> {
    Ok((ConversationId(row.try_get("channel_id")?), row.try_get("last_read_seq")?))
}

fn conversation_row(row: &PgRow) -> Result<ConversationRow, sqlx::Error> {
    Ok(ConversationRow {
        id: ConversationId(row.try_get("id")?),
        partner_id: UserId(row.try_get("partner")?),
        last_message_id: row.try_get::<Option<_>, _>("last_message_id")?.map(MessageId),
        last_seq: row.try_get("last_seq")?,
        active_at: row.try_get("active_at")?,
        is_muted: row.try_get("is_muted")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ANA, BEN, assert_whole, at, recorded};

    #[test]
    fn a_conversation_knows_who_muted_it() {
        let conversation_id = ConversationId::between(ANA, BEN);
        let project = |event| {
            let event = AnyEvent::Conversation(event);
            ConversationsProjector.project(&recorded(&conversation_id, 1, event))
        };
        let (started_by, with, at) = (ANA, BEN, at(0));
        let beginning = None;
        let [RowChange::Put { row }] = &project(ConversationEvent::ConversationStarted {
            conversation_id,
            started_by,
            with,
            beginning,
            at,
        })[..] else {
            panic!("not a whole row")
        };
        assert_whole(&TABLE, row);
        assert_eq!(row["muted_by"], json!([]));
        let (participants, by, muted_by) = ([ANA, BEN], BEN, vec![BEN]);
        let event = ConversationEvent::ConversationMuted {
            conversation_id,
            participants,
            by,
            muted_by,
            at,
        };
        let fields = fields(json!({"muted_by": [BEN]}));
        assert_eq!(project(event), [RowChange::Set { key: key(conversation_id), fields }]);
    }
}
