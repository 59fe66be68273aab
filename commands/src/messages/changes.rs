//! What becomes of a message after it was said: edits, deletion, reactions.
use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    AnyEvent, Conversation, ConversationCommand, Emoji, MessageError, MessageFacts, MessageId,
    MessagePlace, Rejection as _, Room, RoomCommand, UserId,
    message::{ChangeMessage, MessageChange, MessageVersion, Noted, ReactionLimits},
    text::{DeletionReason, MessageBody},
};
use platform::{Backoff, ids::random_bytes};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    Caller, CommandError, Commands, Written,
    bus::{Context, Receipt},
    metadata,
    requests::Timer,
};

/// How often a change is tried on newer facts.
const TRIES: u32 = 50;

/// New words for a message.
#[derive(Clone, Debug)]
pub struct EditMessage {
    /// Which message.
    pub message_id: MessageId,
    /// What it shall say.
    pub content: MessageBody,
    /// The version that the author knows.
    pub expected_version: Option<u64>,
}

/// A message to be taken back.
#[derive(Clone, Debug)]
pub struct DeleteMessage {
    /// Which message.
    pub message_id: MessageId,
    /// Why.
    pub reason: Option<DeletionReason>,
    /// The version that the person knows.
    pub expected_version: Option<u64>,
}

/// Changes of one message take turns in this process: each is decided on what the one before left,
/// which would otherwise have to be found out by failing. Correctness does not rest on it.
#[derive(Default)]
pub(crate) struct Turns([Mutex<()>; 32]);

impl Turns {
    async fn take(&self, id: MessageId) -> MutexGuard<'_, ()> {
        // The end of a UUIDv7 is random.
        let place = usize::from(id.0.as_bytes()[15]) % self.0.len();
        self.0[place].lock().await
    }
}

impl Commands {
    /// Gives a message other words. The same words succeed and record nothing.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `forbidden`, `edit_window_closed`, `limit_reached`,
    /// `gone` or `room_inactive`; [`CommandError::VersionMismatch`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, message.id = %request.message_id,
    ))]
    pub async fn edit_message(
        &self,
        caller: &Caller,
        request: EditMessage,
    ) -> Result<Written<MessageFacts>, CommandError> {
        let _timer = Timer::start("edit_message");
        let EditMessage { message_id, content, expected_version } = request;
        let settings = &self.inner.messages;
        let window = TimeDelta::minutes(settings.edit_window_minutes.into());
        let most = settings.max_wordings.into();
        let change = MessageChange::Edit { content, expected_version, window, most };
        self.change_message(caller, message_id, change).await
    }

    /// Takes a message back; for its author, and for those who keep order. Doing it again succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found` or `forbidden`;
    /// [`CommandError::VersionMismatch`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, message.id = %request.message_id,
    ))]
    pub async fn delete_message(
        &self,
        caller: &Caller,
        request: DeleteMessage,
    ) -> Result<Written<MessageFacts>, CommandError> {
        let _timer = Timer::start("delete_message");
        let DeleteMessage { message_id, reason, expected_version } = request;
        let change = MessageChange::Delete { reason, expected_version };
        self.change_message(caller, message_id, change).await
    }

    /// Answers a message with a sign. Doing it again succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `gone`, `limit_reached` or `room_inactive`;
    /// [`CommandError::VersionMismatch`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, message.id = %message_id,
    ))]
    pub async fn add_reaction(
        &self,
        caller: &Caller,
        message_id: MessageId,
        emoji: Emoji,
        expected_version: Option<u64>,
    ) -> Result<Written<MessageFacts>, CommandError> {
        let _timer = Timer::start("add_reaction");
        let settings = &self.inner.messages;
        let limits = ReactionLimits {
            kinds: usize::try_from(settings.max_reaction_kinds).unwrap_or(usize::MAX),
            of_one: settings.max_reaction_changes.into(),
        };
        let change = MessageChange::AddReaction { emoji, expected_version, limits };
        self.change_message(caller, message_id, change).await
    }

    /// Takes a sign back. Without one this succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `gone` or `room_inactive`;
    /// [`CommandError::VersionMismatch`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, message.id = %message_id,
    ))]
    pub async fn remove_reaction(
        &self,
        caller: &Caller,
        message_id: MessageId,
        emoji: Emoji,
        expected_version: Option<u64>,
    ) -> Result<Written<MessageFacts>, CommandError> {
        let _timer = Timer::start("remove_reaction");
        let change = MessageChange::RemoveReaction { emoji, expected_version };
        self.change_message(caller, message_id, change).await
    }

    /// Every wording that a message had, for its author and for those who keep order.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `forbidden`, or `gone` once it was deleted.
    pub async fn message_history(
        &self,
        caller: &Caller,
        message_id: MessageId,
    ) -> Result<Vec<MessageVersion>, CommandError> {
        let (facts, events) = self.message_facts(message_id).await?;
        let keeps_order = self.reads(caller, &facts).await?;
        if !keeps_order && facts.author_id != caller.user_id {
            return Err(CommandError::rejected(&MessageError::NotTheAuthor));
        }
        if facts.deletion.is_some() {
            return Err(CommandError::rejected(&MessageError::Gone));
        }
        Ok(MessageFacts::versions(&events))
    }

    /// One message as it is now, for those who may read it.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`.
    pub async fn message(
        &self,
        caller: &Caller,
        message_id: MessageId,
    ) -> Result<MessageFacts, CommandError> {
        let (facts, _) = self.message_facts(message_id).await?;
        self.reads(caller, &facts).await?;
        Ok(facts)
    }

    /// Whether someone may read what is said there, now.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn may_read(
        &self,
        reader: UserId,
        place: MessagePlace,
    ) -> Result<bool, CommandError> {
        let bus = &self.inner.bus;
        Ok(match place {
            MessagePlace::Room(id) => {
                bus.state::<Room>(&id.to_string()).await?.role_of(reader).is_some()
            }
            MessagePlace::Conversation(id) => {
                let pair = bus.state::<Conversation>(&id.to_string()).await?;
                pair.partner_of(reader).is_some()
            }
        })
    }

    /// Whether the caller keeps order where the message was said. Everyone who may not read there
    /// is told what they would be told of a message that does not exist.
    async fn reads(&self, caller: &Caller, facts: &MessageFacts) -> Result<bool, CommandError> {
        match facts.place {
            MessagePlace::Room(room_id) => {
                let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
                room.role_of(caller.user_id).map(domain::MemberRole::keeps_order)
            }
            MessagePlace::Conversation(id) => {
                let pair = self.inner.bus.state::<Conversation>(&id.to_string()).await?;
                pair.partner_of(caller.user_id).map(|_| false)
            }
        }
        .ok_or_else(|| CommandError::rejected(&MessageError::NotFound))
    }

    async fn message_facts(
        &self,
        message_id: MessageId,
    ) -> Result<(MessageFacts, Vec<Noted>), CommandError> {
        let not_found = || CommandError::rejected(&MessageError::NotFound);
        let stream = self.store().message(message_id).await?.ok_or_else(not_found)?;
        let facts = MessageFacts::fold(&stream.events, stream.as_of).ok_or_else(not_found)?;
        Ok((facts, stream.events))
    }

    /// Decides on what is known of the message, and again on what is known then for as long as it
    /// changes meanwhile. Answers how the message is afterwards.
    async fn change_message(
        &self,
        caller: &Caller,
        message_id: MessageId,
        change: MessageChange,
    ) -> Result<Written<MessageFacts>, CommandError> {
        let _turn = self.inner.turns.take(message_id).await;
        let mut backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(50));
        let (by, at) = (caller.user_id, self.now());
        let mut tries = 0;
        loop {
            let (facts, _) = self.message_facts(message_id).await?;
            let wish = ChangeMessage { facts: facts.clone(), by, change: change.clone(), at };
            match self.carry_out(caller, wish).await {
                Ok((events, receipt)) => {
                    let mut value = facts;
                    for event in events {
                        value.apply(&Noted { event, seq: None });
                    }
                    return Ok(Written { value, receipt, replayed: false });
                }
                Err(error) if is_stale(&error) && tries < TRIES => {
                    tries += 1;
                    // Not all who lost the same race come back at the same moment.
                    let jitter = Duration::from_micros(u64::from(random_bytes::<1>()[0]) * 20);
                    tokio::time::sleep(backoff.next_delay() + jitter).await;
                }
                Err(CommandError::Rejected { code, .. }) if code == version_conflict() => {
                    let current = i64::try_from(facts.version).unwrap_or(i64::MAX);
                    return Err(CommandError::VersionMismatch { current });
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn carry_out(
        &self,
        caller: &Caller,
        wish: ChangeMessage,
    ) -> Result<(Vec<AnyEvent>, Option<Receipt>), CommandError> {
        let metadata = metadata(Some(caller.user_id), &caller.request_id);
        match wish.facts.place {
            MessagePlace::Room(room_id) => {
                let command = RoomCommand::ChangeMessage(Box::new(wish));
                let context = Context::new(metadata);
                let executed =
                    self.inner.bus.execute::<Room>(&room_id.to_string(), command, context).await?;
                let events = executed.events.into_iter().map(AnyEvent::Room).collect();
                Ok((events, executed.receipt))
            }
            MessagePlace::Conversation(id) => {
                let command = ConversationCommand::ChangeMessage(Box::new(wish));
                let context = Context::new(metadata);
                let bus = &self.inner.bus;
                let executed =
                    bus.execute::<Conversation>(&id.to_string(), command, context).await?;
                let events = executed.events.into_iter().map(AnyEvent::Conversation).collect();
                Ok((events, executed.receipt))
            }
        }
    }
}

fn version_conflict() -> &'static str {
    MessageError::VersionConflict { current: 0 }.code()
}

/// Whether the facts were out of date.
fn is_stale(error: &CommandError) -> bool {
    matches!(error, CommandError::Rejected { code, .. } if *code == MessageError::Stale.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_facts_are_read_again() {
        assert!(is_stale(&CommandError::rejected(&MessageError::Stale)));
        let current = MessageError::VersionConflict { current: 2 };
        assert!(!is_stale(&CommandError::rejected(&current)));
        assert!(!is_stale(&CommandError::Conflict), "the bus has tried that often enough");
    }
}
