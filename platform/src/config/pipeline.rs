//! Settings of the way of an event: event store, relay, projections.

use serde::Deserialize;

/// `[eventstore]`: the write side.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eventstore {
    /// Connections that append, out of `postgres.max_connections`.
    pub append_connections: u32,
    /// Events that travel together in one transaction.
    pub group_commit_max_events: usize,
    /// Appends that may wait for their transaction.
    pub queue_capacity: usize,
    /// Events of one aggregate between two snapshots.
    pub snapshot_every: usize,
    /// Aggregates kept in memory; 0 keeps none.
    pub cache_capacity: usize,
    /// How long the answer to an idempotency key is kept, hours.
    pub idempotency_hours: u32,
    /// How often a command is tried again after a lost race.
    pub command_retries: u32,
}

/// `[relay]`: from the event store to NATS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    /// Events given a position and published in one step.
    pub batch: u32,
    /// Time between two looks without a nudge, milliseconds.
    pub poll_ms: u64,
    /// How long a silent relay stays leader, milliseconds.
    pub lease_ttl_ms: u64,
    /// Age of a transaction that holds the relay back at which an alarm is logged, milliseconds.
    pub xmin_alarm_ms: u64,
}

/// `[projections]`: from events to read models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projections {
    /// Events applied in one step.
    pub batch: u32,
    /// Least time between two steps under a steady stream, milliseconds.
    pub pace_ms: u64,
    /// Time between two looks without a nudge, milliseconds.
    pub poll_ms: u64,
    /// How long a silent projector keeps its partition, milliseconds.
    pub lease_ttl_ms: u64,
    /// Partitions of one projector.
    pub max_partitions: u32,
    /// Upper bound of the wait for `X-Min-Position`, milliseconds.
    pub read_wait_ms: u64,
}
