//! Being in a live room, connection by connection.
use domain::{Attendance, AttendanceCommand, AttendanceEvent, ConnectionId, RoomId, UserId};

use crate::{Caller, CommandError, Commands, Written, bus::Context, metadata, requests::Timer};

/// What coming into a live room came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Whether the person was not there before, through any connection.
    pub first: bool,
    /// People in the room now.
    pub online_count: u32,
    /// Who is there, whoever sees them.
    pub present: Vec<UserId>,
}

impl Commands {
    /// Brings a connection of the caller into a live room. Being there already succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `too_many_connections`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id,
        user.id = %caller.user_id,
        room.id = %room_id,
        connection.id = %connection_id,
    ))]
    pub async fn enter_room(
        &self,
        caller: &Caller,
        room_id: RoomId,
        connection_id: ConnectionId,
    ) -> Result<Written<Entered>, CommandError> {
        let _timer = Timer::start("enter_room");
        // Membership is another stream. Someone removed right after this check is put out of the
        // room by those who hear of the removal, as everyone who was in before it.
        self.require_member(caller.user_id, room_id).await?;
        let user_id = caller.user_id;
        let command = AttendanceCommand::Enter { room_id, user_id, connection_id, at: self.now() };
        let context = Context::new(metadata(Some(user_id), &caller.request_id));
        let executed =
            self.inner.bus.execute::<Attendance>(&room_id.to_string(), command, context).await?;
        let value = entered(&executed.events, &executed.state);
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Takes a connection out of a live room. Not being there succeeds.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like; never a refusal.
    #[tracing::instrument(skip_all, fields(
        request.id = request_id, room.id = %room_id, connection.id = %connection_id,
    ))]
    pub async fn exit_room(
        &self,
        room_id: RoomId,
        connection_id: ConnectionId,
        request_id: &str,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("exit_room");
        let command = AttendanceCommand::Exit { connection_id, at: self.now() };
        // Nobody need act for a connection to end; the event says whose it was.
        let context = Context::new(metadata(None, request_id));
        let executed =
            self.inner.bus.execute::<Attendance>(&room_id.to_string(), command, context).await?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }
}

/// What the entry recorded, or how things stand if the connection was there already.
fn entered(events: &[AttendanceEvent], state: &Attendance) -> Entered {
    let now = || u32::try_from(state.present().count()).unwrap_or(u32::MAX);
    let recorded = events.iter().find_map(|event| match event {
        AttendanceEvent::ParticipantEntered { first, online_count, .. } => {
            Some((*first, *online_count))
        }
        AttendanceEvent::ParticipantExited { .. } => None,
    });
    let (first, online_count) = recorded.unwrap_or_else(|| (false, now()));
    Entered { first, online_count, present: state.present().collect() }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use cqrs_es::Aggregate;
    use uuid::Uuid;

    use super::*;

    fn came_in(person: u128) -> AttendanceEvent {
        AttendanceEvent::ParticipantEntered {
            room_id: RoomId(Uuid::nil()),
            user_id: UserId(Uuid::from_u128(person)),
            connection_id: ConnectionId(Uuid::from_u128(person)),
            first: true,
            online_count: u32::try_from(person).unwrap(),
            at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    fn room_of(people: u128) -> Attendance {
        let mut room = Attendance::default();
        (1..=people).for_each(|person| room.apply(came_in(person)));
        room
    }

    #[test]
    fn coming_in_says_who_is_there() {
        let answer = entered(&[came_in(3)], &room_of(3));
        assert_eq!((answer.first, answer.online_count, answer.present.len()), (true, 3, 3));
    }

    #[test]
    fn coming_in_again_is_no_arrival() {
        let answer = entered(&[], &room_of(3));
        assert_eq!((answer.first, answer.online_count), (false, 3));
    }
}
