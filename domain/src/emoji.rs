//! Signs that people answer with.
use serde::{Deserialize, Serialize};

use crate::Violation;

/// One emoji of Unicode's list, in its fully-qualified form (UTS #51, section 1.4.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Emoji(String);

impl Emoji {
    /// Longest text that is looked at, bytes. The longest emoji has 28; short codes are names.
    const MOST_BYTES: usize = 64;

    /// Accepts an emoji in any qualification, and a short code: `👍`, `:thumbsup:`, `+1`.
    ///
    /// # Errors
    /// A [`Violation`] with `invalid_emoji`.
    pub fn parse(raw: &str) -> Result<Self, Violation> {
        let invalid = || Violation::new("invalid_emoji", "must be one emoji or its short code");
        if raw.len() > Self::MOST_BYTES {
            return Err(invalid());
        }
        let code = raw.strip_prefix(':').and_then(|code| code.strip_suffix(':')).unwrap_or(raw);
        emojis::get(raw)
            .or_else(|| emojis::get_by_shortcode(code))
            .map(|emoji| Self(emoji.as_str().to_owned()))
            .ok_or_else(invalid)
    }

    /// The emoji itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one_emoji() {
        let heart = Emoji::parse("❤️").unwrap();
        assert_eq!(Emoji::parse("❤").unwrap(), heart, "without the variation selector");
        assert_eq!(Emoji::parse(":heart:").unwrap(), heart);
        assert_eq!(Emoji::parse("+1").unwrap().as_str(), "👍");
        assert_eq!(Emoji::parse("👨‍👩‍👧‍👦").unwrap().as_str(), "👨‍👩‍👧‍👦");
        assert_ne!(Emoji::parse("👍🏽").unwrap(), Emoji::parse("👍").unwrap());
    }

    #[test]
    fn what_is_no_emoji_is_refused() {
        let chain = "👨\u{200d}".repeat(5000);
        for wrong in [
            "",
            " ",
            "a.b",
            "👍👍",
            "$gt",
            "__proto__",
            "\u{202e}",
            "\0",
            "👍\u{200d}",
            "1",
            &chain,
            "<b>",
            "reactions.0",
            "🇦",
            "\u{fe0f}",
        ] {
            assert_eq!(Emoji::parse(wrong).unwrap_err().code, "invalid_emoji", "{wrong:.20}");
        }
    }

    #[test]
    fn no_emoji_can_be_taken_for_a_path() {
        let paths = emojis::iter().filter(|emoji| emoji.as_str().contains(['.', '$', '\0']));
        assert_eq!(paths.count(), 0);
    }
}
