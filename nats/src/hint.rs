//! Hints to a relay on another node: "something was appended". Losing one costs a poll interval.
use std::time::Duration;

use eventstore::EventStore;
use futures::Stream;
use tokio_util::sync::CancellationToken;

use crate::{Nats, NatsError};

const TOPIC: &str = "appended";
/// At most one hint in this time.
const PAUSE: Duration = Duration::from_millis(1);

/// Sends a hint after appends of this process until `token` is cancelled.
pub async fn run_hints(store: EventStore, nats: Nats, token: CancellationToken) {
    let mut appended = store.appended();
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            changed = appended.changed() => if changed.is_err() { return },
        }
        // A hint that is not heard only means that the relay polls.
        nats.publish_volatile(&format!("{TOPIC}.hint"), Vec::new()).await.ok();
        tokio::time::sleep(PAUSE).await;
    }
}

pub(crate) async fn hints(
    nats: &Nats,
) -> Result<impl Stream<Item = (String, Vec<u8>)> + Send + Unpin + use<>, NatsError> {
    nats.subscribe_volatile(TOPIC).await
}
