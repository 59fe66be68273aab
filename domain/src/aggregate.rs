//! What the event store asks of an aggregate beyond [`cqrs_es::Aggregate`].
use cqrs_es::{Aggregate, DomainEvent};

use crate::Rejection;

/// Which payload fields of an event are personal data, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonalFields {
    /// The payload field that holds the person's id.
    pub subject: &'static str,
    /// The payload fields that are sealed under that person's key.
    pub fields: &'static [&'static str],
}

/// An event with a stored name, a version and a list of its personal fields.
pub trait StoredEvent: DomainEvent {
    /// Every persisted name with its current version, in declaration order.
    const TYPES: &'static [(&'static str, &'static str)];

    /// The personal fields of the stored event type; empty for unknown names.
    fn personal_fields(event_type: &str) -> &'static [PersonalFields];
}

/// A uniqueness rule over all aggregates, changed in the transaction of the event that causes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimChange {
    /// The value now belongs to this aggregate; refused when it belongs to another.
    Take {
        /// Which uniqueness rule, e.g. `email`.
        scope: &'static str,
        /// The canonical value. Only a keyed hash of it is stored.
        value: String,
    },
    /// The value is free again.
    Release {
        /// Which uniqueness rule.
        scope: &'static str,
        /// The canonical value.
        value: String,
    },
}

/// An aggregate as the event store and the command bus handle it.
pub trait AggregateRoot:
    Aggregate<
        Services = (),
        Command: Clone + Send + Sync + 'static,
        Event: StoredEvent + 'static,
        Error: Rejection + PartialEq + Send + Sync + 'static,
    > + Clone
    + 'static
{
    /// Raised whenever the meaning or shape of the state changes: older snapshots are ignored.
    const STATE_VERSION: u32;

    /// Whether the state is kept in memory and in snapshots. Only for states without personal
    /// data: snapshots are not sealed.
    const SNAPSHOTS: bool = false;

    /// The channel in which clients see this event numbered 1, 2, 3 …, if it is a durable event of
    /// a room or conversation.
    fn channel(_aggregate_id: &str, _event: &Self::Event) -> Option<String> {
        None
    }

    /// The claims that this event takes or releases.
    fn claims(_event: &Self::Event) -> Vec<ClaimChange> {
        Vec::new()
    }

    /// The refusal for a value of `scope` that another aggregate has; `None` for scopes the
    /// aggregate does not know.
    #[must_use]
    fn claim_taken(_scope: &str) -> Option<Self::Error> {
        None
    }
}
