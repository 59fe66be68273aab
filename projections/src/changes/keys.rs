//! Changes of keys in Redis.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

/// A change of one key, or of one member of it. Each says how things are afterwards, so that doing
/// it twice changes nothing. Keys stand here without prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// The set has the member.
    SetAdd {
        /// Key of the set.
        key: String,
        /// The member.
        member: String,
    },
    /// The set does not have the member.
    SetRemove {
        /// Key of the set.
        key: String,
        /// The member.
        member: String,
    },
    /// The hash has the field.
    HashSet {
        /// Key of the hash.
        key: String,
        /// The field.
        field: String,
        /// Its value.
        value: String,
    },
    /// The hash does not have the field.
    HashDelete {
        /// Key of the hash.
        key: String,
        /// The field.
        field: String,
    },
    /// The member of the sorted set has at least this score.
    Raise {
        /// Key of the sorted set.
        key: String,
        /// The member.
        member: String,
        /// Its least score; exact up to 2^53.
        to: i64,
    },
    /// The key has a value until some time.
    Put {
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// When Redis drops it, whole seconds.
        expires_at: DateTime<Utc>,
    },
    /// The key is not there.
    Delete {
        /// The key.
        key: String,
    },
}

impl KeyChange {
    /// What is changed: a later change of the same makes an earlier one void.
    fn place(&self) -> (&str, Option<&str>) {
        match self {
            Self::SetAdd { key, member }
            | Self::SetRemove { key, member }
            | Self::Raise { key, member, .. } => (key, Some(member)),
            Self::HashSet { key, field, .. } | Self::HashDelete { key, field } => {
                (key, Some(field))
            }
            Self::Put { key, .. } | Self::Delete { key } => (key, None),
        }
    }

    /// The command for the script: `[name, key, arguments…]`, all strings.
    pub(crate) fn command(&self, prefix: &str) -> Value {
        let full = |key: &str| format!("{prefix}{key}");
        match self {
            Self::SetAdd { key, member } => json!(["SADD", full(key), member]),
            Self::SetRemove { key, member } => json!(["SREM", full(key), member]),
            Self::HashSet { key, field, value } => json!(["HSET", full(key), field, value]),
            Self::HashDelete { key, field } => json!(["HDEL", full(key), field]),
            Self::Raise { key, member, to } => {
                json!(["ZADD", full(key), "GT", to.to_string(), member])
            }
            Self::Put { key, value, expires_at } => {
                json!(["SET", full(key), value, "EXAT", expires_at.timestamp().to_string()])
            }
            Self::Delete { key } => json!(["DEL", full(key)]),
        }
    }
}

/// Keeps the last change of every place, in order.
pub(crate) fn fold_keys(changes: impl IntoIterator<Item = KeyChange>) -> Vec<KeyChange> {
    let changes: Vec<KeyChange> = changes.into_iter().collect();
    let mut last = HashMap::new();
    for (index, change) in changes.iter().enumerate() {
        last.insert(change.place(), index);
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    kept.into_iter().filter_map(|index| changes.get(index).cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coming_and_going_in_one_batch_leaves_the_last_word() {
        let add = |m: &str| KeyChange::SetAdd { key: "s".into(), member: m.into() };
        let remove = |m: &str| KeyChange::SetRemove { key: "s".into(), member: m.into() };
        assert_eq!(
            fold_keys([add("a"), add("b"), remove("a"), add("c"), remove("c"), add("c")]),
            [add("b"), remove("a"), add("c")]
        );
    }

    #[test]
    fn commands_carry_the_prefix() {
        let change = KeyChange::Put {
            key: "session:1".into(),
            value: "{}".into(),
            expires_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        };
        assert_eq!(
            change.command("t:v2:"),
            json!(["SET", "t:v2:session:1", "{}", "EXAT", "1800000000"])
        );
    }
}
