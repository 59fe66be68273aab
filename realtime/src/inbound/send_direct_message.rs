//! `send_direct_message`: the same command as over HTTP. Both hear what was recorded.
use commands::{SendDirectMessage, SentMessage, Written};
use domain::{MessageId, MessageType, UserId, text::MessageBody};
use serde_json::Value;
use uuid::Uuid;

use super::{
    fields::{Fields, id, text},
    send_message::message_type,
};
use crate::{connection::Connection, node::Node, reply::Refusal};

impl Node {
    /// Answers when the message is recorded.
    pub(super) async fn send_direct_message(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Written<SentMessage>, Refusal> {
        let mut request = read(data)?;
        let recipient_id = request.recipient_id;
        // A hint only: without it, more beginnings are counted.
        let members = self.read_models.members();
        match members.shared(connection.user_id, recipient_id).await {
            Ok(rooms) => request.shared_rooms = rooms,
            Err(error) => tracing::debug!(error = %error, "rooms of two people are not known"),
        }
        let written =
            self.commands.send_direct_message(&connection.caller(), request, None).await?;
        self.stop_writing(connection, recipient_id);
        Ok(written)
    }
}

fn read(data: Value) -> Result<SendDirectMessage, Refusal> {
    let mut fields = Fields::new(data)?;
    let recipient_id = fields.required("recipientId", id::<UserId>);
    let client_message_id = fields.optional("clientMessageId", id::<Uuid>);
    let content = fields.required("content", |value| MessageBody::parse(text(value)?));
    let message_type = fields.optional("messageType", message_type);
    let reply_to_id = fields.optional("replyToId", id::<MessageId>);
    let read = recipient_id.zip(content).map(|(recipient_id, content)| SendDirectMessage {
        recipient_id,
        client_message_id,
        content,
        message_type: message_type.unwrap_or(MessageType::Text),
        reply_to_id,
        shared_rooms: Vec::new(),
    });
    fields.finish(read)
}
