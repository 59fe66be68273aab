//! Direct messages: saying something to one person, and wanting none from one.
use domain::{
    Conversation, ConversationCommand, ConversationError, ConversationId, MessageId, MessagePlace,
    MessageType, RejectionKind, RoomId, UserId,
    conversation::{Beginning, SendDirect},
    text::MessageBody,
    user::DmPolicy,
};
use platform::ids::new_id;
use tracing::field;
use uuid::Uuid;

use super::{SentMessage, sent};
use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::{Context, Executed, Idempotency},
    metadata,
    requests::{Timer, replay},
};

/// What stands between an author and a recipient.
struct Reach {
    reachable: bool,
    /// Whether it is one of the beginnings of the day.
    counted: bool,
}

/// Rooms that are looked at for people who belong to both.
const ROOMS_ASKED: usize = 10;

/// What someone wants to say to someone.
#[derive(Clone, Debug)]
pub struct SendDirectMessage {
    /// To whom.
    pub recipient_id: UserId,
    /// The client's own id of the message: makes it safe to repeat.
    pub client_message_id: Option<Uuid>,
    /// What.
    pub content: MessageBody,
    /// What kind it is.
    pub message_type: MessageType,
    /// What it answers: a message between the same people.
    pub reply_to_id: Option<MessageId>,
    /// Rooms to which both may belong: a hint, which is checked.
    pub shared_rooms: Vec<RoomId>,
}

impl Commands {
    /// Says something to one person. Repetitions are as in [`Commands::send_message`].
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `recipient_unavailable`, whatever the reason, or with
    /// `limit_reached` for too many new conversations with strangers; [`CommandError::Invalid`] for
    /// messages to oneself and answers to what was said elsewhere;
    /// [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, message.id = field::Empty,
    ))]
    pub async fn send_direct_message(
        &self,
        caller: &Caller,
        request: SendDirectMessage,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<SentMessage>, CommandError> {
        let _timer = Timer::start("send_direct_message");
        let (author_id, recipient_id) = (caller.user_id, request.recipient_id);
        let id = ConversationId::between(author_id, recipient_id);
        let Reach { reachable, counted } = self.reach(author_id, &request).await?;
        // Who is not reached is one answer, whatever else is wrong.
        if let Some(reply_to_id) = request.reply_to_id.filter(|_| reachable) {
            self.require_said_in(reply_to_id, MessagePlace::Conversation(id)).await?;
        }
        let at = self.now();
        let message = SendDirect {
            message_id: MessageId(new_id()),
            author_id,
            recipient_id,
            reachable,
            author_name: self.name_of(author_id).await?,
            message_type: request.message_type,
            content: request.content.clone(),
            client_message_id: request.client_message_id.map(|id| id.to_string()),
            reply_to_id: request.reply_to_id,
            beginning: None,
            at,
        };
        let most = self.inner.messages.max_new_conversations_per_day;
        let numbers = if counted { (1..=most).map(Some).collect() } else { vec![None] };
        let mut outcome = Err(CommandError::rejected(&ConversationError::TooManyBeginnings));
        for number in numbers {
            let beginning = number.map(|number| Beginning { day: at.date_naive(), number });
            let command = ConversationCommand::Send(SendDirect { beginning, ..message.clone() });
            let context = Context::new(metadata(Some(author_id), &caller.request_id))
                .with_idempotency(self.remembered(caller, id, &request, key.clone()));
            outcome = self
                .inner
                .bus
                .execute::<Conversation>(&id.to_string(), command, context)
                .await
                .map_err(|error| error.at("/recipientId"));
            // The number may be used up: the next one may not.
            if !outcome.as_ref().is_err_and(is_used_up) {
                break;
            }
        }
        let Executed { events, answer, receipt, replayed, .. } = outcome?;
        let value: SentMessage = if replayed {
            self.as_it_is_now(replay(answer)?).await?
        } else {
            sent(&events).ok_or_else(|| CommandError::unavailable("a message left no trace"))?
        };
        tracing::Span::current().record("message.id", field::display(value.message_id));
        Ok(Written { value, receipt, replayed })
    }

    /// Wants no messages from someone, and is not seen by them. Doing it again succeeds. It is recorded
    /// of whoever is named: who is blocked by somebody must not learn here that there is such a person.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] for oneself.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn block_user(
        &self,
        caller: &Caller,
        blocked: UserId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("block_user");
        let (by, at) = (caller.user_id, self.now());
        self.of_pair(caller, blocked, ConversationCommand::Block { by, blocked, at }).await
    }

    /// Allows messages from someone again. Without a block this succeeds.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like; never a refusal.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn unblock_user(
        &self,
        caller: &Caller,
        blocked: UserId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("unblock_user");
        let (by, at) = (caller.user_id, self.now());
        self.of_pair(caller, blocked, ConversationCommand::LiftBlock { by, blocked, at }).await
    }

    /// Checks from the truth that the person is one of the two, and says who the other is.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`: others cannot tell it from none.
    pub async fn require_participant(
        &self,
        user_id: UserId,
        conversation_id: ConversationId,
    ) -> Result<UserId, CommandError> {
        let id = conversation_id.to_string();
        let partner = self.inner.bus.state::<Conversation>(&id).await?.partner_of(user_id);
        partner.ok_or_else(|| {
            let message = "there is no such conversation";
            CommandError::refused(RejectionKind::NotFound, "not_found", message)
        })
    }

    /// What stands between two people, from the truth.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn between(&self, one: UserId, other: UserId) -> Result<Conversation, CommandError> {
        let id = ConversationId::between(one, other).to_string();
        self.inner.bus.state::<Conversation>(&id).await
    }

    /// Whether the caller wants to be told of what is said in a conversation. Asking for what holds
    /// succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, conversation.id = %id,
    ))]
    pub async fn mute_conversation(
        &self,
        caller: &Caller,
        id: ConversationId,
        muted: bool,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("mute_conversation");
        let command = ConversationCommand::SetMuted { by: caller.user_id, muted, at: self.now() };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let executed =
            self.inner.bus.execute::<Conversation>(&id.to_string(), command, context).await?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Takes note of how far the caller has read a conversation. Less than before changes nothing.
    /// Answers how far they have read now.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`.
    pub async fn mark_conversation_read(
        &self,
        caller: &Caller,
        conversation_id: ConversationId,
        last_read_seq: i64,
    ) -> Result<Written<i64>, CommandError> {
        self.require_participant(caller.user_id, conversation_id).await?;
        let channel = Conversation::channel_of(&conversation_id.to_string());
        self.mark_read(caller, channel, last_read_seq).await
    }

    async fn of_pair(
        &self,
        caller: &Caller,
        other: UserId,
        command: ConversationCommand,
    ) -> Result<Written<()>, CommandError> {
        let id = ConversationId::between(caller.user_id, other).to_string();
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let executed = self.inner.bus.execute::<Conversation>(&id, command, context).await;
        let executed = executed.map_err(|error| error.at("/userId"))?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Whether the recipient can be written to, and whether this is a beginning that is counted. A
    /// repetition is answered all the same: its first answer stands before any refusal.
    async fn reach(
        &self,
        author_id: UserId,
        request: &SendDirectMessage,
    ) -> Result<Reach, CommandError> {
        let recipient_id = request.recipient_id;
        if author_id == recipient_id {
            return Ok(Reach { reachable: true, counted: false });
        }
        let pair = self.between(author_id, recipient_id).await?;
        let policy = self.preferences_of(recipient_id).await?.map(|allowed| allowed.dm_policy);
        let asked = !pair.has_started() || policy == Some(DmPolicy::SharedRoom);
        let meet = asked && self.meet(author_id, recipient_id, &request.shared_rooms).await?;
        let allowed = match policy {
            Some(DmPolicy::Everyone) => true,
            Some(DmPolicy::SharedRoom) => meet,
            Some(DmPolicy::Nobody) | None => false,
        };
        Ok(Reach {
            reachable: allowed && !pair.is_blocked(),
            counted: !pair.has_started() && !meet,
        })
    }

    /// Whether two people are members of one of these rooms now.
    async fn meet(
        &self,
        one: UserId,
        other: UserId,
        rooms: &[RoomId],
    ) -> Result<bool, CommandError> {
        for room_id in rooms.iter().take(ROOMS_ASKED) {
            let room = self.inner.bus.state::<domain::Room>(&room_id.to_string()).await?;
            if room.role_of(one).is_some() && room.role_of(other).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remembered(
        &self,
        caller: &Caller,
        id: ConversationId,
        request: &SendDirectMessage,
        key: Option<IdempotencyKey>,
    ) -> Option<Idempotency<Conversation>> {
        let own = request.client_message_id.map(|client_id| {
            let key = format!("message/{}/{id}/{client_id}", caller.user_id);
            self.own_key(key, request.message_type, &request.content, request.reply_to_id)
        });
        self.keep_answer_for(own, key, caller, |events, _| sent(events))
    }
}

fn is_used_up(error: &CommandError) -> bool {
    use domain::Rejection as _;
    let used_up = ConversationError::TooManyBeginnings.code();
    matches!(error, CommandError::Rejected { code, .. } if *code == used_up)
}
