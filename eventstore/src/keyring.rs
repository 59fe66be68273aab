//! One data key per person, wrapped by the master key. Destroying it erases the person.
use std::{
    collections::HashSet,
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use lru::LruCache;
use parking_lot::Mutex;
use platform::{
    ids,
    secrets::{Key, Secrets},
};
use sqlx::{PgPool, Row};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    StoreError,
    sealing::{self, Keys},
};

/// How long this node may go on using a key that another node destroyed.
const CACHE_TIME: Duration = Duration::from_secs(10);
const CACHE_SIZE: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Hands out and destroys data keys.
pub struct Keyring {
    pool: PgPool,
    master: Key,
    cache: Mutex<LruCache<Uuid, (Instant, Option<Key>)>>,
}

impl Keyring {
    pub(crate) fn new(pool: PgPool, secrets: &Secrets) -> Self {
        let cache = Mutex::new(LruCache::new(CACHE_SIZE));
        Self { pool, master: secrets.derive("data-keys"), cache }
    }

    /// Destroys the person's key: everything sealed under it reads as erased from now on, in every
    /// store and every backup of the event store that is restored beside the emptied key table.
    /// Other nodes notice within ten seconds. `false` when it was destroyed before.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn erase(&self, subject: Uuid) -> Result<bool, StoreError> {
        let erased = sqlx::query(
            "insert into data_keys (subject_id, wrapped_key, erased_at) values ($1, null, now())
             on conflict (subject_id) do update set wrapped_key = null, erased_at = now()
             where data_keys.wrapped_key is not null",
        )
        .bind(subject)
        .execute(&self.pool)
        .await?
        .rows_affected();
        self.cache.lock().put(subject, (Instant::now(), None));
        Ok(erased == 1)
    }

    /// The keys of the given people. People without one get one if `create`, else are left out.
    pub(crate) async fn keys(
        &self,
        subjects: &HashSet<Uuid>,
        create: bool,
    ) -> Result<Keys, StoreError> {
        let (mut keys, mut missing) = self.cached(subjects);
        if missing.is_empty() {
            return Ok(keys);
        }
        self.fetch(&missing, &mut keys, create).await?;
        missing.retain(|subject| !keys.contains_key(subject));
        if create && !missing.is_empty() {
            let mut wrapped = Vec::with_capacity(missing.len());
            for subject in &missing {
                let key = Zeroizing::new(ids::random_bytes::<32>());
                wrapped.push(sealing::encrypt(&self.master, &*key, subject.as_bytes())?);
            }
            sqlx::query(
                "insert into data_keys (subject_id, wrapped_key)
                 select * from unnest($1::uuid[], $2::bytea[]) on conflict do nothing",
            )
            .bind(&missing)
            .bind(&wrapped)
            .execute(&self.pool)
            .await?;
            // Somebody else may have been faster: what is stored counts.
            self.fetch(&missing, &mut keys, create).await?;
        }
        Ok(keys)
    }

    fn cached(&self, subjects: &HashSet<Uuid>) -> (Keys, Vec<Uuid>) {
        let mut cache = self.cache.lock();
        let mut keys = Keys::new();
        let mut missing = Vec::new();
        for subject in subjects {
            match cache.get(subject) {
                Some((at, key)) if at.elapsed() < CACHE_TIME => {
                    keys.insert(*subject, key.clone());
                }
                _ => missing.push(*subject),
            }
        }
        (keys, missing)
    }

    /// A key that does not open fails whoever wants to seal with it. Whoever opens goes without: one
    /// damaged key must not stop everyone else's events.
    async fn fetch(
        &self,
        subjects: &[Uuid],
        keys: &mut Keys,
        strict: bool,
    ) -> Result<(), StoreError> {
        let rows =
            sqlx::query("select subject_id, wrapped_key from data_keys where subject_id = any($1)")
                .bind(subjects)
                .fetch_all(&self.pool)
                .await?;
        for row in rows {
            let subject: Uuid = row.try_get("subject_id")?;
            let wrapped: Option<Vec<u8>> = row.try_get("wrapped_key")?;
            let key = match wrapped {
                None => None,
                Some(wrapped) => match self.unwrap_key(&wrapped, subject) {
                    Ok(key) => Some(key),
                    Err(error) if strict => return Err(error),
                    Err(_) => continue,
                },
            };
            self.cache.lock().put(subject, (Instant::now(), key.clone()));
            keys.insert(subject, key);
        }
        Ok(())
    }

    fn unwrap_key(&self, wrapped: &[u8], subject: Uuid) -> Result<Key, StoreError> {
        let plain =
            Zeroizing::new(sealing::decrypt(&self.master, wrapped, subject.as_bytes()).map_err(
                |_| StoreError::Unreadable("a data key does not open under this master key".into()),
            )?);
        <[u8; 32]>::try_from(plain.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| StoreError::Unreadable("a data key has the wrong length".into()))
    }
}
