//! Personal data: known until its key is destroyed.
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Map, Value};

/// A value about a person.
///
/// In a stored event it is sealed under that person's key. Once the key is destroyed, the event
/// reads as [`Personal::Erased`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Personal<T> {
    /// The value.
    Known(T),
    /// The person was erased; nobody can tell the value any more.
    #[default]
    Erased,
}

impl<T> Personal<T> {
    /// The JSON object that stands for an erased value: `{"erased": true}`.
    #[must_use]
    pub fn erased_json() -> Value {
        Value::Object(Map::from_iter([("erased".to_owned(), Value::Bool(true))]))
    }

    /// The value, unless it was erased.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Erased => None,
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Serialize> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Known(value) => value.serialize(serializer),
            Self::Erased => Self::erased_json().serialize(serializer),
        }
    }
}

impl<'de, T: for<'a> Deserialize<'a>> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value == Self::erased_json() {
            return Ok(Self::Erased);
        }
        T::deserialize(value).map(Self::Known).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_value_is_stored_as_itself_and_an_erased_one_says_so() {
        for (value, json) in [
            (Personal::Known(Some("ana".to_owned())), serde_json::json!("ana")),
            (Personal::Known(None), Value::Null),
            (Personal::Erased, serde_json::json!({"erased": true})),
        ] {
            assert_eq!(serde_json::to_value(&value).unwrap(), json);
            assert_eq!(serde_json::from_value::<Personal<Option<String>>>(json).unwrap(), value);
        }
    }
}
