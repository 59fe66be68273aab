//! `typing`: checked in memory, told to all nodes, never stored.
use std::time::{Duration, Instant};

use domain::{RoomId, UserId};
use serde_json::{Value, json};

use super::fields::{Fields, flag, id};
use crate::{codes, connection::Connection, node::Node, reply::Refusal, typing::TypingGate};

impl Node {
    pub(super) async fn typing(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let recipient_id = fields.optional("recipientId", id::<UserId>);
        let room_id = match recipient_id {
            None => fields.required("roomId", id::<RoomId>),
            Some(_) => None,
        };
        let is_typing = fields.required("isTyping", flag);
        let whole = (recipient_id.is_some() || room_id.is_some()).then_some(());
        let ((), is_typing) = fields.finish(whole.zip(is_typing))?;
        let least = Duration::from_millis(self.settings.typing_interval_ms);
        // Asked first: who is not seen typing is not seen stopping either.
        let visible = self.is_seen_typing(connection.user_id).await?;
        if let Some(recipient_id) = recipient_id {
            self.writing(connection, recipient_id, visible && is_typing, least).await?;
            return Ok(json!({}));
        }
        let subscription = room_id
            .and_then(|room_id| connection.subscription(room_id))
            .ok_or_else(|| Refusal::new(codes::NOT_IN_ROOM, "join the room first"))?;
        let visible = visible && !subscription.mute.holds_at(self.clock.now());
        let passes = visible && subscription.typing.lock().pass(is_typing, Instant::now(), least);
        if passes {
            self.tell_typing(subscription.room_id, connection.user_id, is_typing);
        }
        Ok(json!({}))
    }

    /// Somebody writes to somebody: told to people they talk with, unless one of them wants none of
    /// it. Who is not told does not know why.
    async fn writing(
        &self,
        connection: &Connection,
        recipient_id: UserId,
        is_typing: bool,
        least: Duration,
    ) -> Result<(), Refusal> {
        let passes =
            connection.writing_to(recipient_id, |gate| gate.pass(is_typing, Instant::now(), least));
        if !passes {
            return Ok(());
        }
        if self.commands.between(connection.user_id, recipient_id).await?.is_open() {
            self.tell_writing(recipient_id, connection.user_id, is_typing);
        } else {
            // What was not told need not be taken back.
            connection.writing_to(recipient_id, TypingGate::stop);
        }
        Ok(())
    }

    /// The notice ends with the message.
    pub(crate) fn stop_writing(&self, connection: &Connection, recipient_id: UserId) {
        if connection.stops_writing(recipient_id, TypingGate::stop) {
            self.tell_writing(recipient_id, connection.user_id, false);
        }
    }
}
