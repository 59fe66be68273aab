//! The environment as a source of settings: `STUDYHALL_<SECTION>__<KEY>`.

use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use super::{ConfigError, DEFAULTS};

const PREFIX: &str = "STUDYHALL_";
/// Variables of the test harness, which may look like settings.
const TEST_PREFIX: &str = "TEST_";

/// The variables that name a setting, as `(section, key, value)`.
///
/// Figment's own provider guesses the type from the text, so that a password of digits would become
/// a number. This one looks at the type of the default instead.
pub(super) struct Environment(Vec<(String, String, String)>);

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] for a setting that is not UTF-8.
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(super) fn of_process() -> Result<Self, ConfigError> {
        let mut settings = Vec::new();
        for (name, value) in std::env::vars_os() {
            let Some((section, key)) = name.to_str().and_then(setting) else { continue };
            let value = value.into_string().map_err(|_| {
                ConfigError::invalid(format!("{section}.{key}"), "must be UTF-8 text")
            })?;
            settings.push((section, key, value));
        }
        Ok(Self(settings))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Environment {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(variables: I) -> Self {
        let settings = variables.into_iter().filter_map(|(name, value)| {
            setting(name).map(|(section, key)| (section, key, value.to_owned()))
        });
        Self(settings.collect())
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let defaults = Figment::from(Toml::string(DEFAULTS));
        let mut sections = Dict::new();
        for (section, key, text) in &self.0 {
            let default = defaults.find_value(&format!("{section}.{key}")).ok();
            let value = typed(text, default.as_ref());
            let entry = sections.entry(section.clone()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, keys) = entry {
                keys.insert(key.clone(), value);
            }
        }
        Ok(Map::from([(Profile::Default, sections)]))
    }
}

/// Section and key of a variable, if it names a setting at all.
fn setting(name: &str) -> Option<(String, String)> {
    let rest = name.strip_prefix(PREFIX)?;
    if rest.starts_with(TEST_PREFIX) {
        return None;
    }
    let (section, key) = rest.split_once("__")?;
    Some((section.to_ascii_lowercase(), key.to_ascii_lowercase()))
}

/// `text` as the type of its default. Settings without a default are text.
fn typed(text: &str, default: Option<&Value>) -> Value {
    match default {
        None | Some(Value::String(..)) => Value::from(text),
        Some(Value::Array(..)) if !text.trim_start().starts_with('[') => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(Value::from).collect::<Vec<_>>())
        }
        // Text that is not a number stays text, and is refused with its name later.
        Some(_) => text.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}),
    }
}
