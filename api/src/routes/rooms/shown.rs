//! From rows to what a reader may see of them.
use chrono::{DateTime, Utc};
use commands::{Caller, CreateRoom};
use domain::{MemberRole, RoomId, UserId};
use projections::{My, RoomRow};
use serde_json::Value;

use crate::{
    ApiState,
    access::Standing,
    etag,
    problem::Problem,
    views::{self, RoomContext},
    writes::{Settled, shown},
};

/// Looks up, once for all rooms, what their pictures need.
pub(super) async fn context(state: &ApiState, rooms: &[RoomRow]) -> Result<RoomContext, Problem> {
    let ids: Vec<_> = rooms.iter().map(|room| room.id).collect();
    let mut creators: Vec<_> = rooms.iter().map(|room| room.created_by).collect();
    creators.sort_unstable();
    creators.dedup();
    let read_models = state.read_models();
    let (users, active_members) = (read_models.users(), read_models.active_members());
    let (people, online) = tokio::join!(users.short(&creators), active_members.count_many(&ids));
    // Without presence a room is still one.
    Ok(RoomContext { people: people?, online: online.ok() })
}

/// The room as far as someone of this standing may see it.
pub(super) fn seen_by(standing: Standing, room: &RoomRow, context: &RoomContext) -> Value {
    match standing {
        // The read model may lag behind the truth about who belongs to the room.
        Standing::Member(role) => {
            let my = room.my.map(|my| My { role, ..my });
            views::room(room, my, context)
        }
        Standing::Stranger if standing.sees_all_of(room.room_type) => {
            views::room(room, None, context)
        }
        Standing::Stranger => views::room_reduced(room),
    }
}

/// The room as the caller may see it now, with its tag.
///
/// # Errors
/// Where they may not know of it, and when the read models are away.
pub(super) async fn current(
    state: &ApiState,
    caller: &Caller,
    room_id: RoomId,
) -> Result<(Value, String), Problem> {
    current_with(state, caller, room_id, |_| {}).await
}

/// As [`current`], where more is known of the room than its read model may show yet.
///
/// # Errors
/// Those of [`current`].
pub(super) async fn current_with(
    state: &ApiState,
    caller: &Caller,
    room_id: RoomId,
    overlay: impl FnOnce(&mut RoomRow),
) -> Result<(Value, String), Problem> {
    let standing = Standing::of(state, caller, room_id).await?;
    let room = state.read_models().rooms().get_for(room_id, caller.user_id).await?;
    let mut room = room.ok_or_else(views::not_shown_yet)?;
    overlay(&mut room);
    let context = context(state, std::slice::from_ref(&room)).await?;
    let body = seen_by(standing, &room, &context);
    let tag = tag(&room, &body);
    Ok((body, tag))
}

/// Not of the revision alone: who is online, the creator's name and `my` change without it. What is
/// shown in part only has no revision to tell.
pub(super) fn tag(room: &RoomRow, body: &Value) -> String {
    if body["version"].is_null() {
        etag::of_body(body)
    } else {
        etag::of_version_and_body(room.revision, body)
    }
}

/// A room that was just opened and that the read model does not show yet: it is what was asked for.
///
/// # Errors
/// `projection_lagging` if it was opened by an earlier request: then we do not know when.
pub(super) async fn just_created(
    state: &ApiState,
    room_id: RoomId,
    owner: UserId,
    request: CreateRoom,
    settled: &Settled,
) -> Result<RoomRow, Problem> {
    let at: DateTime<Utc> = settled.recorded_at.ok_or_else(views::not_shown_yet)?;
    let subject = shown(state.read_models().subjects().get(request.subject_id).await);
    // The room and its owner's membership: the two events of every creation.
    let events = 2;
    Ok(RoomRow {
        id: room_id,
        name: request.name.as_str().to_owned(),
        description: request.description.as_str().to_owned(),
        subject_id: request.subject_id,
        subject_name: subject.map(|subject| subject.name),
        created_by: owner,
        room_type: request.room_type,
        max_participants: request.max_participants,
        logo_url: None,
        member_count: 1,
        message_count: 0,
        last_message_at: None,
        last_seq: settled.channel_seq.unwrap_or(events),
        is_active: true,
        created_at: at,
        updated_at: at,
        version: events,
        revision: 1,
        my: Some(My::fresh(MemberRole::Owner, at, settled.channel_seq.unwrap_or(events))),
    })
}
