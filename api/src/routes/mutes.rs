//! Letting members not speak for a while: `/api/rooms/{roomId}/mutes`.
use std::time::Duration;

use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use domain::{RoomId, UserId, room::Mute};
use serde_json::Value;

use super::moderation::{expires_within, whole};
use crate::{
    ApiState, Endpoint,
    extract::{
        Authenticated, Fields, FromFields, JsonBody, OptionalJsonBody, PathId, PathIds, integer,
    },
    problem::Problem,
    views,
    writes::Settled,
};

type Route = Extension<&'static Endpoint>;

/// Nobody comes to reason in less.
const LEAST_SECONDS: u32 = 60;

/// Body of `PUT /api/rooms/{roomId}/mutes/{userId}`.
#[derive(Default)]
pub(super) struct NewMute {
    /// Seconds.
    expires_in: Option<u32>,
}

impl FromFields for NewMute {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let expires_in = fields.optional("expiresIn", integer(LEAST_SECONDS..=u32::MAX));
        Some(Self { expires_in: expires_in? })
    }
}

/// `GET /api/rooms/{roomId}/mutes`: who may not speak now, for those who keep order.
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
) -> Result<Json<Value>, Problem> {
    let mutes = state.commands().mutes(&caller, room_id).await?;
    let people = state.read_models().users().short(&people_of(&mutes)).await?;
    let rows = mutes.iter().map(|(user_id, mute)| views::mute(*user_id, mute, &people));
    Ok(whole(&state, rows.collect()))
}

/// `PUT /api/rooms/{roomId}/mutes/{userId}`: lets a member not speak for a while. Who is muted already is
/// muted until then instead.
pub(super) async fn mute(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, user_id): PathIds<RoomId, UserId>,
    OptionalJsonBody(JsonBody { value, .. }): OptionalJsonBody<NewMute>,
) -> Result<impl IntoResponse, Problem> {
    let settings = &state.config().rooms;
    let seconds = value.expires_in.unwrap_or(settings.mute_seconds);
    expires_within(seconds, settings.max_mute_seconds)?;
    let lifetime = Duration::from_secs(seconds.into());
    let written = state.commands().mute(&caller, room_id, user_id, lifetime).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let people = people_of(&[(user_id, written.value)]);
    let people = state.read_models().users().short(&people).await.unwrap_or_default();
    Ok((settled, Json(views::mute(user_id, &written.value, &people))))
}

/// `DELETE /api/rooms/{roomId}/mutes/{userId}`: lets them speak again. Idempotent.
pub(super) async fn lift(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathIds(room_id, user_id): PathIds<RoomId, UserId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().lift_mute(&caller, room_id, user_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// Who is named beside them.
fn people_of(mutes: &[(UserId, Mute)]) -> Vec<UserId> {
    let mut ids: Vec<_> = mutes.iter().flat_map(|(user_id, mute)| [*user_id, mute.by]).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
