//! Keeping order in rooms: `/api/rooms/{roomId}/members/{userId}`, `/bans` and `/invites`.
use std::time::Duration;

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use commands::FieldError;
use domain::{InviteId, MemberRole, RoomId, UserId};
use projections::Page;
use serde_json::{Value, json};

use crate::{
    ApiState, Endpoint,
    extract::{
        Authenticated, Fields, FromFields, IdempotencyKeyHeader, JsonBody, OptionalJsonBody,
        PathId, PathIds, integer, one_of,
    },
    page,
    problem::Problem,
    problems, views,
    writes::{Settled, shown},
};

type Route = Extension<&'static Endpoint>;

/// Most people whom one invite lets in, if it says a number.
const MAX_USES: u32 = 10_000;
/// Nobody can do anything with less.
const LEAST_SECONDS: u32 = 60;

/// Body of `POST /api/rooms/{roomId}/members/{userId}/role`.
pub(super) struct Role(MemberRole);

impl FromFields for Role {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.required("role", one_of("owner, moderator, member")).map(Self)
    }
}

/// Body of `POST /api/rooms/{roomId}/invites`.
#[derive(Default)]
pub(super) struct NewInvite {
    /// Seconds.
    expires_in: Option<u32>,
    max_uses: Option<u32>,
}

impl FromFields for NewInvite {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let expires_in = fields.optional("expiresIn", integer(LEAST_SECONDS..=u32::MAX));
        let max_uses = fields.optional("maxUses", integer(1..=MAX_USES));
        Some(Self { expires_in: expires_in?, max_uses: max_uses? })
    }
}

/// `POST /api/rooms/{roomId}/members/{userId}/role`: lets a member do more, or less. `owner` hands
/// the room over.
pub(super) async fn change_role(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, user_id): PathIds<RoomId, UserId>,
    key: IdempotencyKeyHeader,
    JsonBody { value: Role(role), digest }: JsonBody<Role>,
) -> Result<impl IntoResponse, Problem> {
    let key = key.with_body(digest);
    let written = state.commands().change_role(&caller, room_id, user_id, role, key).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let member = shown(state.read_models().members().get(room_id, user_id).await);
    let joined_at = member.map(|member| member.joined_at);
    Ok((settled, Json(views::membership(room_id, user_id, role, joined_at))))
}

/// `DELETE /api/rooms/{roomId}/members/{userId}`: ends a membership. Idempotent. Their sockets are
/// out of the room before the answer.
pub(super) async fn remove(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, user_id): PathIds<RoomId, UserId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().remove_member(&caller, room_id, user_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `GET /api/rooms/{roomId}/bans`: who may not come back, for those who keep order.
pub(super) async fn bans(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
) -> Result<Json<Value>, Problem> {
    let bans = state.commands().bans(&caller, room_id).await?;
    let mut ids: Vec<_> = bans.iter().flat_map(|(user_id, ban)| [*user_id, ban.by]).collect();
    ids.sort_unstable();
    ids.dedup();
    let people = state.read_models().users().short(&ids).await?;
    let rows = bans.iter().map(|(user_id, ban)| views::ban(*user_id, ban, &people));
    Ok(whole(&state, rows.collect()))
}

/// `PUT /api/rooms/{roomId}/bans/{userId}`: ends a membership, if there is one, and lets them in no
/// more. Idempotent.
pub(super) async fn ban(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, user_id): PathIds<RoomId, UserId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().ban(&caller, room_id, user_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await.told(&state).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `DELETE /api/rooms/{roomId}/bans/{userId}`: lets them in again. Idempotent.
pub(super) async fn lift_ban(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, user_id): PathIds<RoomId, UserId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().lift_ban(&caller, room_id, user_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `GET /api/rooms/{roomId}/invites`: the invites that let people in now, without their codes.
pub(super) async fn invites(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
) -> Result<Json<Value>, Problem> {
    let invites = state.commands().invites(&caller, room_id).await?;
    let ids: Vec<_> = invites.iter().map(|(_, invite)| invite.by).collect();
    let people = state.read_models().users().short(&ids).await?;
    let rows = invites.iter().map(|(id, invite)| views::invite(*id, invite, &people));
    Ok(whole(&state, rows.collect()))
}

/// `POST /api/rooms/{roomId}/invites`: makes a code that lets people in.
pub(super) async fn create_invite(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    key: IdempotencyKeyHeader,
    OptionalJsonBody(JsonBody { value, digest }): OptionalJsonBody<NewInvite>,
) -> Result<impl IntoResponse, Problem> {
    let settings = &state.config().rooms;
    let seconds = value.expires_in.unwrap_or(settings.invite_seconds);
    expires_within(seconds, settings.max_invite_seconds)?;
    let lifetime = Duration::from_secs(seconds.into());
    let key = key.with_body(digest);
    let written =
        state.commands().create_invite(&caller, room_id, lifetime, value.max_uses, key).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let people = state.read_models().users().short(&[caller.user_id]).await.unwrap_or_default();
    let invite = written.value;
    // Behind `#`: what opens a door stands in no log of a server, and in no referrer.
    let config = state.config();
    let origin = config.mail.pages(&config.server);
    let url = format!("{origin}/rooms/{room_id}/join#inviteCode={}", invite.code);
    let body = views::created_invite(&invite, caller.user_id, &people, &url);
    Ok((StatusCode::CREATED, settled, Json(body)))
}

/// `DELETE /api/rooms/{roomId}/invites/{inviteId}`: makes a code useless. Idempotent.
pub(super) async fn revoke_invite(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, invite_id): PathIds<RoomId, InviteId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().revoke_invite(&caller, room_id, invite_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// Checks `expiresIn` against what the settings allow.
pub(super) fn expires_within(seconds: u32, most: u32) -> Result<(), Problem> {
    if seconds <= most {
        return Ok(());
    }
    let detail = format!("at most {most}");
    let field = FieldError { pointer: "/expiresIn".to_owned(), code: "out_of_range", detail };
    Err(Problem::new(&problems::VALIDATION_FAILED).errors(vec![field]))
}

/// A list that always fits on one page.
pub(super) fn whole(state: &ApiState, rows: Vec<Value>) -> Json<Value> {
    let page = Page { rows, next: None, previous: None };
    Json(page::answer(page, state.cursors(), &json!(null)))
}
