//! What is wrong with a configuration, in one line.

use std::path::PathBuf;

use figment::error::Kind;

/// Settings whose value appears in no message.
const SECRET: [&str; 6] = [
    "postgres.url",
    "mongodb.url",
    "redis.url",
    "nats.url",
    "security.master_key",
    "security.jwt_keys",
];

/// Why there is no configuration. Each prints as one line that says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A required setting has no value.
    #[error("{setting} is not set: set {}", way_to_set(.setting))]
    Missing {
        /// `section.key`.
        setting: String,
    },
    /// A section or key that does not exist, most likely misspelt.
    #[error("{setting} is not a setting (known: {known}): remove {}", way_to_remove(.setting))]
    Unknown {
        /// `section.key`, or only a section.
        setting: String,
        /// What exists in its place.
        known: String,
    },
    /// A value of the wrong type or out of range. The value of a secret is not part of it.
    #[error("{setting} {reason}: set {}", way_to_set(.setting))]
    Invalid {
        /// `section.key`.
        setting: String,
        /// What it must be.
        reason: String,
    },
    /// The configuration file cannot be read.
    #[error("the configuration file {} cannot be read: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl ConfigError {
    /// `setting` has a value it must not have.
    pub(crate) fn invalid(setting: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { setting: setting.into(), reason: reason.into() }
    }

    /// `setting` has no value.
    pub(crate) fn missing(setting: impl Into<String>) -> Self {
        Self::Missing { setting: setting.into() }
    }

    /// The line for what figment found.
    pub(super) fn from_figment(error: &figment::Error) -> Self {
        // Below section and key there are only the items of a list.
        let path = error.path.iter().take(2).cloned().collect::<Vec<_>>().join(".");
        let below = |field: &str| match path.as_str() {
            "" => field.to_owned(),
            path => format!("{path}.{field}"),
        };
        match &error.kind {
            Kind::MissingField(field) => Self::missing(below(field)),
            // Here the path has the field already.
            Kind::UnknownField(_, known) => {
                Self::Unknown { setting: path, known: known.join(", ") }
            }
            _ if SECRET.contains(&path.as_str()) => Self::invalid(path, "must be text"),
            _ if !path.contains('.') => Self::invalid(path, "must be a section"),
            Kind::UnknownVariant(found, known) => {
                Self::invalid(path, format!("must be one of {}, not {found:?}", known.join(", ")))
            }
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                Self::invalid(path, format!("must be {}, not {found}", in_words(expected)))
            }
            other => Self::invalid(path, format!("is wrong ({other})")),
        }
    }
}

/// What serde expects, for people who do not write Rust.
fn in_words(expected: &str) -> &str {
    match expected {
        "u32" | "u64" | "usize" => "a whole number in range",
        other => other,
    }
}

/// Both places where `setting` can be set.
fn way_to_set(setting: &str) -> String {
    places(setting, "or")
}

/// Both places where `setting` may have been set.
fn way_to_remove(setting: &str) -> String {
    places(setting, "and")
}

fn places(setting: &str, joint: &str) -> String {
    let (variable, entry) = match setting.split_once('.') {
        Some((section, key)) => (format!("{section}__{key}"), format!("[{section}] {key}")),
        None => (format!("{setting}__*"), format!("[{setting}]")),
    };
    let variable = variable.to_ascii_uppercase();
    format!("STUDYHALL_{variable} {joint} {entry} in the configuration file")
}
