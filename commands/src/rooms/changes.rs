//! Editing and archiving rooms, and what members choose for themselves.
use domain::{
    NotificationLevel, Room, RoomCommand, RoomId, RoomType, SubjectId,
    room::EditRoom,
    text::{RoomDescription, RoomName},
};

use crate::{
    Caller, CommandError, Commands, Written,
    bus::{Context, Executed},
    metadata,
    requests::Timer,
};

/// What shall be different about a room; `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RoomChanges {
    /// Its name.
    pub name: Option<RoomName>,
    /// What it is about.
    pub description: Option<RoomDescription>,
    /// What is studied in it; must be in the catalogue.
    pub subject_id: Option<SubjectId>,
    /// Who may find and enter it.
    pub room_type: Option<RoomType>,
    /// 2 to 500, and not less than it has members.
    pub max_participants: Option<u32>,
}

impl Commands {
    /// Changes what a room is like. With a revision, only if nobody has edited it since. Answers the
    /// revision afterwards.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member`, `forbidden`, `room_inactive`,
    /// `below_member_count` or `subject_not_found`; [`CommandError::Invalid`] for a size out of
    /// range; [`CommandError::VersionMismatch`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn edit_room(
        &self,
        caller: &Caller,
        room_id: RoomId,
        expected: Option<u32>,
        changes: RoomChanges,
    ) -> Result<Written<u32>, CommandError> {
        let _timer = Timer::start("edit_room");
        let RoomChanges { name, description, subject_id, room_type, max_participants } = changes;
        if let Some(subject_id) = subject_id {
            self.require_subject(subject_id).await?;
        }
        let command = RoomCommand::Edit(EditRoom {
            by: caller.user_id,
            expected,
            name,
            description,
            subject_id,
            room_type,
            max_participants,
            at: self.now(),
        });
        let executed = self.execute_on_revision(caller, room_id, command).await;
        let executed = executed.map_err(|error| error.at("/maxParticipants"))?;
        let Executed { receipt, replayed, .. } = executed;
        Ok(Written { value: executed.state.revision(), receipt, replayed })
    }

    /// Closes a room for good. Being closed already succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`;
    /// [`CommandError::VersionMismatch`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn archive_room(
        &self,
        caller: &Caller,
        room_id: RoomId,
        expected: Option<u32>,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("archive_room");
        let command = RoomCommand::Archive { by: caller.user_id, expected, at: self.now() };
        Ok(written(&self.execute_on_revision(caller, room_id, command).await?))
    }

    /// Chooses which messages of a room the caller wants to be told of.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found` or `not_a_member`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn set_notification_level(
        &self,
        caller: &Caller,
        room_id: RoomId,
        level: NotificationLevel,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("set_notification_level");
        let (user_id, at) = (caller.user_id, self.now());
        let command = RoomCommand::SetNotificationLevel { user_id, level, at };
        let context = Context::new(metadata(Some(user_id), &caller.request_id));
        let id = room_id.to_string();
        Ok(written(&self.inner.bus.execute::<Room>(&id, command, context).await?))
    }

    async fn execute_on_revision(
        &self,
        caller: &Caller,
        room_id: RoomId,
        command: RoomCommand,
    ) -> Result<Executed<Room>, CommandError> {
        let id = room_id.to_string();
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        match self.inner.bus.execute::<Room>(&id, command, context).await {
            Err(CommandError::Rejected { code: "version_mismatch", .. }) => {
                let current = self.inner.bus.state::<Room>(&id).await?.revision();
                Err(CommandError::VersionMismatch { current: current.into() })
            }
            outcome => outcome,
        }
    }
}

/// An answer that says nothing but that it is done.
pub(super) fn written(executed: &Executed<Room>) -> Written<()> {
    Written { value: (), receipt: executed.receipt, replayed: executed.replayed }
}
