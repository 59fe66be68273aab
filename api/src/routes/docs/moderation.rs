//! Keeping order in rooms.
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Time, UserShort,
    rooms::{MemberRole, Membership},
};
use crate::{
    openapi::Doc,
    problems::{self, Kind},
    routes::moderation,
};

/// Why people who do not keep order in a room may not do what those do who do.
pub(super) const ONLY_MODERATORS: &[&Kind] =
    &[&problems::FORBIDDEN, &problems::NOT_A_MEMBER, &problems::BANNED];

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct NewRole {
    /// `owner` hands the room over.
    role: MemberRole,
}

/// Someone who may not become a member.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Ban {
    user: UserShort,
    banned_by: UserShort,
    banned_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct NewInvite {
    /// Seconds.
    #[schema(minimum = 60)]
    expires_in: Option<u32>,
    /// How many people it lets in; any number if it does not say.
    #[schema(minimum = 1, maximum = 10000)]
    max_uses: Option<u32>,
}

/// What lets people into a room.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Invite {
    id: Uuid,
    created_by: UserShort,
    created_at: Time,
    expires_at: Time,
    /// How many people it lets in; null for any number.
    max_uses: Option<u32>,
    /// How many it has let in.
    uses: u32,
}

/// An invite with its code, which is told this once.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct InviteWithCode {
    id: Uuid,
    /// `inviteCode` of `joinRoom`.
    code: String,
    /// Where a person opens it.
    url: String,
    created_by: UserShort,
    created_at: Time,
    expires_at: Time,
    max_uses: Option<u32>,
    uses: u32,
}

pub(in crate::routes) fn change_role() -> Doc {
    Doc::new("changeRole", "Let a member do more, or less")
        .text("For the owner. A moderator may step down.")
        .body::<moderation::Role, NewRole>()
        .answers::<Membership>(200, "What the member is now.")
        .refuses(ONLY_MODERATORS)
        .refuses(&[
            &problems::MEMBER_NOT_FOUND,
            &problems::OWNER_MUST_TRANSFER,
            &problems::ROOM_INACTIVE,
            &problems::LIMIT_REACHED,
        ])
}

pub(in crate::routes) fn remove() -> Doc {
    Doc::new("removeMember", "End someone's membership")
        .text(
            "For the owner, and for moderators where it is an ordinary member. Their sockets are \
             out of the room before the answer, on every node.",
        )
        .answers_nothing(204, "They are no member, whatever they were before.")
        .refuses(ONLY_MODERATORS)
}

pub(in crate::routes) fn bans() -> Doc {
    Doc::new("listBans", "List who may not become a member")
        .text("For the owner and for moderators. All of them on one page.")
        .answers_page::<Ban>("Who is banned.")
        .refuses(ONLY_MODERATORS)
}

pub(in crate::routes) fn ban() -> Doc {
    Doc::new("ban", "End someone's membership and let them in no more")
        .text("Who may do it to whom is as with `removeMember`. Strangers can be banned too.")
        .answers_nothing(204, "They are banned.")
        .refuses(ONLY_MODERATORS)
        .refuses(&[&problems::LIMIT_REACHED])
}

pub(in crate::routes) fn lift_ban() -> Doc {
    Doc::new("liftBan", "Let someone become a member again")
        .answers_nothing(204, "They are not banned.")
        .refuses(ONLY_MODERATORS)
}

pub(in crate::routes) fn invites() -> Doc {
    Doc::new("listInvites", "List the invites that let people in now")
        .text("For the owner and for moderators. Without codes. All of them on one page.")
        .answers_page::<Invite>("The invites.")
        .refuses(ONLY_MODERATORS)
}

pub(in crate::routes) fn create_invite() -> Doc {
    Doc::new("createInvite", "Make a code that lets people in")
        .text("For the owner and for moderators. The code is told here and nowhere else.")
        .optional_body::<moderation::NewInvite, NewInvite>()
        .answers::<InviteWithCode>(201, "The invite.")
        .leads(
            "revokeInvite",
            &[("roomId", "$request.path.roomId"), ("inviteId", "$response.body#/id")],
        )
        .leads_with(
            "joinRoom",
            &[("roomId", "$request.path.roomId")],
            &[("inviteCode", "$response.body#/code")],
        )
        .refuses(ONLY_MODERATORS)
        .refuses(&[&problems::ROOM_INACTIVE, &problems::LIMIT_REACHED])
}

pub(in crate::routes) fn revoke_invite() -> Doc {
    Doc::new("revokeInvite", "Make a code useless")
        .answers_nothing(204, "It lets nobody in.")
        .refuses(ONLY_MODERATORS)
}
