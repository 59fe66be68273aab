//! Old events in today's shape: a fallible, versioned step between the stored payload and serde.
use std::{collections::HashMap, sync::LazyLock};

use domain::AnyEvent;
use serde_json::Value;

use crate::Unreadable;

/// Lifts one stored version of an event to the next. The payload is opened already.
#[derive(Clone, Copy, Debug)]
pub struct Upcast {
    /// Stored name of the aggregate type.
    pub aggregate_type: &'static str,
    /// Stored name of the event.
    pub event_type: &'static str,
    /// The version it reads.
    pub from: &'static str,
    /// The version it writes.
    pub to: &'static str,
    /// The whole externally tagged payload in, the same out.
    pub apply: fn(Value) -> Result<Value, String>,
}

/// Every upcast of this build, oldest first. Empty until an event changes its shape.
const UPCASTS: &[Upcast] = &[];

static CURRENT: LazyLock<HashMap<(&'static str, &'static str), &'static str>> =
    LazyLock::new(|| {
        AnyEvent::types().into_iter().map(|(a, e, version)| ((a, e), version)).collect()
    });

/// Lifts a payload to the version that this build writes.
pub(crate) fn upcast(
    aggregate_type: &str,
    event_type: &str,
    version: &str,
    payload: Value,
) -> Result<Value, Unreadable> {
    let current = CURRENT.get(&(aggregate_type, event_type)).ok_or_else(|| {
        Unreadable::new(format!("unknown event `{event_type}` of `{aggregate_type}`"))
    })?;
    upcast_with(UPCASTS, aggregate_type, event_type, version, current, payload)
}

/// Lifts a payload from `version` to `current` through the given upcasts.
///
/// # Errors
/// [`Unreadable`] when no chain of upcasts leads there (a newer build wrote the event) or one of
/// them refuses the payload.
pub fn upcast_with(
    upcasts: &[Upcast],
    aggregate_type: &str,
    event_type: &str,
    version: &str,
    current: &str,
    mut payload: Value,
) -> Result<Value, Unreadable> {
    let mut version = version;
    // Each upcast is used once at most, so a circle of them ends.
    for _ in 0..=upcasts.len() {
        if version == current {
            return Ok(payload);
        }
        let Some(step) = upcasts.iter().find(|u| {
            u.aggregate_type == aggregate_type && u.event_type == event_type && u.from == version
        }) else {
            break;
        };
        payload = (step.apply)(payload).map_err(|reason| {
            Unreadable::new(format!("`{event_type}` {version} cannot be lifted: {reason}"))
        })?;
        version = step.to;
    }
    Err(Unreadable::new(format!(
        "`{event_type}` {version} is not known; this build reads {current}"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STEPS: &[Upcast] = &[
        Upcast {
            aggregate_type: "user",
            event_type: "Renamed",
            from: "1.0",
            to: "2.0",
            apply: |mut payload| {
                let body = payload["Renamed"].as_object_mut().ok_or("no body")?;
                let name = body.remove("name").ok_or("no name")?;
                body.insert("fullName".into(), name);
                Ok(payload)
            },
        },
        Upcast {
            aggregate_type: "user",
            event_type: "Renamed",
            from: "2.0",
            to: "3.0",
            apply: |mut payload| {
                payload["Renamed"]["reason"] = json!("unknown");
                Ok(payload)
            },
        },
    ];

    fn lift(version: &str, payload: Value) -> Result<Value, Unreadable> {
        upcast_with(STEPS, "user", "Renamed", version, "3.0", payload)
    }

    #[test]
    fn every_older_version_reads_as_the_current_one() {
        let current = json!({"Renamed": {"fullName": "Ana", "reason": "unknown"}});
        assert_eq!(lift("1.0", json!({"Renamed": {"name": "Ana"}})).unwrap(), current);
        assert_eq!(lift("2.0", json!({"Renamed": {"fullName": "Ana"}})).unwrap(), current);
        assert_eq!(lift("3.0", current.clone()).unwrap(), current);
    }

    #[test]
    fn a_newer_version_and_a_broken_payload_are_refused() {
        assert!(lift("4.0", json!({"Renamed": {}})).is_err());
        assert!(lift("1.0", json!({"Renamed": {}})).unwrap_err().reason.contains("no name"));
    }
}
