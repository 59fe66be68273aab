//! What nodes tell each other and nobody keeps, over core NATS.
use std::time::Duration;

use futures::StreamExt;
use nats::{Nats, NatsError};
use platform::Backoff;
use tokio_util::sync::CancellationToken;

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tells every node, now or never.
pub(crate) async fn tell(nats: &Nats, topic: &str, notice: Vec<u8>) {
    if let Err(error) = try_tell(nats, topic, notice).await {
        tracing::debug!(error = %error, topic, "a notice was lost");
    }
}

/// Tells every node now.
///
/// # Errors
/// When this node is cut off from the others, as far as it knows.
pub(crate) async fn try_tell(nats: &Nats, topic: &str, notice: Vec<u8>) -> Result<(), NatsError> {
    nats.publish_volatile(topic, notice).await
}

/// Takes what the nodes tell each other under a topic, until `stop`: the whole topic, and the notice.
pub(crate) async fn hear(
    nats: &Nats,
    topic: &str,
    stop: CancellationToken,
    take: impl Fn(&str, &[u8]) + Send,
) {
    let mut backoff = Backoff::new(SHORTEST_PAUSE, LONGEST_PAUSE);
    while !stop.is_cancelled() {
        match nats.subscribe_volatile(topic).await {
            Ok(mut notices) => {
                backoff.reset();
                while let Some(Some((whole, payload))) =
                    stop.run_until_cancelled(notices.next()).await
                {
                    take(&whole, &payload);
                }
            }
            Err(error) => tracing::warn!(error = %error, topic, "notices cannot be heard"),
        }
        let _ = stop.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await;
    }
}
