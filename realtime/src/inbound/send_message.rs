//! `send_message`: the same command as over HTTP. The room hears what was recorded.
use commands::{CommandError, SendMessage, SentMessage, Written};
use domain::{MessageId, MessagePlace, MessageType, RoomId, Violation, text::MessageBody};
use serde_json::{Value, json};
use uuid::Uuid;

use super::fields::{Fields, id, text};
use crate::{connection::Connection, node::Node, payload::MessageView, reply::Refusal};

impl Node {
    /// Answers when the message is recorded.
    pub(super) async fn send_message(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Written<SentMessage>, Refusal> {
        let request = read(data)?;
        let room_id = request.room_id;
        let written = self.commands.send_message(&connection.caller(), request, None).await?;
        if let Some(subscription) = connection.subscription(room_id) {
            self.stop_typing(&subscription);
        }
        Ok(written)
    }

    /// What the sender is told of a recorded message.
    pub(crate) async fn sent(&self, written: &Written<SentMessage>) -> Value {
        let seq = self.number(written).await;
        let message = MessageView::sent(&written.value, seq);
        let mut data = json!({ "message": message, "duplicate": written.replayed });
        if let Some(conversation_id) = written.value.conversation_id {
            data["conversationId"] = json!(conversation_id);
        }
        data
    }

    /// The message's number in its room; `None` if it is not known in time. The message is
    /// recorded either way, so there is nothing to refuse.
    async fn number(&self, written: &Written<SentMessage>) -> Option<i64> {
        if let Some(receipt) = written.receipt {
            match self.commands.place(receipt).await {
                Ok(placed) => return placed?.channel_seq,
                Err(error) => return not_numbered(&error),
            }
        }
        // Said before: the read model knows, unless it is younger than that.
        let SentMessage { message_id, room_id, conversation_id, .. } = written.value;
        let place = match conversation_id {
            Some(id) => MessagePlace::Conversation(id),
            None => MessagePlace::Room(room_id?),
        };
        match self.read_models.messages().get(place, message_id).await {
            Ok(row) => Some(row?.seq),
            Err(error) => not_numbered(&CommandError::unavailable(error)),
        }
    }
}

fn not_numbered(error: &CommandError) -> Option<i64> {
    tracing::warn!(error = %error, "a message is acknowledged without its number");
    None
}

fn read(data: Value) -> Result<SendMessage, Refusal> {
    let mut fields = Fields::new(data)?;
    let room_id = fields.required("roomId", id::<RoomId>);
    let client_message_id = fields.optional("clientMessageId", id::<Uuid>);
    let content = fields.required("content", |value| MessageBody::parse(text(value)?));
    let message_type = fields.optional("messageType", message_type);
    let reply_to_id = fields.optional("replyToId", id::<MessageId>);
    let read = room_id.zip(content).map(|(room_id, content)| SendMessage {
        room_id,
        client_message_id,
        content,
        message_type: message_type.unwrap_or(MessageType::Text),
        reply_to_id,
    });
    fields.finish(read)
}

pub(super) fn message_type(value: &Value) -> Result<MessageType, Violation> {
    match text(value)? {
        "text" => Ok(MessageType::Text),
        _ => Err(Violation::new("not_allowed", "only \"text\" can be sent")),
    }
}

#[cfg(test)]
mod tests {
    use commands::FieldError;

    use super::*;

    const ROOM: &str = "00000000-0000-0000-0000-000000000001";

    fn refused(data: Value) -> Vec<(String, &'static str)> {
        let pair = |FieldError { pointer, code, .. }| (pointer, code);
        read(data).unwrap_err().errors.into_iter().map(pair).collect()
    }

    #[test]
    fn a_message_needs_a_room_and_a_content() {
        let message = read(json!({ "roomId": ROOM, "content": " hello " })).unwrap();
        assert_eq!(message.content.as_str(), "hello");
        assert_eq!(message.message_type, MessageType::Text);
        assert_eq!(
            refused(json!({})),
            [("/roomId".to_owned(), "required"), ("/content".to_owned(), "required")]
        );
    }

    #[test]
    fn nobody_says_who_they_are() {
        for field in ["senderId", "senderName", "userId", "createdAt", "seq"] {
            let data = json!({ "roomId": ROOM, "content": "x", (field): "00000000" });
            assert_eq!(refused(data), [(format!("/{field}"), "unknown_field")]);
        }
    }

    #[test]
    fn system_messages_are_not_for_clients() {
        for kind in ["system", "file", "Text", ""] {
            let data = json!({ "roomId": ROOM, "content": "x", "messageType": kind });
            assert_eq!(refused(data), [("/messageType".to_owned(), "not_allowed")]);
        }
        assert!(read(json!({ "roomId": ROOM, "content": "x", "messageType": "text" })).is_ok());
    }

    #[test]
    fn blank_and_endless_messages_are_refused() {
        let blank = refused(json!({ "roomId": ROOM, "content": " \n " }));
        assert_eq!(blank, [("/content".to_owned(), "blank")]);
        let endless = refused(json!({ "roomId": ROOM, "content": "x".repeat(4001) }));
        assert_eq!(endless, [("/content".to_owned(), "too_long")]);
        let id = json!({ "roomId": ROOM, "content": "x", "clientMessageId": 7 });
        assert_eq!(refused(id), [("/clientMessageId".to_owned(), "wrong_type")]);
    }
}
