//! Loading one aggregate: snapshot, then the events after it, opened and lifted.
use cqrs_es::{
    EventEnvelope,
    persist::{PersistedEventRepository as _, SerializedEvent},
};
use domain::AggregateRoot;
use serde_json::Value;
use sqlx::{Row, postgres::PgRow};

use crate::{EventStore, StoreError, sealing, sealing::Place, upcast::upcast};

/// An aggregate as the log has it.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    /// The state after the last event.
    pub state: A,
    /// Sequence of the last event; 0 for a stream without events.
    pub sequence: i64,
}

impl<A: Default> Default for Loaded<A> {
    fn default() -> Self {
        Self { state: A::default(), sequence: 0 }
    }
}

impl EventStore {
    /// The aggregate's state.
    ///
    /// # Errors
    /// [`StoreError`] when the database is away or the stream cannot be read.
    pub async fn load<A: AggregateRoot>(&self, id: &str) -> Result<A, StoreError> {
        Ok(self.load_stream::<A>(id).await?.state)
    }

    /// The aggregate's state with its sequence.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    pub async fn load_stream<A: AggregateRoot>(&self, id: &str) -> Result<Loaded<A>, StoreError> {
        if A::SNAPSHOTS {
            let mut loaded = self.snapshot(id).await?.unwrap_or_default();
            self.catch_up(id, &mut loaded).await?;
            return Ok(loaded);
        }
        let mut loaded = Loaded::default();
        for envelope in self.stream::<A>(id).await? {
            fold(&mut loaded, envelope);
        }
        Ok(loaded)
    }

    /// Folds in what was recorded since. `true` when there was something.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    pub async fn catch_up<A: AggregateRoot>(
        &self,
        id: &str,
        loaded: &mut Loaded<A>,
    ) -> Result<bool, StoreError> {
        let rows = sqlx::query(
            "select sequence, event_type, event_version, payload, metadata from events
             where aggregate_type = $1 and aggregate_id = $2 and sequence > $3 order by sequence",
        )
        .bind(A::TYPE)
        .bind(id)
        .bind(loaded.sequence)
        .fetch_all(self.pool())
        .await?;
        let moved = !rows.is_empty();
        let stored =
            rows.iter().map(|row| serialized::<A>(id, row)).collect::<Result<Vec<_>, _>>()?;
        for envelope in self.envelopes::<A>(stored).await? {
            fold(loaded, envelope);
        }
        Ok(moved)
    }

    /// Every event of one stream, read through postgres-es.
    ///
    /// # Errors
    /// As [`EventStore::load`].
    pub async fn stream<A: AggregateRoot>(
        &self,
        id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, StoreError> {
        let stored = self.repository().get_events::<A>(id).await.map_err(|error| {
            use cqrs_es::persist::PersistenceError as P;
            let source = match error {
                P::OptimisticLockError => return StoreError::Conflict,
                P::ConnectionError(source) | P::UnknownError(source) => source,
                P::DeserializationError(source) => {
                    return StoreError::Unreadable(source.to_string());
                }
            };
            match source.downcast::<sqlx::Error>() {
                Ok(source) => StoreError::from(*source),
                Err(source) => StoreError::Unreadable(source.to_string()),
            }
        })?;
        self.envelopes(stored).await
    }

    async fn envelopes<A: AggregateRoot>(
        &self,
        mut stored: Vec<SerializedEvent>,
    ) -> Result<Vec<EventEnvelope<A>>, StoreError> {
        let mut subjects = std::collections::HashSet::new();
        for event in &stored {
            sealing::subjects_to_open(&event.payload, &mut subjects);
        }
        let keys = self.keyring().keys(&subjects, false).await?;
        let mut envelopes = Vec::with_capacity(stored.len());
        for mut event in stored.drain(..) {
            let place = Place {
                aggregate_type: A::TYPE,
                aggregate_id: &event.aggregate_id,
                sequence: i64::try_from(event.sequence).unwrap_or(i64::MAX),
            };
            let mut payload = std::mem::take(&mut event.payload);
            let lifted = sealing::open(&mut payload, place, &keys)
                .and_then(|()| upcast(A::TYPE, &event.event_type, &event.event_version, payload))
                .map_err(|error| StoreError::Unreadable(error.reason))?;
            event.payload = lifted;
            let (name, version) = (event.event_type.clone(), event.event_version.clone());
            // serde's message may quote the payload, and the payload may be personal.
            let envelope = EventEnvelope::try_from(event).map_err(|_| {
                StoreError::Unreadable(format!("the payload is not a `{name}` {version}"))
            })?;
            envelopes.push(envelope);
        }
        Ok(envelopes)
    }
}

fn fold<A: AggregateRoot>(loaded: &mut Loaded<A>, envelope: EventEnvelope<A>) {
    loaded.sequence = i64::try_from(envelope.sequence).unwrap_or(i64::MAX);
    loaded.state.apply(envelope.payload);
}

fn serialized<A: AggregateRoot>(id: &str, row: &PgRow) -> Result<SerializedEvent, sqlx::Error> {
    let sequence: i64 = row.try_get("sequence")?;
    Ok(SerializedEvent {
        aggregate_id: id.to_owned(),
        sequence: usize::try_from(sequence).unwrap_or_default(),
        aggregate_type: A::TYPE.to_owned(),
        event_type: row.try_get("event_type")?,
        event_version: row.try_get("event_version")?,
        payload: row.try_get::<Value, _>("payload")?,
        metadata: row.try_get::<Value, _>("metadata")?,
    })
}
