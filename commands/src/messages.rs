//! Messages: saying something in a room, once.
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    ConversationEvent, ConversationId, MessageFacts, MessageId, MessagePlace, MessageType, Room,
    RoomCommand, RoomEvent, RoomId, UserId, message::MessageEvent, room::PostMessage,
    text::MessageBody,
};
use platform::ids::new_id;
use serde::{Deserialize, Serialize};
use tracing::field;
use uuid::Uuid;

mod changes;
mod direct;

pub(crate) use changes::Turns;
pub use changes::{DeleteMessage, EditMessage};
pub use direct::SendDirectMessage;

use crate::{
    Caller, CommandError, Commands, FieldError, IdempotencyKey, Written,
    bus::{Context, RequestKey},
    metadata,
    requests::{Timer, replay},
};

/// How long a client may repeat a message without saying it twice: a phone that was off for weeks
/// still has its outbox.
const KEEP: Duration = Duration::from_hours(30 * 24);

/// What someone wants to say.
#[derive(Clone, Debug)]
pub struct SendMessage {
    /// Where.
    pub room_id: RoomId,
    /// The client's own id of the message: makes it safe to repeat.
    pub client_message_id: Option<Uuid>,
    /// What.
    pub content: MessageBody,
    /// What kind it is.
    pub message_type: MessageType,
    /// What it answers: a message of the same room.
    pub reply_to_id: Option<MessageId>,
}

/// What was said. Kept, sealed under the author's key, as the answer to a repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentMessage {
    /// Which message.
    pub message_id: MessageId,
    /// Where it was said, if in a room.
    #[serde(default)]
    pub room_id: Option<RoomId>,
    /// Where it was said, if to one person.
    #[serde(default)]
    pub conversation_id: Option<ConversationId>,
    /// To whom it was said, if to one person.
    #[serde(default)]
    pub recipient_id: Option<UserId>,
    /// Who said it.
    pub sender_id: UserId,
    /// What they were called then; `None` when nobody can tell.
    pub sender_name: Option<String>,
    /// What was said.
    pub content: String,
    /// What kind it is.
    pub message_type: MessageType,
    /// The client's own id of the message.
    pub client_message_id: Option<String>,
    /// What it answers.
    #[serde(default)]
    pub reply_to_id: Option<MessageId>,
    /// When.
    pub created_at: DateTime<Utc>,
    /// What became of it since, for a repetition: the words of then may have been taken back.
    #[serde(skip)]
    pub now: Option<Box<MessageFacts>>,
}

impl Commands {
    /// Says something in a room. With the same client message id it is said once, and every
    /// repetition gets the first answer. So it is with an idempotency key.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member`, `forbidden` for the banned and the
    /// muted, or `room_inactive`; [`CommandError::Invalid`] for an answer to what was not said in this room;
    /// [`CommandError::IdempotencyKeyReused`] when the client message id, or the key, came with
    /// something else.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id,
        user.id = %caller.user_id,
        room.id = %request.room_id,
        message.id = field::Empty,
    ))]
    pub async fn send_message(
        &self,
        caller: &Caller,
        request: SendMessage,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<SentMessage>, CommandError> {
        let _timer = Timer::start("send_message");
        let SendMessage { room_id, client_message_id, content, message_type, reply_to_id } =
            request;
        let author_id = caller.user_id;
        let own = client_message_id.map(|id| {
            let key = format!("message/{author_id}/{room_id}/{id}");
            self.own_key(key, message_type, &content, reply_to_id)
        });
        let context = Context::new(metadata(Some(author_id), &caller.request_id))
            .with_idempotency(self.keep_answer_for(own, key, caller, |events, _| sent(events)));
        // Who may not read here is told nothing of what was said: the room refuses them, unless they
        // repeat what they said while they were a member.
        let place = MessagePlace::Room(room_id);
        if let Some(id) = reply_to_id
            && self.may_read(author_id, place).await?
        {
            self.require_said_in(id, place).await?;
        }
        // Who may speak here is decided together with the recording, not before.
        let command = RoomCommand::PostMessage(PostMessage {
            message_id: MessageId(new_id()),
            author_id,
            author_name: self.name_of(author_id).await?,
            message_type,
            content,
            client_message_id: client_message_id.map(|id| id.to_string()),
            reply_to_id,
            at: self.now(),
        });
        let executed =
            self.inner.bus.execute::<Room>(&room_id.to_string(), command, context).await?;
        let value: SentMessage = if executed.replayed {
            self.as_it_is_now(replay(executed.answer)?).await?
        } else {
            sent(&executed.events)
                .ok_or_else(|| CommandError::unavailable("a message left no trace"))?
        };
        tracing::Span::current().record("message.id", field::display(value.message_id));
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }
}

impl Commands {
    /// A message under its client's own id, which is remembered for longer than other keys, and known
    /// to sockets as well.
    fn own_key(
        &self,
        key: String,
        message_type: MessageType,
        content: &MessageBody,
        reply_to_id: Option<MessageId>,
    ) -> RequestKey {
        let replies_to = reply_to_id.map(|id| id.to_string());
        let mut asked = vec![message_type.as_str().as_bytes(), content.as_str().as_bytes()];
        asked.extend(replies_to.iter().map(String::as_bytes));
        RequestKey { key, request_hash: self.inner.hasher.hash(&asked), keep: KEEP }
    }

    /// What was said before, with what became of it since.
    async fn as_it_is_now(&self, said: SentMessage) -> Result<SentMessage, CommandError> {
        let stream = self.store().message(said.message_id).await?;
        let facts = stream.and_then(|it| MessageFacts::fold(&it.events, it.as_of));
        Ok(SentMessage { now: facts.map(Box::new), ..said })
    }

    /// What a message answers must stand in the same place. Where a message was said never changes,
    /// so this needs no part in the decision.
    async fn require_said_in(
        &self,
        id: MessageId,
        place: MessagePlace,
    ) -> Result<(), CommandError> {
        let stream = self.store().message(id).await?;
        let facts = stream.and_then(|it| MessageFacts::fold(&it.events, it.as_of));
        if facts.is_some_and(|facts| facts.place == place) {
            return Ok(());
        }
        Err(CommandError::Invalid(vec![FieldError {
            pointer: "/replyToId".to_owned(),
            code: "not_found",
            detail: "there is no such message here".to_owned(),
        }]))
    }
}

/// The message that was said.
fn sent<E: AboutMessages>(events: &[E]) -> Option<SentMessage> {
    let said = events.iter().find_map(|event| match event.about() {
        Some(MessageEvent::Said(said)) => Some(said),
        _ => None,
    })?;
    let (room_id, conversation_id) = match said.place {
        MessagePlace::Room(room_id) => (Some(room_id), None),
        MessagePlace::Conversation(id) => (None, Some(id)),
    };
    Some(SentMessage {
        message_id: said.message_id,
        room_id,
        conversation_id,
        recipient_id: said.recipient_id,
        sender_id: said.author_id,
        sender_name: said.author_name.known().map(|name| name.as_str().to_owned()),
        content: said.content.known()?.as_str().to_owned(),
        message_type: said.message_type,
        client_message_id: said.client_message_id.map(str::to_owned),
        reply_to_id: said.reply_to_id,
        created_at: said.at,
        now: None,
    })
}

/// Events of aggregates that hold messages.
trait AboutMessages {
    fn about(&self) -> Option<MessageEvent<'_>>;
}

impl AboutMessages for RoomEvent {
    fn about(&self) -> Option<MessageEvent<'_>> {
        self.about_message()
    }
}

impl AboutMessages for ConversationEvent {
    fn about(&self) -> Option<MessageEvent<'_>> {
        self.about_message()
    }
}

#[cfg(test)]
mod tests {
    use domain::{Personal, text::FullName};

    use super::*;
    use crate::requests::stored;

    fn posted() -> RoomEvent {
        RoomEvent::MessagePosted {
            room_id: RoomId(Uuid::from_u128(1)),
            message_id: MessageId(Uuid::from_u128(2)),
            author_id: UserId(Uuid::from_u128(3)),
            author_name: FullName::parse("Ana López").unwrap().into(),
            message_type: MessageType::Text,
            content: MessageBody::parse("exam moved").unwrap().into(),
            client_message_id: Some("4".to_owned()),
            reply_to_id: None,
            message_count: 7,
            at: DateTime::from_timestamp_millis(1_800_000_000_123).unwrap(),
        }
    }

    #[test]
    fn a_repetition_reads_like_the_first_answer() {
        let first = sent(&[posted()]).unwrap();
        assert_eq!(first.sender_name.as_deref(), Some("Ana López"));
        assert_eq!(replay::<SentMessage>(Some(stored(&sent(&[posted()])))).unwrap(), first);
    }

    #[test]
    fn an_erased_message_has_no_answer() {
        let mut event = posted();
        if let RoomEvent::MessagePosted { content, .. } = &mut event {
            *content = Personal::Erased;
        }
        assert_eq!(sent(&[event]), None);
        assert_eq!(sent::<RoomEvent>(&[]), None);
    }
}
