//! `message_numbers`: which number of its channel each message has, and no words. PostgreSQL.
//!
//! Clients count events, people count messages. A message knows how many there were before it in its
//! channel, so what is unread between two numbers is a difference: exact, however much it is.
use std::collections::{BTreeSet, HashMap};

use domain::{
    AnyEvent, MessageId, MessagePlace, Personal, Recorded, RoomEvent, RoomId, UserId,
    text::MessageBody,
};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::projector::Projector;
use crate::{ReadError, ReadModels, names};

/// Handles that are looked for in one message.
const MAX_MENTIONS: usize = 50;

pub(crate) const TABLE: Table = Table {
    name: names::MESSAGE_NUMBERS,
    key: &["message_id"],
    // `ordinal` counts the messages of the channel, this one included; `mentions` are handles.
    columns: "message_id uuid not null, channel_id uuid not null, seq bigint not null, \
              ordinal bigint not null, author_id uuid not null, mentions text[] not null, \
              is_deleted boolean not null",
    indexes: &[
        ("channel", "(channel_id, seq)"),
        ("author", "(channel_id, author_id, seq)"),
        ("mentions", "(channel_id, seq) where mentions <> '{}'"),
        ("deleted", "(channel_id, seq) where is_deleted"),
    ],
    erasure: Erasure::Fields { of: "author_id", set: "mentions = '{}'", given: "mentions <> '{}'" },
};

/// Feeds `message_numbers`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageNumbersProjector;

impl Projector for MessageNumbersProjector {
    type Change = RowChange;
    const NAME: &'static str = names::MESSAGE_NUMBERS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let (AnyEvent::Room(event), Some((_, seq))) = (&recorded.event, &recorded.channel) else {
            return vec![];
        };
        match event {
            RoomEvent::MessagePosted {
                room_id,
                message_id,
                author_id,
                content,
                message_count,
                ..
            } => {
                let row = json!({
                    "message_id": message_id, "channel_id": room_id, "seq": seq,
                    "ordinal": message_count, "author_id": author_id,
                    "mentions": mentioned(content), "is_deleted": false,
                });
                vec![RowChange::Put { row: fields(row) }]
            }
            RoomEvent::MessageEdited { message_id, content, .. } => {
                vec![set(*message_id, json!({"mentions": mentioned(content)}))]
            }
            RoomEvent::MessageDeleted { message_id, .. } => {
                vec![set(*message_id, json!({"mentions": [], "is_deleted": true}))]
            }
            _ => vec![],
        }
    }
}

fn set(message_id: MessageId, changed: Value) -> RowChange {
    RowChange::Set { key: fields(json!({"message_id": message_id})), fields: fields(changed) }
}

fn mentioned(content: &Personal<MessageBody>) -> BTreeSet<String> {
    content.known().map(mentions).unwrap_or_default()
}

/// The handles that a message names with an `@`, in small letters.
fn mentions(content: &MessageBody) -> BTreeSet<String> {
    let is_handle = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    let mut before = None;
    for (at, c) in content.as_str().char_indices() {
        // Not in the middle of a word: `ana@example.org` names nobody.
        if c == '@' && !before.is_some_and(|c: char| c.is_alphanumeric() || c == '_') {
            let rest = content.as_str().get(at + 1..).unwrap_or_default();
            let handle: String = rest.chars().take_while(|c| is_handle(*c)).collect();
            if !handle.is_empty() && found.len() < MAX_MENTIONS {
                found.insert(handle.to_ascii_lowercase());
            }
        }
        before = Some(c);
    }
    found
}

/// What someone has not read of a room or conversation. Their own messages are no news to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Messages of others.
    pub messages: i64,
    /// Those of them that name the person.
    pub mentions: i64,
}

/// Queries of `read_markers` and `message_numbers`.
#[derive(Clone, Copy)]
pub struct Reading<'a>(pub(crate) &'a ReadModels);

impl Reading<'_> {
    /// What the person has not read of a room in which they have read as far as `after`.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn unread_in(
        &self,
        user_id: UserId,
        room_id: RoomId,
        after: i64,
    ) -> Result<Unread, ReadError> {
        let unread = self.unread(user_id, &[(room_id.0, after)]).await?;
        Ok(unread.get(&room_id.0).copied().unwrap_or_default())
    }

    /// Messages of others in a room or conversation behind one number and before another, and not
    /// taken back. Counted where they are recorded, since what is told this moment is in no read model
    /// yet; asked of the read models when they are so many that those of this moment do not matter.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn messages_between(
        &self,
        reader: UserId,
        place: MessagePlace,
        after: i64,
        before: i64,
    ) -> Result<i64, ReadError> {
        let store = &self.0.0.store;
        if let Some(count) = store.said_by_others(&place.channel(), reader, after, before).await? {
            return Ok(count);
        }
        match place {
            MessagePlace::Room(id) => Ok(self.unread_in(reader, id, after).await?.messages),
            MessagePlace::Conversation(id) => {
                self.0.message_search().unread_between(reader, id.0, after, i64::MAX).await
            }
        }
    }

    /// How far a member has read a room: what was before they came counts as read. 0 for others.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn last_read(&self, user_id: UserId, room_id: RoomId) -> Result<i64, ReadError> {
        let [members, markers] =
            [names::ROOM_MEMBERS, names::READ_MARKERS].map(|name| self.0.stored(name));
        let sql = format!(
            "select greatest(k.last_read_seq, m.joined_seq) from {members} m
             left join {markers} k on k.channel_id = m.room_id and k.user_id = m.user_id
             where m.room_id = $1 and m.user_id = $2"
        );
        let read = sqlx::query_scalar(&sql).bind(room_id.0).bind(user_id.0);
        Ok(read.fetch_optional(self.0.pool()).await?.unwrap_or(0))
    }

    /// What the person has not read of each of these channels, given how far they have read.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn unread(
        &self,
        user_id: UserId,
        read: &[(Uuid, i64)],
    ) -> Result<HashMap<Uuid, Unread>, ReadError> {
        if read.is_empty() {
            return Ok(HashMap::new());
        }
        let (numbers, users) = (self.0.stored(names::MESSAGE_NUMBERS), self.0.stored(names::USERS));
        let (channels, after): (Vec<_>, Vec<_>) = read.iter().copied().unzip();
        // Differences and short index ranges: what others said since is never counted one by one.
        let sql = format!(
            "select c.channel_id,
                 coalesce((select n.ordinal from {numbers} n where n.channel_id = c.channel_id
                           order by n.seq desc limit 1), 0)
                 - coalesce((select n.ordinal from {numbers} n
                             where n.channel_id = c.channel_id and n.seq <= c.after
                             order by n.seq desc limit 1), 0)
                 - (select count(*) from {numbers} n
                    where n.channel_id = c.channel_id and n.author_id = $1 and n.seq > c.after)
                 - (select count(*) from {numbers} n
                    where n.channel_id = c.channel_id and n.is_deleted and n.author_id <> $1
                      and n.seq > c.after) as messages,
                 (select count(*) from {numbers} n
                  where n.channel_id = c.channel_id and n.mentions <> '{{}}' and not n.is_deleted
                    and n.author_id <> $1 and n.seq > c.after
                    and (select lower(u.username) from {users} u where u.id = $1)
                        = any(n.mentions)) as mentions
             from unnest($2::uuid[], $3::bigint[]) as c (channel_id, after)"
        );
        let rows = sqlx::query(&sql)
            .bind(user_id.0)
            .bind(channels)
            .bind(after)
            .fetch_all(self.0.pool())
            .await?;
        let mut unread = HashMap::with_capacity(rows.len());
        for row in &rows {
            // Two read models need not be equally far.
            let count = |name| row.try_get::<i64, _>(name).map(|count| count.max(0));
            let (messages, mentions) = (count("messages")?, count("mentions")?);
            unread.insert(row.try_get("channel_id")?, Unread { messages, mentions });
        }
        Ok(unread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ANA, MESSAGE, ROOM, assert_whole, in_room, joined, said};

    #[test]
    fn a_message_is_a_number_and_nothing_else_is() {
        let changes = MessageNumbersProjector.project(&in_room(5, said("hello @ben_7")));
        let [RowChange::Put { row }] = &changes[..] else { panic!("not a whole row") };
        assert_whole(&TABLE, row);
        assert_eq!((&row["message_id"], &row["channel_id"]), (&json!(MESSAGE), &json!(ROOM)));
        assert_eq!((&row["seq"], &row["ordinal"]), (&json!(5), &json!(7)));
        assert_eq!(row["mentions"], json!(["ben_7"]));
        let joined = joined(ANA, domain::MemberRole::Owner, 1);
        assert_eq!(MessageNumbersProjector.project(&in_room(6, joined)), []);
    }

    #[test]
    fn a_deleted_message_names_nobody_and_keeps_its_number() {
        let deleted = RoomEvent::MessageDeleted {
            room_id: ROOM,
            message_id: MESSAGE,
            author_id: ANA,
            deleted_by: ANA,
            reason: Personal::Known(None),
            version: 2,
            at: crate::samples::at(4),
        };
        let changed = json!({"mentions": [], "is_deleted": true});
        assert_eq!(MessageNumbersProjector.project(&in_room(6, deleted)), [set(MESSAGE, changed)]);
    }

    #[test]
    fn handles_stand_at_the_beginning_of_words() {
        let named = |text: &str| {
            let body = MessageBody::parse(text).unwrap();
            mentions(&body).into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(named("@Ben, see (@cai_1) and @ben"), "ben cai_1");
        assert_eq!(named("write to ana@example.org or @ nobody"), "");
        assert_eq!(named("né@ana @@dan @…"), "dan");
    }
}
