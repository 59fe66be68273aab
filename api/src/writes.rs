//! After a command: where it was recorded, and waiting until reads show it.
use std::time::{Duration, Instant};

use axum::{
    http::{HeaderName, HeaderValue},
    response::{IntoResponseParts, ResponseParts},
};
use chrono::{DateTime, Utc};
use commands::{Receipt, Written};
use domain::LogPosition;
use projections::ReadError;

use crate::{ApiState, endpoint::Endpoint, extract::Access, problem::Problem};

const X_EVENT_POSITION: HeaderName = HeaderName::from_static("x-event-position");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What is known of a write once it is done; adds its headers to the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settled {
    position: Option<LogPosition>,
    /// The number of its last event in the room or conversation.
    pub(crate) channel_seq: Option<i64>,
    /// When the database accepted it; `None` when nothing was recorded.
    pub(crate) recorded_at: Option<DateTime<Utc>>,
    replayed: bool,
}

impl Settled {
    /// Finds the position of what was recorded and waits, briefly, until the read models of the
    /// endpoint show it. What is recorded is recorded: nothing that goes wrong here is an error.
    pub(crate) async fn of<T>(state: &ApiState, endpoint: &Endpoint, written: &Written<T>) -> Self {
        let recorded_at = written.receipt.map(|receipt| receipt.recorded_at);
        let nowhere =
            Self { position: None, channel_seq: None, recorded_at, replayed: written.replayed };
        let receipt = match written.receipt {
            Some(receipt) => receipt,
            // What was asked for held already: whoever reads from here on sees that, too. A stranger
            // is told nothing by which to tell whether there was anything to record.
            None if endpoint.access == Access::SignedIn => match newest(state).await {
                Some(receipt) => receipt,
                None => return nowhere,
            },
            None => return nowhere,
        };
        let deadline = Instant::now() + Duration::from_millis(state.config().server.write_wait_ms);
        let placed = match state.commands().place(receipt).await {
            Ok(Some(placed)) => placed,
            Ok(None) => {
                tracing::warn!(
                    log.number = receipt.log_number,
                    "the relay has not placed an event in time; answering without its position"
                );
                return nowhere;
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    log.number = receipt.log_number,
                    "cannot tell the position of an event; answering without it"
                );
                return nowhere;
            }
        };
        let limit = deadline.saturating_duration_since(Instant::now());
        let waited = state.read_models().wait(endpoint.writes, placed.position, limit).await;
        if let Err(lagging) = waited {
            tracing::debug!(
                read_model = lagging.model,
                lag_events = lagging.lag_events,
                "answering a write before `{}` shows it",
                lagging.model
            );
            metrics::counter!("writes_answered_before_shown_total", "read_model" => lagging.model)
                .increment(1);
        }
        let channel_seq = written.receipt.and(placed.channel_seq);
        Self { position: Some(placed.position), channel_seq, ..nowhere }
    }

    /// Waits, briefly, until the sockets of all processes have been told too: for what puts somebody
    /// out. A process that hangs must not make requests hang.
    pub(crate) async fn told(self, state: &ApiState) -> Self {
        if let (Some(position), Some(sockets)) = (self.position, state.sockets()) {
            let within = Duration::from_millis(state.config().server.removal_wait_ms);
            let behind = if within.is_zero() { 0 } else { sockets.told(position, within).await };
            if behind > 0 {
                tracing::warn!(
                    %position,
                    nodes = behind,
                    "answering before the sockets of {behind} nodes are known to be out"
                );
                metrics::counter!("removals_answered_before_told_total").increment(1);
            }
        }
        self
    }
}

impl IntoResponseParts for Settled {
    type Error = Problem;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Problem> {
        let headers = parts.headers_mut();
        if let Some(LogPosition(position)) = self.position {
            headers.insert(X_EVENT_POSITION, HeaderValue::from(position));
        }
        if self.replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        Ok(parts)
    }
}

/// The newest event of all.
async fn newest(state: &ApiState) -> Option<Receipt> {
    state.commands().newest().await.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "cannot tell where the log ends; answering without a position");
        None
    })
}

/// What a read model shows after a write. A read model in trouble is no reason to deny what was
/// recorded: the handler answers from what it knows.
pub(crate) fn shown<T>(found: Result<Option<T>, ReadError>) -> Option<T> {
    found.unwrap_or_else(|error| {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(error, "a read model is away; answering a write without it");
        None
    })
}
