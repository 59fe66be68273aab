//! What happened in a room since a number: the twin of the socket's `sync`.
use axum::{Json, extract::State};
use domain::{MAX_SAFE_INTEGER, RoomId};
use serde_json::Value;

use crate::{
    ApiState,
    extract::{Authenticated, Fields, FromFields, PathId, Query, in_query, integer},
    problem::Problem,
};

/// Events of one answer: the most, and where the client does not say.
const MOST: i64 = 500;

/// Query of `GET /api/messages/room/{roomId}/events`.
pub(crate) struct After {
    seq: i64,
    limit: i64,
}

impl FromFields for After {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let seq = fields.required("afterSeq", in_query(integer(0..=MAX_SAFE_INTEGER)));
        let limit = fields.optional("limit", in_query(integer(1..=MOST)));
        Some(Self { seq: seq?, limit: limit?.unwrap_or(MOST) })
    }
}

/// `GET /api/messages/room/{roomId}/events`: every durable event, edits, deletions and reactions
/// too, with the envelopes that sockets get.
pub(crate) async fn of_room(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    Query(After { seq, limit }): Query<After>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(state.room_events().after(caller.user_id, room_id, seq, limit).await?))
}
