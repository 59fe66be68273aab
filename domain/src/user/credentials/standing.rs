//! What operators decide: what someone may do, and whether their account is open.
use chrono::{DateTime, Utc};

use super::Credentials;
use crate::{
    UserId,
    user::{Role, Standing, UserEvent},
};

impl Credentials {
    pub(super) fn change_role(
        &self,
        user_id: UserId,
        role: Role,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        if role == self.role { vec![] } else { vec![UserEvent::RoleChanged { user_id, role, at }] }
    }

    pub(super) fn change_standing(
        &self,
        user_id: UserId,
        standing: Standing,
        at: DateTime<Utc>,
    ) -> Vec<UserEvent> {
        if standing == self.standing {
            return vec![];
        }
        let token_version = self.token_version + 1;
        vec![match standing {
            Standing::Open => UserEvent::AccountReinstated { user_id, at },
            // Who is leaving looks like nobody already.
            Standing::Suspended if self.standing != Standing::Leaving => {
                UserEvent::AccountSuspended { user_id, token_version, at }
            }
            Standing::Suspended | Standing::Deactivated => {
                UserEvent::AccountDeactivated { user_id, token_version, at }
            }
            // These have commands of their own.
            Standing::Leaving | Standing::Erased => return vec![],
        }]
    }
}
