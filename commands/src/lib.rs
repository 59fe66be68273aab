//! What people can do: one method of [`Commands`] for each wish, each of them one command to one
//! aggregate.
//!
//! The rules are in `domain`, the loading, deciding and recording in [`bus`]. What is left for
//! this crate: who may, with which ids and at what time, and what to answer. Policies ask
//! aggregates, never read models.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking"))]

pub mod accounts;
pub mod attendance;
pub mod bus;
pub mod error;
pub mod limits;
pub mod mail;
pub mod messages;
mod passwords;
mod people;
pub mod processes;
pub mod profiles;
pub mod reading;
pub mod reports;
mod requests;
pub mod rooms;
pub mod subjects;
mod texts;
pub mod tokens;

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Metadata, SessionId, UserId};
use eventstore::{EventStore, Placed};
use platform::{Clock, Config, Secrets, config};

pub use accounts::{
    ChangePassword, CodeTarget, Entrance, ExportLink, LoggedIn, LoginName, LoginRequest,
    LogoutScope, OtpPurpose, OtpSession, OtpTarget, Proof, RegisterRequest, Verification,
};
pub use bus::{Bus, Receipt};
pub use error::{BoxError, CommandError, FieldError};
pub use limits::{Attempt, Exceeded, Limit, Limits, Standing};
pub use messages::{DeleteMessage, EditMessage, SendDirectMessage, SendMessage, SentMessage};
pub use profiles::{EditedProfile, SubjectSet};
pub use reports::{FileReport, Filed};
pub use requests::{IdempotencyKey, RequestHasher};
pub use rooms::{CreateRoom, Joined, Membership, changes::RoomChanges, invites::CreatedInvite};
pub use tokens::{AccessClaims, TokenError};

use messages::Turns;
use passwords::Passwords;
use people::Names;
use rooms::invites::InviteCodes;
use texts::Texts;
use tokens::{AccessTokens, Links, RefreshTokens};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Longest wait for the position of what was just recorded.
const PLACING_LIMIT: Duration = Duration::from_secs(2);
/// Commands that may be under way after their answer.
const BACKGROUND: usize = 256;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub user_id: UserId,
    /// The login they act under.
    pub session_id: SessionId,
    /// The request that this is part of.
    pub request_id: String,
}

impl Caller {
    /// Somebody for whom something is done that no login of theirs asked for.
    pub(crate) fn without_session(user_id: UserId, request_id: String) -> Self {
        Self { user_id, session_id: SessionId(Uuid::nil()), request_id }
    }
}

/// What a command came to.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// The answer.
    pub value: T,
    /// Where the last recorded event will be found; `None` when nothing was recorded.
    pub receipt: Option<Receipt>,
    /// Whether the answer was given before, to the same idempotency key.
    pub replayed: bool,
}

/// Everything people can do. Cheap to clone.
#[derive(Clone)]
pub struct Commands {
    inner: Arc<Inner>,
}

struct Inner {
    bus: Bus,
    clock: Arc<dyn Clock>,
    access_tokens: AccessTokens,
    refresh_tokens: RefreshTokens,
    links: Links,
    passwords: Passwords,
    names: Names,
    hasher: RequestHasher,
    messages: config::Messages,
    turns: Turns,
    invite_codes: InviteCodes,
    rooms: config::Rooms,
    /// Limits of profiles and reports.
    users: config::Users,
    /// From login to the end of the last refresh token.
    session_lifetime: TimeDelta,
    accounts: config::Accounts,
    phone: config::Phone,
    texts: Texts,
    /// Places for what is done after its answer.
    background: Arc<Semaphore>,
    /// How long answers to idempotency keys are kept.
    keep_answers: Duration,
    /// How long a request is under way at most.
    longest_request: Duration,
}

impl Commands {
    /// Puts the parts together. `config` must have passed its validation.
    ///
    /// # Panics
    /// If the Argon2 settings are out of range, which [`Config`] refuses before.
    #[must_use]
    pub fn new(bus: Bus, config: &Config, secrets: &Secrets, clock: Arc<dyn Clock>) -> Self {
        let hours = config.eventstore.idempotency_hours;
        let lifetime = config.security.refresh_token_seconds;
        let inner = Inner {
            bus,
            clock,
            access_tokens: AccessTokens::new(&config.security, secrets),
            refresh_tokens: RefreshTokens::new(secrets),
            links: Links::new(secrets),
            passwords: Passwords::new(&config.accounts),
            names: Names::default(),
            hasher: RequestHasher::new(secrets),
            messages: config.messages.clone(),
            turns: Turns::default(),
            invite_codes: InviteCodes::new(secrets),
            rooms: config.rooms.clone(),
            users: config.users.clone(),
            session_lifetime: TimeDelta::seconds(i64::from(lifetime)),
            accounts: config.accounts.clone(),
            phone: config.phone.clone(),
            texts: Texts::new(&config.phone, &config.mail),
            background: Arc::new(Semaphore::new(BACKGROUND)),
            keep_answers: Duration::from_secs(u64::from(hours) * 3600),
            longest_request: Duration::from_millis(config.server.request_timeout_ms),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The bus, for those who carry out commands of their own.
    #[must_use]
    pub fn bus(&self) -> &Bus {
        &self.inner.bus
    }

    /// The store behind the bus.
    #[must_use]
    pub fn store(&self) -> &EventStore {
        self.inner.bus.store()
    }

    /// Makes the hash that tells a repeated request from another one under the same key.
    #[must_use]
    pub fn request_hasher(&self) -> &RequestHasher {
        &self.inner.hasher
    }

    /// The position that the relay gave to what was just recorded: waits for it, two seconds at
    /// most, and answers `None` after that.
    ///
    /// # Errors
    /// None so far: a store that cannot tell makes the wait run out.
    pub async fn place(&self, receipt: Receipt) -> Result<Option<Placed>, CommandError> {
        Ok(self.store().placements().wait(receipt.log_number, PLACING_LIMIT).await)
    }

    /// Where the newest event of all is; `None` before the first.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the store is away.
    pub async fn newest(&self) -> Result<Option<Receipt>, CommandError> {
        Ok(self.store().newest().await?)
    }

    /// The time as commands have it.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.clock.now()
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

/// Who caused what is about to be recorded. No event caused it: people did.
fn metadata(actor: Option<UserId>, request_id: &str) -> Metadata {
    Metadata {
        actor_id: actor.map(|user| user.0),
        request_id: Some(request_id.to_owned()),
        causation_id: None,
    }
}
