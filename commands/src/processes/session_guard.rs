//! Ends the sessions that a change of the account made invalid, should whoever changed it have died
//! before that.
use domain::{AnyEvent, Recorded, Session, User, UserEvent, UserId, session::RevocationReason};
use uuid::Uuid;

use super::{Process, Trouble};
use crate::{Caller, Commands, accounts::standing};

pub(super) struct SessionGuard {
    commands: Commands,
}

impl SessionGuard {
    pub(super) fn new(commands: Commands) -> Self {
        Self { commands }
    }

    async fn end_unaccepted(&self, user_id: UserId, event_id: Uuid) -> Result<(), Trouble> {
        let bus = self.commands.bus();
        let User::Active { credentials, .. } = bus.state::<User>(&user_id.to_string()).await?
        else {
            return Ok(());
        };
        let caller = Caller::without_session(user_id, event_id.to_string());
        for session_id in self.commands.every_place(user_id).await?.into_iter().flatten() {
            let session = bus.state::<Session>(&session_id.to_string()).await?;
            if let Session::Live { token_version, .. } = session
                && !credentials.accepts(session_id, token_version)
            {
                let closed = standing::reason(credentials.standing);
                let reason = closed.unwrap_or(RevocationReason::PasswordChanged);
                self.commands.end(&caller, session_id, reason).await?;
            }
        }
        Ok(())
    }
}

impl Process for SessionGuard {
    const NAME: &'static str = "session_guard";
    const READS: &'static [&'static str] = &["user"];

    async fn handle(&self, recorded: &Recorded) -> Result<(), Trouble> {
        match &recorded.event {
            AnyEvent::User(
                UserEvent::PasswordChanged { user_id, .. }
                | UserEvent::PasswordReset { user_id, .. }
                | UserEvent::AccountSuspended { user_id, .. }
                | UserEvent::AccountDeactivated { user_id, .. }
                | UserEvent::AccountDeletionRequested { user_id, .. },
            ) => self.end_unaccepted(*user_id, recorded.event_id).await,
            _ => Ok(()),
        }
    }
}
