//! `GET /api/messages/search`: what was said, by its words.
use std::collections::HashMap;

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{MessageId, MessagePlace, RoomId, UserId, Violation};
use projections::{FoundMessage, MessageRow, Page, SearchFilter};
use serde_json::{Value, json};

use crate::{
    ApiState,
    extract::{Authenticated, Fields, FromFields, Query, id, search, text},
    page::{self, Paging},
    problem::Problem,
    views,
};

/// Query of `GET /api/messages/search`.
pub(crate) struct Search {
    filter: SearchFilter,
    paging: Paging,
    /// Names the list in cursors.
    fingerprint: Value,
}

impl FromFields for Search {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.required("q", text(words));
        let room_id = fields.optional("roomId", id::<RoomId>);
        let from = fields.optional("from", id::<UserId>);
        let before = fields.optional("before", text(time));
        let paging = Paging::from_fields(fields);
        let (q, room_id, from, before) = (q?, room_id?, from?, before?);
        let fingerprint = json!(["search", q, room_id, from, before]);
        let filter = SearchFilter { q, room_id, from, before };
        Some(Self { filter, paging: paging?, fingerprint })
    }
}

fn words(raw: &str) -> Result<String, Violation> {
    let blank = || Violation::new("blank", "must have a word");
    search(raw)?.filter(|q| q.chars().any(char::is_alphanumeric)).ok_or_else(blank)
}

fn time(raw: &str) -> Result<DateTime<Utc>, Violation> {
    let invalid = || Violation::new("invalid_time", "must be a time with an offset (RFC 3339)");
    DateTime::parse_from_rfc3339(raw).map(|at| at.to_utc()).map_err(|_| invalid())
}

/// Messages with all of these words, the latest first, as far as the caller may read them now.
pub(crate) async fn find(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(Search { filter, paging, fingerprint }): Query<Search>,
) -> Result<Json<Value>, Problem> {
    let reader = caller.user_id;
    let request = paging.request(state.cursors(), &fingerprint)?;
    let models = state.read_models();
    let page = models.message_search().find(reader, &filter, &request).await?;
    let messages = messages(&state, reader, &page.rows).await?;
    let mut senders: Vec<_> = messages.values().map(|message| message.sender_id).collect();
    senders.sort_unstable();
    senders.dedup();
    let people = models.users().short(&senders).await?;
    let mut allowed: HashMap<MessagePlace, bool> = HashMap::new();
    let mut rows = Vec::with_capacity(page.rows.len());
    for found in &page.rows {
        // Read models may lag: who was removed meanwhile, and what was taken back, shows here.
        let may = if let Some(may) = allowed.get(&found.place) {
            *may
        } else {
            let may = state.commands().may_read(reader, found.place).await?;
            allowed.insert(found.place, may);
            may
        };
        let message = messages.get(&found.id).filter(|_| may);
        let Some((message, content)) =
            message.and_then(|message| Some((message, message.content.as_deref()?)))
        else {
            continue;
        };
        rows.push(json!({
            "message": views::message(message, reader, &people),
            "highlights": highlights(content, &filter.q),
        }));
    }
    let page = Page { rows, next: page.next, previous: page.previous };
    Ok(Json(page::answer(page, state.cursors(), &fingerprint)))
}

async fn messages(
    state: &ApiState,
    reader: UserId,
    found: &[FoundMessage],
) -> Result<HashMap<MessageId, MessageRow>, Problem> {
    let of = |direct: bool| -> Vec<_> {
        let wanted =
            |it: &&FoundMessage| matches!(it.place, MessagePlace::Conversation(_)) == direct;
        found.iter().filter(wanted).map(|it| it.id).collect()
    };
    let models = state.read_models().messages();
    let mut rows = models.of_rooms(reader, &of(false)).await?;
    rows.extend(models.direct(reader, &of(true)).await?);
    Ok(rows.into_iter().map(|row| (row.id, row)).collect())
}

/// Where the words stand, in characters (Unicode scalar values): `{start, end}`.
fn highlights(content: &str, q: &str) -> Vec<Value> {
    let wanted: Vec<String> = split(q).into_iter().map(|(_, word)| word.to_lowercase()).collect();
    split(content)
        .into_iter()
        .filter(|(_, word)| wanted.contains(&word.to_lowercase()))
        .map(|(start, word)| json!({ "start": start, "end": start + word.chars().count() }))
        .collect()
}

/// The words of a text, each with the number of characters before it.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut words = Vec::new();
    let mut begun: Option<(usize, usize)> = None;
    for (number, (at, c)) in text.char_indices().enumerate() {
        match (c.is_alphanumeric(), begun) {
            (true, None) => begun = Some((number, at)),
            (false, Some((first, from))) => {
                words.push((first, &text[from..at]));
                begun = None;
            }
            _ => {}
        }
    }
    if let Some((first, from)) = begun {
        words.push((first, &text[from..]));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_they_stand() {
        let found = highlights("Größe: die GRÖSSE der größe, größer", "größe");
        assert_eq!(found, [json!({"start": 0, "end": 5}), json!({"start": 22, "end": 27})]);
        assert_eq!(
            highlights("👍 yes, Yes", "YES"),
            [json!({"start": 2, "end": 5}), json!({"start": 7, "end": 10})]
        );
        assert!(highlights("nothing", "else").is_empty());
    }

    #[test]
    fn a_search_has_a_word() {
        assert_eq!(words(" exam ").unwrap(), "exam");
        for blank in ["", "  ", "%_%", "()", "!"] {
            assert_eq!(words(blank).unwrap_err().code, "blank", "{blank}");
        }
        assert!(time("2027-01-15T08:00:00+01:00").is_ok());
        assert_eq!(time("2027-01-15T08:00:00").unwrap_err().code, "invalid_time");
    }
}
