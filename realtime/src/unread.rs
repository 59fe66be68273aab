//! How much people have not read, as the sockets of this node are told. Counted where it is recorded:
//! a read model may not know yet what is told this moment.
use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use commands::CommandError;
use domain::{ConversationId, MessagePlace, UserId};
use lru::LruCache;
use parking_lot::Mutex;

use crate::node::Node;

/// Conversations of which the number is remembered, and places of which the last marker is.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// Longest wait for a number where everybody waits: it is told without, then.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest wait where nobody else waits.
const LONG_PATIENCE: Duration = Duration::from_secs(2);
/// How long nothing is counted where everybody waits, after it took too long.
const PAUSE: Duration = Duration::from_secs(5);

/// What is remembered.
pub(crate) struct Unread {
    direct: Mutex<LruCache<(UserId, ConversationId), i64>>,
    markers: Mutex<LruCache<(UserId, MessagePlace), i64>>,
    paused_until: Mutex<Option<Instant>>,
}

impl Default for Unread {
    fn default() -> Self {
        Self {
            direct: Mutex::new(LruCache::new(REMEMBERED)),
            markers: Mutex::new(LruCache::new(REMEMBERED)),
            paused_until: Mutex::default(),
        }
    }
}

impl Unread {
    /// The number is not what it was: somebody read, or took something back, or nobody listened.
    pub(crate) fn forget(&self, user_id: UserId, id: ConversationId) {
        self.direct.lock().pop(&(user_id, id));
    }

    /// Whether this marker is the furthest that was seen of the person there, and so worth telling.
    pub(crate) fn is_furthest(&self, user_id: UserId, place: MessagePlace, seq: i64) -> bool {
        let mut markers = self.markers.lock();
        let furthest = markers.get_or_insert_mut((user_id, place), || seq);
        *furthest = seq.max(*furthest);
        *furthest == seq
    }

    fn is_paused(&self) -> bool {
        self.paused_until.lock().is_some_and(|until| Instant::now() < until)
    }

    fn pause(&self) {
        *self.paused_until.lock() = Some(Instant::now() + PAUSE);
    }
}

impl Node {
    /// Messages of the other that the person has not read, up to this one, which is the next of the
    /// conversation. `None` when nobody can tell now. The broadcaster waits for it.
    pub(crate) async fn unread_up_to(
        &self,
        user_id: UserId,
        id: ConversationId,
        seq: i64,
        is_theirs: bool,
    ) -> Option<i64> {
        let key = (user_id, id);
        let before = self.unread.direct.lock().get(&key).copied();
        let before = match before {
            Some(before) => before,
            None if self.unread.is_paused() => return None,
            None => {
                let place = MessagePlace::Conversation(id);
                let count = async {
                    let after = self.commands.last_read(user_id, place).await?;
                    let reading = self.read_models.reading();
                    let count = reading.messages_between(user_id, place, after, seq).await;
                    count.map_err(CommandError::unavailable)
                };
                match tokio::time::timeout(PATIENCE, count).await {
                    Ok(Ok(unread)) => unread,
                    Ok(Err(error)) => {
                        tracing::debug!(error = %error, "unread messages cannot be counted");
                        self.unread.pause();
                        return None;
                    }
                    Err(_) => {
                        self.unread.pause();
                        return None;
                    }
                }
            }
        };
        let unread = before + i64::from(!is_theirs);
        self.unread.direct.lock().put(key, unread);
        Some(unread)
    }

    /// Messages of others behind this number; `None` when nobody can tell now.
    pub(crate) async fn unread_behind(
        &self,
        user_id: UserId,
        place: MessagePlace,
        after: i64,
    ) -> Option<i64> {
        let reading = self.read_models.reading();
        let count = reading.messages_between(user_id, place, after, i64::MAX);
        match tokio::time::timeout(LONG_PATIENCE, count).await {
            Ok(Ok(unread)) => Some(unread),
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "unread messages cannot be counted");
                None
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::RoomId;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_older_marker_is_not_told_behind_a_newer_one() {
        let unread = Unread::default();
        let (ana, place) = (UserId(Uuid::nil()), MessagePlace::Room(RoomId(Uuid::nil())));
        assert!(unread.is_furthest(ana, place, 3));
        assert!(unread.is_furthest(ana, place, 5));
        assert!(!unread.is_furthest(ana, place, 4));
        assert!(unread.is_furthest(ana, place, 5));
    }
}
