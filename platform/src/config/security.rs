//! Settings of keys, tokens and accounts.

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::Server;

/// Longest life of a refresh token, and so of a login, seconds: a year. What cut logins off is
/// remembered for as long.
pub const MAX_REFRESH_TOKEN_SECONDS: u32 = 31_536_000;

/// Most sessions that one person may ever be allowed at a time.
pub const MAX_SESSIONS: u16 = 1000;

/// `[security]`: keys and tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Base64 of 32 bytes; every other key is derived from it.
    #[serde(deserialize_with = "secret")]
    pub master_key: SecretString,
    /// `kid:base64seed`, separated by commas; the first signs, all verify.
    #[serde(deserialize_with = "secret")]
    pub jwt_keys: SecretString,
    /// Life of an access token, seconds, 900 to 604800.
    pub access_token_seconds: u32,
    /// Life of a refresh token, seconds; at most [`MAX_REFRESH_TOKEN_SECONDS`].
    pub refresh_token_seconds: u32,
    /// The `iss` claim.
    pub issuer: String,
    /// The `aud` claim.
    pub audience: String,
}

/// `[accounts]`: registration, sessions and password hashing.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// When a new account works.
    pub registration_mode: RegistrationMode,
    /// Sessions that one person may have at a time; at most [`MAX_SESSIONS`].
    pub max_sessions: u16,
    /// How long a link that proves an address works, minutes.
    pub verification_minutes: u32,
    /// How long a link that resets a password works, minutes.
    pub reset_minutes: u32,
    /// Least time between two links or codes to one destination, seconds.
    pub resend_seconds: u32,
    /// Links or codes to one destination in an hour.
    pub sends_per_hour: u32,
    /// Guesses at one code.
    pub code_attempts: u16,
    /// How long after a login with a code somebody without a password may change how they get in,
    /// seconds.
    pub fresh_login_seconds: u32,
    /// How long somebody who asked to be forgotten may come back, seconds. What they had under way must
    /// have ended by then.
    pub deletion_grace_seconds: u32,
    /// How long the link to what is kept of somebody works, minutes.
    pub export_minutes: u32,
    /// Threads that hash passwords.
    pub hash_threads: usize,
    /// Hashes that may wait for a thread.
    pub hash_queue: usize,
    /// Memory of Argon2id, KiB.
    pub argon2_memory_kib: u32,
    /// Passes of Argon2id.
    pub argon2_iterations: u32,
    /// Lanes of Argon2id.
    pub argon2_parallelism: u32,
}

/// `[phone]`: one-time codes by text message.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phone {
    /// Numbers must begin with one of these; empty allows all.
    pub allowed_prefixes: Vec<String>,
    /// How long a code works, minutes.
    pub code_minutes: u32,
    /// Text messages of this installation in a day.
    pub sends_per_day: u32,
    /// Guesses at the codes of one number in an hour.
    pub guesses_per_hour: u32,
    /// Whether codes of our own go to the log and the mail server. Never where strangers read either.
    pub log_codes: bool,
    /// Account SID of Twilio; empty: codes of our own.
    pub twilio_account: String,
    /// Auth token of Twilio.
    #[serde(deserialize_with = "secret")]
    pub twilio_token: SecretString,
    /// Service SID of Twilio Verify.
    pub twilio_service: String,
    /// Where Twilio Verify answers.
    pub twilio_origin: String,
    /// Longest wait for Twilio, milliseconds.
    pub timeout_ms: u64,
}

/// `[mail]`: e-mail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// `smtp://user:password@host:port` or `smtps://…`; empty sends nothing.
    #[serde(deserialize_with = "secret")]
    pub url: SecretString,
    /// Who the e-mails are from: `Name <address>`.
    pub from: String,
    /// Scheme, host and port of the pages that links lead to; empty means `server.public_origin`.
    pub link_origin: String,
    /// Longest wait for the mail server, milliseconds.
    pub timeout_ms: u64,
    /// How long after a failure an e-mail is tried again, milliseconds; twice as long after the next.
    pub retry_ms: u64,
    /// The longest time between two tries, milliseconds.
    pub max_retry_ms: u64,
    /// How long an e-mail is tried, seconds.
    pub give_up_seconds: u32,
    /// How long those that were given up are shown, days.
    pub keep_dead_days: u32,
}

impl Mail {
    /// Scheme, host and port of the pages that links lead to.
    #[must_use]
    pub fn pages<'a>(&'a self, server: &'a Server) -> &'a str {
        if self.link_origin.is_empty() { &server.public_origin } else { &self.link_origin }
    }
}

/// When a new account works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// At once.
    Immediate,
    /// After its e-mail address is proven.
    Verified,
}

/// Reads text into a type that does not print and is wiped when dropped.
pub(super) fn secret<'de, D: Deserializer<'de>>(source: D) -> Result<SecretString, D::Error> {
    String::deserialize(source).map(SecretString::from)
}
