//! The route table: every route with who may call it and which read models it reads and changes.
mod auth;
pub(crate) mod health;
mod members;
mod messages;
mod problem_pages;
mod rooms;
mod subjects;
mod users;

use axum::{Router, http::Method, routing::on};
use projections::names::{
    ACTIVE_MEMBERS, LIVE_SESSIONS, MESSAGES, ROOM_MEMBERS, SESSIONS, STUDY_ROOMS, SUBJECTS, USERS,
};

use crate::{
    ApiState, Endpoint,
    extract::Access::{OnceSignedIn, Public, SignedIn},
    frame::frame,
};

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// Every route of the public listener but Socket.IO's.
#[rustfmt::skip] // a table reads by its columns
pub static ROUTES: &[Endpoint] = &[
    Endpoint::new(POST, "/api/auth/register", Public, |m| on(m, auth::register))
        .writes(&[USERS, SESSIONS, LIVE_SESSIONS]),
    Endpoint::new(POST, "/api/auth/login", Public, |m| on(m, auth::login))
        .writes(&[SESSIONS, LIVE_SESSIONS]),
    Endpoint::new(POST, "/api/auth/refresh", Public, |m| on(m, auth::refresh))
        .writes(&[SESSIONS]),
    Endpoint::new(POST, "/api/auth/logout", OnceSignedIn, |m| on(m, auth::logout))
        .writes(&[SESSIONS, LIVE_SESSIONS]),

    Endpoint::new(GET, "/api/users/me", SignedIn, |m| on(m, users::me))
        .reads(&[USERS]),

    Endpoint::new(GET, "/api/rooms", SignedIn, |m| on(m, rooms::list))
        .reads(&[STUDY_ROOMS, ROOM_MEMBERS, USERS, SUBJECTS, ACTIVE_MEMBERS]),
    Endpoint::new(POST, "/api/rooms", SignedIn, |m| on(m, rooms::create))
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(GET, "/api/rooms/{roomId}", SignedIn, |m| on(m, rooms::show))
        .reads(&[STUDY_ROOMS, ROOM_MEMBERS, USERS, SUBJECTS, ACTIVE_MEMBERS]),
    Endpoint::new(POST, "/api/rooms/{roomId}/join", SignedIn, |m| on(m, rooms::join))
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(POST, "/api/rooms/{roomId}/leave", SignedIn, |m| on(m, rooms::leave))
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(GET, "/api/rooms/{roomId}/members", SignedIn, |m| on(m, members::list))
        .reads(&[STUDY_ROOMS, ROOM_MEMBERS, USERS, ACTIVE_MEMBERS]),

    Endpoint::new(GET, "/api/messages/room/{roomId}", SignedIn, |m| on(m, messages::of_room))
        .reads(&[MESSAGES, STUDY_ROOMS, USERS]),

    Endpoint::new(GET, "/api/subjects", Public, |m| on(m, subjects::list))
        .reads(&[SUBJECTS]),

    Endpoint::new(GET, "/api/problems", Public, |m| on(m, problem_pages::list)),
    Endpoint::new(GET, "/api/problems/{code}", Public, |m| on(m, problem_pages::show)),

    Endpoint::new(GET, "/health/live", Public, |m| on(m, health::live)),
    Endpoint::new(GET, "/health/ready", Public, |m| on(m, health::ready)),
];

/// The public listener's routes, complete but for Socket.IO.
pub fn router(state: ApiState) -> Router {
    let server = state.config().server.clone();
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, endpoint| endpoint.mount(router, &state))
        .with_state(state);
    frame(routes, &server)
}
