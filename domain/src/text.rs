//! Text that people type: normalised, counted and bounded before anything else sees it.
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

/// Why a value breaks a field's rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Violation {
    /// Public code, e.g. `too_long`.
    pub code: &'static str,
    /// A sentence for people.
    pub detail: String,
}

impl Violation {
    /// A violation with a fixed sentence.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}

/// What one kind of text allows. Lengths count Unicode scalar values after normalisation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextRule {
    pub(crate) min: usize,
    pub(crate) max: usize,
    /// Whether line breaks and tabs may stand in it.
    pub(crate) multiline: bool,
}

impl TextRule {
    /// Normalises to NFC, trims and checks length and characters. One line, which may stand beside
    /// other text, loses what turns the direction; lines of their own keep what is typed. Controls are refused at the ends, too: which of them are blanks is nothing to know.
    pub(crate) fn clean(self, raw: &str) -> Result<String, Violation> {
        // A scalar value is at most 4 bytes: a bound on the work before it is done.
        let most_bytes = self.max.saturating_mul(4);
        if raw.len() > most_bytes.saturating_mul(2) {
            return Err(self.too_long());
        }
        if raw.chars().any(|c| is_forbidden(c, self.multiline)) {
            return Err(Violation::new(
                "invalid_characters",
                "control characters are not allowed here",
            ));
        }
        // Stripped first: what stands on both sides of it may become one character.
        let kept = raw.chars().filter(|c| self.multiline || !is_bidi_override(*c));
        let text = kept.nfc().collect::<String>().trim().to_owned();
        let shown = text.trim_matches(|c: char| c.is_whitespace() || is_bidi_override(c));
        let length = shown.chars().count();
        if length < self.min {
            return Err(if length == 0 {
                Violation::new("blank", "must not be blank")
            } else {
                Violation::new("too_short", format!("at least {} characters", self.min))
            });
        }
        if text.chars().count() > self.max || text.len() > most_bytes {
            return Err(self.too_long());
        }
        Ok(text)
    }

    fn too_long(self) -> Violation {
        Violation::new("too_long", format!("at most {} characters", self.max))
    }
}

/// C0 and C1 controls, except line breaks and tabs where lines are allowed.
fn is_forbidden(c: char, multiline: bool) -> bool {
    c.is_control() && !(multiline && matches!(c, '\n' | '\t'))
}

/// Explicit directional embeddings, overrides and isolates (UAX #9, section 2).
fn is_bidi_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident, $min:literal..=$max:literal, $multiline:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Most Unicode scalar values it may have.
            pub const MAX_CHARACTERS: usize = $max;

            /// Normalises and checks what someone typed.
            ///
            /// # Errors
            /// A [`Violation`] that names the broken rule.
            pub fn parse(raw: &str) -> Result<Self, Violation> {
                TextRule { min: $min, max: $max, multiline: $multiline }.clean(raw).map(Self)
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

text_type! {
    /// A person's name, one line.
    FullName, 1..=100, false
}
text_type! {
    /// A school, university or company, one line.
    Institution, 1..=120, false
}
text_type! {
    /// What someone says about themselves.
    Bio, 1..=500, true
}
text_type! {
    /// What someone wants to reach.
    Goals, 1..=500, true
}
text_type! {
    /// What a reporter wants moderators to know.
    ReportText, 1..=2000, true
}
text_type! {
    /// The name of a room, one line.
    RoomName, 3..=80, false
}
text_type! {
    /// What a room is about; may be empty.
    RoomDescription, 0..=1000, true
}
text_type! {
    /// What someone says in a room.
    MessageBody, 1..=4000, true
}
text_type! {
    /// Why someone took a message back, one line.
    DeletionReason, 1..=200, false
}

/// An e-mail address as typed, with a canonical form for uniqueness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// Checks the shape only (one `@`, a dotted domain, at most 254 bytes: RFC 5321, 4.5.3.1);
    /// whether it exists is for a verification mail to find out.
    ///
    /// # Errors
    /// A [`Violation`] with `too_long` or `invalid_email`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let invalid = || Violation::new("invalid_email", "not an e-mail address");
        if raw.len() > 508 {
            return Err(Violation::new("too_long", "at most 254 bytes"));
        }
        let text: String = raw.nfc().collect::<String>().trim().to_owned();
        if text.len() > 254 {
            return Err(Violation::new("too_long", "at most 254 bytes"));
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || is_bidi_override(c)) {
            return Err(invalid());
        }
        let (local, domain) = text.rsplit_once('@').ok_or_else(invalid)?;
        let labels_fit = domain.contains('.')
            && domain.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            });
        let local_fits = !local.is_empty()
            && local.len() <= 64
            && !local.contains(['@', '"', '\\', '(', ')', ',', ':', ';', '<', '>', '[', ']'])
            && !local.starts_with('.')
            && !local.ends_with('.')
            && !local.contains("..");
        if labels_fit && local_fits { Ok(Self(text)) } else { Err(invalid()) }
    }

    /// As typed, for display and for sending mail.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Lower-cased: two addresses with the same canonical form are one account.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.0.to_lowercase()
    }
}

/// A phone number in E.164 form: `+` and 8 to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

impl Phone {
    /// Normalises spaces, dots, hyphens and parentheses away and checks the E.164 shape.
    ///
    /// # Errors
    /// A [`Violation`] with `invalid_phone`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let invalid = || {
            Violation::new("invalid_phone", "not a phone number in E.164 form, e.g. +4930123456")
        };
        if raw.len() > 64 {
            return Err(invalid());
        }
        let text: String =
            raw.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')')).collect();
        let digits = text.strip_prefix('+').ok_or_else(invalid)?;
        let fits = (8..=15).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
            && !digits.starts_with('0');
        if fits { Ok(Self(text)) } else { Err(invalid()) }
    }

    /// `+` and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A public handle: 3 to 30 of `[a-z0-9_]`, compared without case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(String);

/// Handles that would pass for the service itself.
const RESERVED: &[&str] = &[
    "admin",
    "administrator",
    "anonymous",
    "api",
    "deleted",
    "everyone",
    "help",
    "here",
    "me",
    "mod",
    "moderator",
    "null",
    "official",
    "root",
    "security",
    "staff",
    "studyhall",
    "support",
    "system",
    "undefined",
    "user",
];

impl Username {
    /// Lower-cases and checks a handle.
    ///
    /// # Errors
    /// A [`Violation`] with `too_short`, `too_long`, `invalid_characters` or `reserved`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let text = TextRule { min: 3, max: 30, multiline: false }.clean(raw)?.to_lowercase();
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(Violation::new("invalid_characters", "only a-z, 0-9 and _"));
        }
        if RESERVED.contains(&text.as_str()) {
            return Err(Violation::new("reserved", "this name is reserved"));
        }
        Ok(Self(text))
    }

    /// The handle, lower-cased.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_text_are_the_same_text() {
        assert_eq!(RoomName::parse("Café").unwrap(), RoomName::parse("Cafe\u{301}").unwrap());
    }

    #[test]
    fn controls_are_refused_and_overrides_removed() {
        assert_eq!(RoomName::parse("a\0bc").unwrap_err().code, "invalid_characters");
        assert_eq!(RoomName::parse("abc\u{202e}def").unwrap().as_str(), "abcdef");
        assert_eq!(MessageBody::parse("two\nlines").unwrap().as_str(), "two\nlines");
        assert_eq!(RoomName::parse("two\nlines").unwrap_err().code, "invalid_characters");
        assert_eq!(RoomName::parse("abe\u{202e}\u{301}").unwrap().as_str(), "abé", "still NFC");
        assert_eq!(RoomName::parse("a line\n").unwrap_err().code, "invalid_characters");
        assert_eq!(MessageBody::parse("\n a line\r").unwrap_err().code, "invalid_characters");
    }

    #[test]
    fn what_fills_its_own_lines_keeps_its_direction() {
        for kept in ["see \u{2067}שלום\u{2069} there", "\u{202b}קו\u{202c}", "e\u{202e}\u{301}"]
        {
            assert_eq!(MessageBody::parse(kept).unwrap().as_str(), kept);
            assert_eq!(RoomDescription::parse(kept).unwrap().as_str(), kept);
        }
        assert_eq!(MessageBody::parse("\u{202e} \u{2066}").unwrap_err().code, "blank");
        assert_eq!(MessageBody::parse(&"\u{202e}".repeat(4001)).unwrap_err().code, "blank");
        let long = format!("x{}", "\u{202e}".repeat(4000));
        assert_eq!(MessageBody::parse(&long).unwrap_err().code, "too_long");
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        assert!(RoomName::parse(&"é".repeat(80)).is_ok());
        assert_eq!(RoomName::parse(&"é".repeat(81)).unwrap_err().code, "too_long");
        assert_eq!(RoomName::parse("ab").unwrap_err().code, "too_short");
        assert_eq!(MessageBody::parse(" \n ").unwrap_err().code, "blank");
    }

    #[test]
    fn an_e_mail_is_kept_as_typed_and_compared_without_case() {
        let email = Email::parse(" Ana@Example.org ").unwrap();
        assert_eq!(email.as_str(), "Ana@Example.org");
        assert_eq!(email.canonical(), "ana@example.org");
        for wrong in
            ["", "ana", "ana@", "@x.org", "a b@x.org", "ana@localhost", "a@x..org", "a@-x.org"]
        {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_phone_number_loses_its_decoration() {
        assert_eq!(Phone::parse("+49 (30) 123-456").unwrap().as_str(), "+4930123456");
        assert!(Phone::parse("030123456").is_err());
    }

    #[test]
    fn a_handle_is_lower_case_and_not_reserved() {
        assert_eq!(Username::parse("Ana_1").unwrap().as_str(), "ana_1");
        assert_eq!(Username::parse("Admin").unwrap_err().code, "reserved");
        assert_eq!(Username::parse("a.na").unwrap_err().code, "invalid_characters");
    }
}
