//! What an e-mail says and where it goes, from the event that it follows from.
use domain::{AnyEvent, User, UserEvent, UserId, text::Email, user::Side};
use uuid::Uuid;

use super::{super::Trouble, kinds};
use crate::{Commands, accounts::verification::VERIFY_EMAIL, mail::Letter, tokens::LinkPurpose};

pub(in crate::processes) struct Writer {
    commands: Commands,
    /// Scheme, host and port of the pages that links lead to: from the settings, never from a
    /// request.
    origin: String,
}

impl Writer {
    pub(in crate::processes) fn new(commands: Commands, origin: String) -> Self {
        Self { commands, origin }
    }

    /// The e-mail of this kind that follows from an event. `None` where there is none any more: its
    /// link has expired, or the person has no address, or was erased.
    pub(super) async fn write(
        &self,
        event: &AnyEvent,
        kind: &str,
    ) -> Result<Option<(Email, Letter)>, Trouble> {
        let letter = match event {
            AnyEvent::User(event) => self.of_user(event, kind).await?,
            AnyEvent::Session(domain::SessionEvent::RefreshTokenReuseDetected {
                user_id, ..
            }) => self.address_of(*user_id).await?.map(|email| (email, Letter::token_reused())),
            _ => None,
        };
        Ok(letter)
    }

    async fn of_user(
        &self,
        event: &UserEvent,
        kind: &str,
    ) -> Result<Option<(Email, Letter)>, Trouble> {
        use UserEvent as E;
        // Links that were asked for long ago are not worth sending any more.
        let now = self.commands.now();
        let (email, letter) = match event {
            E::EmailVerificationRequested { user_id, request_id, email, expires_at, .. }
                if now < *expires_at =>
            {
                let url = self.link(LinkPurpose::VerifyEmail, *user_id, *request_id);
                let code = self.commands.inner.links.code(VERIFY_EMAIL, *request_id);
                (email.known().cloned(), Letter::verify_email(url, code))
            }
            E::RegistrationRepeated { user_id, .. } => {
                (self.address_of(*user_id).await?, Letter::already_registered())
            }
            E::PasswordResetRequested { user_id, request_id, expires_at, .. }
                if now < *expires_at =>
            {
                let url = self.link(LinkPurpose::ResetPassword, *user_id, *request_id);
                (self.address_of(*user_id).await?, Letter::reset_password(url))
            }
            E::PasswordChanged { user_id, .. } | E::PasswordReset { user_id, .. } => {
                (self.address_of(*user_id).await?, Letter::password_changed())
            }
            E::EmailChangeRequested { user_id, request_id, email, expires_at, .. }
                if now < *expires_at =>
            {
                let Some(new) = email.known() else { return Ok(None) };
                if kind == kinds::LEAVE_ADDRESS {
                    return self.leave_address(*user_id, *request_id).await;
                }
                (Some(new.clone()), self.take_address(*user_id, *request_id, new).await?)
            }
            E::EmailChanged { previous, .. } => {
                (previous.known().cloned(), Letter::address_changed())
            }
            E::PhoneChanged { user_id, .. } => {
                (self.proven_address_of(*user_id).await?, Letter::phone_changed())
            }
            E::AccountDeletionRequested { user_id, .. } => {
                (self.address_of(*user_id).await?, Letter::deletion_requested())
            }
            E::DataExportRequested { user_id, .. } => {
                (self.address_of(*user_id).await?, Letter::data_exported())
            }
            _ => return Ok(None),
        };
        Ok(email.map(|email| (email, letter)))
    }

    /// An address that was never proven has no say, and is not asked.
    async fn leave_address(
        &self,
        user_id: UserId,
        request_id: Uuid,
    ) -> Result<Option<(Email, Letter)>, Trouble> {
        let url = self.link(LinkPurpose::ChangeEmail(Side::Old), user_id, request_id);
        let proven = self.proven_address_of(user_id).await?;
        Ok(proven.map(|email| (email, Letter::leave_address(url))))
    }

    async fn take_address(
        &self,
        user_id: UserId,
        request_id: Uuid,
        new: &Email,
    ) -> Result<Letter, Trouble> {
        Ok(match self.commands.owner_of_email(new).await? {
            Some(owner) if owner != user_id => Letter::already_registered(),
            _ => {
                let purpose = LinkPurpose::ChangeEmail(Side::New);
                Letter::take_address(self.link(purpose, user_id, request_id))
            }
        })
    }

    async fn proven_address_of(&self, user_id: UserId) -> Result<Option<Email>, Trouble> {
        let account = self.commands.bus().state::<User>(&user_id.to_string()).await?;
        let User::Active { credentials, .. } = account else { return Ok(None) };
        Ok(credentials.email.known().filter(|_| credentials.email_verified).cloned())
    }

    async fn address_of(&self, user_id: UserId) -> Result<Option<Email>, Trouble> {
        let account = self.commands.bus().state::<User>(&user_id.to_string()).await?;
        Ok(match account {
            User::Active { credentials, .. } => credentials.email.known().cloned(),
            User::Absent => None,
        })
    }

    /// The token stands behind `#`: browsers keep that to themselves, servers and logs never see it.
    fn link(&self, purpose: LinkPurpose, user_id: UserId, request_id: Uuid) -> String {
        let page = match purpose {
            LinkPurpose::VerifyEmail | LinkPurpose::ChangeEmail(_) => "verify-email",
            LinkPurpose::ResetPassword => "reset-password",
            LinkPurpose::Export => "export",
        };
        let token = self.commands.inner.links.issue(purpose, user_id, request_id);
        format!("{}/{page}#token={token}", self.origin)
    }
}
