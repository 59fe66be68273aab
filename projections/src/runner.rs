//! Running the projectors of a node.
use std::time::Duration;

use nats::Feed;
use platform::config::Config;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::models::Visitor;
use crate::projector::Projector;
use crate::sinks::Sink;
use crate::worker::{Settings, Worker};
use crate::{ReadModels, names};

/// Feeds the read models, together with the runners of other nodes.
pub struct Runner {
    models: ReadModels,
    feed: Feed,
    settings: Settings,
}

impl Runner {
    /// Does nothing before [`Runner::run`].
    #[must_use]
    pub fn new(models: ReadModels, feed: Feed, config: &Config) -> Self {
        let projections = &config.projections;
        let settings = Settings {
            holder: config.node.id.clone(),
            lease_ttl: Duration::from_millis(projections.lease_ttl_ms),
            batch: usize::try_from(projections.batch).unwrap_or(usize::MAX).max(1),
            max_partitions: usize::try_from(projections.max_partitions).unwrap_or(usize::MAX),
            pace: Duration::from_millis(projections.pace_ms),
        };
        Self { models, feed, settings }
    }

    /// Runs one worker per read model until `shutdown`. A worker that panics ends them all: the
    /// process is not sound any more.
    ///
    /// # Panics
    /// When a worker did.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut workers = JoinSet::new();
        for name in names::ALL {
            let start = Start {
                models: self.models.clone(),
                feed: self.feed.clone(),
                settings: self.settings.clone(),
                shutdown: shutdown.clone(),
            };
            workers.spawn(feed_active_version(name, start));
        }
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

/// Feeds whichever version is read.
async fn feed_active_version(name: &'static str, start: Start) {
    while !start.shutdown.is_cancelled() {
        let version = start.models.0.versions.active(name);
        // Every name of the list is known.
        if start.models.visit(name, version, start.clone()).await.is_err() {
            return;
        }
    }
}

#[derive(Clone)]
struct Start {
    models: ReadModels,
    feed: Feed,
    settings: Settings,
    shutdown: CancellationToken,
}

impl Visitor for Start {
    type Output = ();

    async fn visit<P, S>(self, engine: Engine<P, S>)
    where
        P: Projector,
        S: Sink<P::Change>,
    {
        let Self { models, feed, settings, shutdown } = self;
        Worker { engine, models, feed, settings, shutdown }.run().await;
    }
}
