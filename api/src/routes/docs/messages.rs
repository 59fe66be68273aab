//! `/api/messages`.
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Time;
use crate::{openapi::Doc, problems, routes::messages};

/// A message. A deleted one keeps its number and loses its content.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Message {
    id: Uuid,
    /// Its number in the room, without gaps.
    seq: i64,
    room_id: Uuid,
    sender_id: Uuid,
    sender_name: Option<String>,
    sender_avatar_url: Option<String>,
    content: String,
    message_type: MessageType,
    attachments: Vec<Value>,
    reply_to_id: Option<Uuid>,
    reactions: Vec<Value>,
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

pub(in crate::routes) fn of_room() -> Doc {
    Doc::new("listRoomMessages", "Read the messages of a room")
        .text("For members. Give one of `before`, `after` and `around`, or none for the newest.")
        .query::<messages::Window, MessageWindow>()
        .answers::<MessagePage>(200, "Messages in their order.")
        .refuses(&[&problems::NOT_A_MEMBER])
}
