//! What people ask of the way into their account.
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    SessionId,
    text::{Email, Phone},
    user::{Role, Standing},
};

/// What someone asks of the way into their account.
#[derive(Clone, Debug)]
pub enum CredentialsCommand {
    /// Let another password open the account, and end the sessions from before.
    ChangePassword {
        /// A PHC string made by the hasher.
        password_hash: String,
        /// The session in which it is changed.
        keep: SessionId,
        /// When.
        at: DateTime<Utc>,
    },
    /// Prove that the address is the person's, unless it is proven.
    RequestEmailVerification(LinkRequest),
    /// The proof.
    VerifyEmail {
        /// The request that was answered.
        request_id: Uuid,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody registers with the address of this account.
    NoteRegistration {
        /// Shortest time between two notes.
        gap: TimeDelta,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let the owner of the address choose another password.
    RequestPasswordReset {
        /// What the link will be good for.
        link: LinkRequest,
        /// Shortest time between two requests.
        gap: TimeDelta,
        /// Most requests in an hour.
        per_hour: u32,
    },
    /// The other password.
    ResetPassword {
        /// The request that was answered.
        request_id: Uuid,
        /// A PHC string made by the hasher.
        password_hash: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// Move the account to another address, once both have agreed.
    RequestEmailChange {
        /// What the links will be good for.
        link: LinkRequest,
        /// Where to.
        email: Email,
    },
    /// The person has shown that they read the messages of the number, theirs or a new one.
    ProvePhone {
        /// Which number.
        phone: Phone,
        /// When the code was sent that shows it.
        sent_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Somebody else has shown that the number is theirs.
    GiveUpPhone {
        /// Which number.
        phone: Phone,
        /// When.
        at: DateTime<Utc>,
    },
    /// Let the person do other things.
    ChangeRole {
        /// What they may do.
        role: Role,
        /// When.
        at: DateTime<Utc>,
    },
    /// Close the account, or open it.
    ChangeStanding {
        /// What shall hold.
        standing: Standing,
        /// When.
        at: DateTime<Utc>,
    },
    /// Close the account, and forget its owner later.
    RequestDeletion {
        /// From when on they are to be forgotten.
        due_at: DateTime<Utc>,
        /// When.
        at: DateTime<Utc>,
    },
    /// Open the account again for its owner, who was about to go.
    Return {
        /// When.
        at: DateTime<Utc>,
    },
    /// Let the person take along what is kept of them.
    RequestExport(LinkRequest),
    /// One of the two agrees.
    ConfirmEmailChange {
        /// The request that was answered.
        request_id: Uuid,
        /// Which of the two.
        side: Side,
        /// When.
        at: DateTime<Utc>,
    },
}

impl CredentialsCommand {
    /// Whether it closes the account or opens it.
    pub(in crate::user) fn is_about_standing(&self) -> bool {
        matches!(
            self,
            Self::ChangeStanding { .. } | Self::RequestDeletion { .. } | Self::Return { .. }
        )
    }
}

/// A link that is to be sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkRequest {
    /// A fresh id.
    pub request_id: Uuid,
    /// The link works until then.
    pub expires_at: DateTime<Utc>,
    /// When.
    pub at: DateTime<Utc>,
}

/// One of the two addresses of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one that the account has.
    Old,
    /// The one that it shall have.
    New,
}
