//! What sockets may ask: one file per event.
pub(crate) mod fields;
mod join_room;
mod leave_room;
mod mark_read;
mod message_changes;
mod refresh_auth;
mod send_direct_message;
mod send_message;
mod set_presence;
mod sync;
mod typing;

use std::sync::Arc;

use commands::{Limit, SentMessage, Written};
use serde_json::Value;

use crate::{connection::Connection, node::Node, reply::Refusal};

pub(crate) use join_room::{Admission, Status};

/// An event that clients may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    JoinRoom,
    LeaveRoom,
    SendMessage,
    SendDirectMessage,
    EditMessage,
    DeleteMessage,
    AddReaction,
    RemoveReaction,
    MarkRead,
    SetPresence,
    Typing,
    Sync,
    RefreshAuth,
}

impl Inbound {
    pub(crate) const ALL: [Self; 13] = [
        Self::JoinRoom,
        Self::LeaveRoom,
        Self::SendMessage,
        Self::SendDirectMessage,
        Self::EditMessage,
        Self::DeleteMessage,
        Self::AddReaction,
        Self::RemoveReaction,
        Self::MarkRead,
        Self::SetPresence,
        Self::Typing,
        Self::Sync,
        Self::RefreshAuth,
    ];

    /// Whether it says something, or changes what was said: what counts even if its socket is gone.
    pub(crate) fn says(self) -> bool {
        matches!(
            self,
            Self::SendMessage | Self::SendDirectMessage | Self::EditMessage | Self::DeleteMessage
        )
    }

    /// Its public name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::JoinRoom => "join_room",
            Self::LeaveRoom => "leave_room",
            Self::SendMessage => "send_message",
            Self::SendDirectMessage => "send_direct_message",
            Self::EditMessage => "edit_message",
            Self::DeleteMessage => "delete_message",
            Self::AddReaction => "add_reaction",
            Self::RemoveReaction => "remove_reaction",
            Self::MarkRead => "mark_read",
            Self::SetPresence => "set_presence",
            Self::Typing => "typing",
            Self::Sync => "sync",
            Self::RefreshAuth => "refresh_auth",
        }
    }
}

/// What a carried out command answers.
pub(crate) enum Answer {
    /// This.
    Ready(Value),
    /// The message, once its number is known. The next command need not wait for that.
    Sent(Box<Written<SentMessage>>),
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Ready(value)
    }
}

impl Inbound {
    /// Whether it says something to others for good, in a message of its own or in other words.
    fn is_message(self) -> bool {
        matches!(self, Self::SendMessage | Self::SendDirectMessage | Self::EditMessage)
    }
}

impl Node {
    /// Counts what a socket asks, before it is done.
    ///
    /// # Errors
    /// `rate_limited`.
    pub(crate) async fn count(
        &self,
        connection: &Connection,
        event: Inbound,
    ) -> Result<(), Refusal> {
        connection.count().map_err(Refusal::too_often)?;
        // Typing has a limit of its own and records nothing: not worth a question to Redis.
        if event == Inbound::Typing || !self.limits.settings().enabled {
            return Ok(());
        }
        let person = connection.user_id.to_string();
        let mut wanted = vec![(Limit::SocketCommands, person.as_str())];
        if event.is_message() {
            wanted.push((Limit::Messages, &person));
        }
        // It may be recorded, in the stream of the account.
        if event == Inbound::SetPresence {
            wanted.push((Limit::Writes, &person));
        }
        let counted = self.limits.take(&wanted).await;
        counted.map(drop).map_err(|exceeded| Refusal::too_often(exceeded.retry_after()))
    }

    /// Does what a socket asks. What comes of it reaches rooms through the feed, never from here.
    pub(crate) async fn perform(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        event: Inbound,
        data: Value,
    ) -> Result<Answer, Refusal> {
        Ok(match event {
            Inbound::JoinRoom => self.join_room(connection, data).await?.into(),
            Inbound::LeaveRoom => self.leave_room(connection, data).await?.into(),
            Inbound::SendMessage => {
                Answer::Sent(Box::new(self.send_message(connection, data).await?))
            }
            Inbound::SendDirectMessage => {
                Answer::Sent(Box::new(self.send_direct_message(connection, data).await?))
            }
            Inbound::EditMessage => self.edit_message(connection, data).await?.into(),
            Inbound::DeleteMessage => self.delete_message(connection, data).await?.into(),
            Inbound::AddReaction => self.react(connection, data, true).await?.into(),
            Inbound::RemoveReaction => self.react(connection, data, false).await?.into(),
            Inbound::MarkRead => self.mark_read(connection, data).await?.into(),
            Inbound::SetPresence => self.set_presence(connection, data).await?.into(),
            Inbound::Typing => self.typing(connection, data).await?.into(),
            Inbound::Sync => self.sync(connection, data).await?.into(),
            Inbound::RefreshAuth => self.refresh_auth(connection, data)?.into(),
        })
    }
}
