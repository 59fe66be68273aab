//! `/api/rooms`: finding, opening, changing, joining and leaving rooms.
pub(super) mod changes;
pub(super) mod queries;
mod shown;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use commands::{Caller, CreateRoom, Joined};
use domain::{MemberRole, RoomId};
use projections::{My, Page};
use serde_json::{Value, json};

use crate::{
    ApiState, Endpoint,
    access::{self, Standing},
    etag::{self, IfNoneMatch},
    extract::{Authenticated, IdempotencyKeyHeader, JsonBody, OptionalJsonBody, PathId, Query},
    headers, page,
    problem::Problem,
    views,
    writes::{Settled, shown},
};

use queries::{Create, Join, Leave, List};
use shown::{context, current, just_created, seen_by, tag};

type Route = Extension<&'static Endpoint>;

/// `GET /api/rooms`: the rooms that the caller may know of.
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    if_none_match: IfNoneMatch,
    Query(List { filter, paging, fingerprint }): Query<List>,
) -> Result<Response, Problem> {
    let request = paging.request(state.cursors(), &fingerprint)?;
    let page = state.read_models().rooms().list(&filter, caller.user_id, &request).await?;
    let context = context(&state, &page.rows).await?;
    let mut rows = Vec::with_capacity(page.rows.len());
    for (room, standing) in page.rows.iter().zip(access::listed(&state, &caller, &page.rows).await?)
    {
        rows.extend(standing.map(|standing| seen_by(standing, room, &context)));
    }
    let page = Page { rows, next: page.next, previous: page.previous };
    let body = page::answer(page, state.cursors(), &fingerprint);
    Ok(if_none_match.answer(&page::tag(&body), etag::PRIVATE, body))
}

/// `GET /api/rooms/{roomId}`: one room.
pub(super) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    if_none_match: IfNoneMatch,
    PathId(room_id): PathId<RoomId>,
) -> Result<Response, Problem> {
    let (body, tag) = current(&state, &caller, room_id).await?;
    Ok(if_none_match.answer(&tag, etag::PRIVATE, body))
}

/// `POST /api/rooms`: opens a room; the caller owns it.
pub(super) async fn create(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    key: IdempotencyKeyHeader,
    JsonBody { value: body, digest }: JsonBody<Create>,
) -> Result<impl IntoResponse, Problem> {
    let request = CreateRoom {
        name: body.name,
        description: body.description,
        subject_id: body.subject_id,
        room_type: body.room_type,
        max_participants: body
            .max_participants
            .unwrap_or(state.config().rooms.default_participants),
    };
    let written =
        state.commands().create_room(&caller, request.clone(), key.with_body(digest)).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let room_id = written.value;
    let standing = after(&state, &caller, room_id, written.replayed).await?;
    let read_models = state.read_models();
    let room = match shown(read_models.rooms().get_for(room_id, caller.user_id).await) {
        Some(room) => room,
        None if standing.is_none() => {
            just_created(&state, room_id, caller.user_id, request, &settled).await?
        }
        None => return Err(views::not_shown_yet()),
    };
    let context = context(&state, std::slice::from_ref(&room)).await.unwrap_or_default();
    let body = match standing {
        Some(standing) => seen_by(standing, &room, &context),
        None => views::room(&room, room.my, &context),
    };
    let location = format!("/api/rooms/{room_id}");
    let tag = tag(&room, &body);
    let response = (StatusCode::CREATED, settled, Json(body)).into_response();
    let response = headers::with(response, header::LOCATION, &location);
    Ok(headers::with(response, header::ETAG, &tag))
}

/// `POST /api/rooms/{roomId}/join`: makes the caller a member. 200 for who is one already.
pub(super) async fn join(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    key: IdempotencyKeyHeader,
    OptionalJsonBody(JsonBody { value, digest }): OptionalJsonBody<Join>,
) -> Result<impl IntoResponse, Problem> {
    let (code, key) = (value.invite_code.as_deref(), key.with_body(digest));
    let written = state.commands().join_room(&caller, room_id, code, key).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let Joined { created, role, muted_until } = written.value;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };

    let standing = after(&state, &caller, room_id, written.replayed).await?;
    let read_models = state.read_models();
    if standing == Some(Standing::Stranger) {
        // The first answer told of a membership that is over: nothing of what came after it.
        let role = role.unwrap_or(MemberRole::Member);
        let joined_at = settled.recorded_at.filter(|_| created);
        let membership = views::membership(room_id, caller.user_id, role, joined_at);
        let room = read_models.rooms().get(room_id).await?.ok_or_else(views::not_shown_yet)?;
        let context = context(&state, std::slice::from_ref(&room)).await?;
        let room = seen_by(Standing::Stranger, &room, &context);
        let last_seq = settled.channel_seq.unwrap_or(0);
        let body = json!({ "membership": membership, "room": room, "lastSeq": last_seq });
        return Ok((status, settled, Json(body)));
    }
    let member = shown(read_models.members().get(room_id, caller.user_id).await);
    let role = match member.as_ref() {
        Some(member) => member.role,
        None if created => MemberRole::Member,
        None => state.commands().require_member(caller.user_id, room_id).await?,
    };
    let joined_at = member.map(|member| member.joined_at).or(settled.recorded_at);
    let room = shown(read_models.rooms().get_for(room_id, caller.user_id).await);
    let last_seq = room.as_ref().map(|room| room.last_seq).max(settled.channel_seq).unwrap_or(0);
    let room = match &room {
        Some(room) => {
            let context = context(&state, std::slice::from_ref(room)).await.unwrap_or_default();
            let fresh = |joined_at| My { muted_until, ..My::fresh(role, joined_at, last_seq) };
            let my = room.my.or_else(|| joined_at.map(fresh));
            views::room(room, my, &context)
        }
        None => Value::Null,
    };
    let membership = views::membership(room_id, caller.user_id, role, joined_at);
    let body = json!({ "membership": membership, "room": room, "lastSeq": last_seq });
    Ok((status, settled, Json(body)))
}

/// What the caller is to a room by now, when they repeat what made them a member of it: since then they
/// may have left, or been removed. `None` for what was done just now.
///
/// # Errors
/// `not_found` where they may not know of the room any more.
async fn after(
    state: &ApiState,
    caller: &Caller,
    room_id: RoomId,
    replayed: bool,
) -> Result<Option<Standing>, Problem> {
    if !replayed {
        return Ok(None);
    }
    Standing::of(state, caller, room_id).await.map(Some)
}

/// `POST /api/rooms/{roomId}/leave`: ends the caller's membership. Idempotent.
pub(super) async fn leave(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    key: IdempotencyKeyHeader,
    OptionalJsonBody(JsonBody { value, digest }): OptionalJsonBody<Leave>,
) -> Result<impl IntoResponse, Problem> {
    let Leave { transfer_to } = value;
    let key = key.with_body(digest);
    let written = state.commands().leave_room(&caller, room_id, transfer_to, key).await?;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}
