//! `/api/messages`: what was said.
use axum::{Json, extract::State};
use domain::{MAX_SAFE_INTEGER, MessagePlace, RoomId, Violation};
use projections::{Anchor, MessagePage};
use serde_json::{Value, json};

pub(super) mod changes;
pub(super) mod direct;
pub(super) mod events;
mod reaction_path;
pub(super) mod search;

use crate::{
    ApiState, access,
    extract::{Authenticated, Fields, FromFields, PathId, Query, in_query, integer},
    page,
    problem::Problem,
    views,
};

/// Query of `GET /api/messages/room/{roomId}`: at most one anchor.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    anchor: Anchor,
    limit: u32,
}

impl FromFields for Window {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let mut seq = |name| fields.optional(name, in_query(integer(0..=MAX_SAFE_INTEGER)));
        let (before, after, around) = (seq("before"), seq("after"), seq("around"));
        let limit = page::limit(fields);
        let anchor = match (before?, after?, around?) {
            (None, None, None) => Anchor::Newest,
            (Some(seq), None, None) => Anchor::Before(seq),
            (None, Some(seq), None) => Anchor::After(seq),
            (None, None, Some(seq)) => Anchor::Around(seq),
            (before, _, _) => {
                let second = if before.is_some() { "before" } else { "after" };
                let detail = "give one of before, after and around";
                fields.refuse(second, Violation::new("conflicting", detail));
                return None;
            }
        };
        Some(Self { anchor, limit: limit? })
    }
}

/// `GET /api/messages/room/{roomId}`: messages of a room, in their order, for its members.
pub(super) async fn of_room(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    Query(Window { anchor, limit }): Query<Window>,
) -> Result<Json<Value>, Problem> {
    access::may_read_messages(&state, &caller, room_id).await?;
    platform::crash_point!("page.admitted");
    let read_models = state.read_models();
    let place = MessagePlace::Room(room_id);
    let page = read_models.messages().page(place, caller.user_id, anchor, limit).await?;
    let room = read_models.rooms().get(room_id).await?.ok_or_else(views::not_shown_yet)?;
    let mut senders: Vec<_> = page.messages.iter().map(|message| message.sender_id).collect();
    senders.sort_unstable();
    senders.dedup();
    let people = read_models.users().short(&senders).await?;
    let last_read = read_models.reading().last_read(caller.user_id, room_id).await?;
    // Who was removed while this was read shall not have it.
    access::may_read_messages(&state, &caller, room_id).await?;
    let data: Vec<_> = page
        .messages
        .iter()
        .map(|message| views::message(message, caller.user_id, &people))
        .collect();
    let mut body = answer(anchor, &page, &data, ("roomLastSeq", room.last_seq));
    body["my"] = json!({ "lastReadSeq": last_read });
    Ok(Json(body))
}

/// A page of messages. `last_seq`: what the number of the last event is called here, and what it is as
/// far as another read model knows.
fn answer(anchor: Anchor, page: &MessagePage, data: &[Value], last_seq: (&str, i64)) -> Value {
    let oldest = page.messages.first().map(|message| message.seq);
    let newest = page.messages.last().map(|message| message.seq);
    // An empty page is beside its anchor: what there is begins there.
    let (next_before, next_after) = match anchor {
        Anchor::After(seq) => (oldest.or(Some(seq + 1)), newest),
        Anchor::Before(seq) => (oldest, newest.or(Some((seq - 1).max(0)))),
        Anchor::Newest | Anchor::Around(_) => (oldest, newest),
    };
    let (name, known) = last_seq;
    json!({
        "data": data,
        "page": {
            "foundOldest": page.found_oldest,
            "foundNewest": page.found_newest,
            "nextBefore": next_before.filter(|_| !page.found_oldest),
            "nextAfter": next_after.filter(|_| !page.found_newest),
        },
        // The two read models need not be equally far.
        name: newest.map_or(known, |seq| seq.max(known)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &[(&str, &str)]) -> Result<Window, &'static str> {
        let fields = query.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
        Fields::new(fields.collect()).read().map_err(|problem| problem.code())
    }

    #[test]
    fn there_is_one_anchor_at_most() {
        assert_eq!(read(&[]), Ok(Window { anchor: Anchor::Newest, limit: 50 }));
        let window = Window { anchor: Anchor::Before(7), limit: 100 };
        assert_eq!(read(&[("before", "7"), ("limit", "100")]), Ok(window));
        assert_eq!(read(&[("before", "7"), ("after", "7")]), Err("validation_failed"));
        assert_eq!(read(&[("after", "7"), ("around", "7")]), Err("validation_failed"));
        assert_eq!(read(&[("after", "-1")]), Err("validation_failed"));
        assert_eq!(read(&[("afer", "1")]), Err("unknown_field"));
    }

    #[test]
    fn an_empty_page_leads_back_to_what_there_is() {
        let page = |found_oldest, found_newest| MessagePage {
            messages: vec![],
            found_oldest,
            found_newest,
        };
        let after = answer(Anchor::After(9), &page(false, true), &[], ("roomLastSeq", 9));
        assert_eq!(after["page"]["nextBefore"], 10);
        assert_eq!(after["page"]["nextAfter"], Value::Null);
        let before = answer(Anchor::Before(3), &page(true, false), &[], ("lastSeq", 9));
        assert_eq!(before["page"]["nextBefore"], Value::Null);
        assert_eq!(before["page"]["nextAfter"], 2);
        assert_eq!((&after["roomLastSeq"], &before["lastSeq"]), (&json!(9), &json!(9)));
    }
}
