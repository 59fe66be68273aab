//! What a password must be. Hashing happens elsewhere; a password never enters a command.
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::text::{Email, Username, Violation};

/// Fewest characters (OWASP ASVS 5.0, 6.2.1).
pub const MIN_CHARACTERS: usize = 8;
/// Most characters: bounds the work of hashing (OWASP ASVS 5.0, 6.2.9 asks for at least 64).
pub const MAX_CHARACTERS: usize = 128;

/// Passwords that are tried first: lower-cased, sorted by their bytes, one a line. Where they come from
/// stands in `password/common.LICENSE`.
const COMMON: &str = include_str!("password/common.txt");

static COMMON_ONES: LazyLock<Vec<&str>> = LazyLock::new(|| COMMON.lines().collect());

/// A new password that satisfies the rules. Not printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct NewPassword(String);

impl NewPassword {
    /// Checks length, the list of common passwords, and that it is not the person's own e-mail
    /// address or handle. No composition rules (NIST SP 800-63B-4, 3.1.1.2).
    ///
    /// # Errors
    /// A [`Violation`] with `too_short`, `too_long`, `too_common` or `too_obvious`.
    pub fn parse(
        raw: &str,
        email: Option<&Email>,
        username: Option<&Username>,
    ) -> Result<Self, Violation> {
        if raw.len() > MAX_CHARACTERS * 8 {
            return Err(too_long());
        }
        let password = normalise(raw);
        match password.chars().count() {
            0..MIN_CHARACTERS => {
                let detail = format!("at least {MIN_CHARACTERS} characters");
                return Err(Violation::new("too_short", detail));
            }
            MIN_CHARACTERS..=MAX_CHARACTERS => {}
            _ => return Err(too_long()),
        }
        let lower = password.to_lowercase();
        if COMMON_ONES.binary_search(&lower.as_str()).is_ok() {
            return Err(Violation::new(
                "too_common",
                "this password is one of the first to be tried",
            ));
        }
        let local_part =
            |email: &Email| email.canonical().split('@').next().is_some_and(|local| local == lower);
        let is_own = email.is_some_and(|e| e.canonical() == lower || local_part(e))
            || username.is_some_and(|u| u.as_str() == lower);
        if is_own {
            return Err(Violation::new("too_obvious", "must not be your e-mail address or name"));
        }
        Ok(Self(password))
    }

    /// The password, for the hasher only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewPassword(…)")
    }
}

/// The form in which passwords are hashed and verified: NFC, so that the same keys on another
/// keyboard give the same password.
#[must_use]
pub fn normalise(raw: &str) -> String {
    raw.nfc().collect()
}

fn too_long() -> Violation {
    Violation::new("too_long", format!("at most {MAX_CHARACTERS} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(raw: &str) -> Option<&'static str> {
        let email = Email::parse("ana.lopez@example.org").unwrap();
        let username = Username::parse("ana_lopez").unwrap();
        NewPassword::parse(raw, Some(&email), Some(&username)).err().map(|v| v.code)
    }

    #[test]
    fn a_password_is_long_enough_and_not_the_first_guess() {
        assert_eq!(code("short"), Some("too_short"));
        assert_eq!(code(&"x".repeat(129)), Some("too_long"));
        assert_eq!(code("Password1"), Some("too_common"));
        assert_eq!(code("ana.lopez"), Some("too_obvious"));
        assert_eq!(code("Ana_Lopez"), Some("too_obvious"));
        assert_eq!(code("blue kettle on monday"), None);
    }

    #[test]
    fn the_common_passwords_are_as_the_search_needs_them() {
        assert!(COMMON_ONES.len() > 8000, "{}", COMMON_ONES.len());
        assert!(COMMON_ONES.is_sorted_by(|a, b| a < b), "sorted, none twice");
        for common in COMMON_ONES.iter() {
            // Shorter ones are refused for that.
            let characters = common.chars().count();
            assert!((MIN_CHARACTERS..=MAX_CHARACTERS).contains(&characters), "{common}");
            assert_eq!(normalise(common).to_lowercase(), **common);
            assert_eq!(code(common), Some("too_common"), "{common}");
        }
        for common in ["12345678", "password", "iloveyou", "QWERTYUIOP", "Football1"] {
            assert_eq!(code(common), Some("too_common"), "{common}");
        }
    }

    #[test]
    fn a_password_is_never_printed() {
        let password = NewPassword::parse("blue kettle on monday", None, None).unwrap();
        assert!(!format!("{password:?}").contains("kettle"));
    }
}
