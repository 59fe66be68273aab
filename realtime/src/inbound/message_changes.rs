//! `edit_message`, `delete_message`, `add_reaction`, `remove_reaction`: the same commands as over
//! HTTP. The room hears what was recorded.
use commands::{CommandError, DeleteMessage, EditMessage, FieldError};
use domain::{
    Emoji, MAX_SAFE_INTEGER, MessageError, MessageId, Rejection as _,
    text::{DeletionReason, MessageBody},
};
use serde_json::{Value, json};

use super::fields::{Fields, id, text, whole};
use crate::{
    connection::Connection,
    node::Node,
    payload::{MessageView, reactions_of},
    reply::Refusal,
};

impl Node {
    pub(super) async fn edit_message(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let request = edit(data)?;
        let edited = self.commands.edit_message(&connection.caller(), request).await;
        let edited = edited.map_err(refusal)?;
        Ok(json!({ "message": MessageView::now_for(&edited.value, connection.user_id) }))
    }

    pub(super) async fn delete_message(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let request = delete(data)?;
        let message_id = request.message_id;
        let deleted = self.commands.delete_message(&connection.caller(), request).await;
        let deleted = deleted.map_err(refusal)?;
        let seq = match deleted.receipt {
            Some(receipt) => self.commands.place(receipt).await?.and_then(|it| it.channel_seq),
            None => deleted.value.deletion.and_then(|deletion| deletion.seq),
        };
        Ok(json!({ "messageId": message_id, "seq": seq }))
    }

    pub(super) async fn react(
        &self,
        connection: &Connection,
        data: Value,
        add: bool,
    ) -> Result<Value, Refusal> {
        let (message_id, emoji) = reaction(data)?;
        let caller = connection.caller();
        let changed = if add {
            self.commands.add_reaction(&caller, message_id, emoji, None).await?
        } else {
            self.commands.remove_reaction(&caller, message_id, emoji, None).await?
        };
        let message = changed.value;
        let reactions = reactions_of(&message, connection.user_id);
        Ok(json!({ "messageId": message_id, "reactions": reactions, "version": message.version }))
    }
}

fn edit(data: Value) -> Result<EditMessage, Refusal> {
    let mut fields = Fields::new(data)?;
    let message_id = fields.required("messageId", id::<MessageId>);
    let content = fields.required("content", |value| MessageBody::parse(text(value)?));
    let expected_version = expected_version(&mut fields);
    let read = message_id.zip(content);
    fields.finish(read.map(|(message_id, content)| EditMessage {
        message_id,
        content,
        expected_version,
    }))
}

fn delete(data: Value) -> Result<DeleteMessage, Refusal> {
    let mut fields = Fields::new(data)?;
    let message_id = fields.required("messageId", id::<MessageId>);
    let reason = fields.optional("reason", |value| DeletionReason::parse(text(value)?));
    let expected_version = expected_version(&mut fields);
    fields.finish(message_id.map(|message_id| DeleteMessage {
        message_id,
        reason,
        expected_version,
    }))
}

fn reaction(data: Value) -> Result<(MessageId, Emoji), Refusal> {
    let mut fields = Fields::new(data)?;
    let message_id = fields.required("messageId", id::<MessageId>);
    let emoji = fields.required("emoji", |value| Emoji::parse(text(value)?));
    fields.finish(message_id.zip(emoji))
}

fn expected_version(fields: &mut Fields) -> Option<u64> {
    let version = fields.optional("expectedVersion", |value| whole(value, 1, MAX_SAFE_INTEGER))?;
    u64::try_from(version).ok()
}

/// A version that was expected in vain is a fault of one field; the current one is told.
fn refusal(error: CommandError) -> Refusal {
    let CommandError::VersionMismatch { current } = error else { return error.into() };
    let conflict = MessageError::VersionConflict { current: current.unsigned_abs() };
    let mut refusal = Refusal::new(conflict.code(), conflict.to_string());
    refusal.current_version = Some(current);
    refusal.errors = vec![FieldError {
        pointer: "/expectedVersion".to_owned(),
        code: conflict.code(),
        detail: refusal.message.clone(),
    }];
    refusal
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &str = "00000000-0000-0000-0000-000000000001";

    fn refused<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> Vec<(String, &'static str)> {
        let pair = |FieldError { pointer, code, .. }| (pointer, code);
        outcome.unwrap_err().errors.into_iter().map(pair).collect()
    }

    #[test]
    fn an_edit_names_the_message_and_the_words() {
        let read = edit(json!({ "messageId": MESSAGE, "content": " hi ", "expectedVersion": 2 }));
        let read = read.unwrap();
        assert_eq!((read.content.as_str(), read.expected_version), ("hi", Some(2)));
        assert_eq!(
            refused(edit(json!({ "messageId": "x", "content": " ", "expectedVersion": 0 }))),
            [
                ("/messageId".to_owned(), "invalid_id"),
                ("/content".to_owned(), "blank"),
                ("/expectedVersion".to_owned(), "out_of_range"),
            ]
        );
    }

    #[test]
    fn only_emoji_are_reactions() {
        let thumb = reaction(json!({ "messageId": MESSAGE, "emoji": ":thumbsup:" })).unwrap();
        assert_eq!(thumb.1.as_str(), "👍");
        for (emoji, code) in [
            (json!("x."), "invalid_emoji"),
            (json!("__proto__"), "invalid_emoji"),
            (json!({ "$gt": "" }), "wrong_type"),
            (json!(1), "wrong_type"),
            (json!("👍".repeat(250_000)), "invalid_emoji"),
        ] {
            let data = json!({ "messageId": MESSAGE, "emoji": emoji });
            assert_eq!(refused(reaction(data)), [("/emoji".to_owned(), code)]);
        }
    }

    #[test]
    fn a_version_that_is_not_current_is_told_with_the_current_one() {
        let refusal = refusal(CommandError::VersionMismatch { current: 7 });
        assert_eq!(refusal.code, "version_conflict");
        assert!(refusal.errors[0].detail.contains('7'), "{refusal:?}");
        assert_eq!(refusal.body()["currentVersion"], 7);
    }
}
