//! Sends the e-mails that follow from events.
use domain::{AnyEvent, Recorded, SessionEvent, User, UserEvent, UserId, text::Email, user::Side};
use uuid::Uuid;

use super::{Process, Trouble};
use crate::{
    Commands,
    accounts::verification::VERIFY_EMAIL,
    mail::{Letter, Mailer, Sent},
    tokens::LinkPurpose,
};

pub(super) struct MailProcess {
    commands: Commands,
    mailer: Mailer,
    /// Scheme, host and port of the pages that links lead to: from the settings, never from a
    /// request.
    origin: String,
}

impl MailProcess {
    pub(super) fn new(commands: Commands, mailer: Mailer, origin: String) -> Self {
        Self { commands, mailer, origin }
    }

    async fn of_user(&self, event_id: Uuid, event: &UserEvent) -> Result<(), Trouble> {
        use UserEvent as E;
        // Links that were asked for long ago are not worth sending any more.
        let now = self.commands.now();
        match event {
            E::EmailVerificationRequested { user_id, request_id, email, expires_at, .. }
                if now < *expires_at =>
            {
                let url = self.link(LinkPurpose::VerifyEmail, *user_id, *request_id);
                let code = self.commands.inner.links.code(VERIFY_EMAIL, *request_id);
                let letter = Letter::verify_email(url, code);
                self.send(email.known(), event_id, "verify-email", &letter).await?;
            }
            E::RegistrationRepeated { user_id, .. } => {
                let email = self.address_of(*user_id).await?;
                let letter = Letter::already_registered();
                self.send(email.as_ref(), event_id, "already-registered", &letter).await?;
            }
            E::PasswordResetRequested { user_id, request_id, expires_at, .. }
                if now < *expires_at =>
            {
                let email = self.address_of(*user_id).await?;
                let url = self.link(LinkPurpose::ResetPassword, *user_id, *request_id);
                let letter = Letter::reset_password(url);
                self.send(email.as_ref(), event_id, "reset-password", &letter).await?;
            }
            E::PasswordChanged { user_id, .. } | E::PasswordReset { user_id, .. } => {
                let email = self.address_of(*user_id).await?;
                let letter = Letter::password_changed();
                self.send(email.as_ref(), event_id, "password-changed", &letter).await?;
            }
            E::EmailChangeRequested { user_id, request_id, email, expires_at, .. }
                if now < *expires_at =>
            {
                self.ask_both(event_id, *user_id, *request_id, email.known()).await?;
            }
            E::EmailChanged { previous, .. } => {
                let letter = Letter::address_changed();
                self.send(previous.known(), event_id, "address-changed", &letter).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn ask_both(
        &self,
        event_id: Uuid,
        user_id: UserId,
        request_id: Uuid,
        new: Option<&Email>,
    ) -> Result<(), Trouble> {
        let Some(new) = new else { return Ok(()) };
        let bus = self.commands.bus();
        if let User::Active { credentials, .. } = bus.state::<User>(&user_id.to_string()).await?
            && credentials.email_verified
        {
            let url = self.link(LinkPurpose::ChangeEmail(Side::Old), user_id, request_id);
            let letter = Letter::leave_address(url);
            self.send(credentials.email.known(), event_id, "leave-address", &letter).await?;
        }
        let letter = match self.commands.owner_of_email(new).await? {
            Some(owner) if owner != user_id => Letter::already_registered(),
            _ => {
                let purpose = LinkPurpose::ChangeEmail(Side::New);
                Letter::take_address(self.link(purpose, user_id, request_id))
            }
        };
        self.send(Some(new), event_id, "take-address", &letter).await
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
        };
        let token = self.commands.inner.links.issue(purpose, user_id, request_id);
        format!("{}/{page}#token={token}", self.origin)
    }

    /// Sends one e-mail to a person who was not erased meanwhile.
    async fn send(
        &self,
        to: Option<&Email>,
        event_id: Uuid,
        kind: &'static str,
        letter: &Letter,
    ) -> Result<(), Trouble> {
        let Some(to) = to else { return Ok(()) };
        let name = format!("{event_id}.{kind}");
        let sent = self.mailer.send(to, &name, letter).await.map_err(Trouble::Mail)?;
        match sent {
            Sent::Taken => {
                metrics::counter!("mails_sent_total", "kind" => kind).increment(1);
                tracing::info!(event.id = %event_id, mail.kind = kind, "sent an e-mail");
            }
            Sent::Off => {
                tracing::info!(event.id = %event_id, mail.kind = kind, "e-mail is off: not sent");
            }
            Sent::Refused => {
                tracing::warn!(event.id = %event_id, mail.kind = kind, "an e-mail was refused");
            }
        }
        Ok(())
    }
}

impl Process for MailProcess {
    const NAME: &'static str = "mail";

    async fn handle(&self, recorded: &Recorded) -> Result<(), Trouble> {
        match &recorded.event {
            AnyEvent::User(event) => self.of_user(recorded.event_id, event).await,
            AnyEvent::Session(SessionEvent::RefreshTokenReuseDetected { user_id, .. }) => {
                let email = self.address_of(*user_id).await?;
                let letter = Letter::token_reused();
                self.send(email.as_ref(), recorded.event_id, "token-reused", &letter).await
            }
            _ => Ok(()),
        }
    }
}
