//! Rooms: opening, joining and leaving them.
pub mod changes;
pub mod invites;
pub mod moderation;
mod slots;

use chrono::{DateTime, Utc};
use domain::{
    MemberRole, RejectionKind, Room, RoomCommand, RoomEvent, RoomId, RoomType, Subject, SubjectId,
    User, UserId,
    room::NewRoom,
    text::{RoomDescription, RoomName},
};
use platform::ids::new_id;
use serde::{Deserialize, Serialize};
use tracing::field;

use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::Context,
    metadata,
    requests::{Timer, replay},
};

/// What a new room shall be like.
#[derive(Clone, Debug)]
pub struct CreateRoom {
    /// Its name.
    pub name: RoomName,
    /// What it is about.
    pub description: RoomDescription,
    /// What is studied in it; must be in the catalogue.
    pub subject_id: SubjectId,
    /// Who may find and enter it.
    pub room_type: RoomType,
    /// 2 to 500.
    pub max_participants: u32,
}

/// What joining a room came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// Whether the person was not a member before.
    pub created: bool,
    /// What they are in the room.
    #[serde(default)]
    pub role: Option<MemberRole>,
    /// Until when they may not speak: they were muted before they left.
    #[serde(default)]
    pub muted_until: Option<DateTime<Utc>>,
}

/// The kept answer to opening a room.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    room_id: RoomId,
}

/// What a member may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// By their role.
    pub role: MemberRole,
    /// Until when they may not speak, UTC.
    pub muted_until: Option<DateTime<Utc>>,
}

impl Commands {
    /// Opens a room. The caller becomes its owner and first member in the same step.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `email_not_verified`, `subject_not_found` or, for people who own as many rooms as
    /// they may, `limit_reached`; [`CommandError::Invalid`] for a size
    /// out of range; [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = field::Empty,
    ))]
    pub async fn create_room(
        &self,
        caller: &Caller,
        request: CreateRoom,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<RoomId>, CommandError> {
        let _timer = Timer::start("create_room");
        let CreateRoom { name, description, subject_id, room_type, max_participants } = request;
        self.require_verified_email(caller.user_id).await?;
        self.require_subject(subject_id).await?;
        let (room_id, at) = (RoomId(new_id()), self.now());
        let command = |slot| {
            RoomCommand::Create(NewRoom {
                room_id,
                created_by: caller.user_id,
                name: name.clone(),
                description: description.clone(),
                subject_id,
                room_type,
                max_participants,
                owner_slot: Some(slot),
                at,
            })
        };
        let context = || {
            let idempotency =
                self.keep_answer(key.clone(), caller, move |_, _| Created { room_id });
            Context::creating(metadata(Some(caller.user_id), &caller.request_id))
                .with_idempotency(idempotency)
        };
        let executed = self
            .execute_owning(room_id, caller.user_id, command, context)
            .await
            .map_err(|error| error.at("/maxParticipants"))?;
        let room_id =
            if executed.replayed { replay::<Created>(executed.answer)?.room_id } else { room_id };
        tracing::Span::current().record("room.id", field::display(room_id));
        Ok(Written { value: room_id, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Makes the caller a member. Being one already succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`, `banned`, `invite_required`, `invite_invalid`,
    /// `room_full` or `room_inactive`; [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn join_room(
        &self,
        caller: &Caller,
        room_id: RoomId,
        invite_code: Option<&str>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<Joined>, CommandError> {
        let _timer = Timer::start("join_room");
        let code_hash = invite_code.map(invites::hash);
        let user_id = caller.user_id;
        let command = RoomCommand::Join { user_id, code_hash, at: self.now() };
        let answer = move |events: &[RoomEvent], room: &Room| joined(events, room, user_id);
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id))
            .with_idempotency(self.keep_answer(key, caller, answer));
        let executed =
            self.inner.bus.execute::<Room>(&room_id.to_string(), command, context).await?;
        let value = if executed.replayed {
            replay(executed.answer)?
        } else {
            answer(&executed.events, &executed.state)
        };
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Ends the caller's membership. Not being a member succeeds.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `owner_must_transfer`, or `limit_reached` for a successor who
    /// owns as many rooms as they may; [`CommandError::Invalid`] for a successor who is not a
    /// member; [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id, room.id = %room_id,
    ))]
    pub async fn leave_room(
        &self,
        caller: &Caller,
        room_id: RoomId,
        transfer_to: Option<UserId>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<()>, CommandError> {
        let _timer = Timer::start("leave_room");
        let (user_id, at) = (caller.user_id, self.now());
        let command = |slot| RoomCommand::Leave { user_id, transfer_to, slot, at };
        let context = || {
            Context::new(metadata(Some(user_id), &caller.request_id))
                .with_idempotency(self.keep_answer(key.clone(), caller, |_, _| ()))
        };
        let executed = if let Some(successor) = transfer_to {
            let command = |slot| command(Some(slot));
            self.execute_owning(room_id, successor, command, context).await
        } else {
            let (id, command) = (room_id.to_string(), command(None));
            self.inner.bus.execute::<Room>(&id, command, context()).await
        }
        .map_err(|error| error.at("/transferTo"))?;
        Ok(Written { value: (), receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Checks from the truth that the person is a member now, and says what they may do.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found` where the person may not know of the room, and
    /// `banned` or `not_a_member` otherwise.
    pub async fn require_member(
        &self,
        user_id: UserId,
        room_id: RoomId,
    ) -> Result<MemberRole, CommandError> {
        let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
        room.require_member(user_id).map_err(|refusal| CommandError::rejected(&refusal))
    }

    /// As [`Self::require_member`]; also says until when the person may not speak, if they may not now.
    ///
    /// # Errors
    /// Those of [`Self::require_member`].
    pub async fn membership(
        &self,
        user_id: UserId,
        room_id: RoomId,
    ) -> Result<Membership, CommandError> {
        let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
        let role =
            room.require_member(user_id).map_err(|refusal| CommandError::rejected(&refusal))?;
        Ok(Membership { role, muted_until: room.muted_until(user_id, self.now()) })
    }

    /// Checks, where the settings say so, that the person has proven their address.
    async fn require_verified_email(&self, user_id: UserId) -> Result<(), CommandError> {
        if !self.inner.rooms.require_verified_email {
            return Ok(());
        }
        match self.inner.bus.state::<User>(&user_id.to_string()).await? {
            User::Active { credentials, .. } if credentials.email_verified => Ok(()),
            _ => Err(CommandError::refused(
                RejectionKind::Forbidden,
                "email_not_verified",
                "confirm your e-mail address first",
            )),
        }
    }

    pub(crate) async fn require_subject(&self, subject_id: SubjectId) -> Result<(), CommandError> {
        match self.inner.bus.state::<Subject>(&subject_id.to_string()).await? {
            Subject::Listed => Ok(()),
            Subject::Absent => Err(CommandError::refused(
                RejectionKind::NotFound,
                "subject_not_found",
                "there is no such subject",
            )),
        }
    }
}

fn joined(events: &[RoomEvent], room: &Room, user_id: UserId) -> Joined {
    let joined = events.iter().find_map(|event| match event {
        RoomEvent::MemberJoined { muted_until, .. } => Some(*muted_until),
        _ => None,
    });
    let muted_until = joined.flatten();
    Joined { created: joined.is_some(), role: room.role_of(user_id), muted_until }
}
