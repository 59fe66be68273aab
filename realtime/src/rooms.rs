//! The sockets of this node in each room, each with where it stands.
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, atomic::AtomicBool},
};

use dashmap::DashMap;
use domain::{ConnectionId, MessagePlace, RoomId};
use parking_lot::Mutex;

use crate::{
    connection::{Connection, EmitFailure},
    delivery::{Delivery, Offer},
    mutes::KnownMute,
    payload::Prepared,
    typing::TypingGate,
};

/// Live events that wait for one replaying subscriber.
const WAITING: usize = 256;

/// The durable events of one room or conversation on their way to one socket.
pub(crate) struct Stream {
    pub(crate) place: MessagePlace,
    pub(crate) connection: Arc<Connection>,
    pub(crate) delivery: Mutex<Delivery<Arc<Prepared>>>,
    /// The newest number when the socket began to listen; `None` until it is known.
    floor: Mutex<Option<i64>>,
}

/// One socket in one room.
pub(crate) struct Subscription {
    pub(crate) room_id: RoomId,
    stream: Stream,
    pub(crate) typing: Mutex<TypingGate>,
    /// Whether its entry is about to be recorded anew.
    pub(crate) entering_again: AtomicBool,
    /// Whether it was told the numbers of the room.
    pub(crate) knows_numbers: AtomicBool,
    pub(crate) mute: KnownMute,
}

/// What became of a live event at one subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// It went out.
    Sent,
    /// Not now, or not ever; nothing to do.
    Nothing,
    /// Something before it is missing: begin a replay.
    Behind,
    /// The socket does not keep up or is gone.
    Failed(EmitFailure),
}

impl Stream {
    pub(crate) fn new(place: MessagePlace, connection: &Arc<Connection>) -> Self {
        Self {
            place,
            connection: Arc::clone(connection),
            delivery: Mutex::new(Delivery::new(WAITING)),
            floor: Mutex::new(None),
        }
    }

    /// The newest number when the socket began to listen.
    pub(crate) fn floor(&self) -> Option<i64> {
        *self.floor.lock()
    }

    /// Begins delivery after `after`, where the newest number is `head`.
    pub(crate) fn start(&self, after: i64, head: i64) {
        *self.floor.lock() = Some(head);
        self.delivery.lock().start_after(after);
    }

    /// A live event. Never waits.
    pub(crate) fn offer(&self, prepared: &Arc<Prepared>) -> Delivered {
        let mut delivery = self.delivery.lock();
        match delivery.offer(prepared.seq, prepared) {
            Offer::Nothing => Delivered::Nothing,
            Offer::Behind => Delivered::Behind,
            Offer::Emit => match self.emit(prepared) {
                Ok(()) => {
                    delivery.advance(prepared.seq);
                    Delivered::Sent
                }
                Err(failure) => {
                    delivery.close();
                    Delivered::Failed(failure)
                }
            },
        }
    }

    pub(crate) fn emit(&self, prepared: &Prepared) -> Result<(), EmitFailure> {
        let payload = prepared.payload_for(self.connection.user_id);
        self.connection.emit(prepared.event, payload)
    }
}

impl Subscription {
    pub(crate) fn new(room_id: RoomId, connection: &Arc<Connection>) -> Arc<Self> {
        Arc::new(Self {
            room_id,
            stream: Stream::new(MessagePlace::Room(room_id), connection),
            typing: Mutex::default(),
            entering_again: AtomicBool::new(false),
            knows_numbers: AtomicBool::new(false),
            mute: KnownMute::default(),
        })
    }
}

impl AsRef<Stream> for Stream {
    fn as_ref(&self) -> &Stream {
        self
    }
}

impl AsRef<Stream> for Subscription {
    fn as_ref(&self) -> &Stream {
        &self.stream
    }
}

impl Deref for Subscription {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.stream
    }
}

/// The rooms that sockets of this node are in.
#[derive(Default)]
pub(crate) struct Rooms(DashMap<RoomId, HashMap<ConnectionId, Arc<Subscription>>>);

impl Rooms {
    /// From here on the broadcaster offers live events to it. Replaces the socket's older one.
    pub(crate) fn add(&self, subscription: &Arc<Subscription>) {
        let replaced = self
            .0
            .entry(subscription.room_id)
            .or_default()
            .insert(subscription.connection.id, Arc::clone(subscription));
        if let Some(replaced) = replaced {
            replaced.delivery.lock().close();
        }
    }

    /// Ends a subscription: nothing is delivered any more once this returns.
    pub(crate) fn remove(&self, subscription: &Arc<Subscription>) {
        subscription.delivery.lock().close();
        let id = subscription.connection.id;
        self.0.remove_if_mut(&subscription.room_id, |_, room| {
            if room.get(&id).is_some_and(|current| Arc::ptr_eq(current, subscription)) {
                room.remove(&id);
            }
            room.is_empty()
        });
    }

    /// Whether any socket of this node is in the room.
    pub(crate) fn contains(&self, room_id: RoomId) -> bool {
        self.0.contains_key(&room_id)
    }

    /// Everyone in the room. Copied, so that no lock is held while they are emitted to.
    pub(crate) fn subscriptions(&self, room_id: RoomId) -> Vec<Arc<Subscription>> {
        self.0.get(&room_id).map(|room| room.values().cloned().collect()).unwrap_or_default()
    }

    /// This socket in the room.
    pub(crate) fn get(&self, room_id: RoomId, id: ConnectionId) -> Option<Arc<Subscription>> {
        self.0.get(&room_id)?.get(&id).cloned()
    }
}
