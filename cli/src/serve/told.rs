//! How far sockets have been told, as the API sees it.
use std::time::Duration;

use api::Sockets;
use async_trait::async_trait;
use domain::LogPosition;
use realtime::Nodes;

/// The sockets of every node.
pub(super) struct Everywhere(pub(super) Nodes);

#[async_trait]
impl Sockets for Everywhere {
    async fn told(&self, position: LogPosition, within: Duration) -> usize {
        self.0.told(position, within).await
    }
}
