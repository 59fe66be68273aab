//! What was not heard while this node was cut off NATS, where nothing is kept: of whom others were to be told
//! something new meanwhile, by this node or another one, stands in Redis and is told to all nodes again. What
//! this node knew it could not tell, it tells now.
use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use domain::UserId;
use nats::Nats;
use tokio::time::{Instant, timeout};

use super::{AT_ONCE, PATIENCE};
use crate::{channel::LogError, node::Node};

/// How long a connection may be dead before the node knows, and how much more.
const UNNOTICED: Duration = Duration::from_mins(1);

/// What this node knows of its connection, and what is to be told since it stands again.
pub(super) struct Missed {
    times_connected: u64,
    /// When the connection stood last.
    stood: Instant,
    /// Since when the connection was perhaps not heard by the server yet, after the first look.
    looks_again: Option<Duration>,
    /// People of whom others were to be told something new, and when.
    theirs: HashMap<UserId, DateTime<Utc>>,
    /// People with sockets here.
    ours: Vec<UserId>,
}

impl Missed {
    pub(super) fn new(nats: &Nats) -> Self {
        Self {
            times_connected: nats.times_connected(),
            stood: Instant::now(),
            looks_again: None,
            theirs: HashMap::new(),
            ours: Vec::new(),
        }
    }

    /// Looks whether the connection is another one than before, and has some of what was missed told.
    pub(super) async fn look(&mut self, node: &Node) {
        let times_connected = node.nats.times_connected();
        let reconnected = times_connected != self.times_connected;
        let since =
            if reconnected { Some(self.stood.elapsed() + UNNOTICED) } else { self.looks_again };
        if let Some(since) = since {
            // Where Redis does not answer: the next time.
            let Ok(Ok(turned)) = timeout(PATIENCE, node.presence.turned_within(since)).await else {
                return;
            };
            self.theirs.extend(turned);
            // Once more: a notice may have passed before the server knew that this node wants to hear it.
            self.looks_again = reconnected.then_some(since);
            if reconnected {
                self.times_connected = times_connected;
                self.ours = node.connections.people();
            }
        }
        if node.nats.is_connected() {
            self.stood = Instant::now();
            if let Err(error) = self.tell_some(node).await {
                tracing::debug!(error = %error, "what was missed of presence waits");
            }
        }
    }

    async fn tell_some(&mut self, node: &Node) -> Result<(), LogError> {
        for _ in 0..AT_ONCE {
            let Some((&user_id, &at)) = self.theirs.iter().next() else { break };
            // To all nodes: what this one told on a connection that was dead already, they did not hear either.
            node.announcer.tell_again(user_id, at).await?;
            self.theirs.remove(&user_id);
        }
        for _ in 0..AT_ONCE {
            let Some(&user_id) = self.ours.last() else { break };
            node.announcer.announce_now(user_id, false).await?;
            self.ours.pop();
        }
        Ok(())
    }
}
