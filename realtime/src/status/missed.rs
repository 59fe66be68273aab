//! What other nodes told while this one was cut off NATS, where nothing is kept: this node tells its sockets
//! again of everyone of whom there was something new, from Redis.
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::UserId;
use nats::Nats;
use tokio::time::{Instant, timeout};

use super::{AT_ONCE, PATIENCE, Update};
use crate::{channel::LogError, node::Node};

/// How long a connection may be dead before the node knows, and how much more.
const UNNOTICED: Duration = Duration::from_mins(1);

/// What this node knows of its connection, and of whom its sockets are to be told again.
pub(super) struct Missed {
    times_connected: u64,
    /// When the connection stood last.
    stood: Instant,
    waiting: Vec<(UserId, DateTime<Utc>)>,
}

impl Missed {
    pub(super) fn new(nats: &Nats) -> Self {
        let times_connected = nats.times_connected();
        Self { times_connected, stood: Instant::now(), waiting: Vec::new() }
    }

    /// Looks whether the connection is another one than before, and has some of what was missed told.
    pub(super) async fn look(&mut self, node: &Node) {
        let times_connected = node.nats.times_connected();
        if times_connected != self.times_connected {
            // Where Redis does not answer: the next time.
            let since = self.stood.elapsed() + UNNOTICED;
            let Ok(Ok(turned)) = timeout(PATIENCE, node.presence.turned_within(since)).await else {
                return;
            };
            self.times_connected = times_connected;
            self.waiting = turned;
        }
        if node.nats.is_connected() {
            self.stood = Instant::now();
        }
        let so_many = self.waiting.len().saturating_sub(AT_ONCE);
        let waiting = self.waiting.split_off(so_many);
        if let Err(error) = prepare(node, &waiting).await {
            tracing::debug!(error = %error, "what was missed of presence waits");
            self.waiting.extend(waiting);
        }
    }
}

/// As if somebody had told this node of these people just now.
async fn prepare(node: &Node, turned: &[(UserId, DateTime<Utc>)]) -> Result<(), LogError> {
    for (user_id, at) in turned {
        let audience = Some(node.announcer.audience(*user_id).await?);
        node.updates.add(*user_id, Update { at: *at, audience, chosen: true });
    }
    Ok(())
}
