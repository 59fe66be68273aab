//! Pages of a room's messages, by number only.
//!
//! Every query is bounded by a range of numbers, which the index (`roomId`, `seq`) serves. The
//! numbers of messages have gaps, where other events stand, so the range grows until it holds
//! enough: at most a few times the page is ever read and sorted, by whatever server.
use bson::{Document, doc};
use chrono::{DateTime, Utc};
use domain::{MessageId, RoomId, UserId};
use futures::TryStreamExt;
use mongodb::Collection;
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
struct Place {
    room_id: RoomId,
    reader: UserId,
}

/// What is read of a message: everything but what others than the reader answered, one by one.
const FIELDS: &[&str] = &[
    "roomId",
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
    fn collection(self) -> Collection<Document> {
        self.0.0.mongodb.collection(&self.0.stored(names::MESSAGES))
    }

    /// One message; whose reader is nobody, so that `own_reactions` is empty.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB is unavailable.
    pub async fn get(&self, id: MessageId) -> Result<Option<MessageRow>, ReadError> {
        let collection = self.collection();
        let found = collection.find_one(doc! {"_id": id.to_string()}).projection(fields(None));
        let found = found.await?;
        found.as_ref().map(message_row).transpose()
    }

    /// At most `limit` messages of a room, as `reader` sees them.
    ///
    /// # Errors
    /// [`ReadError`] when MongoDB or PostgreSQL is unavailable.
    pub async fn page(
        &self,
        room_id: RoomId,
        reader: UserId,
        anchor: Anchor,
        limit: u32,
    ) -> Result<MessagePage, ReadError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let place = Place { room_id, reader };
        match anchor {
            Anchor::Newest => self.newest(place, limit).await,
            Anchor::Before(seq) => {
                let (messages, found_oldest) =
                    self.walk(place, Direction::Down, seq, limit).await?;
                let found_newest = !self.exists(room_id, doc! {"$gte": seq}).await?;
                Ok(MessagePage { messages, found_oldest, found_newest })
            }
            Anchor::After(seq) => {
                let (messages, found_newest) = self.walk(place, Direction::Up, seq, limit).await?;
                let found_oldest = !self.exists(room_id, doc! {"$lte": seq}).await?;
                Ok(MessagePage { messages, found_oldest, found_newest })
            }
            Anchor::Around(seq) => {
                let below = limit / 2;
                let (mut messages, found_oldest) =
                    self.walk(place, Direction::Down, seq, below).await?;
                // What is missing below is given above, the number itself first.
                let above = limit - messages.len();
                let (rest, found_newest) =
                    self.walk(place, Direction::Up, seq.saturating_sub(1), above).await?;
                messages.extend(rest);
                Ok(MessagePage { messages, found_oldest, found_newest })
            }
        }
    }

    async fn newest(&self, place: Place, limit: usize) -> Result<MessagePage, ReadError> {
        let (messages, found_oldest) = self.walk(place, Direction::Down, i64::MAX, limit).await?;
        Ok(MessagePage { messages, found_oldest, found_newest: true })
    }

    /// Where the room is, as another read model knows it. It only chooses ranges: being wrong costs
    /// time, not messages.
    async fn last_seq(&self, room_id: RoomId) -> Result<i64, ReadError> {
        let table = self.0.stored(names::STUDY_ROOMS);
        let seq: Option<i64> =
            sqlx::query_scalar(&format!("select last_seq from {table} where id = $1"))
                .bind(room_id.0)
                .fetch_optional(self.0.pool())
                .await?;
        Ok(seq.unwrap_or(0))
    }

    /// The next `limit` messages from `seq` (exclusive), smallest number first, and whether there
    /// are no more in that direction.
    async fn walk(
        &self,
        Place { room_id, reader }: Place,
        direction: Direction,
        seq: i64,
        limit: usize,
    ) -> Result<(Vec<MessageRow>, bool), ReadError> {
        let wanted = limit.saturating_add(1);
        let head = match direction {
            Direction::Down if seq < i64::MAX => 0,
            Direction::Up | Direction::Down => self.last_seq(room_id).await?,
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
            let mut cursor = self
                .collection()
                .find(doc! {"roomId": room_id.to_string(), "seq": range})
                .projection(fields(Some(reader)))
                .sort(doc! {"seq": sort})
                .limit(missing)
                .await?;
            while let Some(document) = cursor.try_next().await? {
                found.push(message_row(&document)?);
            }
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

    async fn exists(&self, room_id: RoomId, range: Document) -> Result<bool, ReadError> {
        let found = self
            .collection()
            .find_one(doc! {"roomId": room_id.to_string(), "seq": range})
            .projection(doc! {"_id": 1})
            .await?;
        Ok(found.is_some())
    }
}

/// Reads a document as the projector writes it. Of `reactors` only the reader's may be there.
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
    Ok(MessageRow {
        id: MessageId(id("_id")?),
        room_id: RoomId(id("roomId")?),
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
