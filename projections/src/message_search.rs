//! `message_search`: the words of messages, wherever they were said, to be found by. PostgreSQL. What
//! was taken back is not in it.
use chrono::{DateTime, Utc};
use domain::message::{MessageEvent, Said};
use domain::{ConversationId, MessageId, MessagePlace, Recorded, RoomId, UserId};
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};
use uuid::Uuid;

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::page::{Page, PageRequest, SortKey, SortValue};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::MESSAGE_SEARCH,
    key: &["message_id"],
    columns: "message_id uuid not null, channel_id uuid not null, in_room boolean not null, \
              seq bigint not null, author_id uuid not null, content text not null, \
              created_at timestamptz not null",
    indexes: &[
        // Words as they are: rooms speak many languages.
        ("words", "using gin (to_tsvector('simple', content))"),
        ("channel", "(channel_id, seq)"),
    ],
    erasure: Erasure::Rows { of: "author_id" },
};

/// Feeds `message_search`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageSearchProjector;

impl Projector for MessageSearchProjector {
    type Change = RowChange;
    const NAME: &'static str = names::MESSAGE_SEARCH;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room", "conversation"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let Some(about) = recorded.event.about_message() else { return vec![] };
        let key = fields(json!({"message_id": about.message_id()}));
        match about {
            MessageEvent::Said(said) => put(&said, recorded.channel.as_ref().map(|it| it.1)),
            MessageEvent::Edited { content, .. } => vec![match content.known() {
                Some(content) => {
                    RowChange::Set { key, fields: fields(json!({"content": content})) }
                }
                None => RowChange::Delete { key },
            }],
            MessageEvent::Deleted { .. } => vec![RowChange::Delete { key }],
            MessageEvent::Reacted { .. } => vec![],
        }
    }
}

fn put(said: &Said<'_>, seq: Option<i64>) -> Vec<RowChange> {
    let (Some(content), Some(seq)) = (said.content.known(), seq) else { return vec![] };
    let (channel_id, in_room) = match said.place {
        MessagePlace::Room(id) => (id.0, true),
        MessagePlace::Conversation(id) => (id.0, false),
    };
    let row = json!({
        "message_id": said.message_id, "channel_id": channel_id, "in_room": in_room, "seq": seq,
        "author_id": said.author_id, "content": content, "created_at": said.at,
    });
    vec![RowChange::Put { row: fields(row) }]
}

/// Which messages are wanted.
#[derive(Clone, Debug, Default)]
pub struct SearchFilter {
    /// Words that they all have, without case.
    pub q: String,
    /// Only what was said in this room.
    pub room_id: Option<RoomId>,
    /// Only what this person said.
    pub from: Option<UserId>,
    /// Only what was said before, UTC.
    pub before: Option<DateTime<Utc>>,
}

/// A message that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundMessage {
    /// Which message.
    pub id: MessageId,
    /// Where it was said.
    pub place: MessagePlace,
    /// When, UTC.
    pub created_at: DateTime<Utc>,
}

impl FoundMessage {
    fn sort_key(&self) -> SortKey {
        let value = SortValue::Number(self.created_at.timestamp_micros());
        SortKey { value, id: self.id.0 }
    }
}

/// Queries of `message_search`.
#[derive(Clone, Copy)]
pub struct MessageSearch<'a>(pub(crate) &'a ReadModels);

impl MessageSearch<'_> {
    /// The messages with these words that `reader` may read, the latest first.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn find(
        &self,
        reader: UserId,
        filter: &SearchFilter,
        page: &PageRequest,
    ) -> Result<Page<FoundMessage>, ReadError> {
        let [search, members, conversations] =
            [names::MESSAGE_SEARCH, names::ROOM_MEMBERS, names::CONVERSATIONS]
                .map(|name| self.0.stored(name));
        let mut query = QueryBuilder::<Postgres>::new(format!(
            "select s.* from {search} s \
             where to_tsvector('simple', s.content) @@ plainto_tsquery('simple', "
        ));
        query.push_bind(filter.q.clone());
        // Who may read is part of the question: what they may not is not even counted.
        query.push(format!(
            ") and case when s.in_room then exists (select from {members} m \
             where m.room_id = s.channel_id and m.user_id = "
        ));
        query.push_bind(reader.0);
        query.push(format!(
            ") else exists (select from {conversations} c where c.id = s.channel_id and ("
        ));
        query.push("c.one = ").push_bind(reader.0);
        query.push(" or c.other = ").push_bind(reader.0).push(")) end");
        if let Some(RoomId(id)) = filter.room_id {
            query.push(" and s.in_room and s.channel_id = ").push_bind(id);
        }
        if let Some(UserId(id)) = filter.from {
            query.push(" and s.author_id = ").push_bind(id);
        }
        if let Some(before) = filter.before {
            query.push(" and s.created_at < ").push_bind(before);
        }
        let (compare, direction) = if page.is_backward() { (">", "asc") } else { ("<", "desc") };
        if let Some(SortKey { value, id }) = page.anchor() {
            let at = DateTime::from_timestamp_micros(value.number()).unwrap_or_default();
            query.push(format!(" and (s.created_at, s.message_id) {compare} (")).push_bind(at);
            query.push(", ").push_bind(*id).push(")");
        }
        query.push(format!(" order by s.created_at {direction}, s.message_id {direction} limit "));
        query.push_bind(page.fetch());
        let rows = query.build().fetch_all(self.0.pool()).await?;
        let rows: Vec<_> = rows.iter().map(found).collect::<Result<_, _>>()?;
        Ok(Page::build(rows, page, FoundMessage::sort_key))
    }

    /// How many messages of others there are in a channel between two numbers.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn unread_between(
        &self,
        reader: UserId,
        channel_id: Uuid,
        after: i64,
        before: i64,
    ) -> Result<i64, ReadError> {
        let table = self.0.stored(names::MESSAGE_SEARCH);
        let sql = format!(
            "select count(*) from {table} \
             where channel_id = $1 and seq > $2 and seq < $3 and author_id <> $4"
        );
        let count = sqlx::query_scalar(&sql).bind(channel_id).bind(after).bind(before);
        let count = count.bind(reader.0);
        Ok(count.fetch_one(self.0.pool()).await?)
    }
}

fn found(row: &PgRow) -> Result<FoundMessage, sqlx::Error> {
    let channel_id: Uuid = row.try_get("channel_id")?;
    let place = if row.try_get("in_room")? {
        MessagePlace::Room(RoomId(channel_id))
    } else {
        MessagePlace::Conversation(ConversationId(channel_id))
    };
    let id = MessageId(row.try_get("message_id")?);
    Ok(FoundMessage { id, place, created_at: row.try_get("created_at")? })
}

#[cfg(test)]
mod tests {
    use domain::{AnyEvent, RoomEvent};

    use super::*;
    use crate::samples::{ANA, MESSAGE, ROOM, assert_whole, at, in_room, said};

    #[test]
    fn what_is_taken_back_leaves_the_index() {
        let project = |event| MessageSearchProjector.project(&in_room(5, event));
        let [RowChange::Put { row }] = &project(said("x² = 1"))[..] else {
            panic!("not a whole row")
        };
        assert_whole(&TABLE, row);
        assert_eq!((&row["content"], &row["seq"]), (&json!("x² = 1"), &json!(5)));
        let deleted = RoomEvent::MessageDeleted {
            room_id: ROOM,
            message_id: MESSAGE,
            author_id: ANA,
            deleted_by: ANA,
            reason: None.into(),
            version: 2,
            at: at(9),
        };
        let key = fields(json!({"message_id": MESSAGE}));
        assert_eq!(project(deleted.clone()), [RowChange::Delete { key }]);
        assert!(AnyEvent::Room(deleted).about_message().is_some());
    }
}
