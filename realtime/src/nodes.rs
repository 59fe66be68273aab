//! How far the sockets of all processes have been told. Whoever puts somebody out answers after that.
//!
//! Each process with sockets is in a set in Redis for as long as it says so. Who waits for a position asks
//! them over NATS, and each answers when its own broadcaster has passed it: nothing is said while
//! nobody waits. A process alone asks nobody.
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::LogPosition;
use nats::Nats;
use platform::{Config, Shutdown, ids::new_id};
use redis::RedisError;
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{SetupError, volatile};

mod registry;

use registry::{BEAT, Registry};

/// `sockets.asked.<who asks>`: a position, to all who have sockets.
const ASKED: &str = "sockets.asked";
/// `sockets.told.<who asked>.<who answers>`: how far its sockets have been told.
const TOLD: &str = "sockets.told";
/// `sockets.changed.<who>`: somebody has sockets now, or has none any more.
const CHANGED: &str = "sockets.changed";
/// When to ask anew who has not answered: a notice may be lost.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long a question is kept. Longer than until the next one, so that there is always one.
const KEEP: Duration = Duration::from_millis(400);

/// All processes, as this one knows them. Cheap to clone.
#[derive(Clone)]
pub struct Nodes(Arc<Inner>);

struct Inner {
    /// This process. Another one at each start, whatever the settings call it: what an earlier one
    /// said, this one has not.
    id: Uuid,
    nats: Nats,
    registry: Registry,
    /// The others with sockets, and how far each is known to have told them.
    others: watch::Sender<HashMap<Uuid, LogPosition>>,
    /// How far the sockets here have been told, if this process has any.
    own: OnceLock<watch::Receiver<LogPosition>>,
    /// Whether there are sockets here still.
    serving: AtomicBool,
    changed: Notify,
}

impl Nodes {
    /// Gets to know the others, until `shutdown`.
    ///
    /// # Errors
    /// [`SetupError`] if the Redis URL is malformed.
    pub fn start(nats: Nats, config: &Config, shutdown: &Shutdown) -> Result<Self, SetupError> {
        let nodes = Self(Arc::new(Inner {
            id: new_id(),
            nats,
            registry: Registry::new(config)?,
            others: watch::Sender::default(),
            own: OnceLock::new(),
            serving: AtomicBool::new(false),
            changed: Notify::new(),
        }));
        let stop = || shutdown.token();
        shutdown.spawn("nodes", nodes.clone().run(stop()));
        shutdown.spawn("nodes-changed", nodes.clone().hear_changes(stop()));
        shutdown.spawn("nodes-asked", nodes.clone().hear_questions(stop()));
        shutdown.spawn("nodes-told", nodes.clone().hear_answers(stop()));
        Ok(nodes)
    }

    /// This process has sockets from here on.
    pub(crate) fn has_sockets(&self, told: watch::Receiver<LogPosition>) {
        if self.0.own.set(told).is_ok() {
            self.0.serving.store(true, Ordering::Release);
            self.0.changed.notify_one();
        }
    }

    /// The sockets of this process are gone.
    pub(crate) async fn has_no_sockets(&self) {
        self.0.serving.store(false, Ordering::Release);
        match self.0.registry.leave(self.0.id).await {
            Ok(()) => self.tell(CHANGED).await,
            Err(error) => {
                tracing::debug!(error = %error, "others wait for this process until it expires");
            }
        }
    }

    /// Waits until the sockets of all processes have been told of everything up to a position, but
    /// not longer than `within`. Answers for how many processes this is not known then.
    pub async fn told(&self, position: LogPosition, within: Duration) -> usize {
        let (own, others) =
            tokio::join!(self.own_told(position, within), self.others_told(position, within));
        usize::from(!own) + others
    }

    async fn own_told(&self, position: LogPosition, within: Duration) -> bool {
        let Some(mut told) = self.0.own.get().cloned() else { return true };
        timeout(within, told.wait_for(|told| *told >= position)).await.is_ok()
    }

    async fn others_told(&self, position: LogPosition, within: Duration) -> usize {
        let mut known = self.0.others.subscribe();
        let asked: Vec<Uuid> = known.borrow().keys().copied().collect();
        // Who is not there any more has no sockets; who is there since began after the position.
        let behind = |known: &HashMap<Uuid, LogPosition>| {
            let told = asked.iter().filter_map(|id| known.get(id));
            told.filter(|told| **told < position).count()
        };
        if behind(&known.borrow()) == 0 {
            return 0;
        }
        let topic = format!("{ASKED}.{}", self.0.id);
        let question = position.0.to_string();
        let asking = async {
            loop {
                volatile::tell(&self.0.nats, &topic, question.clone().into_bytes()).await;
                if timeout(ASK_AGAIN, known.wait_for(|known| behind(known) == 0)).await.is_ok() {
                    return;
                }
            }
        };
        let _ = timeout(within, asking).await;
        behind(&self.0.others.borrow())
    }

    async fn run(self, stop: CancellationToken) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beats.tick() => {}
                () = self.0.changed.notified() => {}
            }
            match self.renew().await {
                Ok(()) => failing = false,
                // Those who were there last still count: nobody knows better.
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(error = %error, "nobody can tell which nodes have sockets");
                }
                Err(_) => {}
            }
        }
    }

    async fn renew(&self) -> Result<(), RedisError> {
        let own = self.0.serving.load(Ordering::Acquire).then_some(self.0.id);
        let there = self.0.registry.renew(own).await?;
        self.0.others.send_if_modified(|others| {
            let before = others.len();
            others.retain(|id, _| there.all.contains(id));
            let mut changed = others.len() != before;
            for id in there.all.iter().filter(|id| **id != self.0.id) {
                others.entry(*id).or_insert_with(|| {
                    changed = true;
                    LogPosition::default()
                });
            }
            changed
        });
        if there.was_missing {
            self.tell(CHANGED).await;
        }
        Ok(())
    }

    async fn tell(&self, topic: &str) {
        volatile::tell(&self.0.nats, &format!("{topic}.{}", self.0.id), Vec::new()).await;
    }

    /// The next look at the set is due at once: until then nobody would wait for who is new.
    async fn hear_changes(self, stop: CancellationToken) {
        let own = self.0.id;
        volatile::hear(&self.0.nats, CHANGED, stop, |topic, _| {
            if last_of(topic).is_some_and(|id| id != own) {
                self.0.changed.notify_one();
            }
        })
        .await;
    }

    async fn hear_questions(self, stop: CancellationToken) {
        volatile::hear(&self.0.nats, ASKED, stop, |topic, question| {
            let (Some(asker), Some(position)) = (last_of(topic), position_in(question)) else {
                return;
            };
            if asker != self.0.id {
                tokio::spawn(self.clone().answer(asker, position));
            }
        })
        .await;
    }

    async fn answer(self, asker: Uuid, position: LogPosition) {
        let Some(mut told) = self.0.own.get().cloned() else { return };
        let reached = timeout(KEEP, told.wait_for(|told| *told >= position)).await;
        let Ok(Ok(told)) = reached.map(|told| told.map(|told| *told)) else { return };
        let topic = format!("{TOLD}.{asker}.{}", self.0.id);
        volatile::tell(&self.0.nats, &topic, told.0.to_string().into_bytes()).await;
    }

    async fn hear_answers(self, stop: CancellationToken) {
        let topic = format!("{TOLD}.{}", self.0.id);
        volatile::hear(&self.0.nats, &topic, stop, |topic, answer| {
            if let (Some(id), Some(position)) = (last_of(topic), position_in(answer)) {
                self.has_told(id, position);
            }
        })
        .await;
    }

    /// Only who is there: what is kept is as long as the set.
    fn has_told(&self, id: Uuid, position: LogPosition) {
        self.0.others.send_if_modified(|others| match others.get_mut(&id) {
            Some(told) if *told < position => {
                *told = position;
                true
            }
            _ => false,
        });
    }
}

/// The process that a topic names last.
fn last_of(topic: &str) -> Option<Uuid> {
    topic.rsplit('.').next()?.parse().ok()
}

fn position_in(payload: &[u8]) -> Option<LogPosition> {
    std::str::from_utf8(payload).ok()?.parse().ok().map(LogPosition)
}
