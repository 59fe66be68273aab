//! Going for good, and taking along what is kept of one.
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    MemberRole, Room, RoomId, User, UserCommand, UserId,
    room::RoomCommand,
    session::RevocationReason,
    text::Email,
    user::{CredentialsCommand, Standing},
};
use platform::ids::new_id;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::Context,
    metadata,
    requests::{Timer, replay},
    tokens::LinkPurpose,
};

/// How many members may own as many rooms as they can before a room is archived for want of an owner.
const SUCCESSORS: usize = 20;

/// A copy of what is kept of somebody, to be fetched.
#[derive(Clone, Debug)]
pub struct ExportLink {
    /// Which request.
    pub export_id: Uuid,
    /// Whoever has it gets the copy.
    pub token: String,
    /// It works until then, UTC.
    pub expires_at: DateTime<Utc>,
}

impl Commands {
    /// Closes the caller's account, ends all sessions, and notes from when on they are to be forgotten.
    /// Answers when that is; logging in before then opens the account again.
    ///
    /// # Errors
    /// [`CommandError::Invalid`] at `/currentPassword`; [`CommandError::Rejected`] with
    /// `fresh_login_required` where there is no password; [`CommandError::VersionMismatch`] if the
    /// account is not at `if_version` any more; [`CommandError::Overloaded`] when too many passwords wait to be hashed.
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn delete_account(
        &self,
        caller: &Caller,
        password: Option<String>,
        if_version: Option<i64>,
    ) -> Result<Written<DateTime<Utc>>, CommandError> {
        let _timer = Timer::start("delete_account");
        self.require_identity(caller, password.map(Zeroizing::new)).await?;
        let grace = self.inner.accounts.deletion_grace_seconds;
        self.leave_for_good(caller, TimeDelta::seconds(i64::from(grace)), if_version).await
    }

    /// Notes for the owner of an address, on behalf of whoever runs the place, that they are to be
    /// forgotten after so many seconds. Answers who that is, and when.
    ///
    /// # Errors
    /// [`CommandError::Rejected`] with `not_found`.
    pub async fn delete_account_of(
        &self,
        email: &Email,
        seconds: u32,
    ) -> Result<(UserId, DateTime<Utc>), CommandError> {
        let user_id = self.require_owner(email).await?;
        let caller = Caller::without_session(user_id, new_id().to_string());
        let grace = TimeDelta::seconds(i64::from(seconds));
        Ok((user_id, self.leave_for_good(&caller, grace, None).await?.value))
    }

    async fn leave_for_good(
        &self,
        caller: &Caller,
        grace: TimeDelta,
        if_version: Option<i64>,
    ) -> Result<Written<DateTime<Utc>>, CommandError> {
        let at = self.now();
        let command = CredentialsCommand::RequestDeletion { due_at: at + grace, at };
        let user_id = caller.user_id;
        let executed = self.on_account_at(user_id, if_version, command, &caller.request_id).await?;
        let due_at = match executed.state {
            User::Active { credentials, .. } => credentials.deletion_due_at,
            User::Absent => None,
        };
        platform::crash_point!("deletion.before_sessions_end");
        let ended = self.end_others(caller, None, RevocationReason::AccountDeactivated).await?;
        let receipt = ended.receipt.or(executed.receipt);
        Ok(Written { value: due_at.unwrap_or(at + grace), receipt, replayed: false })
    }

    /// Gives the caller a link to a copy of what is kept of them. Links from before are dead.
    ///
    /// # Errors
    /// As [`Commands::delete_account`]; [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn request_export(
        &self,
        caller: &Caller,
        password: Option<String>,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<ExportLink>, CommandError> {
        let _timer = Timer::start("request_export");
        self.require_identity(caller, password.map(Zeroizing::new)).await?;
        let link = self.new_link(self.inner.accounts.export_minutes);
        let command = UserCommand::Credentials(CredentialsCommand::RequestExport(link));
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id))
            .with_idempotency(self.keep_answer(key, caller, move |_, _| link));
        let id = caller.user_id.to_string();
        let executed = self.inner.bus.execute::<User>(&id, command, context).await?;
        let link = if executed.replayed { replay(executed.answer)? } else { link };
        let token = self.inner.links.issue(LinkPurpose::Export, caller.user_id, link.request_id);
        let value = ExportLink { export_id: link.request_id, token, expires_at: link.expires_at };
        Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
    }

    /// Whose copy a link leads to; `None` once it does not any more.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] and its like.
    pub async fn export_owner(&self, token: &str) -> Result<Option<UserId>, CommandError> {
        let Some((LinkPurpose::Export, user_id, request_id)) = self.inner.links.open(token) else {
            return Ok(None);
        };
        let account = self.inner.bus.state::<User>(&user_id.to_string()).await?;
        let User::Active { credentials, .. } = account else { return Ok(None) };
        Ok(credentials.exports(request_id, self.now()).then_some(user_id))
    }

    /// Records that somebody is forgotten, if they asked for it and it is time.
    pub(crate) async fn erase_account(&self, user_id: UserId) -> Result<(), CommandError> {
        let context = Context::new(metadata(None, &new_id().to_string()));
        let command = UserCommand::Erase { at: self.now() };
        self.inner.bus.execute::<User>(&user_id.to_string(), command, context).await?;
        Ok(())
    }

    /// Puts somebody who is gone out of a room. What they owned goes to who keeps order there, or else
    /// to who has been here longest; a room that nobody can take over is archived.
    pub(crate) async fn vacate(
        &self,
        user_id: UserId,
        room_id: RoomId,
    ) -> Result<(), CommandError> {
        let room = self.inner.bus.state::<Room>(&room_id.to_string()).await?;
        let caller = Caller::without_session(user_id, new_id().to_string());
        let owns = room.require_member(user_id).is_ok_and(|role| role == MemberRole::Owner);
        let successors = room.successors(user_id);
        if !owns || successors.is_empty() {
            return self.leave_room(&caller, room_id, None, None).await.map(drop);
        }
        for successor in successors.into_iter().take(SUCCESSORS) {
            let account = self.inner.bus.state::<User>(&successor.to_string()).await?;
            if account.standing() != Some(Standing::Open) {
                continue;
            }
            match self.leave_room(&caller, room_id, Some(successor), None).await {
                // They own as many as they may, or have left meanwhile.
                Err(
                    CommandError::Rejected { code: "limit_reached", .. } | CommandError::Invalid(_),
                ) => {}
                left => return left.map(drop),
            }
        }
        let archive = RoomCommand::Archive { by: user_id, expected: None, at: self.now() };
        let context = Context::new(metadata(Some(user_id), &caller.request_id));
        self.inner.bus.execute::<Room>(&room_id.to_string(), archive, context).await?;
        self.leave_room(&caller, room_id, None, None).await.map(drop)
    }
}
