//! What the sockets of this process share.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use commands::{Commands, Limits};
use domain::{LogPosition, UserId};
use nats::Nats;
use platform::{Clock, config};
use projections::ReadModels;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::{
    connection::Connection,
    connections::Connections,
    departures::Departures,
    history::History,
    nodes::Nodes,
    presence::Presence,
    present::Attendances,
    rooms::{Rooms, Subscription},
    stats::Stats,
    status::{Announcer, Updates},
    unread::Unread,
};

/// Entries that are recorded anew at the same time.
const ENTRIES: usize = 16;

/// The Socket.IO side of this process.
pub(crate) struct Node {
    pub(crate) commands: Commands,
    pub(crate) limits: Limits,
    pub(crate) read_models: ReadModels,
    pub(crate) nats: Nats,
    pub(crate) history: History,
    /// This process among the others.
    pub(crate) nodes: Nodes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: config::Realtime,
    pub(crate) connections: Connections,
    pub(crate) rooms: Rooms,
    pub(crate) presence: Presence,
    pub(crate) announcer: Announcer,
    pub(crate) updates: Updates,
    pub(crate) departures: Departures,
    pub(crate) stats: Stats,
    pub(crate) attendances: Attendances,
    pub(crate) unread: Unread,
    /// Bounds how many entries are recorded anew at once.
    pub(crate) entries: Semaphore,
    /// How far the sockets of this process have been told, or are being told now.
    pub(crate) telling: AtomicI64,
    /// How far the sockets of this process have been told.
    told: watch::Sender<LogPosition>,
    /// Who tells somebody that they are muted, or not any more.
    pub(crate) mutes_told: tokio::sync::Mutex<()>,
    /// The workers of sockets, to be waited for at the end.
    pub(crate) workers: TaskTracker,
    draining: AtomicBool,
}

/// When others hear that somebody is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// At once: it was meant.
    Meant,
    /// After a while: perhaps the client is back by then.
    Perhaps,
    /// Not by this node, which ends: its clients are on their way to another one. The reaper records
    /// those that do not arrive.
    Moving,
}

/// The parts a node is made of.
pub(crate) struct NodeParts {
    pub(crate) commands: Commands,
    pub(crate) limits: Limits,
    pub(crate) read_models: ReadModels,
    pub(crate) nats: Nats,
    pub(crate) history: History,
    pub(crate) nodes: Nodes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: config::Realtime,
    pub(crate) presence: Presence,
    pub(crate) departures: Departures,
}

impl Node {
    pub(crate) fn new(parts: NodeParts) -> Arc<Self> {
        let announcer = Announcer {
            presence: parts.presence.clone(),
            read_models: parts.read_models.clone(),
            nats: parts.nats.clone(),
            clock: Arc::clone(&parts.clock),
        };
        Arc::new(Self {
            announcer,
            updates: Updates::default(),
            commands: parts.commands,
            limits: parts.limits,
            read_models: parts.read_models,
            nats: parts.nats,
            history: parts.history,
            nodes: parts.nodes,
            clock: parts.clock,
            settings: parts.settings,
            connections: Connections::default(),
            rooms: Rooms::default(),
            presence: parts.presence,
            departures: parts.departures,
            stats: Stats::default(),
            attendances: Attendances::default(),
            unread: Unread::default(),
            entries: Semaphore::new(ENTRIES),
            telling: AtomicI64::new(0),
            told: watch::Sender::new(LogPosition::default()),
            mutes_told: tokio::sync::Mutex::default(),
            workers: TaskTracker::new(),
            draining: AtomicBool::new(false),
        })
    }

    /// Whether this process is ending.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Lets nobody in any more.
    pub(crate) fn begin_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// The sockets of this process have been told of everything up to there.
    pub(crate) fn told_up_to(&self, position: LogPosition) {
        // Never back: the last batch of a node that ends comes after the end of its sockets.
        self.told.send_if_modified(|told| {
            let further = position > *told;
            *told = position.max(*told);
            further
        });
    }

    /// How far the sockets of this process have been told.
    pub(crate) fn told(&self) -> watch::Receiver<LogPosition> {
        self.told.subscribe()
    }

    /// Ends one subscription. What is not recorded here: that the person left the live room.
    pub(crate) fn unsubscribe(&self, subscription: &Arc<Subscription>) {
        subscription.connection.forget(subscription.room_id, Some(subscription));
        self.rooms.remove(subscription);
        if !self.rooms.contains(subscription.room_id) {
            self.stats.forget(subscription.room_id);
            self.attendances.forget(subscription.room_id);
        }
        self.stop_typing(subscription);
    }

    /// Takes a socket out of every room, for good.
    pub(crate) fn leave_all(&self, connection: &Connection, absence: Absence) {
        for other in connection.end_writing() {
            self.tell_writing(other, connection.user_id, false);
        }
        for subscription in connection.forget_all() {
            self.unsubscribe(&subscription);
            self.departures.add(subscription.room_id, connection.id, absence);
        }
    }

    /// Tells a socket why it has to go, and lets it go. It does not count any more from here on,
    /// even if its client never takes what is on its way. Whether nobody else had ended it.
    pub(crate) fn dismiss<T: Serialize + ?Sized>(
        &self,
        connection: &Connection,
        absence: Absence,
        event: &str,
        payload: &T,
    ) -> bool {
        self.leave_all(connection, absence);
        connection.emit_last(event, payload);
        connection.disconnect();
        self.disconnected(connection)
    }

    /// A socket whose buffer is full loses events from here on: it has to come back and resume. What comes
    /// live, a replay and an answer may find it full at the same time.
    pub(crate) fn drop_slow(&self, connection: &Connection) {
        let payload = json!({ "roomId": null, "reason": "slow_consumer" });
        if self.dismiss(connection, Absence::Perhaps, "resync_required", &payload) {
            metrics::counter!("socket_emit_errors_total").increment(1);
            tracing::info!(
                connection.id = %connection.id,
                user.id = %connection.user_id,
                "a socket does not keep up and is closed"
            );
        }
    }

    /// The socket is gone, whoever ended it. Its transport follows: a client cannot keep what does not
    /// count any more. Whether something was known of it.
    pub(crate) fn disconnected(&self, connection: &Connection) -> bool {
        let known = self.forget(connection);
        if known {
            connection.hang_up_soon();
        }
        known
    }

    /// Nothing is known of the socket any more; whether something was. A socket that was refused keeps
    /// its transport, which ends when nothing else is said on it.
    pub(crate) fn forget(&self, connection: &Connection) -> bool {
        connection.gone.cancel();
        let moving = connection.is_moving();
        self.leave_all(connection, if moving { Absence::Moving } else { Absence::Perhaps });
        let known = self.connections.remove(connection.id).is_some();
        if known {
            metrics::gauge!("socket_connections").decrement(1.0);
            let (presence, id, user_id) =
                (self.presence.clone(), connection.id, connection.user_id);
            let (announcer, debounce) =
                (self.announcer.clone(), self.settings.presence_debounce_ms);
            self.workers.spawn(async move {
                if moving {
                    return presence.hand_over(id, user_id).await;
                }
                presence.remove(id, user_id).await;
                announcer.announce(user_id, Duration::from_millis(debounce), false);
            });
        }
        known
    }

    /// Emits something that may be lost to everyone in the room but one person.
    pub(crate) fn emit_to_others(
        &self,
        room_id: domain::RoomId,
        but: UserId,
        event: &str,
        payload: &impl Serialize,
    ) {
        for subscription in self.rooms.subscriptions(room_id) {
            if subscription.connection.user_id != but {
                subscription.connection.emit_volatile(event, payload);
            }
        }
    }
}
