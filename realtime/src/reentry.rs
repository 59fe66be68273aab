//! Recording anew that somebody is in a live room whose leaving was recorded by mistake.
//!
//! The reaper takes a connection for dead when nobody refreshes it in Redis, which may be the
//! fault of Redis, or of the way there. Its node knows better.
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use platform::Backoff;

use crate::{
    node::{Absence, Node},
    rooms::Subscription,
};

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Node {
    /// The log says that this socket is out of the room, but it is in: enters again in the
    /// background, until that is recorded or the socket is out. Entering twice changes nothing, so
    /// an exit that was meant and is heard of only after the socket came back does no harm.
    pub(crate) fn enter_again(self: &Arc<Self>, subscription: Arc<Subscription>) {
        if self.is_draining() || subscription.entering_again.swap(true, Ordering::AcqRel) {
            return;
        }
        let node = Arc::clone(self);
        self.workers.spawn(async move {
            let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
            let gone = subscription.connection.gone.clone();
            while !node.enter_once(&subscription).await {
                let pause = tokio::time::sleep(backoff.next_delay());
                if gone.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        });
    }

    /// `false`: it has to be tried again.
    async fn enter_once(&self, subscription: &Subscription) -> bool {
        let (room_id, connection) = (subscription.room_id, &subscription.connection);
        let Ok(_permit) = self.entries.acquire().await else { return true };
        if self.is_draining() || subscription.delivery.lock().is_closed() {
            return true;
        }
        // An exit that is recorded after this entry needs another one.
        subscription.entering_again.store(false, Ordering::Release);
        match self.commands.enter_room(&connection.caller(), room_id, connection.id).await {
            Ok(_) => {
                if subscription.delivery.lock().is_closed() {
                    // It left while the entry was recorded: the exit may have come before.
                    self.departures.add(room_id, connection.id, Absence::Meant);
                }
                true
            }
            // Another task is at it already if the flag is set.
            Err(error) if error.is_transient() => {
                subscription.entering_again.swap(true, Ordering::AcqRel)
            }
            Err(error) => {
                tracing::warn!(
                    error = %error, room.id = %room_id, connection.id = %connection.id,
                    "a socket in a live room is not seen there"
                );
                true
            }
        }
    }
}
