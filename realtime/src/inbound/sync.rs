//! `sync`: the durable events after a number, as many as the client wants to take at once.
use domain::{Room, RoomId, UserId};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    fields::{Fields, id, seq, whole},
    join_room::log_unavailable,
};
use crate::{
    channel::LogError, codes, connection::Connection, node::Node, payload::Prepared, reply::Refusal,
};

/// Most events of one answer.
const MOST: i64 = 500;
/// Most bytes of one answer's events, unless the first one alone has more.
const MOST_BYTES: usize = 256 * 1024;
/// Events that are read at once.
const STEP: i64 = 100;
/// What an answer puts around each event.
const AROUND: usize = r#"{"event":"","data":},"#.len();

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
        let head = self.log.head(&channel).await.map_err(|error| log_unavailable(&error))?;
        let until = after.saturating_add(limit.unwrap_or(MOST));
        let missed = self.missed(room_id, connection.user_id, after, head, until);
        let missed = missed.await.map_err(|error| log_unavailable(&error))?;
        // Who left while this was read must not get what was said since.
        self.commands.require_member(connection.user_id, room_id).await?;
        if after > head && missed.is_empty() {
            let message = "the room has no event with this number; read it anew";
            return Err(Refusal::new(codes::RESYNC_REQUIRED, message));
        }
        let reached = missed.last().map_or(after, |last| last.seq);
        // What was recorded since `head` was read may be among them already.
        let head = head.max(reached);
        let missed: Vec<_> = missed
            .iter()
            .map(|one| Missed { event: one.event, data: one.payload_for(connection.user_id) })
            .collect();
        let events = serde_json::to_value(missed).map_err(|_| Refusal::internal())?;
        Ok(json!({ "events": events, "lastSeq": head, "hasMore": reached < head }))
    }

    /// The events from `after` to `until`, without gaps, as many as one answer takes.
    async fn missed(
        &self,
        room_id: RoomId,
        user_id: UserId,
        after: i64,
        head: i64,
        until: i64,
    ) -> Result<Vec<Prepared>, LogError> {
        let channel = Room::channel_of(&room_id.to_string());
        let (mut missed, mut bytes, mut reached) = (Vec::new(), 0, after);
        while reached < until {
            let page = {
                let _permit = self.replays.acquire().await?;
                self.log.after(&channel, reached, STEP.min(until - reached)).await?
            };
            // A number that was given and is not found is not readable either: a client that got
            // nothing for it would ask for ever.
            let found = if page.reached > reached { page.reached } else { head };
            let found = found.min(until);
            let events = without_gaps(room_id, reached, found, self.prepare(&page.events).await);
            let sizes = events
                .iter()
                .map(|one| AROUND + one.event.len() + one.payload_for(user_id).get().len());
            let taken = fitting(sizes, &mut bytes);
            let all = taken == events.len();
            missed.extend(events.into_iter().take(taken));
            if !all || found <= reached {
                break;
            }
            reached = found;
        }
        Ok(missed)
    }
}

/// How many events of these sizes an answer takes that has `bytes` already. The very first always
/// fits: every answer brings its client on.
fn fitting(sizes: impl Iterator<Item = usize>, bytes: &mut usize) -> usize {
    let mut count = 0;
    for size in sizes {
        if *bytes > 0 && *bytes + size > MOST_BYTES {
            break;
        }
        *bytes += size;
        count += 1;
    }
    count
}

/// The events from `after` to `until`, with placeholders where the log has nothing readable.
fn without_gaps(room_id: RoomId, after: i64, until: i64, events: Vec<Prepared>) -> Vec<Prepared> {
    let mut whole = Vec::with_capacity(events.len());
    let mut next = after + 1;
    let placeholder = |seq| Prepared::unavailable(room_id, seq);
    for event in events {
        if event.seq > until {
            break;
        }
        whole.extend((next..event.seq).filter_map(placeholder));
        next = event.seq + 1;
        whole.push(event);
    }
    whole.extend((next..=until).filter_map(placeholder));
    whole
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn numbers(after: i64, until: i64, events: &[i64]) -> Vec<i64> {
        let room = RoomId(Uuid::nil());
        let events = events.iter().filter_map(|seq| Prepared::unavailable(room, *seq)).collect();
        without_gaps(room, after, until, events).iter().map(|event| event.seq).collect()
    }

    #[test]
    fn an_answer_has_no_gaps() {
        assert_eq!(numbers(2, 8, &[4, 5, 8]), [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn unreadable_events_at_the_end_are_answered_too() {
        assert_eq!(numbers(2, 6, &[4]), [3, 4, 5, 6]);
        assert_eq!(numbers(2, 4, &[]), [3, 4]);
        assert_eq!(numbers(2, 2, &[]), [0; 0]);
    }

    #[test]
    fn an_answer_ends_where_the_client_wants_it_to() {
        assert_eq!(numbers(2, 4, &[3, 6]), [3, 4]);
    }

    #[test]
    fn an_answer_is_bounded_by_bytes() {
        let mut bytes = 0;
        assert_eq!(fitting([MOST_BYTES / 2; 3].into_iter(), &mut bytes), 2);
        assert_eq!(fitting([1].into_iter(), &mut bytes), 0);
        assert_eq!(bytes, MOST_BYTES);
    }

    #[test]
    fn an_answer_has_at_least_one_event() {
        let mut bytes = 0;
        assert_eq!(fitting([MOST_BYTES + 1, 1].into_iter(), &mut bytes), 1);
    }
}
