//! Phone numbers: proving one, and losing one that was never proven.
use chrono::{DateTime, Utc};

use super::Credentials;
use crate::{
    UserId,
    text::Phone,
    user::{UserError, UserEvent},
};

impl Credentials {
    pub(super) fn prove_phone(
        &self,
        user_id: UserId,
        phone: Phone,
        sent_at: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        if self.codes_void_until.is_some_and(|until| sent_at <= until) {
            return Err(UserError::CodeInvalid);
        }
        Ok(match (self.has_number(&phone), self.phone_verified) {
            (true, true) => vec![],
            (true, false) => vec![UserEvent::PhoneVerified { user_id, phone: phone.into(), at }],
            (false, _) => {
                let previous = self.phone.clone();
                vec![UserEvent::PhoneChanged { user_id, phone: phone.into(), previous, at }]
            }
        })
    }

    pub(super) fn give_up_phone(
        &self,
        user_id: UserId,
        phone: Phone,
        at: DateTime<Utc>,
    ) -> Result<Vec<UserEvent>, UserError> {
        if !self.has_number(&phone) || self.phone_verified {
            return Err(UserError::PhoneTaken);
        }
        Ok(vec![UserEvent::PhoneGivenUp { user_id, phone: phone.into(), at }])
    }

    fn has_number(&self, phone: &Phone) -> bool {
        self.phone.known().and_then(Option::as_ref) == Some(phone)
    }
}
