//! `mark_read`: how far the person has read. Only forward.
use domain::RoomId;
use serde_json::{Value, json};

use super::fields::{Fields, id, seq};
use crate::{connection::Connection, node::Node, reply::Refusal};

impl Node {
    pub(super) async fn mark_read(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let room_id = fields.required("roomId", id::<RoomId>);
        let last_read_seq = fields.required("lastReadSeq", seq);
        let (room_id, last_read_seq) = fields.finish(room_id.zip(last_read_seq))?;
        let caller = connection.caller();
        let written = self.commands.mark_room_read(&caller, room_id, last_read_seq).await?;
        let unread = self.unread(connection.user_id, room_id, written.value).await;
        Ok(json!({ "lastReadSeq": written.value, "unreadCount": unread }))
    }
}
