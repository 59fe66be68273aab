//! `mark_read`: how far the person has read. Only forward.
use domain::MessagePlace;
use serde_json::{Value, json};

use super::fields::{Fields, place_and_seq};
use crate::{connection::Connection, node::Node, reply::Refusal};

impl Node {
    pub(super) async fn mark_read(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let read = place_and_seq(&mut fields, "lastReadSeq");
        let (place, last_read_seq) = fields.finish(read)?;
        let caller = connection.caller();
        let written = match place {
            MessagePlace::Room(id) => {
                self.commands.mark_room_read(&caller, id, last_read_seq).await?
            }
            MessagePlace::Conversation(id) => {
                self.commands.mark_conversation_read(&caller, id, last_read_seq).await?
            }
        };
        let unread = self.unread_behind(connection.user_id, place, written.value).await;
        Ok(json!({ "lastReadSeq": written.value, "unreadCount": unread }))
    }
}
