//! How far people have read.
use domain::{MessagePlace, ReadMarker, ReadMarkerCommand, Room, RoomId, UserId};

use crate::{Caller, CommandError, Commands, Written, bus::Context, metadata, requests::Timer};

impl Commands {
    /// Takes note of how far the caller has read a room. Less than before changes nothing, and
    /// nobody reads what was not said yet. Answers how far they have read now.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found` or `not_a_member`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn mark_room_read(
        &self,
        caller: &Caller,
        room_id: RoomId,
        last_read_seq: i64,
    ) -> Result<Written<i64>, CommandError> {
        self.require_member(caller.user_id, room_id).await?;
        self.mark_read(caller, Room::channel_of(&room_id.to_string()), last_read_seq).await
    }

    /// Moves the caller's marker in a channel, as far as the channel goes. Whether the channel is
    /// any of their business was decided before.
    pub(crate) async fn mark_read(
        &self,
        caller: &Caller,
        channel: String,
        last_read_seq: i64,
    ) -> Result<Written<i64>, CommandError> {
        let _timer = Timer::start("mark_read");
        let user_id = caller.user_id;
        let last_read_seq = last_read_seq.min(self.store().channel_head(&channel).await?);
        let id = ReadMarker::id_of(user_id, &channel).to_string();
        let command =
            ReadMarkerCommand::MarkRead { user_id, channel, last_read_seq, at: self.now() };
        let context = Context::new(metadata(Some(user_id), &caller.request_id));
        let executed = self.inner.bus.execute::<ReadMarker>(&id, command, context).await?;
        let value = executed.state.last_read_seq();
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// How far someone has read, from the truth.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn last_read(
        &self,
        user_id: UserId,
        place: MessagePlace,
    ) -> Result<i64, CommandError> {
        let id = ReadMarker::id_of(user_id, &place.channel()).to_string();
        Ok(self.inner.bus.state::<ReadMarker>(&id).await?.last_read_seq())
    }
}
