//! Limits of what people say about themselves and others.

use serde::Deserialize;

/// `[users]`: limits of profiles and reports.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Users {
    /// Subjects that one profile may have.
    pub max_subjects: u16,
    /// Reports that one person may make within 24 hours.
    pub reports_per_day: u16,
}
