//! What an edit does to one field: leave it, or give it a value (which may be "none").
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Personal;

/// In a stored event a field that is kept is left out, and one that is cleared is null. Such a field
/// carries `#[serde(default, skip_serializing_if = "Change::is_keep")]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays what it is.
    #[default]
    Keep,
    /// It becomes this.
    Set(T),
}

impl<T> Change<T> {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The new value.
    #[must_use]
    pub fn set(&self) -> Option<&T> {
        match self {
            Self::Keep => None,
            Self::Set(value) => Some(value),
        }
    }
}

impl<T: PartialEq> Change<T> {
    /// The change as it is recorded: nothing, where the value holds already.
    #[must_use]
    pub(crate) fn differing_from(self, now: &Personal<T>) -> Change<Personal<T>> {
        match self {
            Self::Set(value) if now.known() != Some(&value) => Change::Set(value.into()),
            _ => Change::Keep,
        }
    }
}

impl<T: Clone> Change<T> {
    /// Does what the change says.
    pub(crate) fn apply_to(&self, value: &mut T) {
        if let Self::Set(new) = self {
            *value = new.clone();
        }
    }
}

impl<T: Serialize> Serialize for Change<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.set().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self::Set)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Event {
        #[serde(default, skip_serializing_if = "Change::is_keep")]
        bio: Change<Personal<Option<String>>>,
    }

    #[test]
    fn kept_cleared_set_and_erased_are_four_things() {
        for (bio, json) in [
            (Change::Keep, json!({})),
            (Change::Set(Personal::Known(None)), json!({"bio": null})),
            (Change::Set(Personal::Known(Some("x".to_owned()))), json!({"bio": "x"})),
            (Change::Set(Personal::Erased), json!({"bio": {"erased": true}})),
        ] {
            let event = Event { bio };
            assert_eq!(serde_json::to_value(&event).unwrap(), json);
            assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
        }
    }
}
