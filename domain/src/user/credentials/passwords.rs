//! Passwords: choosing another one, with the one before or with a link.
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Credentials, LinkRequest};
use crate::{
    SessionId, UserId,
    user::{UserError, UserEvent},
};

impl Credentials {
    /// Checks that a link that resets the password still works.
    ///
    /// # Errors
    /// [`UserError::LinkInvalid`] once it was used, replaced or too old.
    pub fn require_reset(&self, request_id: Uuid, at: DateTime<Utc>) -> Result<(), UserError> {
        let works = self.reset.as_ref().is_some_and(|pending| pending.is(request_id, at));
        if works { Ok(()) } else { Err(UserError::LinkInvalid) }
    }

    pub(super) fn change_password(
        &self,
        user_id: UserId,
        password_hash: String,
        keep: SessionId,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        vec![UserEvent::PasswordChanged {
            user_id,
            password_hash: password_hash.into(),
            token_version: self.token_version + 1,
            kept_session: Some(keep),
            at,
        }]
    }

    pub(super) fn request_reset(
        &self,
        user_id: UserId,
        link: LinkRequest,
        gap: TimeDelta,
        per_hour: u32,
    ) -> Vec<UserEvent> {
        let LinkRequest { request_id, expires_at, at } = link;
        let last = self.reset.as_ref().map(|pending| pending.requested_at);
        let lately = self.resets_asked_at.iter().filter(|asked| at < **asked + TimeDelta::hours(1));
        if last.is_some_and(|last| at < last + gap)
            || lately.count() >= usize::try_from(per_hour).unwrap_or(usize::MAX)
        {
            return vec![];
        }
        vec![UserEvent::PasswordResetRequested { user_id, request_id, expires_at, at }]
    }

    pub(super) fn reset_password(
        &self,
        user_id: UserId,
        request_id: Uuid,
        password_hash: String,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        self.require_reset(request_id, at)?;
        let mut events = vec![UserEvent::PasswordReset {
            user_id,
            request_id,
            password_hash: password_hash.into(),
            token_version: self.token_version + 1,
            at,
        }];
        // Whoever used the link reads the mail of the address.
        if !self.email_verified {
            events.push(UserEvent::EmailVerified { user_id, email: self.email.clone(), at });
            // Whoever opened the account may have been somebody else, and has proven a number of
            // theirs: it would let them in again.
            if let (true, Some(Some(phone))) = (self.phone_verified, self.phone.known()) {
                events.push(UserEvent::PhoneGivenUp { user_id, phone: phone.clone().into(), at });
            }
        }
        Ok(events)
    }
}
