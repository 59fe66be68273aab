//! Keeping order in rooms: roles, removals, bans, mutes.
use std::time::Duration;

use chrono::TimeDelta;
use domain::{
    MemberRole, RejectionKind, Room, RoomCommand, RoomId, User, UserId,
    room::{Ban, Mute},
};

use super::changes::written;
use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written, bus::Context, metadata,
    requests::Timer,
};

impl Commands {
    /// Lets a member do more, or less. Making another member the owner hands the room over.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member`, `forbidden`,
    /// `member_not_found`, `owner_must_transfer`, `room_inactive`, or `limit_reached` for a new
    /// owner who owns as many rooms as they may; [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn change_role(
        &self,
        caller: &Caller,
        room_id: RoomId,
        user_id: UserId,
        role: MemberRole,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("change_role");
        let (by, at) = (caller.user_id, self.now());
        let command = |slot| RoomCommand::ChangeRole { by, user_id, role, slot, at };
        let context =
            || {
                Context::new(metadata(Some(by), &caller.request_id))
                    .with_idempotency(self.keep_answer(key.clone(), caller, |_, _| ()))
            };
        let executed = if role == MemberRole::Owner {
            self.execute_owning(room_id, user_id, |slot| command(Some(slot)), context).await?
        } else {
            let id = room_id.to_string();
            self.inner.bus.execute::<Room>(&id, command(None), context()).await?
        };
        Ok(written(&executed))
    }

    /// Ends someone else's membership. Their not being a member succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn remove_member(
        &self,
        caller: &Caller,
        room_id: RoomId,
        user_id: UserId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("remove_member");
        let command = RoomCommand::Remove { by: caller.user_id, user_id, at: self.now() };
        self.moderate(caller, room_id, command).await
    }

    /// Ends someone else's membership, if there is one, and lets them in no more.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member`, `forbidden` or
    /// `limit_reached`, and `not_found` for people who do not exist.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn ban(
        &self,
        caller: &Caller,
        room_id: RoomId,
        user_id: UserId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("ban");
        // First who may, then whom: others learn nothing here about who exists.
        self.bans(caller, room_id).await?;
        if matches!(self.inner.bus.state::<User>(&user_id.to_string()).await?, User::Absent) {
            let message = "there is no such person";
            return Err(CommandError::refused(RejectionKind::NotFound, "not_found", message));
        }
        let command = RoomCommand::Ban { by: caller.user_id, user_id, at: self.now() };
        self.moderate(caller, room_id, command).await
    }

    /// Lets someone in again. Their not being banned succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn lift_ban(
        &self,
        caller: &Caller,
        room_id: RoomId,
        user_id: UserId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("lift_ban");
        let command = RoomCommand::LiftBan { by: caller.user_id, user_id, at: self.now() };
        self.moderate(caller, room_id, command).await
    }

    /// Everyone who is banned from a room, for those who keep order in it.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    pub async fn bans(
        &self,
        caller: &Caller,
        room_id: RoomId,
    ) -> Result<Vec<(UserId, Ban)>, CommandError> {
        let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
        room.bans(caller.user_id).map_err(|refusal| CommandError::rejected(&refusal))
    }

    /// Lets a member not speak for a while. Who is muted already is muted until then instead.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member`, `forbidden`, `member_not_found`,
    /// `room_inactive` or `limit_reached`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn mute(
        &self,
        caller: &Caller,
        room_id: RoomId,
        user_id: UserId,
        lifetime: Duration,
    ) -> Result<Written<Mute>, CommandError> {
        let _timer = Timer::start("mute");
        let (by, at) = (caller.user_id, self.now());
        let until = at + TimeDelta::from_std(lifetime).unwrap_or(TimeDelta::MAX);
        let command = RoomCommand::Mute { by, user_id, until, at };
        let Written { receipt, replayed, .. } = self.moderate(caller, room_id, command).await?;
        Ok(Written { value: Mute { by, until, at }, receipt, replayed })
    }

    /// Lets someone speak again. Their not being muted succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn lift_mute(
        &self,
        caller: &Caller,
        room_id: RoomId,
        user_id: UserId,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("lift_mute");
        let command = RoomCommand::LiftMute { by: caller.user_id, user_id, at: self.now() };
        self.moderate(caller, room_id, command).await
    }

    /// Everyone who is muted in a room now, for those who keep order in it.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `not_a_member` or `forbidden`.
    pub async fn mutes(
        &self,
        caller: &Caller,
        room_id: RoomId,
    ) -> Result<Vec<(UserId, Mute)>, CommandError> {
        let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
        room.mutes(caller.user_id, self.now()).map_err(|refusal| CommandError::rejected(&refusal))
    }

    pub(super) async fn moderate(
        &self,
        caller: &Caller,
        room_id: RoomId,
        command: RoomCommand,
    ) -> Result<Written<()>, CommandError> {
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id));
        let id = room_id.to_string();
        Ok(written(&self.inner.bus.execute::<Room>(&id, command, context).await?))
    }
}
