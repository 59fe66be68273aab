//! How someone gets into their account: what they know, what they proved, what still counts.
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cutoff, Role, Standing, UserError, UserEvent};
use crate::{
    Personal, SessionId, UserId,
    text::{Email, Phone},
};

mod addresses;
mod commands;
mod leaving;
mod numbers;
mod passwords;
mod standing;
#[cfg(test)]
mod tests;

pub use commands::{CredentialsCommand, LinkRequest, Side};

/// A link that was sent and not used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// Which request.
    pub request_id: Uuid,
    /// It works until then.
    pub expires_at: DateTime<Utc>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
}

/// A change of address that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EmailChange {
    /// The links.
    pub pending: Pending,
    /// Where to.
    pub email: Personal<Email>,
    /// Who has agreed so far.
    pub confirmed: Option<Side>,
}

/// What decisions about the way into an account need to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Credentials {
    /// As typed.
    pub email: Personal<Email>,
    /// Whether the person has shown that they read its mail.
    pub email_verified: bool,
    /// E.164.
    pub phone: Personal<Option<Phone>>,
    /// Whether the person has shown that they read its messages.
    pub phone_verified: bool,
    /// The newest link that proves the address; earlier ones are dead.
    pub verification: Option<Pending>,
    /// The newest link that resets the password.
    pub reset: Option<Pending>,
    /// When links that reset the password were asked for, within the last hour of the last one.
    pub resets_asked_at: Vec<DateTime<Utc>>,
    /// The change of address under way.
    pub email_change: Option<EmailChange>,
    /// One-time codes that were sent until then do not work any more.
    pub codes_void_until: Option<DateTime<Utc>>,
    /// What the person may do.
    pub role: Role,
    /// Whether the account is open.
    pub standing: Standing,
    /// From when on the person is to be forgotten, once they asked for it.
    pub deletion_due_at: Option<DateTime<Utc>>,
    /// Whether the account was open until then: who was shut out does not get in like this.
    pub may_return: bool,
    /// The newest link to what is kept of the person.
    pub export: Option<Pending>,
    /// When somebody last tried to register with the address.
    pub registration_noted_at: Option<DateTime<Utc>>,
    /// Sessions with a lower one do not count, but for the kept one.
    pub token_version: u64,
    /// The session in which the password was changed last.
    pub kept_session: Option<SessionId>,
}

impl Pending {
    fn new(request_id: Uuid, expires_at: DateTime<Utc>, at: DateTime<Utc>) -> Self {
        Self { request_id, expires_at, requested_at: at }
    }

    fn is(&self, request_id: Uuid, at: DateTime<Utc>) -> bool {
        self.request_id == request_id && at < self.expires_at
    }
}

impl Credentials {
    pub(super) fn new(email: Personal<Email>, phone: Personal<Option<Phone>>) -> Self {
        Self {
            email,
            email_verified: false,
            phone,
            phone_verified: false,
            verification: None,
            reset: None,
            resets_asked_at: Vec::new(),
            email_change: None,
            codes_void_until: None,
            role: Role::default(),
            standing: Standing::default(),
            deletion_due_at: None,
            may_return: false,
            export: None,
            registration_noted_at: None,
            token_version: 0,
            kept_session: None,
        }
    }

    /// Whether a session, or a token of it, that was made under this token version still counts.
    #[must_use]
    pub fn accepts(&self, session_id: SessionId, token_version: u64) -> bool {
        let Self { token_version: least, kept_session, .. } = *self;
        let cutoff = Cutoff { token_version: least, kept_session };
        self.standing == Standing::Open && cutoff.accepts(session_id, token_version)
    }

    pub(super) fn decide(
        &self,
        user_id: UserId,
        command: CredentialsCommand,
    ) -> Result<Vec<UserEvent>, UserError> {
        use CredentialsCommand as C;
        // There is nobody left whom it could be about.
        if self.standing == Standing::Erased {
            return if command.is_about_standing() { Ok(vec![]) } else { Err(UserError::NotFound) };
        }
        match command {
            C::ChangePassword { password_hash, keep, at } => {
                Ok(self.change_password(user_id, password_hash, keep, at))
            }
            C::RequestPasswordReset { link, gap, per_hour } => {
                Ok(self.request_reset(user_id, link, gap, per_hour))
            }
            C::ResetPassword { request_id, password_hash, at } => {
                self.reset_password(user_id, request_id, password_hash, at)
            }
            C::RequestEmailVerification(link) => Ok(self.request_verification(user_id, link)),
            C::VerifyEmail { request_id, at } => self.verify_email(user_id, request_id, at),
            C::NoteRegistration { gap, at } => Ok(self.note_registration(user_id, gap, at)),
            C::RequestEmailChange { link, email } => {
                self.request_email_change(user_id, link, email)
            }
            C::ConfirmEmailChange { request_id, side, at } => {
                self.confirm_email_change(user_id, request_id, side, at)
            }
            C::ProvePhone { phone, sent_at, at } => self.prove_phone(user_id, phone, sent_at, at),
            C::GiveUpPhone { phone, at } => self.give_up_phone(user_id, phone, at),
            C::ChangeRole { role, at } => Ok(self.change_role(user_id, role, at)),
            C::ChangeStanding { standing, at } => Ok(self.change_standing(user_id, standing, at)),
            C::RequestDeletion { due_at, at } => Ok(self.request_deletion(user_id, due_at, at)),
            C::Return { at } => Ok(self.come_back(user_id, at)),
            C::RequestExport(link) => Ok(self.request_export(user_id, link)),
        }
    }

    pub(super) fn evolve(&mut self, event: &UserEvent) {
        use UserEvent as E;
        match event {
            E::PasswordChanged { token_version, kept_session, at, .. } => {
                self.token_version = *token_version;
                self.kept_session = *kept_session;
                self.void_what_was_sent(*at);
            }
            E::PasswordReset { token_version, at, .. } => {
                self.token_version = *token_version;
                self.kept_session = None;
                self.void_what_was_sent(*at);
            }
            E::EmailVerificationRequested { request_id, expires_at, at, .. } => {
                self.verification = Some(Pending::new(*request_id, *expires_at, *at));
            }
            E::EmailVerified { .. } => {
                self.email_verified = true;
                self.verification = None;
            }
            E::RegistrationRepeated { at, .. } => self.registration_noted_at = Some(*at),
            E::PasswordResetRequested { request_id, expires_at, at, .. } => {
                self.reset = Some(Pending::new(*request_id, *expires_at, *at));
                self.resets_asked_at.retain(|asked| *asked > *at - TimeDelta::hours(1));
                self.resets_asked_at.push(*at);
            }
            E::EmailChangeRequested { request_id, email, expires_at, at, .. } => {
                let pending = Pending::new(*request_id, *expires_at, *at);
                self.email_change =
                    Some(EmailChange { pending, email: email.clone(), confirmed: None });
            }
            E::EmailChangeConfirmed { side, .. } => {
                if let Some(change) = &mut self.email_change {
                    change.confirmed = Some(*side);
                }
            }
            E::RoleChanged { role, .. } => self.role = *role,
            E::AccountSuspended { token_version, at, .. } => {
                self.may_return = false;
                self.close(Standing::Suspended, *token_version, *at);
            }
            E::AccountDeactivated { token_version, at, .. } => {
                self.may_return = false;
                self.close(Standing::Deactivated, *token_version, *at);
            }
            E::AccountReinstated { .. } => {
                self.standing = Standing::Open;
                self.deletion_due_at = None;
                self.may_return = false;
            }
            E::AccountDeletionRequested { token_version, due_at, at, .. } => {
                self.may_return = self.may_return || self.standing == Standing::Open;
                self.close(Standing::Leaving, *token_version, *at);
                self.deletion_due_at = Some(*due_at);
            }
            E::AccountErased { .. } => self.forget(),
            E::DataExportRequested { request_id, expires_at, at, .. } => {
                self.export = Some(Pending::new(*request_id, *expires_at, *at));
            }
            E::PhoneVerified { .. } => self.phone_verified = true,
            E::PhoneChanged { phone, .. } => {
                self.phone = match phone {
                    Personal::Known(phone) => Some(phone.clone()).into(),
                    Personal::Erased => Personal::Erased,
                };
                self.phone_verified = true;
            }
            E::PhoneGivenUp { .. } => {
                self.phone = None.into();
                self.phone_verified = false;
            }
            E::EmailChanged { email, .. } => {
                self.email = email.clone();
                self.email_verified = true;
                self.drop_links();
            }
            _ => {}
        }
    }

    fn close(&mut self, standing: Standing, token_version: u64, at: DateTime<Utc>) {
        self.standing = standing;
        self.token_version = token_version;
        self.kept_session = None;
        self.void_what_was_sent(at);
    }

    /// Links and codes that were sent before do nothing any more, whatever becomes of whoever
    /// brought this about.
    fn void_what_was_sent(&mut self, at: DateTime<Utc>) {
        self.codes_void_until = self.codes_void_until.max(Some(at));
        self.drop_links();
    }

    /// Links that were sent before do nothing any more.
    fn drop_links(&mut self) {
        self.verification = None;
        self.reset = None;
        self.email_change = None;
        self.export = None;
    }
}
