//! `/api/rooms`.
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Time, UserShort};
use crate::{
    openapi::Doc,
    problems,
    routes::{members, rooms::queries},
};

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum RoomType {
    Public,
    Private,
    InviteOnly,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum MemberRole {
    Owner,
    Moderator,
    Member,
}

/// A room, with what the reader is in it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Room {
    id: Uuid,
    name: String,
    description: String,
    subject: RoomSubject,
    created_by: UserShort,
    room_type: RoomType,
    max_participants: u32,
    member_count: u32,
    /// People in the live room; null when nobody can tell now.
    online_count: Option<u32>,
    logo_url: Option<String>,
    is_active: bool,
    last_message_at: Option<Time>,
    last_seq: i64,
    created_at: Time,
    version: i64,
    /// What the reader is in it; null for strangers.
    my: Option<MyMembership>,
}

/// A room that may be known, to people who may not know what goes on there.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RoomReduced {
    id: Uuid,
    name: String,
    description: String,
    subject: RoomSubject,
    room_type: RoomType,
    max_participants: u32,
    logo_url: Option<String>,
    is_active: bool,
    created_at: Time,
    my: Option<MyMembership>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RoomSubject {
    id: Uuid,
    name: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MyMembership {
    is_member: bool,
    role: MemberRole,
    joined_at: Time,
    /// The number of the last event that was read; what was before someone came counts as read.
    last_read_seq: i64,
    /// Messages of others behind that.
    unread_count: i64,
    /// Those of them that name the reader: `@username`.
    mention_count: i64,
    notification_level: NotificationLevel,
    /// Until when the reader may not speak; null, or over: they may.
    muted_until: Option<Time>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum NotificationLevel {
    All,
    Mentions,
    #[schema(rename = "none")]
    Nothing,
}

/// What shall be different. What is absent stays; null empties the description.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RoomChanges {
    #[schema(
        min_length = 3,
        max_length = 80,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*$",
        nullable = false
    )]
    name: Option<String>,
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    description: Option<String>,
    #[schema(nullable = false)]
    subject_id: Option<Uuid>,
    #[schema(nullable = false)]
    room_type: Option<RoomType>,
    #[schema(minimum = 2, maximum = 500, nullable = false)]
    max_participants: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MarkRead {
    /// The number of the last event that was read. Less than before changes nothing.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    last_read_seq: i64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ReadState {
    last_read_seq: i64,
    /// Messages of others behind that; null when nobody can tell now.
    unread_count: Option<i64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ChosenLevel {
    notification_level: NotificationLevel,
}

/// Which rooms are wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RoomFilter {
    /// Text in the name or the description.
    #[schema(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    q: Option<String>,
    subject_id: Option<Uuid>,
    #[schema(inline)]
    room_type: Option<RoomType>,
    has_space: Option<bool>,
    mine: Option<bool>,
    active: Option<bool>,
    #[schema(inline)]
    sort: Option<RoomSort>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` or `prevCursor` of a page with the same filters.
    cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum RoomSort {
    Activity,
    Created,
    Members,
}

/// What opens a room.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct NewRoom {
    #[schema(min_length = 3, max_length = 80, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    name: String,
    #[schema(max_length = 1000, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    description: Option<String>,
    subject_id: Uuid,
    room_type: RoomType,
    #[schema(minimum = 2, maximum = 500)]
    max_participants: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct JoinRoom {
    /// For rooms that take one.
    #[schema(max_length = 100)]
    invite_code: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct LeaveRoom {
    /// Who owns the room afterwards, if the owner leaves.
    transfer_to: Option<Uuid>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Joined {
    membership: Membership,
    /// Null when it cannot be shown yet.
    room: Option<Room>,
    /// Where to begin listening.
    last_seq: i64,
}

/// The same, to who is not a member any more of a room that shows little of itself.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct JoinedOnce {
    membership: Membership,
    room: RoomReduced,
    /// The number of the event by which they joined.
    last_seq: i64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct Membership {
    room_id: Uuid,
    user_id: Uuid,
    role: MemberRole,
    joined_at: Option<Time>,
}

/// Which members are wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MemberFilter {
    /// Text in the name or the username.
    #[schema(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    q: Option<String>,
    #[schema(inline)]
    role: Option<MemberRole>,
    online: Option<bool>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` or `prevCursor` of a page with the same filters.
    cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Member {
    user: UserShort,
    role: MemberRole,
    joined_at: Time,
    /// `online`, `away`, `dnd` or `offline`; null when nobody can tell now.
    presence: Option<String>,
}

/// Where the answer has the id of the room.
const ROOM: &[(&str, &str)] = &[("roomId", "$response.body#/id")];

pub(in crate::routes) fn list() -> Doc {
    Doc::new("listRooms", "List the rooms that the caller may know of")
        .text("Public and invite-only rooms, and the caller's own. Invite-only rooms are reduced.")
        .query::<queries::List, RoomFilter>()
        .answers_page_of_either::<Room, RoomReduced>("A page of rooms.")
        .etag()
}

pub(in crate::routes) fn show() -> Doc {
    Doc::new("getRoom", "Get one room")
        .answers_either::<Room, RoomReduced>(200, "The room, as far as the caller may see it.")
        .etag()
}

pub(in crate::routes) fn create() -> Doc {
    Doc::new("createRoom", "Open a room")
        .text("The caller owns it and is its first member.")
        .body::<queries::Create, NewRoom>()
        .answers_either::<Room, RoomReduced>(
            201,
            "The room; when the request is repeated, as far as the caller may see it by now.",
        )
        .located()
        .leads("getRoom", ROOM)
        .leads("editRoom", ROOM)
        .leads("archiveRoom", ROOM)
        .leads("joinRoom", ROOM)
        .leads("leaveRoom", ROOM)
        .leads("listMembers", ROOM)
        .leads("createInvite", ROOM)
        .leads("postRoomMessage", ROOM)
        .leads("listRoomMessages", ROOM)
        .leads("markRoomRead", ROOM)
        .etag()
        .refuses(&[
            &problems::EMAIL_NOT_VERIFIED,
            &problems::SUBJECT_NOT_FOUND,
            // When the request is repeated by who may not know of the room any more.
            &problems::NOT_FOUND,
            &problems::LIMIT_REACHED,
            &problems::PROJECTION_LAGGING,
        ])
}

pub(in crate::routes) fn join() -> Doc {
    Doc::new("joinRoom", "Become a member of a room")
        .optional_body::<queries::Join, JoinRoom>()
        .text("Repeated with its `Idempotency-Key` after the membership ended, it shows what others see.")
        .answers_either::<Joined, JoinedOnce>(201, "The caller is a member now.")
        .answers_either::<Joined, JoinedOnce>(200, "The caller was a member already.")
        .refuses(&[
            &problems::ROOM_FULL,
            &problems::ROOM_INACTIVE,
            &problems::INVITE_REQUIRED,
            &problems::INVITE_INVALID,
            &problems::BANNED,
        ])
}

pub(in crate::routes) fn leave() -> Doc {
    Doc::new("leaveRoom", "Stop being a member of a room")
        .optional_body::<queries::Leave, LeaveRoom>()
        .answers_nothing(204, "The caller is no member, whatever they were before.")
        .refuses(&[
            &problems::OWNER_MUST_TRANSFER,
            &problems::SUCCESSOR_NOT_A_MEMBER,
            &problems::LIMIT_REACHED,
        ])
}

pub(in crate::routes) fn edit() -> Doc {
    Doc::new("editRoom", "Change what a room is like")
        .text("For its owner and its moderators.")
        .body::<queries::Edit, RoomChanges>()
        .answers::<Room>(200, "The room as it is now.")
        .etag()
        .if_match()
        .refuses(&[
            &problems::SUBJECT_NOT_FOUND,
            &problems::FORBIDDEN,
            &problems::NOT_A_MEMBER,
            &problems::BANNED,
            &problems::ROOM_INACTIVE,
            &problems::BELOW_MEMBER_COUNT,
        ])
}

pub(in crate::routes) fn archive() -> Doc {
    Doc::new("archiveRoom", "Close a room for good")
        .text("For its owner and its moderators. Members still read it; nobody writes or joins.")
        .answers_nothing(204, "The room is archived.")
        .if_match()
        .refuses(&[&problems::FORBIDDEN, &problems::NOT_A_MEMBER, &problems::BANNED])
}

pub(in crate::routes) fn mark_read() -> Doc {
    Doc::new("markRoomRead", "Say how far the caller has read a room")
        .body::<queries::MarkRead, MarkRead>()
        .answers::<ReadState>(200, "How far they have read now, and what is left.")
        .refuses(&[&problems::NOT_A_MEMBER, &problems::BANNED])
}

pub(in crate::routes) fn set_notification_level() -> Doc {
    Doc::new("setNotificationLevel", "Choose what to be told of")
        .body::<queries::Level, ChosenLevel>()
        .answers::<ChosenLevel>(200, "What was chosen.")
        .refuses(&[&problems::NOT_A_MEMBER, &problems::BANNED])
}

pub(in crate::routes) fn members() -> Doc {
    Doc::new("listMembers", "List the members of a room")
        .text("In the order of joining. Members only, unless the room is public.")
        .query::<members::List, MemberFilter>()
        .answers_page::<Member>("A page of members.")
        .refuses(&[&problems::NOT_A_MEMBER, &problems::BANNED])
}
