//! An account from its own events: what the read model shows of it, once it has read them.
use domain::{Preferences, UserEvent};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{Profile, UserRow, change_of};
use crate::changes::RowChange;

impl UserRow {
    /// The account after these events, all of its own, each with its sequence. `None` without the one
    /// that opens it.
    #[must_use]
    pub fn of(events: impl IntoIterator<Item = (i64, UserEvent)>) -> Option<Self> {
        let mut row = Map::new();
        for (sequence, event) in events {
            match change_of(&event, sequence) {
                RowChange::Put { row: whole } => row = whole,
                RowChange::Set { fields, .. } => row.extend(fields),
                RowChange::Delete { .. } => row.clear(),
            }
        }
        let email_verified = column(&row, "is_verified")?;
        let phone_verified = column(&row, "phone_verified")?;
        // Its fields are called as the columns are.
        let profile: Profile = serde_json::from_value(Value::Object(row.clone())).ok()?;
        Some(Self {
            profile: Profile { is_verified: email_verified || phone_verified, ..profile },
            email: column(&row, "email")?,
            email_verified,
            phone: column(&row, "phone")?,
            phone_verified,
            is_premium: column(&row, "is_premium")?,
            updated_at: column(&row, "updated_at")?,
            version: column(&row, "version")?,
            preferences: Preferences {
                dm_policy: column(&row, "dm_policy")?,
                typing_visible: column(&row, "typing_visible")?,
                read_receipts: column(&row, "read_receipts")?,
                discoverable: column(&row, "discoverable")?,
            },
        })
    }
}

fn column<T: DeserializeOwned>(row: &Map<String, Value>, name: &str) -> Option<T> {
    serde_json::from_value(row.get(name)?.clone()).ok()
}
