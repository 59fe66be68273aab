//! The relay with 200,000 events waiting: positions, chain, and publishing to JetStream.
use std::time::{Duration, Instant};

use domain::{Subject, SubjectEvent, SubjectId};
use eventstore::AppendOutcome;
use futures::stream::{self, StreamExt as _};
use nats::{Nats, Relay};
use platform::{Clock as _, SystemClock, ids};
use serde_json::json;
use tests::TestStore;
use tokio_util::sync::CancellationToken;

use crate::report::{Report, Target};

const WAITING: i64 = 200_000;
const PER_STREAM: i64 = 50;

pub(crate) async fn run(report: &mut Report) {
    let app = TestStore::start().await;
    let at = SystemClock.now();
    stream::iter(0..WAITING / PER_STREAM)
        .for_each_concurrent(64, |_| {
            let store = app.store.clone();
            async move {
                let id = ids::new_id();
                let event = |n: i64| SubjectEvent::SubjectAdded {
                    subject_id: SubjectId(id),
                    name: format!("{id} {n}"),
                    category: "Benchmarking".to_owned(),
                    description: "An event of ordinary size, with a sentence in it.".to_owned(),
                    at,
                };
                let events: Vec<_> = (0..PER_STREAM).map(|n| (event(n), json!({}))).collect();
                let mut request =
                    store.prepare::<Subject>(&id.to_string(), 0, &events).await.unwrap();
                request.claims.clear();
                assert!(matches!(store.append(request).await.unwrap(), AppendOutcome::Stored(_)));
            }
        })
        .await;

    let config = app.world.config();
    let nats = Nats::connect(&config.nats).await.unwrap();
    while !nats.is_connected() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let token = CancellationToken::new();
    let relay = Relay::new(app.store.clone(), nats.clone(), &config);
    let begin = Instant::now();
    let running = tokio::spawn(relay.run(token.clone()));
    let mut placed = None;
    loop {
        if placed.is_none() && app.store.head().await.unwrap().0 >= WAITING {
            placed = Some(begin.elapsed());
        }
        // The stream may not exist yet.
        if nats.head().await.is_ok_and(|head| head.position.0 >= WAITING) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let published = begin.elapsed();
    let rate = |time: Duration| WAITING as f64 / time.as_secs_f64();
    report.absolute(
        "relay drain of 200,000: placed and published",
        (rate(published), "/s"),
        Target::AtLeast(20_000.0),
    );
    report.absolute(
        "  of which placed in the log",
        (rate(placed.unwrap_or(published)), "/s"),
        Target::AtLeast(20_000.0),
    );
    token.cancel();
    running.await.unwrap();
    app.finish().await;
}
