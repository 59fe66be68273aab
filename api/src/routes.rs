//! The route table: every route with who may call it and which read models it reads and changes.
mod auth;
mod blocks;
mod docs;
pub(crate) mod health;
mod members;
mod messages;
mod meta;
mod moderation;
mod mutes;
mod problem_pages;
mod reports;
mod rooms;
mod subjects;
mod users;

use axum::{Router, http::Method, routing::on};
use commands::Limit;
use projections::names::{
    BLOCKS, CONVERSATIONS, DIRECT_MESSAGES, LIVE_SESSIONS, MESSAGE_NUMBERS, MESSAGE_SEARCH,
    MESSAGES, READ_MARKERS, REPORTS, ROOM_MEMBERS, SESSIONS, STUDY_ROOMS, SUBJECTS, USERS,
};

use auth::{email, leaving, password, phone};
use messages::{changes, direct, events, search};
pub(crate) use users::self_of;

use crate::{
    ApiState, Endpoint,
    extract::Access::{OnceSignedIn, Public, SignedIn},
    frame::frame,
    strays,
};

const DELETE: Method = Method::DELETE;
const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;

/// Every route of the public listener but Socket.IO's.
///
/// Not waited for: presence, without which every answer is still one, and live sessions after a
/// login, where the event store is asked instead. After a logout they are: a token must be dead by
/// then.
#[rustfmt::skip] // a table reads by its columns
pub static ROUTES: &[Endpoint] = &[
    Endpoint::new(POST, "/api/auth/register", Public, |m| on(m, auth::register))
        .doc(docs::auth::register)
        .counts_as(Limit::RegisterAddress)
        .writes(&[USERS, SESSIONS]),
    Endpoint::new(POST, "/api/auth/login", Public, |m| on(m, auth::login))
        .doc(docs::auth::login)
        .counts_as(Limit::LoginAddress)
        .writes(&[SESSIONS]),
    Endpoint::new(POST, "/api/auth/refresh", Public, |m| on(m, auth::refresh))
        .doc(docs::auth::refresh)
        .counts_as(Limit::RefreshAddress)
        .writes(&[SESSIONS]),
    Endpoint::new(POST, "/api/auth/logout", OnceSignedIn, |m| on(m, auth::logout))
        .doc(docs::auth::logout)
        .writes(&[SESSIONS, LIVE_SESSIONS]),
    Endpoint::new(POST, "/api/auth/phone/send-otp", Public, |m| on(m, phone::send))
        .doc(docs::auth::send_otp)
        .counts_as(Limit::SendOtpAddress)
        .writes(&[USERS]),
    Endpoint::new(POST, "/api/auth/phone/verify", Public, |m| on(m, phone::verify))
        .doc(docs::auth::verify_otp)
        .counts_as(Limit::VerifyAddress)
        .writes(&[USERS, SESSIONS]),
    Endpoint::new(POST, "/api/auth/email/verify", Public, |m| on(m, email::verify))
        .doc(docs::auth::verify_email)
        .counts_as(Limit::VerifyAddress)
        .writes(&[USERS, SESSIONS]),
    Endpoint::new(POST, "/api/auth/email/resend", Public, |m| on(m, email::resend))
        .doc(docs::auth::resend_email)
        .counts_as(Limit::ResendAddress)
        .writes(&[USERS]),
    Endpoint::new(POST, "/api/auth/password/forgot", Public, |m| on(m, password::forgot))
        .doc(docs::auth::forgot_password)
        .counts_as(Limit::ForgotAddress)
        .writes(&[USERS]),
    Endpoint::new(POST, "/api/auth/password/reset", Public, |m| on(m, password::reset))
        .doc(docs::auth::reset_password)
        .counts_as(Limit::ResetAddress)
        .writes(&[USERS, SESSIONS, LIVE_SESSIONS]),
    Endpoint::new(GET, "/api/auth/sessions", SignedIn, |m| on(m, auth::sessions))
        .doc(docs::auth::sessions)
        .reads(&[SESSIONS]),
    Endpoint::new(DELETE, "/api/auth/sessions/{sessionId}", SignedIn, |m| on(m, auth::end_session))
        .doc(docs::auth::end_session)
        .writes(&[SESSIONS, LIVE_SESSIONS]),

    Endpoint::new(PUT, "/api/users/me/password", SignedIn, |m| on(m, password::change))
        .doc(docs::auth::change_password)
        .writes(&[SESSIONS, LIVE_SESSIONS]),
    Endpoint::new(POST, "/api/users/me/email", SignedIn, |m| on(m, email::change))
        .doc(docs::auth::change_email)
        .writes(&[USERS]),
    Endpoint::new(DELETE, "/api/users/me", SignedIn, |m| on(m, leaving::delete))
        .doc(docs::leaving::delete_account)
        .writes(&[USERS, SESSIONS, LIVE_SESSIONS]),
    Endpoint::new(POST, "/api/users/me/export", SignedIn, |m| on(m, leaving::export))
        .doc(docs::leaving::export)
        .writes(&[USERS]),
    Endpoint::new(GET, "/api/exports/{token}", Public, |m| on(m, leaving::fetch))
        .doc(docs::leaving::fetch_export),
    Endpoint::new(POST, "/api/users/me/phone", SignedIn, |m| on(m, phone::change))
        .doc(docs::auth::change_phone)
        .writes(&[USERS]),
    Endpoint::new(GET, "/api/users/me", SignedIn, |m| on(m, users::me))
        .doc(docs::users::me)
        .reads(&[USERS, SUBJECTS]),
    Endpoint::new(PUT, "/api/users/me", SignedIn, |m| on(m, users::edit))
        .doc(docs::users::put)
        .writes(&[USERS]),
    Endpoint::new(PATCH, "/api/users/me", SignedIn, |m| on(m, users::edit))
        .doc(docs::users::patch)
        .writes(&[USERS]),
    Endpoint::new(GET, "/api/users", SignedIn, |m| on(m, users::find))
        .doc(docs::users::find)
        .reads(&[USERS, SUBJECTS, BLOCKS]),
    Endpoint::new(GET, "/api/users/{userId}", SignedIn, |m| on(m, users::show))
        .doc(docs::users::show)
        .reads(&[USERS, SUBJECTS, ROOM_MEMBERS]),
    Endpoint::new(POST, "/api/users/subjects", SignedIn, |m| on(m, users::add_subject))
        .doc(docs::users::add_subject)
        .writes(&[USERS]),
    Endpoint::new(DELETE, "/api/users/subjects/{subjectId}", SignedIn, |m| on(m, users::remove_subject))
        .doc(docs::users::remove_subject)
        .writes(&[USERS]),
    Endpoint::new(POST, "/api/reports", SignedIn, |m| on(m, reports::file))
        .doc(docs::users::report)
        .writes(&[REPORTS]),
    Endpoint::new(PUT, "/api/users/{userId}/block", SignedIn, |m| on(m, blocks::place))
        .doc(docs::users::block)
        .writes(&[BLOCKS]),
    Endpoint::new(DELETE, "/api/users/{userId}/block", SignedIn, |m| on(m, blocks::lift))
        .doc(docs::users::unblock)
        .writes(&[BLOCKS]),

    Endpoint::new(GET, "/api/rooms", SignedIn, |m| on(m, rooms::list))
        .doc(docs::rooms::list)
        .reads(&[STUDY_ROOMS, ROOM_MEMBERS, READ_MARKERS, MESSAGE_NUMBERS, USERS, SUBJECTS]),
    Endpoint::new(POST, "/api/rooms", SignedIn, |m| on(m, rooms::create))
        .doc(docs::rooms::create)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(GET, "/api/rooms/{roomId}", SignedIn, |m| on(m, rooms::show))
        .doc(docs::rooms::show)
        .reads(&[STUDY_ROOMS, ROOM_MEMBERS, READ_MARKERS, MESSAGE_NUMBERS, USERS, SUBJECTS]),
    Endpoint::new(PATCH, "/api/rooms/{roomId}", SignedIn, |m| on(m, rooms::changes::edit))
        .doc(docs::rooms::edit)
        .writes(&[STUDY_ROOMS]),
    Endpoint::new(DELETE, "/api/rooms/{roomId}", SignedIn, |m| on(m, rooms::changes::archive))
        .doc(docs::rooms::archive)
        .writes(&[STUDY_ROOMS]),
    Endpoint::new(POST, "/api/rooms/{roomId}/join", SignedIn, |m| on(m, rooms::join))
        .doc(docs::rooms::join)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(POST, "/api/rooms/{roomId}/leave", SignedIn, |m| on(m, rooms::leave))
        .doc(docs::rooms::leave)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(PUT, "/api/rooms/{roomId}/read", SignedIn, |m| on(m, rooms::changes::mark_read))
        .doc(docs::rooms::mark_read)
        .writes(&[READ_MARKERS]),
    Endpoint::new(PUT, "/api/rooms/{roomId}/notification-level", SignedIn, |m| on(m, rooms::changes::set_notification_level))
        .doc(docs::rooms::set_notification_level)
        .writes(&[ROOM_MEMBERS]),
    Endpoint::new(GET, "/api/rooms/{roomId}/members", SignedIn, |m| on(m, members::list))
        .doc(docs::rooms::members)
        .reads(&[STUDY_ROOMS, ROOM_MEMBERS, USERS, BLOCKS]),
    Endpoint::new(DELETE, "/api/rooms/{roomId}/members/{userId}", SignedIn, |m| on(m, moderation::remove))
        .doc(docs::moderation::remove)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(POST, "/api/rooms/{roomId}/members/{userId}/role", SignedIn, |m| on(m, moderation::change_role))
        .doc(docs::moderation::change_role)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(GET, "/api/rooms/{roomId}/bans", SignedIn, |m| on(m, moderation::bans))
        .doc(docs::moderation::bans)
        .reads(&[USERS]),
    Endpoint::new(PUT, "/api/rooms/{roomId}/bans/{userId}", SignedIn, |m| on(m, moderation::ban))
        .doc(docs::moderation::ban)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(DELETE, "/api/rooms/{roomId}/bans/{userId}", SignedIn, |m| on(m, moderation::lift_ban))
        .doc(docs::moderation::lift_ban)
        .writes(&[STUDY_ROOMS]),
    Endpoint::new(GET, "/api/rooms/{roomId}/mutes", SignedIn, |m| on(m, mutes::list))
        .doc(docs::mutes::list)
        .reads(&[USERS]),
    Endpoint::new(PUT, "/api/rooms/{roomId}/mutes/{userId}", SignedIn, |m| on(m, mutes::mute))
        .doc(docs::mutes::mute)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(DELETE, "/api/rooms/{roomId}/mutes/{userId}", SignedIn, |m| on(m, mutes::lift))
        .doc(docs::mutes::lift)
        .writes(&[STUDY_ROOMS, ROOM_MEMBERS]),
    Endpoint::new(GET, "/api/rooms/{roomId}/invites", SignedIn, |m| on(m, moderation::invites))
        .doc(docs::moderation::invites)
        .reads(&[USERS]),
    Endpoint::new(POST, "/api/rooms/{roomId}/invites", SignedIn, |m| on(m, moderation::create_invite))
        .doc(docs::moderation::create_invite)
        .writes(&[STUDY_ROOMS]),
    Endpoint::new(DELETE, "/api/rooms/{roomId}/invites/{inviteId}", SignedIn, |m| on(m, moderation::revoke_invite))
        .doc(docs::moderation::revoke_invite)
        .writes(&[STUDY_ROOMS]),

    Endpoint::new(GET, "/api/messages/room/{roomId}", SignedIn, |m| on(m, messages::of_room))
        .doc(docs::messages::of_room)
        .reads(&[MESSAGES, STUDY_ROOMS, ROOM_MEMBERS, READ_MARKERS, USERS]),
    Endpoint::new(POST, "/api/messages/room/{roomId}", SignedIn, |m| on(m, changes::post_to_room))
        .doc(docs::messages::post_to_room)
        .counts_as(Limit::Messages)
        .writes(&[MESSAGES, STUDY_ROOMS, MESSAGE_SEARCH]),
    // From the event store: there is nothing to wait for.
    Endpoint::new(GET, "/api/messages/room/{roomId}/events", SignedIn, |m| on(m, events::of_room))
        .doc(docs::messages::events_of_room),
    Endpoint::new(GET, "/api/messages/direct/{userId}", SignedIn, |m| on(m, direct::with_user))
        .doc(docs::messages::direct)
        .reads(&[DIRECT_MESSAGES, CONVERSATIONS, READ_MARKERS, USERS, BLOCKS]),
    Endpoint::new(POST, "/api/messages/direct/{userId}", SignedIn, |m| on(m, direct::post))
        .doc(docs::messages::post_direct)
        .counts_as(Limit::Messages)
        .writes(&[DIRECT_MESSAGES, CONVERSATIONS, MESSAGE_SEARCH]),
    Endpoint::new(GET, "/api/messages/conversations", SignedIn, |m| on(m, direct::list))
        .doc(docs::messages::conversations)
        .reads(&[DIRECT_MESSAGES, CONVERSATIONS, MESSAGE_SEARCH, READ_MARKERS, USERS, BLOCKS]),
    Endpoint::new(PUT, "/api/messages/conversations/{conversationId}/read", SignedIn, |m| on(m, direct::mark_read))
        .doc(docs::messages::mark_read)
        .writes(&[READ_MARKERS]),
    Endpoint::new(PUT, "/api/messages/conversations/{conversationId}/mute", SignedIn, |m| on(m, direct::mute))
        .doc(docs::messages::mute)
        .writes(&[CONVERSATIONS]),
    Endpoint::new(DELETE, "/api/messages/conversations/{conversationId}/mute", SignedIn, |m| on(m, direct::unmute))
        .doc(docs::messages::unmute)
        .writes(&[CONVERSATIONS]),
    Endpoint::new(GET, "/api/messages/search", SignedIn, |m| on(m, search::find))
        .doc(docs::messages::search)
        .reads(&[MESSAGE_SEARCH, MESSAGES, DIRECT_MESSAGES, ROOM_MEMBERS, CONVERSATIONS, USERS]),
    Endpoint::new(GET, "/api/messages/{messageId}", SignedIn, |m| on(m, changes::show))
        .doc(docs::messages::show)
        .reads(&[USERS]),
    Endpoint::new(PUT, "/api/messages/{messageId}", SignedIn, |m| on(m, changes::edit))
        .doc(docs::messages::edit)
        .counts_as(Limit::Messages)
        .writes(&[MESSAGES, DIRECT_MESSAGES, MESSAGE_SEARCH, STUDY_ROOMS]),
    Endpoint::new(DELETE, "/api/messages/{messageId}", SignedIn, |m| on(m, changes::delete))
        .doc(docs::messages::delete)
        .writes(&[MESSAGES, DIRECT_MESSAGES, MESSAGE_SEARCH, STUDY_ROOMS]),
    Endpoint::new(GET, "/api/messages/{messageId}/history", SignedIn, |m| on(m, changes::history))
        .doc(docs::messages::history),
    Endpoint::new(PUT, "/api/messages/{messageId}/reactions/{emoji}", SignedIn, |m| on(m, changes::react))
        .doc(docs::messages::react)
        .writes(&[MESSAGES, DIRECT_MESSAGES, MESSAGE_SEARCH, STUDY_ROOMS]),
    Endpoint::new(DELETE, "/api/messages/{messageId}/reactions/{emoji}", SignedIn, |m| on(m, changes::unreact))
        .doc(docs::messages::unreact)
        .writes(&[MESSAGES, DIRECT_MESSAGES, MESSAGE_SEARCH, STUDY_ROOMS]),

    Endpoint::new(GET, "/api/subjects", Public, |m| on(m, subjects::list))
        .doc(docs::subjects::list)
        .reads(&[SUBJECTS]),

    Endpoint::new(GET, "/api/problems", Public, |m| on(m, problem_pages::list))
        .doc(docs::meta::problem_list),
    Endpoint::new(GET, "/api/problems/{code}", Public, |m| on(m, problem_pages::show))
        .doc(docs::meta::problem_show),

    Endpoint::new(GET, "/api/openapi.json", Public, |m| on(m, meta::openapi))
        .doc(docs::meta::openapi),
    Endpoint::new(GET, "/api/asyncapi.json", Public, |m| on(m, meta::asyncapi))
        .doc(docs::meta::asyncapi),
    Endpoint::new(GET, "/api/docs", Public, |m| on(m, meta::docs))
        .doc(docs::meta::docs),
    Endpoint::new(GET, "/api/docs/scalar.js", Public, |m| on(m, meta::script))
        .doc(docs::meta::script),

    Endpoint::new(GET, "/.well-known/jwks.json", Public, |m| on(m, auth::keys))
        .doc(docs::auth::keys),
    Endpoint::new(GET, "/health/live", Public, |m| on(m, health::live))
        .doc(docs::meta::live)
        .uncounted(),
    Endpoint::new(GET, "/health/ready", Public, |m| on(m, health::ready))
        .doc(docs::meta::ready)
        .uncounted(),
];

/// The public listener's routes, complete but for Socket.IO.
pub fn router(state: ApiState) -> Router {
    let server = state.config().server.clone();
    let routes = ROUTES
        .iter()
        .fold(Router::new(), |router, endpoint| endpoint.mount(router, &state))
        .fallback(strays::count_unknown_route)
        .method_not_allowed_fallback(strays::count_method_not_allowed)
        .with_state(state);
    frame(routes, &server)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_route_stands_in_the_table_once() {
        let routes: BTreeSet<_> = ROUTES.iter().map(|it| (it.path, it.method.as_str())).collect();
        assert_eq!(routes.len(), ROUTES.len());
    }

    #[test]
    fn only_these_routes_are_open_to_everyone() {
        let open = ROUTES.iter().filter(|it| it.access == Public);
        let open: Vec<_> = open.map(|it| format!("{} {}", it.method, it.path)).collect();
        assert_eq!(
            open,
            [
                "POST /api/auth/register",
                "POST /api/auth/login",
                "POST /api/auth/refresh",
                "POST /api/auth/phone/send-otp",
                "POST /api/auth/phone/verify",
                "POST /api/auth/email/verify",
                "POST /api/auth/email/resend",
                "POST /api/auth/password/forgot",
                "POST /api/auth/password/reset",
                "GET /api/exports/{token}",
                "GET /api/subjects",
                "GET /api/problems",
                "GET /api/problems/{code}",
                "GET /api/openapi.json",
                "GET /api/asyncapi.json",
                "GET /api/docs",
                "GET /api/docs/scalar.js",
                "GET /.well-known/jwks.json",
                "GET /health/live",
                "GET /health/ready",
            ]
        );
    }

    #[test]
    fn what_writes_waits_and_what_reads_does_not_write() {
        for endpoint in ROUTES {
            assert_eq!(endpoint.writes.is_empty(), endpoint.method == GET, "{}", endpoint.path);
            assert!(endpoint.reads.is_empty() || endpoint.method == GET, "{}", endpoint.path);
        }
    }
}
