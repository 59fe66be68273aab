//! `/api/rooms/{roomId}/members`: who belongs to a room.
use std::collections::HashMap;

use axum::{Json, extract::State};
use domain::{MemberRole, RoomId, UserId};
use projections::{MemberFilter, Seen};
use serde_json::Value;

use crate::{
    ApiState,
    access::Standing,
    extract::{
        Authenticated, Fields, FromFields, PathId, Query, boolean, in_query, one_of, search, text,
    },
    page::{self, Paging},
    problem::Problem,
    views,
};

/// Query of `GET /api/rooms/{roomId}/members`.
pub(super) struct List {
    q: Option<String>,
    role: Option<MemberRole>,
    online: Option<bool>,
    paging: Paging,
}

impl FromFields for List {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.optional("q", text(search));
        let role = fields.optional("role", one_of("owner, moderator, member"));
        let online = fields.optional("online", in_query(boolean));
        let paging = Paging::from_fields(fields);
        Some(Self { q: q?.flatten(), role: role?, online: online?, paging: paging? })
    }
}

/// `GET /api/rooms/{roomId}/members`: members in the order of joining.
pub(super) async fn list(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    PathId(room_id): PathId<RoomId>,
    Query(query): Query<List>,
) -> Result<Json<Value>, Problem> {
    let standing = Standing::of(&state, &caller, room_id).await?;
    let read_models = state.read_models();
    let room = read_models.rooms().get(room_id).await?.ok_or_else(views::not_shown_yet)?;
    standing.may_list_members(room.room_type)?;

    let reader = Reader { id: caller.user_id, standing };
    let List { q, role, online, paging } = query;
    let list = ("members", room_id, &q, role, online);
    let request = paging.request(state.cursors(), &list)?;
    let mut filter = MemberFilter { q: q.clone(), role, ..MemberFilter::default() };
    // Who is there is known to another store than who is a member.
    match online {
        Some(true) => filter.among = Some(who_is_there(&state, room_id, reader).await?),
        Some(false) => filter.not_among = Some(who_is_there(&state, room_id, reader).await?),
        None => {}
    }
    let page = read_models.members().list(room_id, &filter, &request).await?;
    let ids: Vec<_> = page.rows.iter().map(|member| member.user_id).collect();
    let people = read_models.users().short(&ids).await?;
    // Without presence a list of members is still one.
    let presence = seen_by(&state, reader, &ids).await.ok();
    let page = page.map(|member| {
        let seen = presence.as_ref().and_then(|presence| presence.get(&member.user_id));
        let user = views::short(member.user_id, &people);
        views::member(&user, member.role, member.joined_at, seen)
    });
    Ok(Json(page::answer(page, state.cursors(), &list)))
}

/// Who asks, and what they are to the room.
#[derive(Clone, Copy)]
struct Reader {
    id: UserId,
    standing: Standing,
}

/// The members whom the reader sees there.
async fn who_is_there(
    state: &ApiState,
    room_id: RoomId,
    reader: Reader,
) -> Result<Vec<UserId>, Problem> {
    let members = state.read_models().members().ids(room_id).await?;
    let presence = seen_by(state, reader, &members).await?;
    let visible = |id: &UserId| presence.get(id).is_some_and(|seen| seen.status.is_some());
    Ok(members.into_iter().filter(visible).collect())
}

/// What the reader sees of the people of the room: nothing, unless they share it with them.
async fn seen_by(
    state: &ApiState,
    reader: Reader,
    people: &[UserId],
) -> Result<HashMap<UserId, Seen>, Problem> {
    if reader.standing == Standing::Stranger {
        return Ok(HashMap::new());
    }
    presence_for(state, reader.id, people).await
}

/// What the reader sees of these people. Who blocks them looks like who is not there.
pub(super) async fn presence_for(
    state: &ApiState,
    reader: UserId,
    people: &[UserId],
) -> Result<HashMap<UserId, Seen>, Problem> {
    let read_models = state.read_models();
    let mut presence = read_models.presence().of(people).await?;
    for hidden in read_models.blocks().against(reader, people).await? {
        presence.insert(hidden, Seen { status: None, last_seen_at: None });
    }
    Ok(presence)
}
