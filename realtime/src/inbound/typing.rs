//! `typing`: checked in memory, told to all nodes, never stored.
use std::time::{Duration, Instant};

use domain::RoomId;
use serde_json::{Value, json};

use super::fields::{Fields, flag, id};
use crate::{codes, connection::Connection, node::Node, reply::Refusal};

impl Node {
    pub(super) async fn typing(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let room_id = fields.required("roomId", id::<RoomId>);
        let is_typing = fields.required("isTyping", flag);
        let (room_id, is_typing) = fields.finish(room_id.zip(is_typing))?;
        let subscription = connection
            .subscription(room_id)
            .ok_or_else(|| Refusal::new(codes::NOT_IN_ROOM, "join the room first"))?;
        let least = Duration::from_millis(self.settings.typing_interval_ms);
        // Asked first: who is not seen typing is not seen stopping either.
        let visible = self.commands.shows_typing(connection.user_id).await?;
        let passes = visible && subscription.typing.lock().pass(is_typing, Instant::now(), least);
        if passes {
            self.tell_typing(room_id, connection.user_id, is_typing);
        }
        Ok(json!({}))
    }
}
