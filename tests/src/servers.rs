//! The servers that the tests run on, from the environment.
use std::path::PathBuf;

use url::Url;

/// Where the shared throw-away servers are.
#[derive(Clone, Debug)]
pub struct Servers {
    /// A superuser's URL of the maintenance database.
    pub postgres: Url,
    /// Redis.
    pub redis: String,
    /// NATS with `JetStream`.
    pub nats: String,
    /// MongoDB or its stand-in.
    pub mongodb: String,
    /// SMTP, if e-mails are caught.
    pub smtp: Option<String>,
    /// The maildir of what was caught.
    pub mails: Option<PathBuf>,
    /// How to start further servers like these: written by whoever started them.
    pub stack_file: Option<PathBuf>,
}

impl Servers {
    /// Reads `STUDYHALL_TEST_*`.
    ///
    /// # Panics
    /// When one is missing: the tests need servers, and `make test` brings them up.
    #[must_use]
    pub fn from_environment() -> Self {
        let postgres = required("STUDYHALL_TEST_POSTGRES_URL");
        Self {
            postgres: postgres.parse().expect("STUDYHALL_TEST_POSTGRES_URL is a URL"),
            redis: required("STUDYHALL_TEST_REDIS_URL"),
            nats: required("STUDYHALL_TEST_NATS_URL"),
            mongodb: required("STUDYHALL_TEST_MONGODB_URL"),
            smtp: variable("STUDYHALL_TEST_SMTP_URL"),
            mails: variable("STUDYHALL_TEST_MAIL_DIR").map(PathBuf::from),
            stack_file: variable("STUDYHALL_TEST_STACK_FILE").map(PathBuf::from),
        }
    }
}

fn required(name: &str) -> String {
    variable(name).unwrap_or_else(|| panic!("{name} is not set: run `make test`"))
}

#[allow(clippy::disallowed_methods, reason = "the one place of the tests that does")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
