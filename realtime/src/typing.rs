//! Who is typing: never stored, at most once in a while, over core NATS to every node.
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{ConversationId, RoomId, UserId};
use futures::StreamExt;
use platform::Backoff;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{node::Node, rooms::Subscription};

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
}

/// What nodes tell each other.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    user_id: UserId,
    is_typing: bool,
}

impl Node {
    /// Tells every node, now or never.
    pub(crate) fn tell_typing(&self, room_id: RoomId, user_id: UserId, is_typing: bool) {
        let Ok(notice) = serde_json::to_vec(&Notice { user_id, is_typing }) else { return };
        let (topic, nats) = (format!("{TOPIC}.room.{room_id}"), self.nats.clone());
        tokio::spawn(async move {
            if let Err(error) = nats.publish_volatile(&topic, notice).await {
                tracing::debug!(error = %error, "a typing notice was lost");
            }
        });
    }

    /// Typing ends with the message, the room or the socket.
    pub(crate) fn stop_typing(&self, subscription: &Subscription) {
        let stopped = subscription.typing.lock().stop();
        if stopped {
            self.tell_typing(subscription.room_id, subscription.connection.user_id, false);
        }
    }

    /// Tells the sockets of one person on every node, now or never.
    pub(crate) fn tell_writing(&self, to: UserId, user_id: UserId, is_typing: bool) {
        let Ok(notice) = serde_json::to_vec(&Notice { user_id, is_typing }) else { return };
        let (topic, nats) = (format!("{TOPIC}.user.{to}"), self.nats.clone());
        tokio::spawn(async move {
            if let Err(error) = nats.publish_volatile(&topic, notice).await {
                tracing::debug!(error = %error, "a typing notice was lost");
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

/// Shows what the nodes tell each other to the sockets of this one.
pub(crate) async fn run(node: Arc<Node>, stop: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    while !stop.is_cancelled() {
        match node.nats.subscribe_volatile(TOPIC).await {
            Ok(mut notices) => {
                backoff.reset();
                while let Some(Some((topic, payload))) =
                    stop.run_until_cancelled(notices.next()).await
                {
                    node.show_typing(&topic, &payload);
                }
            }
            Err(error) => tracing::warn!(error = %error, "typing notices cannot be heard"),
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
    }
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
    fn toggling_is_bounded() {
        let (mut gate, start) = (TypingGate::default(), Instant::now());
        let passed = (0..2000_u64)
            .filter(|i| gate.pass(i % 2 == 0, start + Duration::from_millis(*i), LEAST))
            .count();
        assert!(passed <= 2, "{passed}");
    }
}
