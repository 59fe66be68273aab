//! `read_state_updated`: what was read on one device is read on all of them.
use std::{sync::Arc, time::Duration};

use domain::{ReadMarkerEvent, RoomId, UserId};
use serde_json::json;

use crate::node::Node;

/// Longest wait for the number of unread messages: it is told without, then.
const PATIENCE: Duration = Duration::from_secs(2);

impl Node {
    /// Tells the sockets of the person on this node. Never waits: the broadcaster calls it.
    pub(crate) fn tell_own_devices(self: &Arc<Self>, event: &ReadMarkerEvent) {
        let ReadMarkerEvent::ChannelRead { user_id, channel, last_read_seq, .. } = event;
        let (user_id, last_read_seq) = (*user_id, *last_read_seq);
        let room_id = channel.strip_prefix("room:").and_then(|id| id.parse::<RoomId>().ok());
        let Some(room_id) = room_id else { return };
        if self.connections.of_user(user_id).is_empty() {
            return;
        }
        let node = Arc::clone(self);
        self.workers.spawn(async move {
            let unread = node.unread(user_id, room_id, last_read_seq).await;
            let payload = json!({
                "roomId": room_id, "lastReadSeq": last_read_seq, "unreadCount": unread,
            });
            for connection in node.connections.of_user(user_id) {
                connection.emit_volatile("read_state_updated", &payload);
            }
        });
    }

    /// Messages of others behind this number; `None` when nobody can tell now.
    pub(crate) async fn unread(&self, user_id: UserId, room_id: RoomId, after: i64) -> Option<i64> {
        let reading = self.read_models.reading();
        match tokio::time::timeout(PATIENCE, reading.unread_in(user_id, room_id, after)).await {
            Ok(Ok(unread)) => Some(unread.messages.max(0)),
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "unread messages cannot be counted");
                None
            }
            Err(_) => None,
        }
    }
}
