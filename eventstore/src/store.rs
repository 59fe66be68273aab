//! The event store's entry: pools, keys, the append path.
use std::{sync::Arc, time::Duration};

use domain::{AggregateRoot, ClaimChange, StoredEvent as _};
use platform::{
    config::Config,
    ids,
    secrets::{Key, Secrets},
};
use postgres_es::PostgresEventRepository;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{
    PgPool, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::sync::watch;
use uuid::Uuid;

use crate::{
    AppendOutcome, AppendRequest, Claim, KeyRecord, Keyring, NewEvent, Placements, StoreError,
    claims,
    group_commit::GroupCommit,
    sealing::{self, Place},
};

/// The event store. Cheap to clone.
#[derive(Clone)]
pub struct EventStore {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    relay_pool: PgPool,
    repository: PostgresEventRepository,
    keyring: Keyring,
    claim_key: Key,
    code_key: Key,
    commits: GroupCommit,
    appended: watch::Sender<u64>,
    placements: Placements,
}

impl EventStore {
    /// Opens the pools and starts the group committers on the current runtime.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be reached or the URL is malformed.
    pub async fn connect(config: &Config, secrets: &Secrets) -> Result<Self, StoreError> {
        let options: PgConnectOptions = config.postgres.url.expose_secret().parse()?;
        let options = options.application_name("studyhall").options([
            ("statement_timeout", config.postgres.statement_timeout_ms.to_string()),
            // Ours only ever wait for their next statement. A process that hangs within one would hold the
            // log back for everybody, so it loses it before the alarm (`relay.xmin_alarm_ms`) asks for help.
            ("idle_in_transaction_session_timeout", "3000".to_owned()),
            ("jit", "off".to_owned()),
        ]);
        let timeout = Duration::from_millis(config.postgres.connect_timeout_ms);
        let pool = PgPoolOptions::new()
            .max_connections(config.postgres.max_connections)
            .acquire_timeout(timeout)
            .connect_with(options.clone())
            .await?;
        // A plan cached while the tables were empty would scan them for ever.
        let indexed = options.options([("enable_seqscan", "off")]);
        let append_pool = PgPoolOptions::new()
            .max_connections(config.eventstore.append_connections)
            .acquire_timeout(timeout)
            // The statement is large and always the same: planning it anew takes longer than running it.
            .connect_lazy_with(
                indexed.clone().options([("plan_cache_mode", "force_generic_plan")]),
            );
        // Positions are a function of the log: losing the last ones in a crash gives them again,
        // so the relay need not wait for the disk.
        let relay_pool = PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(timeout)
            .connect_lazy_with(indexed.options([("synchronous_commit", "off")]));

        let appended = watch::channel(0).0;
        let commits = GroupCommit::start(
            &append_pool,
            config.eventstore.append_connections,
            config.eventstore.group_commit_max_events,
            config.eventstore.queue_capacity,
            Duration::from_millis(config.postgres.statement_timeout_ms) + timeout,
            &appended,
        );
        let shared = Shared {
            repository: PostgresEventRepository::new(pool.clone()),
            keyring: Keyring::new(pool.clone(), secrets),
            claim_key: secrets.derive("claims"),
            code_key: secrets.derive("code-destinations"),
            placements: Placements::new(relay_pool.clone()),
            commits,
            appended,
            pool,
            relay_pool,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The general pool; read models in PostgreSQL use it as well.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// The keys of people's data.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.shared.keyring
    }

    /// Where appended events ended up.
    #[must_use]
    pub fn placements(&self) -> &Placements {
        &self.shared.placements
    }

    /// Changes after every commit of this process: the relay's nudge.
    #[must_use]
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.shared.appended.subscribe()
    }

    pub(crate) fn relay_pool(&self) -> &PgPool {
        &self.shared.relay_pool
    }

    pub(crate) fn repository(&self) -> &PostgresEventRepository {
        &self.shared.repository
    }

    pub(crate) fn claim_key(&self) -> &[u8; 32] {
        &self.shared.claim_key
    }

    pub(crate) fn code_key(&self) -> &[u8; 32] {
        &self.shared.code_key
    }

    /// Stores events whole or not at all, together with whatever else this process appends now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] after repeated lost races, [`StoreError::Overloaded`] with a full
    /// queue, or when the database is away. After [`StoreError::Unavailable`] the events may be
    /// stored: only an idempotency key tells.
    pub async fn append(&self, request: AppendRequest) -> Result<AppendOutcome, StoreError> {
        self.shared.commits.append(request).await
    }

    /// Seals and serialises events of one stream that follow `expected`.
    ///
    /// # Errors
    /// [`StoreError::SubjectErased`] for people whose key is gone, or when the database is away.
    pub async fn prepare<A: AggregateRoot>(
        &self,
        aggregate_id: &str,
        expected: i64,
        events: &[(A::Event, Value)],
    ) -> Result<AppendRequest, StoreError> {
        use cqrs_es::DomainEvent as _;
        let mut staged = Vec::with_capacity(events.len());
        let mut claims = Vec::new();
        let mut subjects = std::collections::HashSet::new();
        for (event, metadata) in events {
            let payload = serde_json::to_value(event)
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            let fields = A::Event::personal_fields(&event.event_type());
            subjects.extend(sealing::subjects_to_seal(&payload, fields));
            claims.extend(A::claims(event).into_iter().map(|change| self.claim(change)));
            staged.push((event, metadata, payload, fields));
        }
        let keys = self.keyring().keys(&subjects, true).await?;
        let mut prepared = Vec::with_capacity(staged.len());
        for (sequence, (event, metadata, mut payload, fields)) in (expected + 1..).zip(staged) {
            let place = Place { aggregate_type: A::TYPE, aggregate_id, sequence };
            sealing::seal(&mut payload, fields, place, &keys)?;
            prepared.push(NewEvent {
                event_id: ids::new_id(),
                event_type: event.event_type(),
                event_version: event.event_version(),
                payload: payload.to_string(),
                metadata: metadata.to_string(),
                channel: A::channel(aggregate_id, event),
            });
        }
        Ok(AppendRequest {
            aggregate_type: A::TYPE,
            aggregate_id: aggregate_id.to_owned(),
            expected,
            events: prepared,
            claims: claims::fold(claims),
            keys: Vec::new(),
        })
    }

    /// An idempotency key with its sealed answer, to be appended with the events, if there are any.
    /// `sequence` is the place in the stream of the last event when the command was done.
    ///
    /// # Errors
    /// [`StoreError::SubjectErased`] for people whose key is gone, or when the database is away.
    pub async fn key_record(
        &self,
        key: &str,
        request_hash: &[u8],
        subject: Uuid,
        answer: &Value,
        expires_at: chrono::DateTime<chrono::Utc>,
        sequence: i64,
    ) -> Result<KeyRecord, StoreError> {
        let key = hash_key(key);
        let keys = self.keyring().keys(&std::iter::once(subject).collect(), true).await?;
        let data_key =
            keys.get(&subject).and_then(Option::as_ref).ok_or(StoreError::SubjectErased)?;
        let answer = sealing::seal_text(data_key, answer, &key)?;
        let request_hash = request_hash.to_vec();
        Ok(KeyRecord { key, request_hash, subject, answer, expires_at, sequence })
    }

    /// What an earlier command with this idempotency key left behind.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn seen(&self, key: &str) -> Result<Option<crate::Seen>, StoreError> {
        let key = hash_key(key);
        let row = sqlx::query(
            "select request_hash, subject_id, answer, log_number, recorded_at from command_log
             where key = $1",
        )
        .bind(&key)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(crate::Seen {
            key,
            request_hash: row.try_get("request_hash")?,
            subject: row.try_get("subject_id")?,
            answer: row.try_get("answer")?,
            receipt: crate::Receipt {
                log_number: row.try_get("log_number")?,
                recorded_at: row.try_get("recorded_at")?,
            },
        }))
    }

    /// Opens a stored answer; `None` once the person was erased.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away or the answer does not open.
    pub async fn open_answer(&self, seen: &crate::Seen) -> Result<Option<Value>, StoreError> {
        let keys = self.keyring().keys(&std::iter::once(seen.subject).collect(), false).await?;
        let Some(Some(key)) = keys.get(&seen.subject) else { return Ok(None) };
        sealing::open_text(key, &seen.answer, &seen.key)
            .map(Some)
            .map_err(|error| StoreError::Unreadable(error.reason))
    }

    /// Forgets idempotency keys past their time. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away.
    pub async fn forget_expired_keys(&self) -> Result<u64, StoreError> {
        Ok(sqlx::query("delete from command_log where expires_at < now()")
            .execute(self.pool())
            .await?
            .rows_affected())
    }

    fn claim(&self, change: ClaimChange) -> Claim {
        let (scope, value, take) = match change {
            ClaimChange::Take { scope, value } => (scope, value, true),
            ClaimChange::Release { scope, value } => (scope, value, false),
        };
        Claim { scope, value: claims::hash(self.claim_key(), scope, &value), take }
    }
}

/// The form in which idempotency keys are stored: clients choose them, so they are not kept.
#[must_use]
pub(crate) fn hash_key(key: &str) -> Vec<u8> {
    Sha256::digest(key.as_bytes()).to_vec()
}
