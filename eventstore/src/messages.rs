//! The events of single messages, found by an index over all streams.
use std::collections::HashMap;

use domain::{MessageId, UserId, message::Noted};
use sqlx::{Row as _, postgres::PgRow};

use crate::{EventStore, StoreError, StoredRecord};

/// As in the index `events_message_idx`: PostgreSQL must see that the index has what is asked for.
const ABOUT_MESSAGES: &str = "e.event_type in ('MessagePosted', 'DirectMessageSent', \
     'MessageEdited', 'MessageDeleted', 'ReactionAdded', 'ReactionRemoved')";
/// What the index is over.
const MESSAGE_ID: &str = "(e.payload -> e.event_type ->> 'messageId')";
/// The columns of [`StoredRecord`], for events that may have no position yet.
const COLUMNS: &str =
    "coalesce(p.position, 0) as position, p.channel, p.channel_seq, e.event_id, e.aggregate_type,
    e.aggregate_id, e.sequence, e.event_type, e.event_version, e.metadata::text as metadata,
    e.recorded_at";
/// Whether an event is a reaction.
const REACTION: &str = "e.event_type in ('ReactionAdded', 'ReactionRemoved')";

/// Most events among which messages are counted one by one.
const MOST_COUNTED: i64 = 500;

/// Everything that was recorded of one message.
#[derive(Clone, Debug)]
pub struct MessageStream {
    /// Its events, in order.
    pub events: Vec<Noted>,
    /// The last sequence of the stream they stand in, at the moment they were read.
    pub as_of: i64,
}

impl EventStore {
    /// Everything that was recorded of one message; `None` if there is no such message.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away or an event cannot be read.
    pub async fn message(&self, id: MessageId) -> Result<Option<MessageStream>, StoreError> {
        // One statement: the events and the head of their stream are of one snapshot. How all
        // reactions stood is long, and of use in the last one only.
        let sql = format!(
            "with about as materialized (
                 select {COLUMNS}, case when {REACTION} and e.sequence < max(e.sequence)
                     filter (where {REACTION}) over ()
                     then jsonb_set(e.payload::jsonb, array[e.event_type, 'reactions'], '[]')::text
                     else e.payload::text end as payload
                 from events e left join positions p using (log_number)
                 where {MESSAGE_ID} = $1 and {ABOUT_MESSAGES}
             ), stream as (
                 select aggregate_type, aggregate_id from about limit 1
             )
             select about.*, (
                 select max(e.sequence) from events e, stream s
                 where e.aggregate_type = s.aggregate_type and e.aggregate_id = s.aggregate_id
             ) as head from about order by sequence"
        );
        let rows = sqlx::query(&sql).bind(id.to_string()).fetch_all(self.pool()).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let as_of = first.try_get("head")?;
        let events = self.noted(&rows).await?.into_iter().map(|(_, noted)| noted).collect();
        Ok(Some(MessageStream { events, as_of }))
    }

    /// Messages in a channel that others than the reader said and did not take back, between two
    /// numbers. `None` when more events stand there than are counted.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn said_by_others(
        &self,
        channel: &str,
        reader: UserId,
        after: i64,
        before: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = format!(
            "with between as materialized (
                 select log_number from positions
                 where channel = $1 and channel_seq > $2 and channel_seq < $3
                 order by channel_seq limit $5 + 1
             ), about as materialized (
                 select e.event_type, {MESSAGE_ID} as message,
                        e.payload -> e.event_type ->> 'authorId' as author
                 from between b
                 cross join lateral (select * from events where log_number = b.log_number limit 1) e
                 where e.event_type in ('MessagePosted', 'DirectMessageSent')
             )
             select (select count(*) from between) > $5 as too_many,
                    (select count(*) from about a where a.author <> $4 and not exists (
                         select from events e where {MESSAGE_ID} = a.message and {ABOUT_MESSAGES}
                         and e.event_type = 'MessageDeleted'
                     )) as said"
        );
        let row = sqlx::query(&sql)
            .bind(channel)
            .bind(after)
            .bind(before)
            .bind(reader.to_string())
            .bind(MOST_COUNTED)
            .fetch_one(self.pool())
            .await?;
        let too_many: bool = row.try_get("too_many")?;
        Ok(if too_many { None } else { Some(row.try_get("said")?) })
    }

    /// What it takes to tell how messages read now: that they were said, the last edit, the last
    /// reaction, the deletion. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// As [`EventStore::message`].
    pub async fn messages_now(
        &self,
        ids: &[MessageId],
    ) -> Result<HashMap<MessageId, Vec<Noted>>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = format!(
            "select distinct on (message, kind) {COLUMNS}, e.payload::text as payload, message from (
                 select e.*, {MESSAGE_ID} as message,
                        case when {REACTION} then 'Reaction' else e.event_type end as kind
                 from events e where {MESSAGE_ID} = any($1) and {ABOUT_MESSAGES}
             ) e left join positions p using (log_number)
             order by message, kind, e.sequence desc"
        );
        let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let rows = sqlx::query(&sql).bind(texts).fetch_all(self.pool()).await?;
        let mut found = self.noted(&rows).await?;
        found.sort_unstable_by_key(|(sequence, _)| *sequence);
        let mut now: HashMap<MessageId, Vec<Noted>> = HashMap::new();
        for (_, noted) in found {
            if let Some(id) = noted.event.about_message().map(|about| about.message_id()) {
                now.entry(id).or_default().push(noted);
            }
        }
        Ok(now)
    }

    async fn noted(&self, rows: &[PgRow]) -> Result<Vec<(i64, Noted)>, StoreError> {
        let records: Vec<_> = rows.iter().map(StoredRecord::from_row).collect::<Result<_, _>>()?;
        let opened = self.open(records).await?.into_iter();
        opened
            .map(|opened| {
                let recorded =
                    opened.outcome.map_err(|error| StoreError::Unreadable(error.reason))?;
                let seq = recorded.channel.map(|channel| channel.1);
                Ok((recorded.sequence, Noted { event: recorded.event, seq }))
            })
            .collect()
    }
}
