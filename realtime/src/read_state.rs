//! `read_state_updated`: what was read on one device is read on all of them, and in a conversation
//! the other sees it too, if they may.
use std::sync::Arc;

use commands::CommandError;
use domain::{ConversationId, MessagePlace, ReadMarkerEvent, UserId};
use serde_json::json;

use crate::{node::Node, payload::Place};

impl Node {
    /// Tells the sockets of the person on this node. Never waits: the broadcaster calls it.
    pub(crate) fn tell_own_devices(self: &Arc<Self>, event: &ReadMarkerEvent) {
        let ReadMarkerEvent::ChannelRead { user_id, channel, last_read_seq, .. } = event;
        let (user_id, last_read_seq) = (*user_id, *last_read_seq);
        let Some(place) = MessagePlace::of_channel(channel) else { return };
        if let MessagePlace::Conversation(id) = place {
            self.unread.forget(user_id, id);
        }
        if !self.connections.of_user(user_id).is_empty() {
            let node = Arc::clone(self);
            self.workers.spawn(async move {
                let unread = node.unread_behind(user_id, place, last_read_seq).await;
                if !node.unread.is_furthest(user_id, place, last_read_seq) {
                    return;
                }
                let mut payload = json!(Place::from(place));
                payload["lastReadSeq"] = json!(last_read_seq);
                payload["unreadCount"] = json!(unread);
                for connection in node.connections.of_user(user_id) {
                    connection.emit_volatile("read_state_updated", &payload);
                }
            });
        }
        if let MessagePlace::Conversation(id) = place {
            self.tell_partner(user_id, id, last_read_seq);
        }
    }

    /// Tells the other of a conversation, if the person lets that be seen. Who nobody listens to is
    /// not told.
    fn tell_partner(self: &Arc<Self>, user_id: UserId, id: ConversationId, last_read_seq: i64) {
        let node = Arc::clone(self);
        self.workers.spawn(async move {
            let partner = match node.who_sees_reading(user_id, id).await {
                Ok(Some(partner)) => partner,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(error = %error, "a receipt is not told");
                    return;
                }
            };
            let payload =
                json!({ "conversationId": id, "userId": user_id, "lastReadSeq": last_read_seq });
            for connection in node.connections.of_user(partner) {
                connection.emit_volatile("read_state_updated", &payload);
            }
        });
    }

    async fn who_sees_reading(
        &self,
        user_id: UserId,
        id: ConversationId,
    ) -> Result<Option<UserId>, CommandError> {
        let partner = self.commands.require_participant(user_id, id).await?;
        let seen = self.commands.shows_reading(user_id).await?
            && self.commands.between(user_id, partner).await?.is_open();
        Ok(seen.then_some(partner))
    }
}
