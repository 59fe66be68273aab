//! Events as the log keeps them, for everyone who reads across aggregates.
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Attendance, AttendanceEvent, Conversation, ConversationEvent, PersonalFields, ReadMarker,
    ReadMarkerEvent, Reports, ReportsEvent, Room, RoomEvent, Session, SessionEvent, StoredEvent,
    Subject, SubjectEvent, User, UserEvent,
};

/// Place in the whole log: 1, 2, 3 … without gaps, in an order that respects every stream.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LogPosition(pub i64);

impl LogPosition {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for LogPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Who caused an event and in which piece of work. Holds no personal data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    // What is absent is left out: cqrs-es reads metadata as a map from text to text, without nulls.
    /// The person or process that acted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor_id: Option<Uuid>,
    /// The request that started the work (`X-Request-Id`, or one per socket command).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The event that caused the command, when a process issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<Uuid>,
}

/// One event with its place in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// Place in the whole log.
    pub position: LogPosition,
    /// The room or conversation whose clients see it numbered, and its number there.
    pub channel: Option<(String, i64)>,
    /// The event's own id.
    pub event_id: Uuid,
    /// Which aggregate instance it happened to.
    pub aggregate_id: String,
    /// Place within that instance; 1 is the first.
    pub sequence: i64,
    /// When the database accepted it.
    pub recorded_at: DateTime<Utc>,
    /// Who caused it.
    pub metadata: Metadata,
    /// The fact itself.
    pub event: AnyEvent,
}

/// A stored payload that this build cannot read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// No such aggregate type in this build.
    #[error("unknown aggregate type `{0}`")]
    UnknownAggregate(String),
    /// The payload does not match the event type.
    #[error("unreadable event payload")]
    Payload(#[from] serde_json::Error),
}

macro_rules! registry {
    ($($aggregate:ident: $event:ty),+ $(,)?) => {
        /// Any event of any aggregate.
        #[derive(Clone, Debug, PartialEq)]
        pub enum AnyEvent { $(#[doc = concat!("An event of [`", stringify!($aggregate), "`].")] $aggregate($event)),+ }

        impl AnyEvent {
            /// Every (aggregate type, event type, current version) that this build writes.
            #[must_use]
            pub fn types() -> Vec<(&'static str, &'static str, &'static str)> {
                let mut all = Vec::new();
                $(all.extend(
                    <$event as StoredEvent>::TYPES.iter().map(|(name, version)| {
                        (<$aggregate as Aggregate>::TYPE, *name, *version)
                    }),
                );)+
                all
            }

            /// Reads a stored, unsealed payload.
            ///
            /// # Errors
            /// [`DecodeError`] when the type is unknown or the payload does not match it.
            pub fn decode(aggregate_type: &str, payload: Value) -> Result<Self, DecodeError> {
                match aggregate_type {
                    $(<$aggregate as Aggregate>::TYPE => Ok(Self::$aggregate(serde_json::from_value(payload)?)),)+
                    other => Err(DecodeError::UnknownAggregate(other.to_owned())),
                }
            }

            /// The payload as it is stored, before sealing.
            ///
            /// # Errors
            /// Never for the events of this crate; the signature is serde's.
            pub fn encode(&self) -> Result<Value, serde_json::Error> {
                match self { $(Self::$aggregate(event) => serde_json::to_value(event)),+ }
            }

            /// The aggregate type's stored name.
            #[must_use]
            pub fn aggregate_type(&self) -> &'static str {
                match self { $(Self::$aggregate(_) => <$aggregate as Aggregate>::TYPE),+ }
            }

            /// The personal fields of a stored event type; empty for unknown names.
            #[must_use]
            pub fn personal_fields(aggregate_type: &str, event_type: &str) -> &'static [PersonalFields] {
                match aggregate_type {
                    $(<$aggregate as Aggregate>::TYPE => <$event as StoredEvent>::personal_fields(event_type),)+
                    _ => &[],
                }
            }
        }
    };
}

registry! {
    User: UserEvent,
    Session: SessionEvent,
    Room: RoomEvent,
    Attendance: AttendanceEvent,
    ReadMarker: ReadMarkerEvent,
    Conversation: ConversationEvent,
    Subject: SubjectEvent,
    Reports: ReportsEvent,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn metadata_are_a_map_from_text_to_text() {
        let person = Metadata { actor_id: Some(Uuid::nil()), ..Metadata::default() };
        for metadata in [Metadata::default(), person] {
            let json = serde_json::to_value(&metadata).unwrap();
            serde_json::from_value::<HashMap<String, String>>(json.clone()).unwrap();
            assert_eq!(serde_json::from_value::<Metadata>(json).unwrap(), metadata);
        }
    }
}
