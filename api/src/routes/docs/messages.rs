//! `/api/messages`.
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Time,
    users::{StudySubject, TimeSlot},
};
use crate::{
    openapi::Doc,
    problems,
    routes::messages::{self, changes, direct, events, search},
};

/// A message. A deleted one keeps its number and loses its content.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Message {
    id: Uuid,
    /// Its number in the room, without gaps; null while that is not known.
    seq: Option<i64>,
    /// Null for direct messages.
    room_id: Option<Uuid>,
    /// Only of direct messages.
    #[schema(required = false)]
    conversation_id: Uuid,
    /// Only of direct messages: to whom it was said.
    #[schema(required = false)]
    recipient_id: Uuid,
    /// Only where direct messages are read: whether its recipient has, if they let that be seen.
    #[schema(required = false)]
    is_read: bool,
    sender_id: Uuid,
    sender_name: Option<String>,
    sender_avatar_url: Option<String>,
    content: String,
    message_type: MessageType,
    attachments: Vec<Value>,
    reply_to_id: Option<Uuid>,
    reactions: Vec<Reaction>,
    is_edited: bool,
    edited_at: Option<Time>,
    is_deleted: bool,
    deleted_at: Option<Time>,
    created_at: Time,
    version: i64,
    /// The sender's own id of it; only for the sender.
    #[schema(required = false)]
    client_message_id: String,
}

/// One kind of reaction.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Reaction {
    emoji: String,
    count: u32,
    /// The first 20 of the people who set it.
    user_ids: Vec<Uuid>,
    /// Whether the reader set it.
    me: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum MessageType {
    Text,
    File,
    Image,
    System,
}

/// Which part of the messages is wanted: one of `before`, `after`, `around`; without them the newest.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageWindow {
    /// Messages with lower numbers than this.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    before: Option<i64>,
    /// Messages with higher numbers than this.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    after: Option<i64>,
    /// Messages on both sides of this number.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    around: Option<i64>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessagePage {
    /// In the order of their numbers.
    data: Vec<Message>,
    page: MessageEnds,
    /// The number of the last event of the room.
    room_last_seq: i64,
    my: LastRead,
}

/// Whether there is more on either side, and how to get it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageEnds {
    found_oldest: bool,
    found_newest: bool,
    next_before: Option<i64>,
    next_after: Option<i64>,
}

/// What somebody says.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct NewMessage {
    /// The client's own id: makes it safe to say it again.
    client_message_id: Option<Uuid>,
    #[schema(min_length = 1, max_length = 4000, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    content: String,
    #[schema(inline)]
    message_type: Option<NewMessageType>,
    /// What it answers: a message of the same room.
    reply_to_id: Option<Uuid>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum NewMessageType {
    Text,
}

/// Other words for a message.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageEdit {
    #[schema(min_length = 1, max_length = 4000, pattern = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$")]
    content: String,
    /// The version that the author knows; `If-Match` says the same.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    expected_version: Option<i64>,
}

/// How a message is taken back.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageDeletion {
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reason: Option<String>,
    /// The version that the person knows; `If-Match` says the same.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    expected_version: Option<i64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ReactionsAfter {
    message_id: Uuid,
    reactions: Vec<Reaction>,
    version: i64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageHistory {
    message_id: Uuid,
    /// The first wording first.
    data: Vec<MessageVersion>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageVersion {
    /// The version in which the message got these words.
    version: u64,
    content: String,
    at: Time,
}

/// From where on events are wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct EventsAfter {
    /// The last number that the client has; 0 before the first.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    after_seq: i64,
    #[schema(minimum = 1, maximum = 500, default = 500)]
    limit: Option<i64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RoomEventPage {
    /// In the order of their numbers, without gaps.
    events: Vec<RoomEvent>,
    /// The newest number of the room.
    last_seq: i64,
    has_more: bool,
}

/// A durable event, as sockets get it.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct RoomEvent {
    /// The name of the socket event.
    event: String,
    /// The payload of the socket event.
    data: Value,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct DirectMessagePage {
    /// In the order of their numbers.
    data: Vec<Message>,
    page: MessageEnds,
    conversation_id: Uuid,
    /// The number of the last event of the conversation; 0 before anything was said.
    last_seq: i64,
    my: LastRead,
    /// How far the other has read; null where they do not let that be seen.
    other_last_read_seq: Option<i64>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct LastRead {
    /// The number of the last event that was read. In rooms, what was before someone came counts as read.
    last_read_seq: i64,
}

/// One of the two. Of one who was erased, or cannot be shown yet, there is the id only.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Participant {
    id: Uuid,
    full_name: Option<String>,
    username: Option<String>,
    profile_picture_url: Option<String>,
    bio: Option<String>,
    education_level: Option<String>,
    institution: Option<String>,
    languages: Vec<String>,
    time_zone: Option<String>,
    availability: Vec<TimeSlot>,
    goals: Option<String>,
    subjects: Vec<StudySubject>,
    role: Option<String>,
    is_verified: bool,
    created_at: Option<Time>,
    updated_at: Option<Time>,
    /// Whether they are there; null when nobody can tell.
    presence: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ConversationSummary {
    conversation_id: Uuid,
    /// The reader first.
    participants: Vec<Participant>,
    /// Null while it cannot be shown.
    last_message: Option<Message>,
    /// Messages of the other that the reader has not read.
    unread_count: i64,
    last_read_seq: i64,
    /// How far the other has read; null where they do not let that be seen.
    other_last_read_seq: Option<i64>,
    last_seq: i64,
    /// Whether the reader does not want to be told of it.
    is_muted: bool,
    updated_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ConversationFilter {
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` or `prevCursor` of a page.
    cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ConversationReadUpTo {
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    last_read_seq: i64,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ConversationRead {
    last_read_seq: i64,
    unread_count: i64,
}

/// Which messages are searched for.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct MessageSearchFilter {
    /// Words that a message must have, all of them.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    q: String,
    /// Only what was said in this room.
    room_id: Option<Uuid>,
    /// Only what this person said.
    from: Option<Uuid>,
    /// Only what was said before: RFC 3339 with an offset.
    #[schema(format = DateTime)]
    before: Option<String>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` or `prevCursor` of a page with the same filters.
    cursor: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct FoundMessage {
    message: Message,
    /// Where the words stand in `content`.
    highlights: Vec<Highlight>,
}

/// A part of a text, counted in characters (Unicode scalar values).
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Highlight {
    start: u32,
    end: u32,
}

/// Where the answer has the id of the message.
const MESSAGE: &[(&str, &str)] = &[("messageId", "$response.body#/id")];

pub(in crate::routes) fn direct() -> Doc {
    Doc::new("listDirectMessages", "Read what the caller and one person said to each other")
        .text("Before anything was said the page is empty, whoever the other is.")
        .query::<messages::Window, MessageWindow>()
        .answers::<DirectMessagePage>(200, "Messages in their order.")
}

pub(in crate::routes) fn post_direct() -> Doc {
    Doc::new("postDirectMessage", "Say something to one person")
        .text("With the same `clientMessageId` it is said once; a repeat is answered 200.")
        .body::<changes::Post, NewMessage>()
        .answers::<Message>(201, "The message.")
        .located()
        .leads("markConversationRead", &[("conversationId", "$response.body#/conversationId")])
        .leads("listDirectMessages", &[("userId", "$request.path.userId")])
        .leads("getMessage", MESSAGE)
        .leads("editMessage", MESSAGE)
        .leads("deleteMessage", MESSAGE)
        .leads("addReaction", MESSAGE)
        .leads("removeReaction", MESSAGE)
        .leads("getMessageHistory", MESSAGE)
        .answers::<Message>(200, "The message, which was said before.")
        .located()
        .refuses(&[&problems::RECIPIENT_UNAVAILABLE, &problems::LIMIT_REACHED])
}

pub(in crate::routes) fn conversations() -> Doc {
    Doc::new("listConversations", "List the caller's conversations, the liveliest first")
        .query::<direct::Conversations, ConversationFilter>()
        .answers_page::<ConversationSummary>("A page of conversations.")
}

pub(in crate::routes) fn mark_read() -> Doc {
    Doc::new("markConversationRead", "Say how far the caller has read a conversation")
        .text("Only forward: a lower number changes nothing.")
        .body::<direct::Read, ConversationReadUpTo>()
        .answers::<ConversationRead>(200, "How far the caller has read now.")
}

pub(in crate::routes) fn mute() -> Doc {
    Doc::new("muteConversation", "Want no notice of what is said in a conversation")
        .answers_nothing(204, "It is muted, for the caller only.")
}

pub(in crate::routes) fn unmute() -> Doc {
    Doc::new("unmuteConversation", "Want notice of what is said again")
        .answers_nothing(204, "It is not muted.")
}

pub(in crate::routes) fn search() -> Doc {
    Doc::new("searchMessages", "Find messages by their words")
        .text("Of what the caller may read now: rooms they belong to, and their conversations.")
        .query::<search::Search, MessageSearchFilter>()
        .answers_page::<FoundMessage>("A page of messages, the latest first.")
}

pub(in crate::routes) fn post_to_room() -> Doc {
    Doc::new("postRoomMessage", "Say something in a room")
        .text("With the same `clientMessageId` it is said once; a repeat is answered 200.")
        .body::<changes::Post, NewMessage>()
        .answers::<Message>(201, "The message.")
        .located()
        .leads("getMessage", MESSAGE)
        .leads("editMessage", MESSAGE)
        .leads("deleteMessage", MESSAGE)
        .leads("addReaction", MESSAGE)
        .leads("removeReaction", MESSAGE)
        .leads("getMessageHistory", MESSAGE)
        .answers::<Message>(200, "The message, which was said before.")
        .located()
        .refuses(&[&problems::NOT_A_MEMBER, &problems::FORBIDDEN, &problems::ROOM_INACTIVE])
}

pub(in crate::routes) fn events_of_room() -> Doc {
    Doc::new("listRoomEvents", "Read what happened in a room since a number")
        .text("Everything that sockets hear and that lasts: messages, edits, deletions, reactions, members. Numbers of the moment (`onlineCount`) are those of now.")
        .query::<events::After, EventsAfter>()
        .answers::<RoomEventPage>(200, "Events in their order.")
        .refuses(&[&problems::NOT_A_MEMBER, &problems::BANNED, &problems::RESYNC_REQUIRED])
}

pub(in crate::routes) fn show() -> Doc {
    Doc::new("getMessage", "Get one message").answers::<Message>(200, "The message.").etag()
}

pub(in crate::routes) fn edit() -> Doc {
    Doc::new("editMessage", "Give a message other words")
        .text("For its author, for a while. The same words change nothing.")
        .body::<changes::Edit, MessageEdit>()
        .answers::<Message>(200, "The message.")
        .etag()
        .if_match()
        .refuses(&[
            &problems::FORBIDDEN,
            &problems::EDIT_WINDOW_CLOSED,
            &problems::LIMIT_REACHED,
            &problems::RECIPIENT_UNAVAILABLE,
            &problems::VERSION_CONFLICT,
            &problems::ROOM_INACTIVE,
            &problems::GONE,
        ])
}

pub(in crate::routes) fn delete() -> Doc {
    Doc::new("deleteMessage", "Take a message back")
        .text("For its author and for those who keep order. Its number stays, its words go.")
        .optional_body::<changes::Delete, MessageDeletion>()
        .answers_nothing(204, "It says nothing any more.")
        .if_match()
        .refuses(&[&problems::FORBIDDEN, &problems::VERSION_CONFLICT])
}

pub(in crate::routes) fn history() -> Doc {
    Doc::new("getMessageHistory", "Read every wording that a message had")
        .text("For its author and for those who keep order.")
        .answers::<MessageHistory>(200, "The wordings.")
        .refuses(&[&problems::FORBIDDEN, &problems::GONE])
}

pub(in crate::routes) fn react() -> Doc {
    Doc::new("addReaction", "Answer a message with an emoji")
        .text("An emoji of Unicode's list, or its short code. Setting it again changes nothing.")
        .answers::<ReactionsAfter>(200, "The reactions.")
        .etag()
        .if_match()
        .refuses(&[
            &problems::VALIDATION_FAILED,
            &problems::GONE,
            &problems::LIMIT_REACHED,
            &problems::RECIPIENT_UNAVAILABLE,
            &problems::ROOM_INACTIVE,
            &problems::FORBIDDEN,
        ])
}

pub(in crate::routes) fn unreact() -> Doc {
    Doc::new("removeReaction", "Take an emoji back")
        .answers_nothing(204, "The caller does not set it.")
        .if_match()
        .refuses(&[&problems::VALIDATION_FAILED, &problems::GONE, &problems::ROOM_INACTIVE])
}

pub(in crate::routes) fn of_room() -> Doc {
    Doc::new("listRoomMessages", "Read the messages of a room")
        .text("For members. Give one of `before`, `after` and `around`, or none for the newest.")
        .query::<messages::Window, MessageWindow>()
        .answers::<MessagePage>(200, "Messages in their order.")
        .refuses(&[&problems::NOT_A_MEMBER, &problems::BANNED])
}
