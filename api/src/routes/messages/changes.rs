//! Saying something, and what becomes of it: the twins of the socket's commands.
use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use commands::{CommandError, DeleteMessage, EditMessage, SendMessage, SentMessage, Written};
use domain::{
    MAX_SAFE_INTEGER, MessageError, MessageFacts, MessageId, MessageType, Rejection as _, RoomId,
    text::{DeletionReason, MessageBody},
};
use projections::MessageRow;
use serde_json::{Value, json};
use uuid::Uuid;

use super::reaction_path::ReactionPath;
use crate::{
    ApiState, Endpoint,
    etag::{self, IfMatch},
    extract::{
        Authenticated, Fields, FromFields, IdempotencyKeyHeader, JsonBody, OptionalJsonBody,
        PathId, id, integer, one_of, text,
    },
    headers,
    problem::Problem,
    problems, views,
    writes::Settled,
};

type Route = Extension<&'static Endpoint>;

/// Body of `POST /api/messages/room/{roomId}` and `/api/messages/direct/{userId}`.
pub(crate) struct Post {
    pub(super) client_message_id: Option<Uuid>,
    pub(super) content: MessageBody,
    pub(super) message_type: MessageType,
    pub(super) reply_to_id: Option<MessageId>,
}

impl FromFields for Post {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let client_message_id = fields.optional("clientMessageId", id);
        let content = fields.required("content", text(MessageBody::parse));
        let message_type = fields.optional("messageType", one_of("text"));
        let reply_to_id = fields.optional("replyToId", id);
        Some(Self {
            client_message_id: client_message_id?,
            content: content?,
            message_type: message_type?.unwrap_or(MessageType::Text),
            reply_to_id: reply_to_id?,
        })
    }
}

/// Body of `PUT /api/messages/{messageId}`.
pub(crate) struct Edit {
    content: MessageBody,
    expected_version: Option<u64>,
}

impl FromFields for Edit {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let content = fields.required("content", text(MessageBody::parse));
        let expected_version = expected_version(fields);
        Some(Self { content: content?, expected_version: expected_version? })
    }
}

/// Body of `DELETE /api/messages/{messageId}`.
pub(crate) struct Delete {
    reason: Option<DeletionReason>,
    expected_version: Option<u64>,
}

impl FromFields for Delete {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let reason = fields.optional("reason", text(DeletionReason::parse));
        let expected_version = expected_version(fields);
        Some(Self { reason: reason?, expected_version: expected_version? })
    }
}

#[expect(clippy::option_option, reason = "wrong, absent and present are three things")]
fn expected_version(fields: &mut Fields) -> Option<Option<u64>> {
    let version = fields.optional("expectedVersion", integer(1..=MAX_SAFE_INTEGER))?;
    Some(version.and_then(|version| u64::try_from(version).ok()))
}

/// `POST /api/messages/room/{roomId}`: says something. 200 for what was said before.
pub(crate) async fn post_to_room(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    key: IdempotencyKeyHeader,
    JsonBody { value: Post { client_message_id, content, message_type, reply_to_id }, digest }: JsonBody<Post>,
) -> Result<Response, Problem> {
    let request = SendMessage { room_id, client_message_id, content, message_type, reply_to_id };
    let key = key.with_body(digest);
    let written = state.commands().send_message(&caller, request, key).await?;
    Ok(said(&state, endpoint, &written).await)
}

/// The answer to what was said: 201, or 200 where it was said before.
pub(super) async fn said(
    state: &ApiState,
    endpoint: &'static Endpoint,
    written: &Written<SentMessage>,
) -> Response {
    let settled = Settled::of(state, endpoint, written).await;
    let sent = &written.value;
    let body = views::sent_message(sent, settled.channel_seq);
    let status = if written.replayed { StatusCode::OK } else { StatusCode::CREATED };
    let response = (status, settled, Json(body)).into_response();
    headers::with(response, header::LOCATION, &format!("/api/messages/{}", sent.message_id))
}

/// `GET /api/messages/{messageId}`: one message as it is now, with the tag that changes go by.
pub(crate) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    if_none_match: etag::IfNoneMatch,
    PathId(message_id): PathId<MessageId>,
) -> Result<Response, Problem> {
    let facts = state.commands().message(&caller, message_id).await?;
    let body = seen(&state, &facts, &caller).await?;
    Ok(if_none_match.answer(&etag::of_version(facts.version), etag::PRIVATE, body))
}

/// `PUT /api/messages/{messageId}`: other words, for the author.
pub(crate) async fn edit(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(message_id): PathId<MessageId>,
    if_match: IfMatch,
    JsonBody { value: Edit { content, expected_version }, .. }: JsonBody<Edit>,
) -> Result<Response, Problem> {
    let expected = Expected::new(if_match, expected_version);
    let request = EditMessage { message_id, content, expected_version: expected.version };
    let written = state.commands().edit_message(&caller, request).await;
    let written = written.map_err(|error| expected.refused(error))?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let body = seen(&state, &written.value, &caller).await?;
    let response = (settled, Json(body)).into_response();
    Ok(headers::with(response, header::ETAG, &etag::of_version(written.value.version)))
}

/// `DELETE /api/messages/{messageId}`: takes it back. Idempotent.
pub(crate) async fn delete(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(message_id): PathId<MessageId>,
    if_match: IfMatch,
    OptionalJsonBody(JsonBody { value, .. }): OptionalJsonBody<Delete>,
) -> Result<impl IntoResponse, Problem> {
    let Delete { reason, expected_version } = value;
    let expected = Expected::new(if_match, expected_version);
    let request = DeleteMessage { message_id, reason, expected_version: expected.version };
    let written = state.commands().delete_message(&caller, request).await;
    let written = written.map_err(|error| expected.refused(error))?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `PUT /api/messages/{messageId}/reactions/{emoji}`: answers with a sign. Idempotent.
pub(crate) async fn react(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    ReactionPath { message_id, emoji }: ReactionPath,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let Expected { version, .. } = Expected::new(if_match, None);
    let written = state.commands().add_reaction(&caller, message_id, emoji, version).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let row = MessageRow::now(&written.value, caller.user_id);
    let reactions = views::reactions(&row);
    let body = json!({ "messageId": row.id, "reactions": reactions, "version": row.version });
    let response = (settled, Json(body)).into_response();
    Ok(headers::with(response, header::ETAG, &etag::of_version(row.version)))
}

/// `DELETE /api/messages/{messageId}/reactions/{emoji}`: takes a sign back. Idempotent.
pub(crate) async fn unreact(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    ReactionPath { message_id, emoji }: ReactionPath,
    if_match: IfMatch,
) -> Result<impl IntoResponse, Problem> {
    let Expected { version, .. } = Expected::new(if_match, None);
    let written = state.commands().remove_reaction(&caller, message_id, emoji, version).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `GET /api/messages/{messageId}/history`: every wording, for the author and who keeps order.
pub(crate) async fn history(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(message_id): PathId<MessageId>,
) -> Result<Json<Value>, Problem> {
    let versions = state.commands().message_history(&caller, message_id).await?;
    let data: Vec<_> = versions.iter().map(views::message_version).collect();
    Ok(Json(json!({ "messageId": message_id, "data": data })))
}

async fn seen(
    state: &ApiState,
    facts: &MessageFacts,
    caller: &commands::Caller,
) -> Result<Value, Problem> {
    let people = state.read_models().users().short(&[facts.author_id]).await?;
    Ok(views::message(&MessageRow::now(facts, caller.user_id), caller.user_id, &people))
}

/// The version that the client means to change, and how it said so.
#[derive(Clone, Copy)]
struct Expected {
    version: Option<u64>,
    in_body: bool,
}

impl Expected {
    /// The header counts before the body. A tag that is none of ours is version 0, which none has.
    fn new(IfMatch(header): IfMatch, body: Option<u64>) -> Self {
        let version = header.map(|version| u64::try_from(version).unwrap_or(0)).or(body);
        Self { version, in_body: header.is_none() }
    }

    /// A header's failed condition is 412; a field's is a conflict.
    fn refused(self, error: CommandError) -> Problem {
        match error {
            CommandError::VersionMismatch { current } if self.in_body => {
                let conflict = MessageError::VersionConflict { current: current.unsigned_abs() };
                debug_assert_eq!(conflict.code(), problems::VERSION_CONFLICT.code);
                let problem =
                    Problem::new(&problems::VERSION_CONFLICT).version(current.unsigned_abs());
                problem.detail(conflict.to_string())
            }
            other => other.into(),
        }
    }
}
