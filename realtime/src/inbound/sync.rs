//! `sync`: the durable events after a number, as many as the client wants to take at once.
use domain::{Room, RoomId};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    fields::{Fields, id, seq, whole},
    join_room::log_unavailable,
};
use crate::{codes, connection::Connection, node::Node, payload::Prepared, reply::Refusal};

/// Most events of one answer.
const MOST: i64 = 500;

/// One event of the answer: its name, and the payload it has as a live event.
#[derive(Serialize)]
struct Missed<'a> {
    event: &'static str,
    data: &'a RawValue,
}

impl Node {
    pub(super) async fn sync(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let room_id = fields.required("roomId", id::<RoomId>);
        let after = fields.required("afterSeq", seq);
        let limit = fields.optional("limit", |value| whole(value, 1, MOST));
        let (room_id, after) = fields.finish(room_id.zip(after))?;
        self.commands.require_member(connection.user_id, room_id).await?;

        let channel = Room::channel_of(&room_id.to_string());
        let read = async {
            let head = self.log.head(&channel).await?;
            let _permit = self.replays.acquire().await?;
            Ok((head, self.log.after(&channel, after, limit.unwrap_or(MOST)).await?))
        };
        let (head, page) = read.await.map_err(|error| log_unavailable(&error))?;
        if after > head && page.is_empty() {
            let message = "the room has no event with this number; read it anew";
            return Err(Refusal::new(codes::RESYNC_REQUIRED, message));
        }
        let events = without_gaps(room_id, after, self.prepare(&page).await);
        let reached = events.last().map_or(after, |last| last.seq);
        // What was recorded since `head` was read may be in the page already.
        let head = head.max(reached);
        let missed: Vec<_> = events
            .iter()
            .map(|one| Missed { event: one.event, data: one.payload_for(connection.user_id) })
            .collect();
        let events = serde_json::to_value(missed).map_err(|_| Refusal::internal())?;
        Ok(json!({ "events": events, "lastSeq": head, "hasMore": reached < head }))
    }
}

/// Puts placeholders where the log has nothing readable.
fn without_gaps(room_id: RoomId, after: i64, events: Vec<Prepared>) -> Vec<Prepared> {
    let mut whole = Vec::with_capacity(events.len());
    let mut next = after + 1;
    for event in events {
        whole.extend((next..event.seq).filter_map(|seq| Prepared::unavailable(room_id, seq)));
        next = event.seq + 1;
        whole.push(event);
    }
    whole
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_answer_has_no_gaps() {
        let room = RoomId(Uuid::nil());
        let events = [4, 5, 8].iter().filter_map(|seq| Prepared::unavailable(room, *seq)).collect();
        let numbers: Vec<_> = without_gaps(room, 2, events).iter().map(|e| e.seq).collect();
        assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
    }
}
