//! Editing and archiving rooms, and what members choose for themselves.
use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use commands::{Caller, CommandError, RoomChanges};
use domain::{MessagePlace, RoomId};
use projections::RoomRow;
use serde_json::json;

use super::{
    Route,
    queries::{Edit, Level, MarkRead},
    shown::{current, current_with},
};
use crate::{
    ApiState,
    etag::IfMatch,
    extract::{Authenticated, JsonBody, PathId},
    headers,
    problem::Problem,
    writes::{Settled, shown},
};

/// `PATCH /api/rooms/{roomId}`: changes what a room is like.
pub(in crate::routes) async fn edit(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    if_match: IfMatch,
    JsonBody { value: Edit(changes), .. }: JsonBody<Edit>,
) -> Result<Response, Problem> {
    let expected = revision(if_match);
    let edited = state.commands().edit_room(&caller, room_id, expected, changes.clone()).await;
    let written = or_current(&state, &caller, room_id, edited).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let overlay = |room: &mut RoomRow| overlay(room, changes, written.value);
    let (body, tag) = current_with(&state, &caller, room_id, overlay).await?;
    Ok(headers::with((settled, Json(body)).into_response(), header::ETAG, &tag))
}

/// `DELETE /api/rooms/{roomId}`: archives a room. Idempotent.
pub(in crate::routes) async fn archive(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    if_match: IfMatch,
) -> Result<impl IntoResponse, Problem> {
    let archived = state.commands().archive_room(&caller, room_id, revision(if_match)).await;
    let written = or_current(&state, &caller, room_id, archived).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `PUT /api/rooms/{roomId}/read`: how far the caller has read. Only forward.
pub(in crate::routes) async fn mark_read(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    JsonBody { value: MarkRead { last_read_seq }, .. }: JsonBody<MarkRead>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().mark_room_read(&caller, room_id, last_read_seq).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let read_models = state.read_models();
    // What was before someone came counts as read.
    let member = shown(read_models.members().get(room_id, caller.user_id).await);
    let read = member.map_or(0, |member| member.joined_seq).max(written.value);
    let (reading, place) = (read_models.reading(), MessagePlace::Room(room_id));
    let unread = reading.messages_between(caller.user_id, place, read, i64::MAX).await;
    let unread = shown(unread.map(Some));
    Ok((settled, Json(json!({ "lastReadSeq": read, "unreadCount": unread }))))
}

/// `PUT /api/rooms/{roomId}/notification-level`: what the caller wants to be told of.
pub(in crate::routes) async fn set_notification_level(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    JsonBody { value: Level(level), .. }: JsonBody<Level>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().set_notification_level(&caller, room_id, level).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((settled, Json(json!({ "notificationLevel": level }))))
}

/// The answer to an edit is the room after it, also where the read model does not show it yet.
fn overlay(room: &mut RoomRow, edited: RoomChanges, revision: u32) {
    let revision = i64::from(revision);
    if room.revision >= revision {
        return;
    }
    room.revision = revision;
    if let Some(name) = edited.name {
        name.as_str().clone_into(&mut room.name);
    }
    if let Some(description) = edited.description {
        description.as_str().clone_into(&mut room.description);
    }
    if let Some(subject_id) = edited.subject_id.filter(|id| *id != room.subject_id) {
        (room.subject_id, room.subject_name) = (subject_id, None);
    }
    room.room_type = edited.room_type.unwrap_or(room.room_type);
    room.max_participants = edited.max_participants.unwrap_or(room.max_participants);
}

/// The revision that the client means. No revision has a number that does not fit.
fn revision(IfMatch(version): IfMatch) -> Option<u32> {
    version.map(|version| u32::try_from(version).unwrap_or(0))
}

/// Who was too late is told the tag that the room has now.
async fn or_current<T>(
    state: &ApiState,
    caller: &Caller,
    room_id: RoomId,
    outcome: Result<T, CommandError>,
) -> Result<T, Problem> {
    match outcome {
        Err(error @ CommandError::VersionMismatch { current: revision }) => {
            // A read model that is behind knows no other tag than the one that was refused.
            let shown = current(state, caller, room_id).await.ok();
            let tag = shown.filter(|(body, _)| body["version"] == revision).map(|(_, tag)| tag);
            let problem = Problem::from(error);
            Err(match tag {
                Some(tag) => problem.tag(tag),
                None => problem,
            })
        }
        outcome => Ok(outcome?),
    }
}
