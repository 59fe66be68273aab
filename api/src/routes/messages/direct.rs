//! `/api/messages/direct`, `/api/messages/conversations`: people who write to each other.
use std::collections::HashMap;

use axum::{
    Extension, Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use commands::SendDirectMessage;
use domain::{ConversationId, MAX_SAFE_INTEGER, MessagePlace, UserId};
use projections::{ConversationRow, Page, ReadModels, Seen, UserShort};
use serde_json::{Value, json};

use super::{
    super::{members::presence_for, users::subject_names},
    Window, answer,
    changes::{Post, said},
};
use crate::{
    ApiState, Endpoint,
    extract::{
        Authenticated, Fields, FromFields, IdempotencyKeyHeader, JsonBody, PathId, Query, integer,
    },
    page::{self, Paging},
    problem::Problem,
    views,
    writes::{Settled, shown},
};

type Route = Extension<&'static Endpoint>;

/// Names the list in cursors.
const CONVERSATIONS: &str = "conversations";

/// Query of `GET /api/messages/conversations`.
pub(crate) struct Conversations(Paging);

impl FromFields for Conversations {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Paging::from_fields(fields).map(Self)
    }
}

/// Body of `PUT /api/messages/conversations/{conversationId}/read`.
pub(crate) struct Read {
    last_read_seq: i64,
}

impl FromFields for Read {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { last_read_seq: fields.required("lastReadSeq", integer(0..=MAX_SAFE_INTEGER))? })
    }
}

/// `POST /api/messages/direct/{userId}`: says something to one person.
pub(crate) async fn post(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(recipient_id): PathId<UserId>,
    key: IdempotencyKeyHeader,
    JsonBody { value, digest }: JsonBody<Post>,
) -> Result<Response, Problem> {
    let Post { client_message_id, content, message_type, reply_to_id } = value;
    // A hint only: without it, more beginnings are counted.
    let members = state.read_models().members();
    let shared_rooms = members.shared(caller.user_id, recipient_id).await;
    let request = SendDirectMessage {
        recipient_id,
        client_message_id,
        content,
        message_type,
        reply_to_id,
        shared_rooms: shown(shared_rooms.map(Some)).unwrap_or_default(),
    };
    let key = key.with_body(digest);
    let written = state.commands().send_direct_message(&caller, request, key).await?;
    Ok(said(&state, endpoint, &written).await)
}

/// `GET /api/messages/direct/{userId}`: what the caller and one person said to each other. Whoever
/// that is: before anything was said there is nothing to see.
pub(crate) async fn with_user(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(partner_id): PathId<UserId>,
    Query(Window { anchor, limit }): Query<Window>,
) -> Result<Json<Value>, Problem> {
    let id = ConversationId::between(caller.user_id, partner_id);
    let models = state.read_models();
    let reader = caller.user_id;
    let page =
        models.messages().page(MessagePlace::Conversation(id), reader, anchor, limit).await?;
    let row = models.conversations().get(reader, id).await?;
    let people = named(models, reader, &[reader, partner_id]).await?;
    let mine = models.conversations().read_by(reader, &[id]).await?;
    let theirs = models.conversations().read_by_others(reader, &[id]).await?;
    let read = ReadBy::of(id, &mine, &theirs);
    let data: Vec<_> = page
        .messages
        .iter()
        .map(|message| {
            read.mark(views::message(message, reader, &people), message.sender_id == reader)
        })
        .collect();
    let last_seq = row.map_or(0, |row| row.last_seq);
    let mut body = answer(anchor, &page, &data, ("lastSeq", last_seq));
    if let Some(body) = body.as_object_mut() {
        body.insert("conversationId".to_owned(), json!(id));
        body.insert("my".to_owned(), json!({ "lastReadSeq": read.mine }));
        body.insert("otherLastReadSeq".to_owned(), json!(read.theirs));
    }
    Ok(Json(body))
}

/// What is shown beside messages of who said them: of who blocks the reader, nothing as it is now.
async fn named(
    models: &ReadModels,
    reader: UserId,
    people: &[UserId],
) -> Result<HashMap<UserId, UserShort>, Problem> {
    let mut named = models.users().short(people).await?;
    for hidden in models.blocks().against(reader, people).await? {
        named.remove(&hidden);
    }
    Ok(named)
}

/// `GET /api/messages/conversations`: the caller's conversations, the liveliest first.
pub(crate) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(Conversations(paging)): Query<Conversations>,
) -> Result<Json<Value>, Problem> {
    let request = paging.request(state.cursors(), &CONVERSATIONS)?;
    let reader = caller.user_id;
    let models = state.read_models();
    let page = models.conversations().list(reader, &request).await?;
    let ids: Vec<_> = page.rows.iter().map(|row| row.id).collect();
    let last: Vec<_> = page.rows.iter().filter_map(|row| row.last_message_id).collect();
    let last = models.messages().direct(reader, &last).await?;
    let mut people: Vec<_> = page.rows.iter().map(|row| row.partner_id).collect();
    people.push(reader);
    let mut profiles = models.users().profiles(&people).await?;
    // Whose profile the caller is not shown by itself is not shown here either: `show` in `users.rs`.
    for hidden in models.blocks().against(reader, &people).await? {
        profiles.remove(&hidden);
    }
    profiles.retain(|_, profile| !profile.deactivated);
    let subjects: Vec<_> = profiles.values().flat_map(|it| it.subjects.clone()).collect();
    let subjects = subject_names(&state, &subjects).await?;
    let presence = presence_for(&state, reader, &people).await.unwrap_or_default();
    let people = named(models, reader, &people).await?;
    let mine = models.conversations().read_by(reader, &ids).await?;
    let theirs = models.conversations().read_by_others(reader, &ids).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for ConversationRow { id, partner_id, last_seq, active_at, is_muted, .. } in &page.rows {
        let read = ReadBy::of(*id, &mine, &theirs);
        let search = models.message_search();
        let unread = search.unread_between(reader, id.0, read.mine, i64::MAX).await?;
        let message = last.iter().find(|message| message.conversation_id() == Some(*id));
        let message = message.map(|message| {
            read.mark(views::message(message, reader, &people), message.sender_id == reader)
        });
        let participants: Vec<_> = [reader, *partner_id]
            .iter()
            .map(|id| {
                let presence = presence.get(id).map(Seen::as_str);
                views::participant(*id, &profiles, &subjects, presence)
            })
            .collect();
        rows.push(json!({
            "conversationId": id,
            "participants": participants,
            "lastMessage": message,
            "unreadCount": unread,
            "lastReadSeq": read.mine,
            "otherLastReadSeq": read.theirs,
            "lastSeq": last_seq,
            "isMuted": is_muted,
            "updatedAt": views::time(*active_at),
        }));
    }
    let page = Page { rows, next: page.next, previous: page.previous };
    Ok(Json(page::answer(page, state.cursors(), &CONVERSATIONS)))
}

/// `PUT /api/messages/conversations/{conversationId}/read`: how far the caller has read. Only
/// forward.
pub(crate) async fn mark_read(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ConversationId>,
    JsonBody { value: Read { last_read_seq }, .. }: JsonBody<Read>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().mark_conversation_read(&caller, id, last_read_seq).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let place = MessagePlace::Conversation(id);
    let reading = state.read_models().reading();
    let unread = reading.messages_between(caller.user_id, place, written.value, i64::MAX).await;
    let unread = shown(unread.map(Some));
    let body = json!({ "lastReadSeq": written.value, "unreadCount": unread });
    Ok((settled, Json(body)))
}

/// `PUT /api/messages/conversations/{conversationId}/mute`: the caller does not want to be told of what
/// is said. Idempotent.
pub(crate) async fn mute(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ConversationId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().mute_conversation(&caller, id, true).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `DELETE /api/messages/conversations/{conversationId}/mute`: the caller wants to be told again.
/// Idempotent.
pub(crate) async fn unmute(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(id): PathId<ConversationId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().mute_conversation(&caller, id, false).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// How far both have read.
#[derive(Clone, Copy)]
struct ReadBy {
    mine: i64,
    /// `None` where the other does not let it be seen.
    theirs: Option<i64>,
}

impl ReadBy {
    fn of(
        id: ConversationId,
        mine: &HashMap<ConversationId, i64>,
        theirs: &HashMap<ConversationId, i64>,
    ) -> Self {
        Self { mine: mine.get(&id).copied().unwrap_or(0), theirs: theirs.get(&id).copied() }
    }

    /// Says of a message whether its recipient has read it, as far as the reader may know.
    fn mark(self, mut message: Value, own: bool) -> Value {
        let read = if own { self.theirs } else { Some(self.mine) };
        if let Some(read) = read {
            let is_read = message["seq"].as_i64().is_some_and(|seq| seq <= read);
            message["isRead"] = json!(is_read);
        }
        message
    }
}
