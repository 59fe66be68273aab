//! Who may not speak in a room for a while: told to their own devices, and nobody sees them typing.
use std::sync::Arc;

use chrono::{DateTime, Utc};
use commands::Membership;
use domain::{RoomEvent, RoomId, UserId};
use parking_lot::Mutex;
use serde_json::json;

use crate::{node::Node, payload::timestamp};

/// Until when the person of a socket may not speak in a room, as far as its node knows. Enough for what
/// is not recorded; whether something may be said is decided with the room itself.
#[derive(Debug, Default)]
pub(crate) struct KnownMute(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    until: Option<DateTime<Utc>>,
    /// From an event.
    heard: bool,
}

impl KnownMute {
    /// As it was read when the socket came in. What the node has heard since is newer.
    pub(crate) fn begin(&self, until: Option<DateTime<Utc>>) {
        let mut known = self.0.lock();
        if !known.heard {
            known.until = until;
        }
    }

    /// As an event says.
    fn hear(&self, until: Option<DateTime<Utc>>) {
        *self.0.lock() = Known { until, heard: true };
    }

    pub(crate) fn holds_at(&self, now: DateTime<Utc>) -> bool {
        self.0.lock().until.is_some_and(|until| until > now)
    }
}

impl Node {
    /// Tells the sockets of the person on this node, if the event is about that. Never waits: the
    /// broadcaster calls it.
    pub(crate) fn hear_of_mute(self: &Arc<Self>, event: &RoomEvent) {
        let Some((room_id, user_id, until)) = decided(event) else { return };
        let connections = self.connections.of_user(user_id);
        if connections.is_empty() {
            return;
        }
        for subscription in connections.iter().filter_map(|it| it.subscription(room_id)) {
            subscription.mute.hear(until);
            if until.is_some() {
                self.stop_typing(&subscription);
            }
        }
        let node = Arc::clone(self);
        self.workers.spawn(async move {
            // One after the other, each as it is by then: the last notice is the newest.
            let _turn = node.mutes_told.lock().await;
            // A mute outlives a membership, but who is no member hears nothing of the room.
            let Ok(Membership { muted_until, .. }) =
                node.commands.membership(user_id, room_id).await
            else {
                return;
            };
            let payload = json!({ "roomId": room_id, "mutedUntil": muted_until.map(timestamp) });
            for connection in node.connections.of_user(user_id) {
                connection.emit_volatile("mute_updated", &payload);
            }
        });
    }
}

/// Who may not speak until when, or may speak again.
fn decided(event: &RoomEvent) -> Option<(RoomId, UserId, Option<DateTime<Utc>>)> {
    match *event {
        RoomEvent::MemberMuted { room_id, user_id, until, .. } => {
            Some((room_id, user_id, Some(until)))
        }
        RoomEvent::MuteLifted { room_id, user_id, .. } => Some((room_id, user_id, None)),
        // Nobody mutes an owner.
        RoomEvent::OwnershipTransferred { room_id, to, .. } => Some((room_id, to, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn what_was_heard_is_newer_than_what_was_read() {
        let known = KnownMute::default();
        assert!(!known.holds_at(at(0)));
        known.hear(None);
        known.begin(Some(at(9)));
        assert!(!known.holds_at(at(0)));
        known.hear(Some(at(9)));
        assert!(known.holds_at(at(8)) && !known.holds_at(at(9)));
    }
}
