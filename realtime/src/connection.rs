//! One connected socket: whose it is, which rooms it is in, how it is emitted to and ended.
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use commands::{AccessClaims, Caller, limits::Bucket};
use domain::{ConnectionId, ConversationId, MessagePlace, RoomId, SessionId, UserId, user::Cutoff};
use parking_lot::Mutex;
use platform::{config, ids::new_id};
use serde::Serialize;
use socketioxide::{SendError, SocketError, extract::SocketRef};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    codes,
    reply::Refusal,
    rooms::{Stream, Subscription},
    server::FAREWELL,
    transport::Transport,
    typing::TypingGate,
};

/// How long a token lives on after its client was told that it ends.
pub(crate) const EXPIRY_WARNING: Duration = Duration::from_mins(1);

/// People to whom one socket may be seen writing.
const WRITING: usize = 64;

/// Acknowledgements of one socket that may wait for a number at the same time.
const PLACING: usize = 64;

/// A socket of this node.
pub(crate) struct Connection {
    /// Names the connection in attendance; not the engine's id, which clients know.
    pub(crate) id: ConnectionId,
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
    /// When it was let in.
    pub(crate) since: Instant,
    socket: SocketRef,
    rooms: Mutex<Rooms>,
    /// The account's token version when the access token was made.
    token_version: AtomicU64,
    /// When the access token ends, milliseconds since 1970.
    expires_at: AtomicI64,
    warned: AtomicBool,
    /// Set by the namespace handler: CONNECT went out.
    connected: AtomicBool,
    ready: Notify,
    /// Cancelled when the socket is gone.
    pub(crate) gone: CancellationToken,
    /// Recorded messages whose acknowledgement waits for their number.
    pub(crate) placing: Arc<Semaphore>,
    /// How often it asks; `None` where nothing is counted.
    bucket: Option<Box<Mutex<Bucket>>>,
    /// Whether commands that still wait are dropped: the session was revoked.
    discard: AtomicBool,
    /// Whether the client was told the first event. Nothing else is told before, but why it must go.
    greeted: AtomicBool,
    /// Whether its node ends, and its client is to come back at another one.
    moving: AtomicBool,
}

#[derive(Default)]
struct Rooms {
    /// Once set, nothing is joined any more.
    left_all: bool,
    joined: HashMap<RoomId, Arc<Subscription>>,
    /// Conversations of which the socket heard something.
    conversations: HashMap<ConversationId, Arc<Stream>>,
    /// Who was told lately that the person is writing to them.
    writing: HashMap<UserId, TypingGate>,
}

/// Why an emit did not reach the socket's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EmitFailure {
    /// The buffer is full: the client does not keep up.
    Full,
    /// The socket is gone.
    Closed,
}

impl From<&SendError> for EmitFailure {
    fn from(error: &SendError) -> Self {
        match error {
            SendError::Socket(SocketError::InternalChannelFull) => Self::Full,
            SendError::Socket(SocketError::Closed) | SendError::Serialize(_) => Self::Closed,
        }
    }
}

impl Connection {
    pub(crate) fn new(
        socket: SocketRef,
        claims: &AccessClaims,
        limits: &config::Limits,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: ConnectionId(new_id()),
            user_id: claims.user_id,
            session_id: claims.session_id,
            token_version: AtomicU64::new(claims.token_version),
            since: Instant::now(),
            socket,
            rooms: Mutex::default(),
            expires_at: AtomicI64::new(claims.expires_at.timestamp_millis()),
            warned: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            ready: Notify::new(),
            gone: CancellationToken::new(),
            placing: Arc::new(Semaphore::new(PLACING)),
            bucket: limits
                .enabled
                .then(|| Box::new(Mutex::new(Bucket::full(limits.socket, Instant::now())))),
            discard: AtomicBool::new(false),
            greeted: AtomicBool::new(false),
            moving: AtomicBool::new(false),
        })
    }

    /// Counts a command of this socket.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub(crate) fn count(&self) -> Result<(), Duration> {
        self.bucket.as_ref().map_or(Ok(()), |bucket| bucket.lock().take(Instant::now()))
    }

    /// The person behind the socket, for one command.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            user_id: self.user_id,
            session_id: self.session_id,
            request_id: new_id().to_string(),
        }
    }

    /// CONNECT went out: the worker may begin.
    pub(crate) fn set_connected(&self) {
        self.connected.store(true, Ordering::Release);
        self.ready.notify_one();
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Waits for [`Connection::set_connected`]; `false` if the socket is gone before.
    pub(crate) async fn connected(&self) -> bool {
        tokio::select! {
            () = self.gone.cancelled() => false,
            () = self.ready.notified() => true,
        }
    }

    /// Commands that still wait are not carried out.
    pub(crate) fn discard_waiting(&self) {
        self.discard.store(true, Ordering::Release);
    }

    pub(crate) fn discards(&self) -> bool {
        self.discard.load(Ordering::Acquire)
    }

    pub(crate) fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.expires_at.load(Ordering::Acquire))
    }

    /// The client brought a newer token.
    pub(crate) fn renew(&self, claims: &AccessClaims) {
        self.expires_at.store(claims.expires_at.timestamp_millis(), Ordering::Release);
        self.token_version.fetch_max(claims.token_version, Ordering::AcqRel);
        self.warned.store(false, Ordering::Release);
    }

    /// Whether the account still accepts the token that the client brought last.
    pub(crate) fn is_accepted(&self, cutoff: &Cutoff) -> bool {
        cutoff.accepts(self.session_id, self.token_version.load(Ordering::Acquire))
    }

    /// Whether this is the first time somebody asks, since the last renewal.
    pub(crate) fn warn_once(&self) -> bool {
        !self.warned.swap(true, Ordering::AcqRel)
    }

    /// Emits an event. Never waits.
    pub(crate) fn emit<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<(), EmitFailure> {
        self.socket.emit(event, payload).map_err(|error| EmitFailure::from(&error))
    }

    /// Emits the first event: from here on the socket hears of everything else. Answers the
    /// conversations of which something waits for it.
    pub(crate) fn emit_first<T: Serialize + ?Sized>(
        &self,
        event: &str,
        payload: &T,
    ) -> Result<Vec<Arc<Stream>>, EmitFailure> {
        // One lock with `conversation`: a direct message waits, or comes after it.
        let rooms = self.rooms.lock();
        self.emit(event, payload)?;
        self.greeted.store(true, Ordering::Release);
        Ok(rooms.conversations.values().cloned().collect())
    }

    pub(crate) fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::Acquire)
    }

    /// Emits something that may be lost: the next one of its kind replaces it. Nothing before the
    /// first event.
    pub(crate) fn emit_volatile<T: Serialize + ?Sized>(&self, event: &str, payload: &T) {
        if self.is_greeted() {
            // A full buffer is noticed by the next durable event.
            let _ = self.emit(event, payload);
        }
    }

    /// Emits why the socket has to go.
    pub(crate) fn emit_last<T: Serialize + ?Sized>(&self, event: &str, payload: &T) {
        // Without it the end comes all the same.
        let _ = self.emit(event, payload);
    }

    /// Takes note of a room the socket is in now. Answers the subscription this one replaces.
    pub(crate) fn join(
        &self,
        subscription: &Arc<Subscription>,
        most: usize,
    ) -> Result<Option<Arc<Subscription>>, Refusal> {
        let mut rooms = self.rooms.lock();
        if rooms.left_all && self.is_moving() {
            let draining = Refusal::new(codes::SERVER_DRAINING, "come back at another node");
            return Err(Refusal { retryable: true, ..draining });
        }
        if rooms.left_all {
            return Err(Refusal::new(codes::SESSION_REVOKED, "this socket is closed"));
        }
        if rooms.joined.len() >= most && !rooms.joined.contains_key(&subscription.room_id) {
            let message = format!("a socket can be in at most {most} rooms");
            return Err(Refusal::new(codes::TOO_MANY_ROOMS, message));
        }
        Ok(rooms.joined.insert(subscription.room_id, Arc::clone(subscription)))
    }

    /// The subscription to this room, if the socket is in it.
    pub(crate) fn subscription(&self, room_id: RoomId) -> Option<Arc<Subscription>> {
        self.rooms.lock().joined.get(&room_id).cloned()
    }

    /// Forgets a room. With `only`, just if it is still this subscription.
    pub(crate) fn forget(
        &self,
        room_id: RoomId,
        only: Option<&Arc<Subscription>>,
    ) -> Option<Arc<Subscription>> {
        let mut rooms = self.rooms.lock();
        let current = rooms.joined.get(&room_id)?;
        if only.is_some_and(|only| !Arc::ptr_eq(only, current)) {
            return None;
        }
        rooms.joined.remove(&room_id)
    }

    /// Takes note of a conversation that is told from where the client was.
    pub(crate) fn resume_conversation(&self, id: ConversationId, stream: &Arc<Stream>) {
        let mut rooms = self.rooms.lock();
        if !rooms.left_all {
            rooms.conversations.insert(id, Arc::clone(stream));
        }
    }

    /// The conversation is told from the next event on, as if it had not been resumed.
    pub(crate) fn forget_conversation(&self, id: ConversationId) {
        self.rooms.lock().conversations.remove(&id);
    }

    /// The way of a conversation's event `seq` to this socket. A conversation that was not resumed
    /// begins with the first event that is heard; before the client is told anything, it waits.
    /// `None` once the socket is gone.
    pub(crate) fn conversation(
        self: &Arc<Self>,
        id: ConversationId,
        seq: i64,
    ) -> Option<Arc<Stream>> {
        let mut rooms = self.rooms.lock();
        if let Some(stream) = rooms.conversations.get(&id) {
            return Some(Arc::clone(stream));
        }
        if rooms.left_all {
            return None;
        }
        let stream = Arc::new(Stream::new(MessagePlace::Conversation(id), self));
        stream.start(seq - 1, seq - 1);
        if self.is_greeted() {
            // Nothing to replay: it is live.
            stream.delivery.lock().drain();
        }
        rooms.conversations.insert(id, Arc::clone(&stream));
        Some(stream)
    }

    /// What was told of the person's writing to someone. Of a few people only: notices are lost
    /// rather than remembered for ever.
    pub(crate) fn writing_to<T>(
        &self,
        other: UserId,
        look: impl FnOnce(&mut TypingGate) -> T,
    ) -> T {
        let mut rooms = self.rooms.lock();
        if rooms.writing.len() >= WRITING && !rooms.writing.contains_key(&other) {
            rooms.writing.clear();
        }
        look(rooms.writing.entry(other).or_default())
    }

    /// As [`Self::writing_to`], of someone who was told before: whether `stop` says that they believe it.
    pub(crate) fn stops_writing(
        &self,
        other: UserId,
        stop: impl FnOnce(&mut TypingGate) -> bool,
    ) -> bool {
        self.rooms.lock().writing.get_mut(&other).is_some_and(stop)
    }

    /// Whom the person is not writing to any more, of those who believe it: the socket goes.
    pub(crate) fn end_writing(&self) -> Vec<UserId> {
        let mut rooms = self.rooms.lock();
        rooms.writing.drain().filter_map(|(other, mut gate)| gate.stop().then_some(other)).collect()
    }

    /// Its node ends, and its client is to come back at another one. Of those that have to go anyway
    /// nothing changes.
    pub(crate) fn begin_moving(&self) {
        if !self.rooms.lock().left_all {
            self.moving.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }

    /// Forgets every room and conversation, for good.
    pub(crate) fn forget_all(&self) -> Vec<Arc<Subscription>> {
        let mut rooms = self.rooms.lock();
        rooms.left_all = true;
        for stream in rooms.conversations.drain().map(|(_, stream)| stream) {
            stream.delivery.lock().close();
        }
        rooms.joined.drain().map(|(_, subscription)| subscription).collect()
    }

    /// Asks the client to go. A full buffer cannot even take the packet that says so: then it is
    /// tried again until it drains, or the transport ends.
    pub(crate) fn disconnect(&self) {
        if self.socket.clone().disconnect().is_ok() {
            return;
        }
        let socket = self.socket.clone();
        tokio::spawn(async move {
            let deadline = Instant::now() + FAREWELL;
            while Instant::now() < deadline && socket.connected() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if socket.clone().disconnect().is_ok() {
                    return;
                }
            }
        });
    }

    /// Ends the transport, once what is on its way had a moment to go out.
    pub(crate) fn hang_up_soon(&self) {
        let extensions = &self.socket.req_parts().extensions;
        let Some(transport) = extensions.get::<Transport>().cloned() else { return };
        let sid = self.socket.id;
        tokio::spawn(async move {
            tokio::time::sleep(FAREWELL).await;
            transport.end(sid).await;
        });
    }
}
