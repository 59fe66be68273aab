//! `join_room`: into the live room, from where the client was.
use std::{sync::Arc, time::Duration};

use commands::Membership;
use domain::{Attendance, Room, RoomId, UserId};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::fields::{Fields, id, seq};
use crate::{
    channel::LogError,
    codes,
    connection::Connection,
    node::{Absence, Node},
    payload::timestamp,
    replay::Ended,
    reply::Refusal,
    rooms::Subscription,
};

/// Longest wait for the picture of a room that somebody enters.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most people that are named to someone who comes in.
const MOST_PRESENT: usize = 100;

/// A socket that is being let into a room: live events already wait for it.
pub(crate) struct Admission {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) membership: Membership,
    /// The number the client named; the newest one if it named none.
    pub(crate) after: i64,
    /// The room's newest number.
    pub(crate) head: i64,
    pub(crate) status: Status,
    /// Whether it was not in the room before.
    fresh: bool,
}

/// How a client gets what it missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As events.
    Replayed,
    /// It missed nothing.
    UpToDate,
    /// Not at all: it missed too much, or names numbers that do not exist. It reads the room anew.
    ResyncRequired,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::UpToDate => "up_to_date",
            Self::ResyncRequired => codes::RESYNC_REQUIRED,
        }
    }

    pub(crate) fn of(after: i64, head: i64, most: u32) -> Self {
        match head - after {
            0 => Self::UpToDate,
            missed if (1..=i64::from(most)).contains(&missed) => Self::Replayed,
            _ => Self::ResyncRequired,
        }
    }
}

/// The first of these people, as whoever comes in is told of them.
fn named(people: &[UserId]) -> Vec<Value> {
    people.iter().take(MOST_PRESENT).map(|id| json!({ "userId": id })).collect()
}

impl Node {
    pub(super) async fn join_room(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let room_id = fields.required("roomId", id::<RoomId>);
        let after = fields.optional("afterSeq", seq);
        let room_id = fields.finish(room_id)?;
        let admission = self.admit_to_room(connection, room_id, after).await?;
        let (replayed, attendance) = self.complete(&admission).await?;
        // Nobody is named, and no number told, when it is not known who wants not to be seen.
        let seen = self.seen_of(attendance.present().collect()).await.inspect_err(|error| {
            tracing::debug!(error = %error, "who is in a live room is not told");
        });
        let people = seen.as_ref().map_or_else(|_| Vec::new(), |seen| named(seen));
        Ok(json!({
            "room": self.room_of(connection.user_id, &admission).await,
            "lastSeq": admission.head,
            "status": admission.status.as_str(),
            "replayed": replayed,
            "onlineCount": seen.ok().map(|seen| seen.len()),
            "activeUsers": people,
        }))
    }

    /// The room as its member sees it: from the truth what they are in it, and from a read model what
    /// there is beside that; null where it cannot tell.
    async fn room_of(&self, user_id: UserId, admission: &Admission) -> Value {
        let room_id = admission.subscription.room_id;
        let rooms = self.read_models.rooms();
        let row = match timeout(PATIENCE, rooms.get_for(room_id, user_id)).await {
            Ok(Ok(row)) => row,
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "a room is entered without its picture");
                None
            }
            Err(_) => None,
        };
        let row = row.as_ref();
        let my = row.and_then(|row| row.my);
        json!({
            "id": room_id,
            "name": row.map(|row| &row.name),
            "roomType": row.map(|row| row.room_type),
            "memberCount": row.map(|row| row.member_count),
            "lastSeq": admission.head,
            "my": {
                "isMember": true,
                "role": admission.membership.role,
                "joinedAt": my.map(|my| timestamp(my.joined_at)),
                "lastReadSeq": my.map(|my| my.last_read_seq),
                "unreadCount": my.map(|my| my.unread.messages),
                "mentionCount": my.map(|my| my.unread.mentions),
                "notificationLevel": my.map(|my| my.notification_level),
                "mutedUntil": admission.membership.muted_until.map(timestamp),
            },
        })
    }

    /// Checks membership, subscribes, and only then looks where the room is: what is recorded from
    /// here on waits for the socket, what was recorded before is in the log. Then membership counts
    /// once more.
    pub(crate) async fn admit_to_room(
        &self,
        connection: &Arc<Connection>,
        room_id: RoomId,
        after: Option<i64>,
    ) -> Result<Admission, Refusal> {
        let membership = self.commands.membership(connection.user_id, room_id).await?;
        if after.is_none()
            && let Some(subscription) = connection.subscription(room_id)
            && let Some(last) = subscription.delivery.lock().open_at()
        {
            // Joining again changes nothing: what is on its way still arrives.
            let (after, head, status) = (last, last, Status::UpToDate);
            let subscription = Arc::clone(&subscription);
            return Ok(Admission { subscription, membership, after, head, status, fresh: false });
        }
        let subscription = Subscription::new(room_id, connection);
        connection.join(&subscription, self.settings.max_rooms_per_socket)?;
        self.rooms.add(&subscription);
        platform::crash_point!("socket.admitted");
        let head = match self.history.head(&Room::channel_of(&room_id.to_string())).await {
            Ok(head) => head,
            Err(error) => {
                self.turn_away(&subscription);
                return Err(log_unavailable(&error));
            }
        };
        // Who left since the check above may have left before `head`: then the broadcaster takes the
        // subscription for that of somebody who came back. Who leaves from here on leaves after it.
        let membership = match self.commands.membership(connection.user_id, room_id).await {
            Ok(membership) => membership,
            Err(error) => {
                self.turn_away(&subscription);
                return Err(error.into());
            }
        };
        subscription.mute.begin(membership.muted_until);
        let after = after.unwrap_or(head);
        let status = Status::of(after, head, self.settings.max_replay);
        let begin = if status == Status::ResyncRequired { head } else { after };
        subscription.start(begin, head);
        Ok(Admission { subscription, membership, after, head, status, fresh: true })
    }

    /// Replays, and records that the person is there. Answers how much was replayed, and who is there.
    pub(crate) async fn complete(
        self: &Arc<Self>,
        admission: &Admission,
    ) -> Result<(u64, Attendance), Refusal> {
        let subscription = &admission.subscription;
        let (room_id, connection) = (subscription.room_id, &subscription.connection);
        if admission.status == Status::ResyncRequired {
            let payload = json!({
                "roomId": room_id,
                "reason": "too_far_behind",
                "fromSeq": admission.after + 1,
                "lastSeq": admission.head,
            });
            connection.emit_volatile("resync_required", &payload);
        }
        let replayed = match self.catch_up(subscription).await {
            Ok(replayed) => replayed,
            Err(Ended::Unavailable(error)) => {
                self.turn_away_if(admission.fresh, subscription);
                return Err(log_unavailable(&error));
            }
            Err(Ended::Slow) => {
                self.drop_slow(connection);
                return Err(Refusal::queue_full());
            }
            // Put out while it came in: no member any more, unless the socket itself is gone.
            Err(Ended::Gone) => {
                self.turn_away(subscription);
                self.commands.require_member(connection.user_id, room_id).await?;
                return Err(Refusal {
                    retryable: true,
                    ..Refusal::new(codes::CONFLICT, "try again")
                });
            }
        };
        match self.commands.enter_room(&connection.caller(), room_id, connection.id).await {
            Ok(entered) => {
                if subscription.delivery.lock().is_closed() {
                    // It left while the entry was recorded: the exit may have come before.
                    self.departures.add(room_id, connection.id, Absence::Meant);
                }
                self.end_dead_connections(room_id, connection.user_id, &entered.value).await;
                Ok((replayed, entered.value))
            }
            Err(error) => {
                self.turn_away_if(admission.fresh, subscription);
                Err(error.into())
            }
        }
    }

    /// Whoever comes back from a node that died or ended may have a connection in the room that nobody
    /// refreshes. They would be counted after they left, until the reaper misses it.
    async fn end_dead_connections(
        &self,
        room_id: RoomId,
        user_id: UserId,
        attendance: &Attendance,
    ) {
        let own = attendance.connections().filter(|(id, _)| *id == user_id);
        let own: Vec<_> = own.map(|(_, connection_id)| connection_id).collect();
        if own.len() < 2 {
            return;
        }
        match self.presence.dead(&own).await {
            Ok(dead) => {
                for connection_id in dead {
                    // Later: whoever came back, came back with many others.
                    self.departures.add(room_id, connection_id, Absence::Perhaps);
                }
            }
            Err(error) => {
                tracing::debug!(error = %error, "dead connections are left to the reaper");
            }
        }
    }

    fn turn_away_if(&self, fresh: bool, subscription: &Arc<Subscription>) {
        if fresh {
            self.turn_away(subscription);
        }
    }

    /// Undoes a subscription. An older entry of this socket, if there was one, ends with it.
    fn turn_away(&self, subscription: &Arc<Subscription>) {
        self.unsubscribe(subscription);
        self.departures.add(subscription.room_id, subscription.connection.id, Absence::Meant);
    }
}

/// Logs the failure, once, and answers it.
pub(super) fn log_unavailable(error: &LogError) -> Refusal {
    tracing::error!(error = %error, "the events of a room cannot be read");
    Refusal::unavailable()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_first_hundred_of_a_crowd_are_named() {
        let crowd: Vec<_> = (1..=130).map(|n| UserId(Uuid::from_u128(n))).collect();
        let told = named(&crowd);
        assert_eq!(told.len(), 100);
        assert_eq!(told[99], json!({ "userId": crowd[99] }));
        assert_eq!(named(&crowd[..3]).len(), 3);
    }

    #[test]
    fn what_was_missed_is_replayed_up_to_a_bound() {
        assert_eq!(Status::of(7, 7, 100), Status::UpToDate);
        assert_eq!(Status::of(6, 7, 100), Status::Replayed);
        assert_eq!(Status::of(0, 100, 100), Status::Replayed);
        assert_eq!(Status::of(0, 101, 100), Status::ResyncRequired);
    }

    #[test]
    fn a_client_ahead_of_the_room_starts_anew() {
        assert_eq!(Status::of(8, 7, 100), Status::ResyncRequired);
    }
}
