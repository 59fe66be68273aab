//! E-mail addresses: proving one, and moving to another one.
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Credentials, LinkRequest, Side};
use crate::{
    UserId,
    text::Email,
    user::{UserError, UserEvent},
};

impl Credentials {
    pub(super) fn request_verification(
        &self,
        user_id: UserId,
        link: LinkRequest,
    ) -> Vec<UserEvent> {
        if self.email_verified {
            return vec![];
        }
        let LinkRequest { request_id, expires_at, at } = link;
        let email = self.email.clone();
        vec![UserEvent::EmailVerificationRequested { user_id, request_id, email, expires_at, at }]
    }

    pub(super) fn verify_email(
        &self,
        user_id: UserId,
        request_id: Uuid,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        let pending = self.verification.as_ref();
        if !pending.is_some_and(|pending| pending.is(request_id, at)) {
            return Err(UserError::LinkInvalid);
        }
        Ok(vec![UserEvent::EmailVerified { user_id, email: self.email.clone(), at }])
    }

    pub(super) fn note_registration(
        &self,
        user_id: UserId,
        gap: TimeDelta,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        let lately = self.registration_noted_at.is_some_and(|noted| at < noted + gap);
        if lately { vec![] } else { vec![UserEvent::RegistrationRepeated { user_id, at }] }
    }

    pub(super) fn request_email_change(
        &self,
        user_id: UserId,
        link: LinkRequest,
        email: Email,
    ) -> Result<Vec<UserEvent>, UserError> {
        let own = |own: &Email| own.canonical() == email.canonical();
        if self.email.known().is_some_and(own) {
            return Err(UserError::EmailUnchanged);
        }
        let LinkRequest { request_id, expires_at, at } = link;
        let email = email.into();
        Ok(vec![UserEvent::EmailChangeRequested { user_id, request_id, email, expires_at, at }])
    }

    pub(super) fn confirm_email_change(
        &self,
        user_id: UserId,
        request_id: Uuid,
        side: Side,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        let Some(change) = &self.email_change else { return Err(UserError::LinkInvalid) };
        // One address agreeing twice is not two addresses agreeing.
        if !change.pending.is(request_id, at) || change.confirmed == Some(side) {
            return Err(UserError::LinkInvalid);
        }
        let mut events = vec![UserEvent::EmailChangeConfirmed { user_id, request_id, side, at }];
        // An address that was never proven may belong to nobody: it has no say.
        if change.confirmed.is_some() || (side == Side::New && !self.email_verified) {
            events.push(UserEvent::EmailChanged {
                user_id,
                email: change.email.clone(),
                previous: self.email.clone(),
                at,
            });
        }
        Ok(events)
    }
}
