//! Pages of messages, by number only.
//!
//! Every query is bounded by a range of numbers, which the index (`roomId`, `seq`) serves. The
//! numbers of messages have gaps, where other events stand, so the range grows until it holds
//! enough: at most a few times the page is ever read and sorted, by whatever server.
use bson::{Document, doc};
use chrono::{DateTime, Utc};
use domain::{ConversationId, MessageId, MessagePlace, RoomId, UserId};
use futures::TryStreamExt;
use mongodb::{Collection, Cursor};
use serde_json::Value;

use super::{Anchor, MessagePage, MessageRow, Messages};
use crate::{ReadError, names};

/// A page reaches over this many numbers per message at first.
const SPREAD: i64 = 2;

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// Which messages, for whom.
#[derive(Clone, Copy)]
struct Asked {
    place: MessagePlace,
    reader: UserId,
}

/// What is read of a message: everything but what others than the reader answered, one by one.
const FIELDS: &[&str] = &[
    "roomId",
    "conversationId",
    "recipientId",
    "seq",
    "senderId",
    "senderName",
    "content",
    "messageType",
    "attachments",
    "replyToId",
    "reactions",
    "editedAt",
    "isDeleted",
    "deletedAt",
    "clientMessageId",
    "createdAt",
    "version",
];

fn fields(reader: Option<UserId>) -> Document {
    let mut fields: Document = FIELDS.iter().map(|name| ((*name).to_owned(), 1.into())).collect();
    if let Some(reader) = reader {
        fields.insert(format!("reactors.{reader}"), 1);
    }
    fields
}

impl Messages<'_> {
    fn collection(self, place: MessagePlace) -> Collection<Document> {
        let name = match place {
            MessagePlace::Room(_) => names::MESSAGES,
            MessagePlace::Conversation(_) => names::DIRECT_MESSAGES,
        };
        self.0.0.mongodb.collection(&self.0.stored(name))
    }

    /// One message of a room or conversation; whose reader is nobody, so that `own_reactions` is empty.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB is unavailable.
    pub async fn get(
        &self,
        place: MessagePlace,
        id: MessageId,
    ) -> Result<Option<MessageRow>, ReadError> {
        let collection = self.collection(place);
        let found = collection.find_one(doc! {"_id": id.to_string()}).projection(fields(None));
        let found = found.await?;
        found.as_ref().map(message_row).transpose()
    }

    /// Several direct messages by id, in no order. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB is unavailable.
    pub async fn direct(
        &self,
        reader: UserId,
        ids: &[MessageId],
    ) -> Result<Vec<MessageRow>, ReadError> {
        self.several(names::DIRECT_MESSAGES, reader, ids).await
    }

    /// Several messages of rooms by id, in no order. Unknown ones are missing from the answer.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB is unavailable.
    pub async fn of_rooms(
        &self,
        reader: UserId,
        ids: &[MessageId],
    ) -> Result<Vec<MessageRow>, ReadError> {
        self.several(names::MESSAGES, reader, ids).await
    }

    /// What a person said, in rooms or to others, in the order of its ids, after one of them. For
    /// themselves.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB is unavailable.
    pub async fn said_by(
        &self,
        person: UserId,
        in_rooms: bool,
        after: Option<MessageId>,
        limit: i64,
    ) -> Result<Vec<MessageRow>, ReadError> {
        let name = if in_rooms { names::MESSAGES } else { names::DIRECT_MESSAGES };
        let collection: Collection<Document> = self.0.0.mongodb.collection(&self.0.stored(name));
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let found = collection.find(doc! {"senderId": person.to_string(), "_id": {"$gt": after}});
        let found = found.projection(fields(Some(person))).sort(doc! {"_id": 1}).limit(limit);
        rows_of(found.await?).await
    }

    async fn several(
        self,
        name: &str,
        reader: UserId,
        ids: &[MessageId],
    ) -> Result<Vec<MessageRow>, ReadError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
        let collection: Collection<Document> = self.0.0.mongodb.collection(&self.0.stored(name));
        let found = collection.find(doc! {"_id": {"$in": ids}}).projection(fields(Some(reader)));
        rows_of(found.await?).await
    }

    /// At most `limit` messages of a room or conversation, as `reader` sees them.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB or PostgreSQL is unavailable.
    pub async fn page(
        &self,
        place: MessagePlace,
        reader: UserId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<MessagePage, ReadError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let asked = Asked { place, reader };
        match anchor {
            Anchor::Newest => self.newest(asked, limit).await,
            Anchor::Before(seq) => {
                let (messages, found_oldest) =
                    self.walk(asked, Direction::Down, seq, limit).await?;
                let found_newest = !self.exists(place, doc! {"$gte": seq}).await?;
                Ok(MessagePage { messages, found_oldest, found_newest })
            }
            Anchor::After(seq) => {
                let (messages, found_newest) = self.walk(asked, Direction::Up, seq, limit).await?;
                let found_oldest = !self.exists(place, doc! {"$lte": seq}).await?;
                Ok(MessagePage { messages, found_oldest, found_newest })
            }
            Anchor::Around(seq) => {
                let below = limit / 2;
                let (mut messages, found_oldest) =
                    self.walk(asked, Direction::Down, seq, below).await?;
                // What is missing below is given above, the number itself first.
                let above = limit - messages.len();
                let (rest, found_newest) =
                    self.walk(asked, Direction::Up, seq.saturating_sub(1), above).await?;
                messages.extend(rest);
                Ok(MessagePage { messages, found_oldest, found_newest })
            }
        }
    }

    async fn newest(&self, asked: Asked, limit: usize) -> Result<MessagePage, ReadError> {
        let (messages, found_oldest) = self.walk(asked, Direction::Down, i64::MAX, limit).await?;
        Ok(MessagePage { messages, found_oldest, found_newest: true })
    }

    /// Where the room or conversation is, as another read model knows it. It only chooses ranges:
    /// being wrong costs time, not messages.
    async fn last_seq(&self, place: MessagePlace) -> Result<i64, ReadError> {
        let (table, id) = match place {
            MessagePlace::Room(room_id) => (names::STUDY_ROOMS, room_id.0),
            MessagePlace::Conversation(id) => (names::CONVERSATIONS, id.0),
        };
        let table = self.0.stored(table);
        let seq: Option<i64> =
            sqlx::query_scalar(&format!("select last_seq from {table} where id = $1"))
                .bind(id)
                .fetch_optional(self.0.pool())
                .await?;
        Ok(seq.unwrap_or(0))
    }

    /// The next `limit` messages from `seq` (exclusive), smallest number first, and whether there
    /// are no more in that direction.
    async fn walk(
        &self,
        Asked { place, reader }: Asked,
        direction: Direction,
        seq: i64,
        limit: usize,
    ) -> Result<(Vec<MessageRow>, bool), ReadError> {
        let wanted = limit.saturating_add(1);
        let head = match direction {
            Direction::Down if seq < i64::MAX => 0,
            Direction::Up | Direction::Down => self.last_seq(place).await?,
        };
        let mut width = i64::try_from(wanted).unwrap_or(i64::MAX).saturating_mul(SPREAD);
        let mut edge = seq;
        let mut found: Vec<MessageRow> = Vec::new();
        loop {
            // The last range is open: nothing may hide behind a head that lags.
            let (range, sort, next, last) = match direction {
                Direction::Down => {
                    let near = if edge == i64::MAX { head } else { edge };
                    let next = near.saturating_sub(width);
                    let last = next <= 1;
                    let low = if last { i64::MIN } else { next };
                    (doc! {"$gte": low, "$lt": edge}, -1, next, last)
                }
                Direction::Up => {
                    let next = edge.saturating_add(width);
                    let last = next >= head;
                    let high = if last { i64::MAX } else { next };
                    (doc! {"$gt": edge, "$lte": high}, 1, next, last)
                }
            };
            let missing = i64::try_from(wanted - found.len()).unwrap_or(i64::MAX);
            let more = self
                .collection(place)
                .find(within(place, range))
                .projection(fields(Some(reader)))
                .sort(doc! {"seq": sort})
                .limit(missing)
                .await?;
            found.extend(rows_of(more).await?);
            if found.len() >= wanted || last {
                break;
            }
            edge = next;
            width = width.saturating_mul(2);
        }
        let complete = found.len() < wanted;
        found.truncate(limit);
        if matches!(direction, Direction::Down) {
            found.reverse();
        }
        Ok((found, complete))
    }

    async fn exists(&self, place: MessagePlace, range: Document) -> Result<bool, ReadError> {
        let found = self
            .collection(place)
            .find_one(within(place, range))
            .projection(doc! {"_id": 1})
            .await?;
        Ok(found.is_some())
    }
}

/// The messages of a place with numbers in a range.
fn within(place: MessagePlace, range: Document) -> Document {
    match place {
        MessagePlace::Room(id) => doc! {"roomId": id.to_string(), "seq": range},
        MessagePlace::Conversation(id) => doc! {"conversationId": id.to_string(), "seq": range},
    }
}

/// Reads a document as the projector writes it. Of `reactors` only the reader's may be there.
async fn rows_of(mut cursor: Cursor<Document>) -> Result<Vec<MessageRow>, ReadError> {
    let mut rows = Vec::new();
    while let Some(document) = cursor.try_next().await? {
        rows.push(message_row(&document)?);
    }
    Ok(rows)
}

pub(super) fn message_row(document: &Document) -> Result<MessageRow, ReadError> {
    let text = |name: &str| document.get_str(name).ok().map(str::to_owned);
    let id = |name: &str| {
        document.get_str(name).ok().and_then(|id| id.parse().ok()).ok_or_else(|| missing(name))
    };
    let number = |name: &str| document.get_i64(name).map_err(|_| missing(name));
    let time =
        |name: &str| document.get_datetime(name).ok().map(|at| -> DateTime<Utc> { at.to_chrono() });
    let array = |name: &str| -> Vec<Value> {
        let values = document.get_array(name).cloned().unwrap_or_default();
        values.into_iter().map(bson::Bson::into_relaxed_extjson).collect()
    };
    let reactions = serde_json::from_value(Value::Array(array("reactions")))
        .map_err(|_| missing("readable reactions"))?;
    let reactors = document.get_document("reactors").ok();
    let own = reactors.into_iter().flat_map(|it| it.values()).filter_map(bson::Bson::as_document);
    let own = own.flatten().filter(|(_, set)| set.as_bool() == Some(true));
    let place = if document.contains_key("conversationId") {
        MessagePlace::Conversation(ConversationId(id("conversationId")?))
    } else {
        MessagePlace::Room(RoomId(id("roomId")?))
    };
    Ok(MessageRow {
        id: MessageId(id("_id")?),
        place,
        recipient_id: text("recipientId").and_then(|id| id.parse().ok()),
        seq: number("seq")?,
        sender_id: UserId(id("senderId")?),
        sender_name: text("senderName"),
        content: text("content"),
        message_type: text("messageType").ok_or_else(|| missing("messageType"))?,
        attachments: array("attachments"),
        reply_to_id: text("replyToId").and_then(|id| id.parse().ok()),
        reactions,
        own_reactions: own.map(|(emoji, _)| emoji.clone()).collect(),
        edited_at: time("editedAt"),
        is_deleted: document.get_bool("isDeleted").unwrap_or(false),
        deleted_at: time("deletedAt"),
        client_message_id: text("clientMessageId"),
        created_at: time("createdAt").ok_or_else(|| missing("createdAt"))?,
        version: number("version")?,
    })
}

fn missing(field: &str) -> ReadError {
    ReadError::Document(format!("a message without `{field}`"))
}
