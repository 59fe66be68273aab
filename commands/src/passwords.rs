//! Password hashing: Argon2id (RFC 9106), on few threads, with a queue that ends.
//!
//! One hash takes tens of milliseconds and many megabytes on purpose. Without bounds a flood of
//! logins would starve everything else; with them it is refused.
use std::{fmt, sync::Arc, time::Duration, time::Instant};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::{self, phc::PasswordHash},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use domain::password::{MAX_CHARACTERS, normalise};
use platform::{config::Accounts, ids::random_bytes};
use tokio::{sync::Semaphore, task::spawn_blocking};
use zeroize::Zeroizing;

use crate::CommandError;

/// When to come back after a refusal: most of the queue is gone by then.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// More than any password that could have been set (see `NewPassword`).
const MAX_BYTES: usize = MAX_CHARACTERS * 8;

/// How hashes begin that were made by bcrypt, elsewhere.
const BCRYPT: &str = "$2";
/// bcrypt reads no further, and says nothing.
const BCRYPT_MAX_BYTES: usize = 72;

/// Whether a password is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Wrong,
    Right {
        /// The stored hash was made with other parameters than today's.
        outdated: bool,
    },
}

/// The hasher. Clones share the threads and the queue.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    params: Params,
    /// Verified when there is no account, so that its absence cannot be measured.
    dummy: Arc<str>,
    /// Hashes that run or wait.
    admitted: Arc<Semaphore>,
    /// Hashes that run.
    running: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new(accounts: &Accounts) -> Self {
        let Ok(params) = Params::new(
            accounts.argon2_memory_kib,
            accounts.argon2_iterations,
            accounts.argon2_parallelism,
            Some(Params::DEFAULT_OUTPUT_LEN),
        ) else {
            unreachable!("the configuration refuses Argon2 settings that are out of range")
        };
        Self {
            dummy: dummy(&params).into(),
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()),
            params,
            admitted: Arc::new(Semaphore::new(accounts.hash_threads + accounts.hash_queue)),
            running: Arc::new(Semaphore::new(accounts.hash_threads)),
        }
    }

    /// Hashes a password into a PHC string.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] when the queue is full.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, CommandError> {
        let password = Zeroizing::new(normalise(password));
        let argon2 = self.argon2.clone();
        let salt: [u8; 16] = random_bytes();
        self.run(move || {
            let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Compares a password with a stored hash, or with nothing at the same cost.
    ///
    /// # Errors
    /// [`CommandError::Overloaded`] when the queue is full, [`CommandError::Unavailable`] when the
    /// stored hash cannot be read.
    pub(crate) async fn verify(
        &self,
        password: &str,
        stored: Option<&str>,
    ) -> Result<Verdict, CommandError> {
        // Too long to be anyone's: not worth normalising, and compared with nothing.
        let fits = password.len() <= MAX_BYTES;
        let password = Zeroizing::new(if fits { normalise(password) } else { String::new() });
        let stored = stored.filter(|_| fits);
        let exists = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy).to_owned();
        let (argon2, params) = (self.argon2.clone(), self.params.clone());
        if stored.starts_with(BCRYPT) {
            return self.run(move || verify_bcrypt(&password, &stored)).await;
        }
        self.run(move || {
            let hash =
                PasswordHash::new(&stored).map_err(|_| password_hash::Error::EncodingInvalid)?;
            match argon2.verify_password(password.as_bytes(), &hash) {
                Ok(()) if exists => Ok(Verdict::Right { outdated: is_outdated(&hash, &params) }),
                Ok(()) | Err(password_hash::Error::PasswordInvalid) => Ok(Verdict::Wrong),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Runs one hash when its turn comes.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> password_hash::Result<T> + Send + 'static,
    ) -> Result<T, CommandError> {
        let Ok(admitted) = Arc::clone(&self.admitted).try_acquire_owned() else {
            return Err(CommandError::Overloaded { retry_after: RETRY_AFTER });
        };
        let waiting = Waiting::start();
        let slot =
            Arc::clone(&self.running).acquire_owned().await.map_err(CommandError::unavailable)?;
        drop(waiting);
        // The permits go along: a caller that gives up does not stop the work, so it must not
        // free its place either.
        let hashing = spawn_blocking(move || {
            let _permits = (admitted, slot);
            let started = Instant::now();
            let outcome = work();
            metrics::histogram!("password_hash_seconds").record(started.elapsed());
            outcome
        });
        hashing.await.map_err(CommandError::unavailable)?.map_err(CommandError::unavailable)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("params", &self.params).finish_non_exhaustive()
    }
}

/// An imported hash. What bcrypt would cut off is wrong, whatever its first bytes are; what is right
/// gets a hash of ours.
fn verify_bcrypt(password: &str, stored: &str) -> password_hash::Result<Verdict> {
    let fits = password.len() <= BCRYPT_MAX_BYTES;
    let cut = password.floor_char_boundary(BCRYPT_MAX_BYTES);
    let right = bcrypt::verify(&password[..cut], stored)
        .map_err(|_| password_hash::Error::EncodingInvalid)?;
    Ok(if right && fits { Verdict::Right { outdated: true } } else { Verdict::Wrong })
}

/// Counts itself among the waiting until it is dropped.
struct Waiting;

impl Waiting {
    fn start() -> Self {
        metrics::gauge!("password_hash_queue").increment(1.0);
        Self
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        metrics::gauge!("password_hash_queue").decrement(1.0);
    }
}

/// A hash of no password: random bytes, under the parameters that everyone's hash has.
fn dummy(params: &Params) -> String {
    let salt = STANDARD_NO_PAD.encode(random_bytes::<16>());
    let output = STANDARD_NO_PAD.encode(random_bytes::<{ Params::DEFAULT_OUTPUT_LEN }>());
    format!(
        "$argon2id$v=19$m={},t={},p={}${salt}${output}",
        params.m_cost(),
        params.t_cost(),
        params.p_cost(),
    )
}

/// Whether today's parameters would give another kind of hash.
fn is_outdated(hash: &PasswordHash, today: &Params) -> bool {
    let same_kind = hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into());
    !same_kind || Params::try_from(hash).as_ref() != Ok(today)
}

#[cfg(test)]
mod tests;
