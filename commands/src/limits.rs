//! How often someone may ask: counters that all nodes share, in Redis.
//!
//! A limit counts within a window that begins with the first request. All counters of one request
//! are looked at and moved by one script, so that requests at the same time cannot slip through, and
//! what is refused moves none of them. While Redis is away, every node counts for itself.
mod bucket;
mod local;
mod logins;
mod shared;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use platform::{
    Config, Secrets,
    config::{self, Rate},
};
use redis::RedisError;
use sha2::Sha256;

pub use bucket::Bucket;
use local::Local;
pub use logins::Attempt;
use shared::Shared;

/// How long Redis is left alone after it did not answer.
const PAUSE: Duration = Duration::from_secs(2);

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $setting:ident;)+) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limit { $($(#[$doc])* $name),+ }

        impl Limit {
            /// Its public name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }

            fn rate(self, settings: &config::Limits) -> Rate {
                match self { $(Self::$name => settings.$setting),+ }
            }
        }
    };
}

limits! {
    /// Requests without a token, by address.
    Anonymous = "anonymous", anonymous;
    /// Reads of one person.
    Reads = "reads", reads;
    /// Writes of one person.
    Writes = "writes", writes;
    /// Messages of one person.
    Messages = "messages", messages;
    /// Registrations of one e-mail address from one address.
    Register = "register", register;
    /// Registrations from one address.
    RegisterAddress = "register-address", register_address;
    /// Logins to one account from addresses that have not logged in to it.
    Login = "login", login;
    /// Logins to one account from one address that has logged in to it.
    LoginKnown = "login-known", login_known;
    /// Logins from one address.
    LoginAddress = "login-address", login_address;
    /// Refreshes from one address.
    RefreshAddress = "refresh-address", refresh_address;
    /// Codes by text message that one address asks for.
    SendOtpAddress = "send-otp-address", send_otp_address;
    /// Mails that prove an e-mail address, and that one address asks for.
    ResendAddress = "resend-address", resend_address;
    /// Mails that reset a password, and that one address asks for.
    ForgotAddress = "forgot-address", forgot_address;
    /// Codes and links that one address answers.
    VerifyAddress = "verify-address", verify_address;
    /// Codes that are answered for one e-mail address.
    VerifyEmail = "verify-email", verify_email;
    /// Passwords that one address resets.
    ResetAddress = "reset-address", reset_address;
    /// Commands of all sockets of one person.
    SocketCommands = "socket-commands", socket_commands;
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub limit: Limit,
    /// How much there is of it.
    pub rate: Rate,
    /// Requests that are left in this window.
    pub left: u32,
    /// When the next window begins.
    pub resets_in: Duration,
}

/// A limit is used up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests")]
pub struct Exceeded {
    /// All limits that were looked at.
    pub standings: Vec<Standing>,
}

impl Exceeded {
    /// When none of them stands in the way any more.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let spent = self.standings.iter().filter(|standing| standing.left == 0);
        spent.map(|standing| standing.resets_in).max().unwrap_or_default()
    }
}

/// A counter: its key, and how far it may go.
struct Counter {
    key: String,
    rate: Rate,
}

/// What counters came to: whether all had room, and for each how many are used and the rest of its
/// window.
struct Counted {
    fits: bool,
    counters: Vec<(u32, Duration)>,
}

/// Counts. Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    inner: Arc<Inner>,
}

struct Inner {
    settings: config::Limits,
    /// Keys are e-mail addresses, among others: only their hashes leave this process.
    names: Hmac<Sha256>,
    prefix: String,
    shared: Shared,
    local: Local,
    started: Instant,
    /// Until when Redis is not asked, milliseconds since `started`.
    away_until: AtomicU64,
}

impl Limits {
    /// Connects when something is counted first; Redis may be away until then.
    ///
    /// # Errors
    /// When the URL of Redis is malformed.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn new(config: &Config, secrets: &Secrets) -> Result<Self, RedisError> {
        if !config.limits.enabled {
            tracing::warn!("all rate limits are off (limits.enabled)");
        }
        let Ok(names) = Hmac::new_from_slice(secrets.derive("limits").as_slice()) else {
            unreachable!("HMAC takes keys of any length")
        };
        let inner = Inner {
            settings: config.limits.clone(),
            names,
            prefix: format!("{}limit:", config.redis.key_prefix),
            shared: Shared::new(&config.redis)?,
            local: Local::default(),
            started: Instant::now(),
            away_until: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &config::Limits {
        &self.inner.settings
    }

    /// Counts one request against each of these limits, named by whom or what it is counted for:
    /// `[(Limit::Login, "ana@example.org"), (Limit::LoginAddress, "192.0.2.1")]`. Answers what is left;
    /// nothing while limits are off.
    ///
    /// # Errors
    /// [`Exceeded`] if one of them is used up; none of them has moved then.
    pub async fn take(&self, wanted: &[(Limit, &str)]) -> Result<Vec<Standing>, Exceeded> {
        if !self.inner.settings.enabled || wanted.is_empty() {
            return Ok(Vec::new());
        }
        let counters: Vec<_> = wanted.iter().map(|(limit, of)| self.counter(*limit, of)).collect();
        let counted = self.count(&counters).await;
        let standings = wanted.iter().zip(&counters).zip(counted.counters);
        let standings: Vec<_> = standings
            .map(|((&(limit, _), counter), (used, resets_in))| Standing {
                limit,
                rate: counter.rate,
                left: counter.rate.quota.saturating_sub(used),
                resets_in,
            })
            .collect();
        if counted.fits {
            return Ok(standings);
        }
        for spent in standings.iter().filter(|standing| standing.left == 0) {
            metrics::counter!("rate_limited_total", "limit" => spent.limit.name()).increment(1);
        }
        Err(Exceeded { standings })
    }

    fn counter(&self, limit: Limit, of: &str) -> Counter {
        self.counter_named(limit.name(), of, limit.rate(&self.inner.settings))
    }

    fn counter_named(&self, class: &str, of: &str, rate: Rate) -> Counter {
        let mut name = self.inner.names.clone();
        name.update(of.as_bytes());
        let name = URL_SAFE_NO_PAD.encode(&name.finalize().into_bytes()[..16]);
        Counter { key: format!("{}{class}:{name}", self.inner.prefix), rate }
    }

    async fn count(&self, counters: &[Counter]) -> Counted {
        let Inner { shared, local, .. } = &*self.inner;
        self.ask(shared.count(counters), |now| local.count(counters, now)).await
    }

    /// Asks Redis, or this process while Redis is away.
    async fn ask<T>(
        &self,
        shared: impl Future<Output = Result<T, RedisError>>,
        local: impl FnOnce(Instant) -> T,
    ) -> T {
        let inner = &self.inner;
        let now = Instant::now();
        let since = |at: Instant| {
            u64::try_from(at.duration_since(inner.started).as_millis()).unwrap_or(u64::MAX)
        };
        let away_until = inner.away_until.load(Ordering::Relaxed);
        if since(now) >= away_until {
            match shared.await {
                Ok(answer) => {
                    if away_until > 0 && inner.away_until.swap(0, Ordering::Relaxed) > 0 {
                        tracing::info!("rate limits are shared by all nodes again");
                    }
                    return answer;
                }
                Err(error) => {
                    if away_until == 0 {
                        tracing::warn!(%error, "Redis is away: this node counts for itself");
                    }
                    inner.away_until.store(since(now + PAUSE), Ordering::Relaxed);
                }
            }
        }
        metrics::counter!("rate_limits_counted_locally_total").increment(1);
        local(now)
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").finish_non_exhaustive()
    }
}
