//! The store as [`cqrs_es::EventStore`], for everything that speaks that trait.
use std::collections::HashMap;

use cqrs_es::{
    AggregateContext, AggregateError, EventEnvelope, persist::EventStoreAggregateContext,
};
use domain::AggregateRoot;
use serde_json::Value;

use crate::{AppendOutcome, EventStore, Loaded, StoreError};

/// An aggregate between loading and committing.
pub struct StreamContext<A: AggregateRoot> {
    inner: EventStoreAggregateContext<A>,
}

impl<A: AggregateRoot> AggregateContext<A> for StreamContext<A> {
    fn aggregate(&mut self) -> &mut A {
        &mut self.inner.aggregate
    }
}

impl<A: AggregateRoot> cqrs_es::EventStore<A> for EventStore {
    type AC = StreamContext<A>;

    async fn load_events(
        &self,
        aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        Ok(self.stream(aggregate_id).await?)
    }

    async fn load_aggregate(
        &self,
        aggregate_id: &str,
    ) -> Result<Self::AC, AggregateError<A::Error>> {
        let loaded: Loaded<A> = self.load_stream(aggregate_id).await?;
        let inner = EventStoreAggregateContext {
            aggregate_id: aggregate_id.to_owned(),
            aggregate: loaded.state,
            current_sequence: usize::try_from(loaded.sequence).unwrap_or_default(),
            current_snapshot: None,
        };
        Ok(StreamContext { inner })
    }

    async fn commit(
        &self,
        events: Vec<A::Event>,
        context: Self::AC,
        metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<A>>, AggregateError<A::Error>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let context = context.inner;
        let expected = i64::try_from(context.current_sequence).unwrap_or(i64::MAX);
        let json: Value = metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let staged: Vec<_> = events.into_iter().map(|event| (event, json.clone())).collect();
        let request = self.prepare::<A>(&context.aggregate_id, expected, &staged).await?;
        match self.append(request).await? {
            AppendOutcome::Stored(_) => {}
            AppendOutcome::Conflict | AppendOutcome::Seen(_) => {
                return Err(AggregateError::AggregateConflict);
            }
            AppendOutcome::ClaimTaken { scope, .. } => {
                return Err(A::claim_taken(&scope).map_or_else(
                    || StoreError::Unreadable(format!("unknown claim scope `{scope}`")).into(),
                    AggregateError::UserError,
                ));
            }
        }
        let envelope = |(sequence, (payload, _))| EventEnvelope {
            aggregate_id: context.aggregate_id.clone(),
            sequence,
            payload,
            metadata: metadata.clone(),
        };
        Ok((context.current_sequence + 1..).zip(staged).map(envelope).collect())
    }
}
