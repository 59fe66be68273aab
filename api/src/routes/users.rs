//! `/api/users`: people.
pub(super) mod bodies;

use axum::{
    Extension, Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use commands::{EditedProfile, SubjectSet};
use domain::{SubjectId, UserId, study::StudySubject};
use projections::{Profile, UserRow, presence::Seen};
use serde_json::Value;

use crate::{
    ApiState, Endpoint,
    etag::{self, IfMatch, IfNoneMatch},
    extract::{Authenticated, IdempotencyKeyHeader, JsonBody, PathId, Query},
    headers, page,
    problem::Problem,
    problems,
    views::{self, Acquaintance, SubjectNames},
    writes::{Settled, shown},
};

use bodies::{AddSubject, Edit, Find};

type Route = Extension<&'static Endpoint>;

/// `GET /api/users/me`: the caller's own account.
pub(super) async fn me(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    if_none_match: IfNoneMatch,
) -> Result<Response, Problem> {
    let row = state.read_models().users().get(caller.user_id).await?;
    let row = row.ok_or_else(views::not_shown_yet)?;
    let tag = etag::of_version(row.version);
    Ok(if_none_match.answer(&tag, etag::PRIVATE, self_of(&state, &row).await?))
}

/// `PUT` and `PATCH /api/users/me`: changes the fields that are given. Those that are absent stay, null
/// clears.
pub(super) async fn edit(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    IfMatch(if_version): IfMatch,
    JsonBody { value: Edit(edit), .. }: JsonBody<Edit>,
) -> Result<Response, Problem> {
    let written = state.commands().edit_profile(&caller, *edit, if_version).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let row = shown(state.read_models().users().get(caller.user_id).await);
    let mut row = row.ok_or_else(views::not_shown_yet)?;
    overlay(&mut row, &written.value);
    let response = (settled, Json(self_of(&state, &row).await?)).into_response();
    Ok(headers::with(response, header::ETAG, &etag::of_version(row.version)))
}

/// `GET /api/users/{userId}`: what the caller may see of someone.
pub(super) async fn show(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    if_none_match: IfNoneMatch,
    PathId(user_id): PathId<UserId>,
) -> Result<Response, Problem> {
    let read_models = state.read_models();
    let (users, commands) = (read_models.users(), state.commands());
    let (profile, pair) =
        tokio::join!(users.profile(user_id), commands.between(caller.user_id, user_id));
    let (profile, pair) = (profile?, pair?);
    // Of who was erased there is a row, and nothing in it; whose account was closed, and who blocks
    // the caller, is not there either.
    let there = |it: &Profile| it.full_name.is_some() && !it.deactivated;
    let profile = profile.filter(|it| there(it) && !pair.is_blocked_by(user_id));
    let profile = profile
        .ok_or_else(|| Problem::new(&problems::NOT_FOUND).detail("there is nothing of this id"))?;
    let rooms = read_models.members().shared(caller.user_id, user_id).await?;
    // Without presence a profile is still one.
    let presence = if rooms.is_empty() && !pair.is_open() {
        None
    } else {
        let seen = read_models.presence().of(&[user_id]).await.ok();
        seen.and_then(|seen| seen.get(&user_id).map(Seen::as_str))
    };
    let acquaintance = Acquaintance { shared_rooms: rooms.len(), presence };
    let names = subject_names(&state, &profile.subjects).await?;
    let body = views::user_public(&profile, &names, acquaintance);
    Ok(if_none_match.answer(&etag::of_body(&body), etag::PRIVATE, body))
}

/// `GET /api/users`: people who want to be found.
pub(super) async fn find(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(Find { filter, paging }): Query<Find>,
) -> Result<Json<Value>, Problem> {
    let list = ("users", &filter.q, filter.subject_id);
    let request = paging.request(state.cursors(), &list)?;
    let page = state.read_models().users().find(caller.user_id, &filter, &request).await?;
    let subjects: Vec<_> = page.rows.iter().flat_map(|row| row.subjects.clone()).collect();
    let names = subject_names(&state, &subjects).await?;
    let page = page.map(|row| views::user_found(&row, &names));
    Ok(Json(page::answer(page, state.cursors(), &list)))
}

/// `POST /api/users/subjects`: puts a subject on the caller's profile. 200 where it is already: then
/// the level and the role become what is given.
pub(super) async fn add_subject(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    key: IdempotencyKeyHeader,
    JsonBody { value, digest }: JsonBody<AddSubject>,
) -> Result<impl IntoResponse, Problem> {
    let AddSubject { subject_id, level, role } = value;
    let key = key.with_body(digest);
    let written = state.commands().set_subject(&caller, subject_id, level, role, key).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let SubjectSet { created, entry } = written.value;
    let names = subject_names(&state, &[entry]).await.unwrap_or_default();
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, settled, Json(views::study_subject(&entry, &names))))
}

/// `DELETE /api/users/subjects/{subjectId}`: takes a subject off the caller's profile. Idempotent.
pub(super) async fn remove_subject(
    State(state): State<ApiState>,
    Extension(endpoint): Route,
    Authenticated(caller): Authenticated,
    PathId(subject_id): PathId<SubjectId>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().remove_subject(&caller, subject_id).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    Ok((StatusCode::NO_CONTENT, settled, ()))
}

/// `UserSelf` of a row.
pub(crate) async fn self_of(state: &ApiState, row: &UserRow) -> Result<Value, Problem> {
    Ok(views::user_self(row, &subject_names(state, &row.profile.subjects).await?))
}

pub(super) async fn subject_names(
    state: &ApiState,
    subjects: &[StudySubject],
) -> Result<SubjectNames, Problem> {
    let mut ids: Vec<_> = subjects.iter().map(|entry| entry.subject_id).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(state.read_models().subjects().names(&ids).await?)
}

/// The answer to an edit is the profile after it, also where the read model does not show it yet.
fn overlay(row: &mut UserRow, edited: &EditedProfile) {
    if row.version >= edited.version {
        return;
    }
    let (shown, profile) = (&mut row.profile, &edited.profile);
    let languages = profile.languages.known();
    shown.full_name = edited.full_name.known().map(|it| it.as_str().to_owned());
    shown.username = profile.username.known().and_then(|it| Some(it.as_ref()?.as_str().to_owned()));
    shown.bio = profile.bio.known().and_then(|it| Some(it.as_ref()?.as_str().to_owned()));
    shown.education_level =
        profile.education_level.known().and_then(|it| Some(it.as_ref()?.as_str().to_owned()));
    shown.institution =
        profile.institution.known().and_then(|it| Some(it.as_ref()?.as_str().to_owned()));
    shown.languages = languages
        .map(|it| it.iter().map(|tag| tag.as_str().to_owned()).collect())
        .unwrap_or_default();
    shown.time_zone =
        profile.time_zone.known().and_then(|it| Some(it.as_ref()?.as_str().to_owned()));
    shown.availability = profile.availability.known().cloned().unwrap_or_default();
    shown.goals = profile.goals.known().and_then(|it| Some(it.as_ref()?.as_str().to_owned()));
    shown.subjects = profile.subjects.known().cloned().unwrap_or_default();
    row.preferences = profile.preferences;
    row.updated_at = edited.changed_at.unwrap_or(row.updated_at);
    row.version = edited.version;
}
