//! Opening an account.
use chrono::{DateTime, Utc};

use super::{Credentials, LinkRequest, Profile, Registration, User, UserEvent};
use crate::{Personal, UserId};

impl User {
    /// The account exists, and its address is to be proven.
    pub(super) fn open(
        user_id: UserId,
        new: Registration,
        verification: LinkRequest,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        let LinkRequest { request_id, expires_at, .. } = verification;
        let proof = UserEvent::EmailVerificationRequested {
            user_id,
            request_id,
            email: new.email.clone().into(),
            expires_at,
            at,
        };
        let registered = UserEvent::UserRegistered {
            user_id,
            email: new.email.into(),
            password_hash: new.password_hash.into(),
            full_name: new.full_name.into(),
            username: new.username.into(),
            phone: new.phone.into(),
            education_level: new.education_level.into(),
            institution: new.institution.into(),
            at,
        };
        vec![registered, proof]
    }

    /// The state that begins with this event; `None` for every event but the first.
    pub(super) fn opened(event: &UserEvent) -> Option<Self> {
        match event {
            UserEvent::UserRegisteredWithPhone { user_id, phone, full_name, .. } => {
                let number = phone.known().cloned();
                let mut credentials = Credentials::new(Personal::Erased, number.into());
                credentials.phone_verified = true;
                Some(Self::Active {
                    user_id: *user_id,
                    password_hash: Personal::Erased,
                    full_name: full_name.clone(),
                    credentials: Box::new(credentials),
                    profile: Box::new(Profile::new(None.into(), None.into(), None.into())),
                })
            }
            UserEvent::UserRegistered {
                user_id,
                email,
                password_hash,
                full_name,
                username,
                education_level,
                institution,
                phone,
                ..
            } => {
                let profile =
                    Profile::new(username.clone(), education_level.clone(), institution.clone());
                Some(Self::Active {
                    user_id: *user_id,
                    password_hash: password_hash.clone(),
                    full_name: full_name.clone(),
                    credentials: Box::new(Credentials::new(email.clone(), phone.clone())),
                    profile: Box::new(profile),
                })
            }
            _ => None,
        }
    }
}
