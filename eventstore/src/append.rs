//! The append statement: several independent requests, one round trip, one transaction.
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use crate::StoreError;

const APPEND: &str = include_str!("append.sql");

/// Events for one stream, with claims and keys, to be stored whole or not at all.
#[derive(Clone, Debug)]
pub struct AppendRequest {
    /// Stored name of the aggregate type.
    pub aggregate_type: &'static str,
    /// Which instance.
    pub aggregate_id: String,
    /// The sequence of the last event that the decision knew; 0 for a new stream.
    pub expected: i64,
    /// What happened. None where only keys are to be used up, by commands that changed nothing.
    pub events: Vec<NewEvent>,
    /// Claims taken and released by the events.
    pub claims: Vec<Claim>,
    /// Idempotency keys of the commands that led to the events, or that needed none.
    pub keys: Vec<KeyRecord>,
}

/// One event, sealed and serialised.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// A fresh id.
    pub event_id: Uuid,
    /// Stored name.
    pub event_type: String,
    /// Current version.
    pub event_version: String,
    /// JSON.
    pub payload: String,
    /// JSON.
    pub metadata: String,
    /// The room or conversation whose clients see it numbered.
    pub channel: Option<String>,
}

/// A claim to be taken or released with the events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Which uniqueness rule.
    pub scope: &'static str,
    /// Keyed hash of the canonical value.
    pub value: Vec<u8>,
    /// Taken, or released.
    pub take: bool,
}

/// An idempotency key to be used up.
#[derive(Clone, Debug)]
pub struct KeyRecord {
    /// Hash of scope and key.
    pub key: Vec<u8>,
    /// Hash of what was asked.
    pub request_hash: Vec<u8>,
    /// Whose data key seals the answer.
    pub subject: Uuid,
    /// The sealed answer.
    pub answer: String,
    /// When the key is forgotten.
    pub expires_at: DateTime<Utc>,
    /// Place in the stream of the last event when the command was done: its own last one if it recorded
    /// any. There must be one.
    pub sequence: i64,
}

/// Proof of a stored event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Insertion number of the event; [`crate::Placements::wait`] turns it into a position.
    pub log_number: i64,
    /// When the database accepted it.
    pub recorded_at: DateTime<Utc>,
}

/// What an earlier command with the same idempotency key left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Hash of scope and key.
    pub key: Vec<u8>,
    /// Hash of what was asked then.
    pub request_hash: Vec<u8>,
    /// Whose data key seals the answer.
    pub subject: Uuid,
    /// The sealed answer.
    pub answer: String,
    /// Where the last of its events is; for a command that recorded none, where the last event of its
    /// stream was.
    pub receipt: Receipt,
}

/// What became of one request. Only [`AppendOutcome::Stored`] stored anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppendOutcome {
    /// Every event, claim and key of the request is durable: one receipt per event.
    Stored(Vec<Receipt>),
    /// The stream is not at the expected sequence.
    Conflict,
    /// Another aggregate holds this claim.
    ClaimTaken {
        /// Which uniqueness rule.
        scope: String,
        /// The hash that was asked for.
        value: Vec<u8>,
    },
    /// An idempotency key was used before.
    Seen(Box<Seen>),
}

/// Runs the statement for the given requests. One outcome per request, in their order.
///
/// # Errors
/// A unique violation means that at least one request lost a race that its snapshot could not see:
/// nothing of the batch is stored.
pub(crate) async fn append(
    connection: &mut PgConnection,
    requests: &[&AppendRequest],
) -> Result<Vec<AppendOutcome>, sqlx::Error> {
    let mut columns = Columns::default();
    for (number, request) in (0_i32..).zip(requests) {
        columns.push(number, request);
    }
    let c = columns;
    let rows = sqlx::query(APPEND)
        .bind(c.request)
        .bind(c.aggregate_type)
        .bind(c.aggregate_id)
        .bind(c.expected)
        .bind(c.event_request)
        .bind(c.sequence)
        .bind(c.event_id)
        .bind(c.event_type)
        .bind(c.event_version)
        .bind(c.payload)
        .bind(c.metadata)
        .bind(c.channel)
        .bind(c.claim_request)
        .bind(c.scope)
        .bind(c.value)
        .bind(c.take)
        .bind(c.key_request)
        .bind(c.key)
        .bind(c.request_hash)
        .bind(c.subject)
        .bind(c.answer)
        .bind(c.expires_at)
        .bind(c.key_sequence)
        .fetch_all(connection)
        .await?;
    let mut outcomes = vec![AppendOutcome::Conflict; requests.len()];
    for row in &rows {
        let number: i32 = row.try_get("request")?;
        let slot = usize::try_from(number).ok().and_then(|n| outcomes.get_mut(n));
        if let Some(slot) = slot {
            *slot = outcome(row)?;
        }
    }
    Ok(outcomes)
}

fn outcome(row: &PgRow) -> Result<AppendOutcome, sqlx::Error> {
    if let Some(key) = row.try_get::<Option<Vec<u8>>, _>("seen_key")? {
        return Ok(AppendOutcome::Seen(Box::new(Seen {
            key,
            request_hash: row.try_get("seen_hash")?,
            subject: row.try_get("seen_subject")?,
            answer: row.try_get("seen_answer")?,
            receipt: Receipt {
                log_number: row.try_get("seen_log_number")?,
                recorded_at: row.try_get("seen_recorded_at")?,
            },
        })));
    }
    if let Some(scope) = row.try_get("taken_scope")? {
        return Ok(AppendOutcome::ClaimTaken { scope, value: row.try_get("taken_value")? });
    }
    if !row.try_get::<bool, _>("accepted")? {
        return Ok(AppendOutcome::Conflict);
    }
    let log_numbers: Option<Vec<i64>> = row.try_get("log_numbers")?;
    let Some(log_numbers) = log_numbers else { return Ok(AppendOutcome::Stored(Vec::new())) };
    let recorded_at = row.try_get("recorded_at")?;
    let receipt = |log_number| Receipt { log_number, recorded_at };
    Ok(AppendOutcome::Stored(log_numbers.into_iter().map(receipt).collect()))
}

/// The requests as the statement's arrays.
#[derive(Default)]
struct Columns<'a> {
    request: Vec<i32>,
    aggregate_type: Vec<&'a str>,
    aggregate_id: Vec<&'a str>,
    expected: Vec<i64>,
    event_request: Vec<i32>,
    sequence: Vec<i64>,
    event_id: Vec<Uuid>,
    event_type: Vec<&'a str>,
    event_version: Vec<&'a str>,
    payload: Vec<&'a str>,
    metadata: Vec<&'a str>,
    channel: Vec<Option<&'a str>>,
    claim_request: Vec<i32>,
    scope: Vec<&'a str>,
    value: Vec<&'a [u8]>,
    take: Vec<bool>,
    key_request: Vec<i32>,
    key: Vec<&'a [u8]>,
    request_hash: Vec<&'a [u8]>,
    subject: Vec<Uuid>,
    answer: Vec<&'a str>,
    expires_at: Vec<DateTime<Utc>>,
    key_sequence: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, number: i32, request: &'a AppendRequest) {
        self.request.push(number);
        self.aggregate_type.push(request.aggregate_type);
        self.aggregate_id.push(&request.aggregate_id);
        self.expected.push(request.expected);
        for (sequence, event) in (request.expected + 1..).zip(&request.events) {
            self.event_request.push(number);
            self.sequence.push(sequence);
            self.event_id.push(event.event_id);
            self.event_type.push(&event.event_type);
            self.event_version.push(&event.event_version);
            self.payload.push(&event.payload);
            self.metadata.push(&event.metadata);
            self.channel.push(event.channel.as_deref());
        }
        for claim in &request.claims {
            self.claim_request.push(number);
            self.scope.push(claim.scope);
            self.value.push(&claim.value);
            self.take.push(claim.take);
        }
        for key in &request.keys {
            self.key_request.push(number);
            self.key.push(&key.key);
            self.request_hash.push(&key.request_hash);
            self.subject.push(key.subject);
            self.answer.push(&key.answer);
            self.expires_at.push(key.expires_at);
            self.key_sequence.push(key.sequence);
        }
    }
}

impl AppendRequest {
    /// Whether two requests of one batch would collide on a unique key.
    pub(crate) fn collision_keys(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let stream = [self.aggregate_type.as_bytes(), b"\0", self.aggregate_id.as_bytes()].concat();
        let claims = self.claims.iter().map(|c| [c.scope.as_bytes(), b"\x01", &c.value].concat());
        let keys = self.keys.iter().map(|k| [b"\x02".as_slice(), &k.key].concat());
        std::iter::once(stream).chain(claims).chain(keys)
    }
}

/// Turns a lost race into a retry and keeps every other failure.
pub(crate) fn is_unique_violation(error: &sqlx::Error) -> bool {
    crate::error::sqlstate(error).as_deref() == Some("23505")
}

/// The constraint that a failed statement violated.
pub(crate) fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint)
}

/// What a single request's failure means.
pub(crate) fn failure(error: sqlx::Error) -> StoreError {
    match constraint(&error) {
        Some("events_pkey" | "claims_pkey" | "command_log_pkey") => StoreError::Conflict,
        _ => error.into(),
    }
}
