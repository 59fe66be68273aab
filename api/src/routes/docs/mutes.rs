//! Letting members not speak for a while.
use utoipa::ToSchema;

use super::{Time, UserShort, moderation::ONLY_MODERATORS};
use crate::{openapi::Doc, problems, routes::mutes};

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct NewMute {
    /// Seconds.
    #[schema(minimum = 60)]
    expires_in: Option<u32>,
}

/// Someone who may not speak in a room for a while.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Mute {
    user: UserShort,
    muted_by: UserShort,
    muted_at: Time,
    /// They may speak again from then on.
    muted_until: Time,
}

pub(in crate::routes) fn list() -> Doc {
    Doc::new("listMutes", "List who may not speak now")
        .text("For the owner and for moderators. All of them on one page.")
        .answers_page::<Mute>("Who is muted.")
        .refuses(ONLY_MODERATORS)
}

pub(in crate::routes) fn mute() -> Doc {
    Doc::new("muteMember", "Let a member not speak for a while")
        .text(
            "Who may do it to whom is as with `removeMember`. Who is muted reads and hears everything, and \
             says nothing: no messages, edits, reactions or names of rooms, and nobody sees them typing. Leaving and coming \
             back does not end it. Who is muted already is muted until then instead.",
        )
        .optional_body::<mutes::NewMute, NewMute>()
        .answers::<Mute>(200, "They are muted.")
        .leads("liftMute", &[("roomId", "$request.path.roomId"), ("userId", "$request.path.userId")])
        .refuses(ONLY_MODERATORS)
        .refuses(&[&problems::MEMBER_NOT_FOUND, &problems::ROOM_INACTIVE, &problems::LIMIT_REACHED])
}

pub(in crate::routes) fn lift() -> Doc {
    Doc::new("liftMute", "Let someone speak again")
        .answers_nothing(204, "They are not muted.")
        .refuses(ONLY_MODERATORS)
}
