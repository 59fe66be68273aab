//! Messages.
use std::collections::HashMap;

use commands::SentMessage;
use domain::{
    MessagePlace, RoomId, UserId,
    message::{MessageVersion, ReactionKind},
    text::MessageBody,
};
use projections::{MessageRow, UserShort};
use serde_json::{Value, json};
use uuid::Uuid;

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
        "seq": (message.seq > 0).then_some(message.seq),
        "roomId": message.room_id(),
        "senderId": message.sender_id,
        "senderName": message.sender_name,
        "senderAvatarUrl": avatar,
        "content": message.content.as_deref().unwrap_or(""),
        "messageType": message.message_type,
        "attachments": message.attachments,
        "replyToId": message.reply_to_id,
        "reactions": if message.content.is_some() { reactions(message) } else { vec![] },
        "isEdited": message.edited_at.is_some(),
        "editedAt": message.edited_at.map(time),
        "isDeleted": message.is_deleted || message.content.is_none(),
        "deletedAt": message.deleted_at.map(time),
        "createdAt": time(message.created_at),
        "version": message.version,
    });
    if let Some(conversation_id) = message.conversation_id() {
        shape["conversationId"] = json!(conversation_id);
        shape["recipientId"] = json!(message.recipient_id);
    }
    // The sender's own id of a message is nobody else's business.
    if let Some(own) = message.client_message_id.as_ref().filter(|_| message.sender_id == reader) {
        shape["clientMessageId"] = json!(own);
    }
    shape
}

/// What was said just now, to its sender; what was said before, as it is by now.
pub(crate) fn sent_message(sent: &SentMessage, seq: Option<i64>) -> Value {
    if let Some(facts) = &sent.now {
        let now = MessageRow::now(facts, sent.sender_id);
        let seq = if now.seq > 0 { now.seq } else { seq.unwrap_or(0) };
        return message(&MessageRow { seq, ..now }, sent.sender_id, &HashMap::new());
    }
    let row = MessageRow {
        id: sent.message_id,
        place: match (sent.conversation_id, sent.room_id) {
            (Some(id), _) => MessagePlace::Conversation(id),
            // One of the two is always there.
            (None, room_id) => MessagePlace::Room(room_id.unwrap_or(RoomId(Uuid::nil()))),
        },
        recipient_id: sent.recipient_id,
        seq: seq.unwrap_or(0),
        sender_id: sent.sender_id,
        sender_name: sent.sender_name.clone(),
        content: Some(sent.content.clone()),
        message_type: sent.message_type.as_str().to_owned(),
        attachments: vec![],
        reply_to_id: sent.reply_to_id,
        reactions: vec![],
        own_reactions: vec![],
        edited_at: None,
        is_deleted: false,
        deleted_at: None,
        client_message_id: sent.client_message_id.clone(),
        created_at: sent.created_at,
        version: 1,
    };
    message(&row, sent.sender_id, &HashMap::new())
}

/// One wording of a message.
pub(crate) fn message_version(version: &MessageVersion) -> Value {
    json!({
        "version": version.version,
        "content": version.content.known().map(MessageBody::as_str).unwrap_or_default(),
        "at": time(version.at),
    })
}

/// The reactions to a message, as its reader sees them.
pub(crate) fn reactions(message: &MessageRow) -> Vec<Value> {
    let one = |kind: &ReactionKind| {
        let emoji = kind.emoji.as_str();
        json!({
            "emoji": emoji,
            "count": kind.count,
            "userIds": kind.user_ids,
            "me": message.own_reactions.iter().any(|own| own == emoji),
        })
    };
    message.reactions.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::MessageId;

    use super::*;

    #[test]
    fn only_its_sender_sees_the_clients_own_id() {
        let (ana, ben) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let row = MessageRow {
            id: MessageId(Uuid::nil()),
            place: MessagePlace::Room(RoomId(Uuid::nil())),
            recipient_id: None,
            seq: 3,
            sender_id: ana,
            sender_name: None,
            content: None,
            message_type: "text".to_owned(),
            attachments: vec![],
            reply_to_id: None,
            reactions: vec![],
            own_reactions: vec![],
            edited_at: None,
            is_deleted: false,
            deleted_at: None,
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
