//! Who is typing: never stored, at most once in a while, over core NATS to every node.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use commands::CommandError;
use domain::{AnyEvent, ConversationId, MessagePlace, RoomId, UserId, message::MessageEvent};
use projections::ReadModels;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{node::Node, rooms::Subscription, volatile};

const TOPIC: &str = "typing";

/// What one socket said about its typing in one room.
#[derive(Debug, Default)]
pub(crate) struct TypingGate {
    /// What the others believe.
    typing: bool,
    told_start: Option<Instant>,
    told_stop: Option<Instant>,
}

impl TypingGate {
    /// Whether to tell the others: at most once per `least` and state.
    pub(crate) fn pass(&mut self, is_typing: bool, now: Instant, least: Duration) -> bool {
        if !is_typing && !self.typing {
            return false;
        }
        let told = if is_typing { &mut self.told_start } else { &mut self.told_stop };
        if told.is_some_and(|at| now.saturating_duration_since(at) < least) {
            return false;
        }
        *told = Some(now);
        self.typing = is_typing;
        true
    }

    /// It ended by itself (said, left, gone). Whether the others believe that it goes on.
    pub(crate) fn stop(&mut self) -> bool {
        std::mem::take(&mut self.typing)
    }

    /// As [`Self::stop`], by what was said at that time: who began to type after it goes on.
    pub(crate) fn stop_by(&mut self, said: Instant) -> bool {
        self.told_start.is_some_and(|told| told <= said) && self.stop()
    }
}

/// What nodes tell each other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    user_id: UserId,
    is_typing: bool,
}

impl Node {
    /// Whether others may see what the person does at the keyboard. Where nobody can tell, they do not.
    pub(crate) async fn is_seen_typing(&self, user_id: UserId) -> Result<bool, CommandError> {
        let visible = self.commands.shows_typing(user_id).await?;
        Ok(visible && !is_invisible(&self.read_models, user_id).await)
    }

    /// Tells every node, now or never.
    pub(crate) fn tell_typing(&self, room_id: RoomId, user_id: UserId, is_typing: bool) {
        self.tell_notice(format!("{TOPIC}.room.{room_id}"), Notice { user_id, is_typing });
    }

    /// Typing ends with the message, the room or the socket.
    pub(crate) fn stop_typing(&self, subscription: &Subscription) {
        let stopped = subscription.typing.lock().stop();
        if stopped {
            self.tell_typing(subscription.room_id, subscription.connection.user_id, false);
        }
    }

    /// Somebody said something, perhaps over HTTP: their sockets here are not seen typing it any more.
    pub(crate) fn stop_typing_of(&self, event: &AnyEvent) {
        let Some(MessageEvent::Said(said)) = event.about_message() else { return };
        let ago = (self.clock.now() - said.at).to_std().unwrap_or_default();
        let Some(at) = Instant::now().checked_sub(ago) else { return };
        for connection in self.connections.of_user(said.author_id) {
            match (said.place, said.recipient_id) {
                (MessagePlace::Room(room_id), _) => {
                    if let Some(subscription) = connection.subscription(room_id)
                        && subscription.typing.lock().stop_by(at)
                    {
                        self.tell_typing(room_id, said.author_id, false);
                    }
                }
                (MessagePlace::Conversation(_), Some(recipient_id)) => {
                    if connection.stops_writing(recipient_id, |gate| gate.stop_by(at)) {
                        self.tell_writing(recipient_id, said.author_id, false);
                    }
                }
                (MessagePlace::Conversation(_), None) => {}
            }
        }
    }

    /// Tells the sockets of one person on every node, now or never.
    pub(crate) fn tell_writing(&self, to: UserId, user_id: UserId, is_typing: bool) {
        self.tell_notice(format!("{TOPIC}.user.{to}"), Notice { user_id, is_typing });
    }

    fn tell_notice(&self, topic: String, notice: Notice) {
        let Ok(bytes) = serde_json::to_vec(&notice) else { return };
        let (nats, commands, models) =
            (self.nats.clone(), self.commands.clone(), self.read_models.clone());
        tokio::spawn(async move {
            let Notice { user_id, is_typing } = notice;
            // Who begins was asked before. Who ends may want by now not to be seen: then the notice of
            // the beginning expires by itself.
            let seen = is_typing
                || commands.shows_typing(user_id).await.unwrap_or(false)
                    && !is_invisible(&models, user_id).await;
            if seen {
                volatile::tell(&nats, &topic, bytes).await;
            }
        });
    }

    fn show_typing(&self, topic: &str, payload: &[u8]) {
        let mut parts = topic.rsplit('.');
        let (Some(id), Some(kind)) = (parts.next(), parts.next()) else { return };
        let (Ok(id), Ok(notice)) = (id.parse::<Uuid>(), serde_json::from_slice::<Notice>(payload))
        else {
            return;
        };
        let mut event = json!({
            "userId": notice.user_id,
            "isTyping": notice.is_typing,
            "expiresInMs": self.settings.typing_expiry_ms,
        });
        if kind == "user" {
            let recipient = UserId(id);
            event["conversationId"] = json!(ConversationId::between(notice.user_id, recipient));
            for connection in self.connections.of_user(recipient) {
                connection.emit_volatile("user_typing", &event);
            }
        } else {
            event["roomId"] = json!(id);
            self.emit_to_others(RoomId(id), notice.user_id, "user_typing", &event);
        }
    }
}

/// Whether the person wants to look as if they were not there; yes, where nobody can tell.
async fn is_invisible(models: &ReadModels, user_id: UserId) -> bool {
    let invisible = models.presence().invisible(&[user_id]).await;
    invisible.map_or(true, |invisible| !invisible.is_empty())
}

/// Shows what the nodes tell each other to the sockets of this one.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    volatile::hear(&node.nats, TOPIC, stop, |topic, payload| node.show_typing(topic, payload))
        .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(2);

    #[test]
    fn others_hear_at_most_once_in_a_while_and_state() {
        let (mut gate, start) = (TypingGate::default(), Instant::now());
        let after = |millis| start + Duration::from_millis(millis);
        assert!(gate.pass(true, start, LEAST));
        assert!(!gate.pass(true, after(100), LEAST));
        assert!(!gate.pass(true, after(1999), LEAST));
        assert!(gate.pass(true, after(2000), LEAST));
        assert!(gate.pass(false, after(2100), LEAST), "the other state has its own limit");
        assert!(!gate.pass(true, after(2200), LEAST));
        assert!(!gate.pass(false, after(2300), LEAST));
    }

    #[test]
    fn who_does_not_type_cannot_stop() {
        let mut gate = TypingGate::default();
        assert!(!gate.pass(false, Instant::now(), LEAST));
        assert!(!gate.stop());
    }

    #[test]
    fn typing_ends_once() {
        let mut gate = TypingGate::default();
        assert!(gate.pass(true, Instant::now(), LEAST));
        assert!(gate.stop());
        assert!(!gate.stop());
    }

    #[test]
    fn an_end_that_was_not_told_is_told_when_the_room_is_left() {
        let (mut gate, start) = (TypingGate::default(), Instant::now());
        assert!(gate.pass(true, start, LEAST) && gate.pass(false, start, LEAST));
        assert!(gate.pass(true, start + LEAST, LEAST));
        assert!(!gate.pass(false, start + LEAST / 2, LEAST));
        assert!(gate.stop());
    }

    #[test]
    fn what_was_said_ends_what_was_typed_before_it() {
        let (mut gate, start) = (TypingGate::default(), Instant::now());
        assert!(!gate.stop_by(start));
        assert!(gate.pass(true, start + LEAST, LEAST));
        assert!(!gate.stop_by(start), "this is the next one");
        assert!(gate.stop_by(start + LEAST) && !gate.stop());
    }

    #[test]
    fn toggling_is_bounded() {
        let (mut gate, start) = (TypingGate::default(), Instant::now());
        let passed = (0..2000_u64)
            .filter(|i| gate.pass(i % 2 == 0, start + Duration::from_millis(*i), LEAST))
            .count();
        assert!(passed <= 2, "{passed}");
    }
}
