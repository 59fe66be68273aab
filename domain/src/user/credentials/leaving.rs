//! Going for good, and taking along what is kept of one.
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Credentials, LinkRequest};
use crate::{
    Personal, UserId,
    text::{Email, Username},
    user::{Standing, UserEvent},
};

impl Credentials {
    /// Asked again, the first day counts. Who is suspended can go as well.
    pub(super) fn request_deletion(
        &self,
        user_id: UserId,
        due_at: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        if self.deletion_due_at.is_some_and(|due| due <= due_at) {
            return vec![];
        }
        let token_version = self.token_version + 1;
        vec![UserEvent::AccountDeletionRequested { user_id, token_version, due_at, at }]
    }

    /// Whether the person lets go of going, by getting in.
    #[must_use]
    pub fn returns(&self, at: DateTime<Utc>) -> bool {
        self.standing == Standing::Leaving
            && self.may_return
            && self.deletion_due_at.is_some_and(|due_at| at < due_at)
    }

    pub(super) fn come_back(&self, user_id: UserId, at: DateTime<Utc>) -> Vec<UserEvent> {
        if self.returns(at) { vec![UserEvent::AccountReinstated { user_id, at }] } else { vec![] }
    }

    /// What the person had to themselves is anybody's from then on.
    pub(in crate::user) fn erase(
        &self,
        user_id: UserId,
        username: &Personal<Option<Username>>,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        if self.deletion_due_at.is_none_or(|due_at| at < due_at) {
            return vec![];
        }
        let email: Personal<Option<Email>> = self.email.known().cloned().into();
        let (username, phone) = (username.clone(), self.phone.clone());
        vec![UserEvent::AccountErased { user_id, email, username, phone, at }]
    }

    pub(super) fn forget(&mut self) {
        self.standing = Standing::Erased;
        self.deletion_due_at = None;
        self.email = Personal::Erased;
        self.phone = Personal::Erased;
        self.drop_links();
    }

    pub(super) fn request_export(&self, user_id: UserId, link: LinkRequest) -> Vec<UserEvent> {
        if self.standing != Standing::Open {
            return vec![];
        }
        let LinkRequest { request_id, expires_at, at } = link;
        vec![UserEvent::DataExportRequested { user_id, request_id, expires_at, at }]
    }

    /// Whether this link still leads to what is kept of the person.
    #[must_use]
    pub fn exports(&self, request_id: Uuid, at: DateTime<Utc>) -> bool {
        let pending = self.export.as_ref();
        self.standing == Standing::Open && pending.is_some_and(|it| it.is(request_id, at))
    }
}
