//! Who may connect, and what a new socket hears first.
use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use commands::{AccessClaims, TokenError};
use domain::{ConversationId, LogPosition, MessagePlace, RoomId};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use socketioxide::{extract::SocketRef, extract::TryData};
use uuid::Uuid;

use crate::{
    codes,
    connection::Connection,
    direct,
    inbound::{Admission, Status, fields},
    node::{Absence, Node},
    payload::timestamp,
    reply::Refusal,
    strangers::Stranger,
    worker,
};

/// The version of the event contract that this server speaks.
const PROTOCOL: i64 = 1;
/// Longest wait for the stores that say whether a session lives.
const PATIENCE: Duration = Duration::from_secs(5);
/// Rooms of one new socket that are looked up at the same time.
const ROOMS_AT_ONCE: usize = 8;

/// A room that a client wants to be in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resume {
    pub(crate) room_id: RoomId,
    pub(crate) after: Option<i64>,
}

/// A conversation that a client wants to be told of from where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResumeConversation {
    pub(crate) conversation_id: ConversationId,
    pub(crate) after: Option<i64>,
}

/// What a client wants to go on with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resumes {
    pub(crate) rooms: Vec<Resume>,
    pub(crate) conversations: Vec<ResumeConversation>,
    /// Where the client's last connection began: what came since in other conversations is wanted.
    pub(crate) since: Option<LogPosition>,
    /// How far this node's sockets were told when this one was entered: all that follows is told,
    /// or waits.
    pub(crate) entered_at: LogPosition,
}

/// How many times the sockets of one person there may be while they are still examined.
const LENIENCY: usize = 2;

/// Why a connection was refused: a public code. Nothing that a client said is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

impl fmt::Display for Refused {
    /// A text is all that the library lets a middleware answer. Our copy of its parser sends this
    /// one as the fields that it has, as `CONNECT_ERROR` knows them: see
    /// `docs/adr/0014-refusals-with-data.md`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = json!({ "code": self.0, "retryable": self.retryable() });
        write!(f, "{}", json!({ "message": self.0, "data": data }))
    }
}

impl Refused {
    /// Every code there is.
    pub(crate) const CODES: &[&str] = &[
        codes::DEPENDENCY_UNAVAILABLE,
        codes::SERVER_DRAINING,
        codes::SESSION_REVOKED,
        codes::TOKEN_EXPIRED,
        codes::TOO_MANY_ROOMS,
        codes::TOO_MANY_SOCKETS,
        codes::UNAUTHENTICATED,
        codes::UNSUPPORTED_PROTOCOL,
        codes::VALIDATION_FAILED,
    ];

    /// Whether it is trouble of ours, which passes.
    fn passes(self) -> bool {
        matches!(self.0, codes::DEPENDENCY_UNAVAILABLE | codes::SERVER_DRAINING)
    }

    /// Whether the same handshake may be let in a little later. An expired token will not: who has
    /// a newer one comes with another handshake. Sockets are too many only while a crowd of them is
    /// examined; then the oldest make room.
    fn retryable(self) -> bool {
        self.passes() || self.0 == codes::TOO_MANY_SOCKETS
    }
}

/// What a client says about itself.
#[derive(Debug, PartialEq, Eq)]
struct Auth {
    token: String,
    resume: Resumes,
}

impl Auth {
    /// Fields that are not known here are ignored: client libraries add their own.
    fn read(auth: &Value, most_rooms: usize) -> Result<Self, Refused> {
        let token = auth.get("token").and_then(Value::as_str).filter(|token| !token.is_empty());
        let token = token.ok_or(Refused(codes::UNAUTHENTICATED))?.to_owned();
        match auth.get("protocol") {
            None | Some(Value::Null) => {}
            Some(version) if version.as_i64() == Some(PROTOCOL) => {}
            Some(_) => return Err(Refused(codes::UNSUPPORTED_PROTOCOL)),
        }
        let rooms = listed(auth, "rooms", "roomId", |room_id, after| Resume {
            room_id: RoomId(room_id),
            after,
        })?;
        // In more rooms than that nobody can be.
        if rooms.len() > most_rooms {
            return Err(Refused(codes::TOO_MANY_ROOMS));
        }
        let conversations = listed(auth, "conversations", "conversationId", |id, after| {
            ResumeConversation { conversation_id: ConversationId(id), after }
        })?;
        let since = auth.get("userCursor").filter(|cursor| !cursor.is_null());
        let since = since.map(fields::seq).transpose();
        let since = since.map_err(|_| Refused(codes::VALIDATION_FAILED))?.map(LogPosition);
        let resume = Resumes { rooms, conversations, since, ..Resumes::default() };
        Ok(Self { token, resume })
    }
}

/// The entries of a list of the handshake; of entries with the same id the first.
fn listed<T>(
    auth: &Value,
    list: &str,
    id: &str,
    entry: impl Fn(Uuid, Option<i64>) -> T,
) -> Result<Vec<T>, Refused> {
    let invalid = || Refused(codes::VALIDATION_FAILED);
    let entries = match auth.get(list) {
        None | Some(Value::Null) => &[][..],
        Some(entries) => entries.as_array().ok_or_else(invalid)?,
    };
    let (mut seen, mut read) = (HashSet::new(), Vec::with_capacity(entries.len()));
    for one in entries {
        let id: Uuid = fields::id(one.get(id).ok_or_else(invalid)?).map_err(|_| invalid())?;
        let after = one.get("afterSeq").filter(|after| !after.is_null());
        let after = after.map(fields::seq).transpose().map_err(|_| invalid())?;
        if seen.insert(id) {
            read.push(entry(id, after));
        }
    }
    Ok(read)
}

impl Node {
    /// The connect middleware: lets a socket in, or says why not. Everything that a socket needs
    /// is in place before CONNECT goes out.
    pub(crate) async fn let_in(
        self: &Arc<Self>,
        socket: SocketRef,
        TryData(auth): TryData<Value>,
    ) -> Result<(), Refused> {
        // It says whose it is, or is refused: no stranger any more, once that is known.
        let stranger = socket.req_parts().extensions.get::<Stranger>().cloned();
        let outcome = self.examine(socket, &auth.unwrap_or(Value::Null)).await;
        if let (Some(stranger), Ok(())) = (stranger, &outcome) {
            stranger.known();
        }
        let label = outcome.as_ref().map_or_else(|refused| refused.0, |()| "ok");
        metrics::counter!("socket_connects_total", "outcome" => label).increment(1);
        if outcome.is_err_and(Refused::passes) {
            // Official clients take CONNECT_ERROR for the last word, but come back by themselves
            // when their transport ends, as it does when nothing is said for this long.
            tokio::time::sleep(Duration::from_millis(self.settings.connect_timeout_ms)).await;
        }
        outcome
    }

    async fn examine(self: &Arc<Self>, socket: SocketRef, auth: &Value) -> Result<(), Refused> {
        if self.is_draining() {
            return Err(Refused(codes::SERVER_DRAINING));
        }
        let auth = Auth::read(auth, self.settings.max_rooms_per_socket)?;
        let claims =
            self.commands.verify_access_token(&auth.token).map_err(|error| match error {
                TokenError::Expired => Refused(codes::TOKEN_EXPIRED),
                TokenError::Invalid => Refused(codes::UNAUTHENTICATED),
            })?;
        let connection = Connection::new(socket.clone(), &claims, self.limits.settings());
        let most = self.settings.max_sockets_per_user;
        if !self.connections.add(&connection, most.saturating_mul(LENIENCY)) {
            return Err(Refused(codes::TOO_MANY_SOCKETS));
        }
        metrics::gauge!("socket_connections").increment(1.0);
        let entered_at = LogPosition(self.telling.load(Ordering::Acquire));
        let resume = Resumes { entered_at, ..auth.resume };
        // Only now the session: its end is either seen here, or finds the socket in the table.
        let checks = tokio::time::timeout(PATIENCE, self.check(&connection, &claims));
        match checks.await.unwrap_or(Err(Refused(codes::DEPENDENCY_UNAVAILABLE))) {
            Ok(everywhere) => {
                for oldest in self.connections.surplus(&connection, most, everywhere > most) {
                    let payload = json!({ "reason": codes::TOO_MANY_SOCKETS });
                    self.dismiss(&oldest, Absence::Perhaps, "replaced", &payload);
                }
                worker::start(self, &socket, &connection, resume);
                Ok(())
            }
            Err(refused) => {
                self.forget(&connection);
                Err(refused)
            }
        }
    }

    /// Whether the socket's token still counts. Answers how many sockets the person has on all nodes;
    /// 0 if nobody knows.
    async fn check(
        &self,
        connection: &Connection,
        claims: &AccessClaims,
    ) -> Result<usize, Refused> {
        let AccessClaims { user_id, session_id, token_version, .. } = *claims;
        let sessions = self.read_models.sessions();
        let known = match sessions.counts(session_id, user_id, token_version).await {
            Ok(known) => known,
            Err(error) => {
                tracing::debug!(error = %error, "sessions are looked up in the event store");
                None
            }
        };
        let counts = match known {
            Some(counts) => counts,
            None => self.commands.token_counts(claims).await.map_err(|error| {
                tracing::error!(error = %error, "a session cannot be checked, the socket is refused");
                Refused(codes::DEPENDENCY_UNAVAILABLE)
            })?,
        };
        if !counts || self.connections.is_over(connection) {
            return Err(Refused(codes::SESSION_REVOKED));
        }
        // Counting over all nodes is a courtesy; without Redis each node counts for itself.
        match self.presence.add(connection, self.settings.max_sockets_per_user).await {
            Ok(sockets) => Ok(sockets),
            Err(error) => {
                tracing::debug!(error = %error, "sockets of other nodes are not counted");
                Ok(0)
            }
        }
    }

    /// `session_ready`, then the rooms that the client named in its handshake: first what it
    /// missed, then what is live.
    pub(crate) async fn greet(self: &Arc<Self>, connection: &Arc<Connection>, resume: Resumes) {
        let wanted = self.wanted_conversations(connection.user_id, &resume).await;
        let conversations: Vec<_> =
            stream::iter(wanted.resumed)
                .map(|wanted| async move {
                    (wanted, self.resume_conversation(connection, wanted).await)
                })
                .buffered(ROOMS_AT_ONCE)
                .collect()
                .await;
        let admissions: Vec<_> = stream::iter(resume.rooms)
            .map(|room| async move {
                (room, self.admit_to_room(connection, room.room_id, room.after).await)
            })
            .buffered(ROOMS_AT_ONCE)
            .collect()
            .await;
        let rooms = admissions.iter().map(|(room, outcome)| report(*room, outcome));
        let direct = conversations.iter().map(|(wanted, outcome)| direct::report(*wanted, outcome));
        let left_out = wanted.left_out.iter().map(|it| direct::report_left_out(*it));
        let resumed: Vec<_> = rooms.chain(direct).chain(left_out).collect();
        let ready = json!({
            "sessionId": connection.session_id,
            "userId": connection.user_id,
            "serverTime": timestamp(self.clock.now()),
            "cursor": resume.entered_at,
            "protocol": PROTOCOL,
            "heartbeat": {
                "pingIntervalMs": self.settings.ping_interval_ms,
                "pingTimeoutMs": self.settings.ping_timeout_ms,
            },
            "features": [
                "resume", "sync", "typing", "presence", "room_stats", "refresh_auth",
                "direct_messages",
            ],
            "resume": resumed,
        });
        let Ok(waiting) = connection.emit_first("session_ready", &ready) else { return };
        self.announcer.announce(connection.user_id, Duration::ZERO, false);
        let mut told = HashSet::new();
        for (wanted, outcome) in conversations {
            if let Ok(resumed) = outcome {
                told.insert(MessagePlace::Conversation(wanted.conversation_id));
                self.tell_missed(&resumed).await;
            }
        }
        for begun_meanwhile in waiting.into_iter().filter(|it| !told.contains(&it.place)) {
            self.catch_up_later(begun_meanwhile);
        }
        if let Some(reason) = wanted.more {
            let payload = json!({ "conversationId": null, "reason": reason });
            connection.emit_volatile("resync_required", &payload);
        }
        for (room, outcome) in admissions {
            let Ok(admission) = outcome else { continue };
            if let Err(refusal) = self.complete(&admission).await {
                let payload = json!({ "roomId": room.room_id, "reason": refusal.code });
                connection.emit_volatile("resync_required", &payload);
            }
        }
    }
}

/// How one room of the handshake goes on.
fn report(room: Resume, outcome: &Result<Admission, Refusal>) -> Value {
    match outcome {
        Ok(admission) => {
            let from = if admission.status == Status::UpToDate {
                admission.head + 1
            } else {
                admission.after + 1
            };
            json!({
                "roomId": room.room_id,
                "fromSeq": from,
                "toSeq": admission.head,
                "status": admission.status.as_str(),
                "mutedUntil": admission.membership.muted_until.map(timestamp),
            })
        }
        Err(refusal) => json!({
            "roomId": room.room_id,
            "fromSeq": null,
            "toSeq": null,
            "status": if refusal.retryable { "unavailable" } else { "forbidden" },
        }),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ROOM: &str = "00000000-0000-0000-0000-000000000001";

    #[test]
    fn a_token_is_all_it_takes() {
        let auth = Auth::read(&json!({ "token": "t", "deviceId": 7, "pid": "x" }), 50).unwrap();
        assert_eq!(auth, Auth { token: "t".to_owned(), resume: Resumes::default() });
    }

    #[test]
    fn without_a_token_nobody_is_let_in() {
        for auth in [json!(null), json!({}), json!({ "token": "" }), json!({ "token": 1 })] {
            assert_eq!(Auth::read(&auth, 50), Err(Refused("unauthenticated")));
        }
    }

    #[test]
    fn only_trouble_of_ours_passes() {
        for passing in ["dependency_unavailable", "server_draining"] {
            assert!(Refused(passing).passes(), "{passing}");
        }
        for lasting in ["unauthenticated", "token_expired", "session_revoked", "too_many_sockets"] {
            assert!(!Refused(lasting).passes(), "{lasting}");
        }
    }

    #[test]
    fn a_refusal_says_whether_the_same_handshake_may_be_let_in_later() {
        let mut retryable = Vec::new();
        for &code in Refused::CODES {
            let said: Value = serde_json::from_str(&Refused(code).to_string()).unwrap();
            if said["data"]["retryable"] == true {
                retryable.push(code);
            }
            let data = json!({ "code": code, "retryable": said["data"]["retryable"] });
            assert_eq!(said, json!({ "message": code, "data": data }));
        }
        assert_eq!(retryable, ["dependency_unavailable", "server_draining", "too_many_sockets"]);
    }

    #[test]
    fn another_protocol_is_refused() {
        let auth = |protocol: Value| Auth::read(&json!({ "token": "t", "protocol": protocol }), 50);
        assert!(auth(json!(1)).is_ok());
        assert!(auth(json!(null)).is_ok());
        assert_eq!(auth(json!(2)), Err(Refused("unsupported_protocol")));
        assert_eq!(auth(json!("1")), Err(Refused("unsupported_protocol")));
    }

    #[test]
    fn a_cursor_is_a_position() {
        let auth = |cursor: Value| Auth::read(&json!({ "token": "t", "userCursor": cursor }), 2);
        assert_eq!(auth(json!(7)).unwrap().resume.since, Some(LogPosition(7)));
        assert_eq!(auth(json!(null)).unwrap().resume.since, None);
        for wrong in [json!("7"), json!(-1), json!(1.5), json!({})] {
            assert_eq!(auth(wrong), Err(Refused("validation_failed")));
        }
    }

    #[test]
    fn rooms_to_resume_are_bounded_and_named_once() {
        let auth = |rooms: Value| Auth::read(&json!({ "token": "t", "rooms": rooms }), 2);
        let room_id = RoomId(Uuid::from_u128(1));
        let twice = json!([{ "roomId": ROOM, "afterSeq": 7 }, { "roomId": ROOM }]);
        assert_eq!(auth(twice).unwrap().resume.rooms, [Resume { room_id, after: Some(7) }]);
        let room = |n: u128| json!({ "roomId": Uuid::from_u128(n) });
        let three = json!([room(1), room(2), room(3)]);
        assert_eq!(auth(three), Err(Refused("too_many_rooms")));
        for wrong in [json!({}), json!([{}]), json!([{ "roomId": "x" }]), json!([7])] {
            assert_eq!(auth(wrong), Err(Refused("validation_failed")));
        }
        let wrong = json!([{ "roomId": ROOM, "afterSeq": "7" }]);
        assert_eq!(auth(wrong), Err(Refused("validation_failed")));
    }
}
