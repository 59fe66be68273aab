//! Messages.
use std::collections::HashMap;

use domain::UserId;
use projections::{MessageRow, UserShort};
use serde_json::{Value, json};

use super::time;

/// `Message` as `reader` sees it. What an erased person said reads like a deleted message: the
/// number stays.
pub(crate) fn message(
    message: &MessageRow,
    reader: UserId,
    people: &HashMap<UserId, UserShort>,
) -> Value {
    let avatar = people.get(&message.sender_id).and_then(|it| it.profile_picture_url.as_deref());
    let mut shape = json!({
        "id": message.id,
        "seq": message.seq,
        "roomId": message.room_id,
        "senderId": message.sender_id,
        "senderName": message.sender_name,
        "senderAvatarUrl": avatar,
        "content": message.content.as_deref().unwrap_or(""),
        "messageType": message.message_type,
        "attachments": message.attachments,
        "replyToId": null,
        "reactions": message.reactions,
        "isEdited": message.is_edited,
        "editedAt": null,
        "isDeleted": message.is_deleted || message.content.is_none(),
        "deletedAt": null,
        "createdAt": time(message.created_at),
        "version": message.version,
    });
    // The sender's own id of a message is nobody else's business.
    if let Some(own) = message.client_message_id.as_ref().filter(|_| message.sender_id == reader) {
        shape["clientMessageId"] = json!(own);
    }
    shape
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{MessageId, RoomId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn only_its_sender_sees_the_clients_own_id() {
        let (ana, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let row = MessageRow {
            id: MessageId(Uuid::nil()),
            room_id: RoomId(Uuid::nil()),
            seq: 3,
            sender_id: ana,
            sender_name: None,
            content: None,
            message_type: "text".to_owned(),
            attachments: vec![],
            reactions: vec![],
            is_edited: false,
            is_deleted: false,
            client_message_id: Some("c1".to_owned()),
            created_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            version: 1,
        };
        let nobody = HashMap::new();
        assert_eq!(message(&row, ana, &nobody)["clientMessageId"], "c1");
        let seen_by_ben = message(&row, ben, &nobody);
        assert!(seen_by_ben.get("clientMessageId").is_none());
        assert_eq!(seen_by_ben["senderName"], Value::Null);
        assert_eq!(seen_by_ben["content"], "");
        assert_eq!(seen_by_ben["isDeleted"], true);
    }
}
