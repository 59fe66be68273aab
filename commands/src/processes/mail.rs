//! E-mails that follow from events: noted here, in the order of the log, and sent by the postman.
mod postman;
mod writing;

use domain::{AnyEvent, Recorded, SessionEvent, UserEvent, UserId};

use super::{Process, Trouble};
use crate::Commands;

pub(super) use postman::Postman;
pub(super) use writing::Writer;

/// The e-mails there are, by the names under which they are noted: for ever, as long as one waits.
pub(super) mod kinds {
    pub(in crate::processes) const VERIFY_EMAIL: &str = "verify-email";
    pub(in crate::processes) const ALREADY_REGISTERED: &str = "already-registered";
    pub(in crate::processes) const RESET_PASSWORD: &str = "reset-password";
    pub(in crate::processes) const PASSWORD_CHANGED: &str = "password-changed";
    pub(in crate::processes) const LEAVE_ADDRESS: &str = "leave-address";
    pub(in crate::processes) const TAKE_ADDRESS: &str = "take-address";
    pub(in crate::processes) const ADDRESS_CHANGED: &str = "address-changed";
    pub(in crate::processes) const PHONE_CHANGED: &str = "phone-changed";
    pub(in crate::processes) const DELETION_REQUESTED: &str = "deletion-requested";
    pub(in crate::processes) const DATA_EXPORTED: &str = "data-exported";
    pub(in crate::processes) const TOKEN_REUSED: &str = "token-reused";
}

/// Notes which e-mails are to be sent.
pub(super) struct MailProcess {
    commands: Commands,
}

impl MailProcess {
    pub(super) fn new(commands: Commands) -> Self {
        Self { commands }
    }
}

impl Process for MailProcess {
    const NAME: &'static str = "mail";
    const READS: &'static [&'static str] = &["user", "session"];

    async fn handle(&self, recorded: &Recorded) -> Result<(), Trouble> {
        let Some((person, kinds)) = mails_of(&recorded.event) else { return Ok(()) };
        let (commands, position) = (&self.commands, recorded.position);
        commands.store().put_mails(position, person.0, kinds, commands.now()).await?;
        platform::crash_point!("mail.after_put");
        Ok(())
    }
}

/// Whom an event is about, and the e-mails that follow from it.
fn mails_of(event: &AnyEvent) -> Option<(UserId, &'static [&'static str])> {
    use UserEvent as E;
    let event = match event {
        AnyEvent::User(event) => event,
        AnyEvent::Session(SessionEvent::RefreshTokenReuseDetected { user_id, .. }) => {
            return Some((*user_id, &[kinds::TOKEN_REUSED]));
        }
        _ => return None,
    };
    Some(match event {
        E::EmailVerificationRequested { user_id, .. } => (*user_id, &[kinds::VERIFY_EMAIL]),
        E::RegistrationRepeated { user_id, .. } => (*user_id, &[kinds::ALREADY_REGISTERED]),
        E::PasswordResetRequested { user_id, .. } => (*user_id, &[kinds::RESET_PASSWORD]),
        E::PasswordChanged { user_id, .. } | E::PasswordReset { user_id, .. } => {
            (*user_id, &[kinds::PASSWORD_CHANGED])
        }
        E::EmailChangeRequested { user_id, .. } => {
            (*user_id, &[kinds::LEAVE_ADDRESS, kinds::TAKE_ADDRESS])
        }
        E::EmailChanged { user_id, .. } => (*user_id, &[kinds::ADDRESS_CHANGED]),
        E::PhoneChanged { user_id, .. } => (*user_id, &[kinds::PHONE_CHANGED]),
        E::AccountDeletionRequested { user_id, .. } => (*user_id, &[kinds::DELETION_REQUESTED]),
        E::DataExportRequested { user_id, .. } => (*user_id, &[kinds::DATA_EXPORTED]),
        _ => return None,
    })
}
