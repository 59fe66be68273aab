//! Being in a live room, connection by connection.
use domain::{Attendance, AttendanceCommand, ConnectionId, RoomId};

use crate::{Caller, CommandError, Commands, Written, bus::Context, metadata, requests::Timer};

impl Commands {
    /// Brings a connection of the caller into a live room. Being there already succeeds. Answers who
    /// is there then.
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
    ) -> Result<Written<Attendance>, CommandError> {
        let _timer = Timer::start("enter_room");
        // Membership is another stream. Someone removed right after this check is put out of the
        // room by those who hear of the removal, as everyone who was in before it.
        self.require_member(caller.user_id, room_id).await?;
        let user_id = caller.user_id;
        let command = AttendanceCommand::Enter { room_id, user_id, connection_id, at: self.now() };
        let context = Context::new(metadata(Some(user_id), &caller.request_id));
        let executed =
            self.inner.bus.execute::<Attendance>(&room_id.to_string(), command, context).await?;
        Ok(Written {
            value: executed.state,
            receipt: executed.receipt,
            replayed: executed.replayed,
        })
    }

    /// Who is in a live room now, whoever sees them, and the sequence of the last event that says so.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn attendance(&self, room_id: RoomId) -> Result<(Attendance, i64), CommandError> {
        self.inner.bus.current::<Attendance>(&room_id.to_string()).await
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
