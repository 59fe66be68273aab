//! How far someone's education has come.
use serde::{Deserialize, Serialize};

/// How far someone's education has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EducationLevel {
    /// Up to the end of secondary school.
    School,
    /// Working towards a first degree.
    Undergraduate,
    /// Working towards a further degree.
    Graduate,
    /// Working towards a doctorate, or beyond it.
    Doctorate,
    /// Learning beside or after work.
    Professional,
    /// Anything else.
    Other,
}

impl EducationLevel {
    /// The name it is stored and shown under.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::School => "school",
            Self::Undergraduate => "undergraduate",
            Self::Graduate => "graduate",
            Self::Doctorate => "doctorate",
            Self::Professional => "professional",
            Self::Other => "other",
        }
    }
}
