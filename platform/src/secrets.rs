//! Keys: the root key, the keys derived from it, and the seeds that sign tokens.

use std::fmt;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hkdf::Hkdf;
use secrecy::ExposeSecret;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::config::{ConfigError, Security};

/// A key of 32 bytes that is wiped when dropped.
pub type Key = Zeroizing<[u8; 32]>;

/// Separates our derived keys from those of anything else that uses the same root key.
const SALT: &[u8] = b"studyhall.v1";
const MASTER_KEY: &str = "security.master_key";
const JWT_KEYS: &str = "security.jwt_keys";

/// The keys of one installation. Prints nothing of them.
#[derive(Clone)]
pub struct Secrets {
    root: Key,
    jwt_seeds: Vec<(String, Key)>,
}

impl Secrets {
    /// Reads the keys out of their settings.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is empty or malformed, never its value.
    pub fn from_config(security: &Security) -> Result<Self, ConfigError> {
        let root = match security.master_key.expose_secret().trim() {
            "" => return Err(ConfigError::missing(MASTER_KEY)),
            text => decode(text).ok_or_else(|| {
                ConfigError::invalid(MASTER_KEY, "must be base64 of exactly 32 bytes")
            })?,
        };
        let jwt_seeds = match security.jwt_keys.expose_secret().trim() {
            "" => return Err(ConfigError::missing(JWT_KEYS)),
            text => parse_jwt_keys(text)?,
        };
        Ok(Self { root, jwt_seeds })
    }

    /// The key for `purpose`: HKDF-SHA-256 (RFC 5869) of the root key, with `purpose` as info. The
    /// same purpose gives the same key for ever; never rename one.
    ///
    /// # Panics
    /// Never: 32 bytes are within the length HKDF can give.
    #[must_use]
    pub fn derive(&self, purpose: &'static str) -> Key {
        let mut key = Key::default();
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), self.root.as_slice());
        let Ok(()) = hkdf.expand(purpose.as_bytes(), key.as_mut_slice()) else {
            unreachable!("HKDF-SHA-256 gives up to 8160 bytes")
        };
        key
    }

    /// The seeds of the token keys with their key ids: the first signs, all verify. Never empty.
    #[must_use]
    pub fn jwt_seeds(&self) -> &[(String, Key)] {
        &self.jwt_seeds
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids: Vec<_> = self.jwt_seeds.iter().map(|(kid, _)| kid).collect();
        f.debug_struct("Secrets").field("jwt_kids", &kids).finish_non_exhaustive()
    }
}

/// `kid:base64seed,kid:base64seed`.
fn parse_jwt_keys(text: &str) -> Result<Vec<(String, Key)>, ConfigError> {
    let invalid = |reason: &str| ConfigError::invalid(JWT_KEYS, reason);
    let mut keys: Vec<(String, Key)> = Vec::new();
    for entry in text.split(',') {
        let (kid, seed) = entry
            .trim()
            .split_once(':')
            .ok_or_else(|| invalid("must be kid:base64seed, separated by commas"))?;
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(1..=64).contains(&kid.len()) || !kid.chars().all(legal) {
            return Err(invalid(
                "must give each key an id of 1 to 64 letters, digits, \"_\", \"-\" and \".\"",
            ));
        }
        if keys.iter().any(|(other, _)| other == kid) {
            return Err(invalid("must not give two keys the same id"));
        }
        let seed = decode(seed).ok_or_else(|| {
            invalid("must give each key a seed that is base64 of exactly 32 bytes")
        })?;
        keys.push((kid.to_owned(), seed));
    }
    Ok(keys)
}

/// 32 bytes from base64 of either alphabet, padded or not.
fn decode(text: &str) -> Option<Key> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [STANDARD, URL_SAFE].iter().find_map(|alphabet| {
        let bytes = Zeroizing::new(GeneralPurpose::new(alphabet, config).decode(text).ok()?);
        bytes.as_slice().try_into().ok().map(Key::new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes 0 to 31.
    const COUNTING: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn secrets(master_key: &str, jwt_keys: &str) -> Result<Secrets, String> {
        Secrets::from_config(&Security {
            master_key: master_key.into(),
            jwt_keys: jwt_keys.into(),
            access_token_seconds: 900,
            refresh_token_seconds: 900,
            issuer: "studyhall".to_owned(),
            audience: "studyhall".to_owned(),
        })
        .map_err(|error| error.to_string())
    }

    fn counting() -> Secrets {
        secrets(COUNTING, &format!("k1:{COUNTING}")).unwrap()
    }

    #[test]
    fn a_purpose_gives_the_same_key_for_ever() {
        // HKDF-SHA-256 of the bytes 0 to 31 with salt "studyhall.v1" and info "test", from Python.
        let expected: [u8; 32] = [
            0xeb, 0x3c, 0x4f, 0x80, 0xc9, 0x63, 0x83, 0x49, 0x24, 0x9d, 0xc8, 0xb2, 0xbc, 0x70,
            0x21, 0x1f, 0xb7, 0xfc, 0x40, 0x29, 0x1e, 0xb9, 0x8c, 0xb7, 0x57, 0x96, 0x23, 0x9e,
            0xe5, 0x30, 0xd4, 0x11,
        ];
        assert_eq!(*counting().derive("test"), expected);
    }

    #[test]
    fn purposes_have_different_keys() {
        assert_ne!(*counting().derive("claims"), *counting().derive("data-keys"));
    }

    #[test]
    fn keys_are_read_in_order_in_either_alphabet_padded_or_not() {
        let url_safe = "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8";
        let keys = secrets(COUNTING, &format!("new:{COUNTING}, old:{url_safe}")).unwrap();
        let kids: Vec<_> = keys.jwt_seeds().iter().map(|(kid, _)| kid.as_str()).collect();
        assert_eq!(kids, ["new", "old"]);
        assert_eq!(keys.jwt_seeds()[0].1[31], 31);
    }

    #[test]
    fn malformed_keys_are_refused_without_printing_them() {
        let short = "c2hvcnQ=";
        for (master, jwt, expected) in [
            ("", "", "security.master_key is not set"),
            (short, "", "security.master_key must be base64 of exactly 32 bytes"),
            (COUNTING, "", "security.jwt_keys is not set"),
            (COUNTING, short, "security.jwt_keys must be kid:base64seed"),
            (COUNTING, "a:c2hvcnQ=", "security.jwt_keys must give each key a seed"),
            (COUNTING, ":c2hvcnQ=", "security.jwt_keys must give each key an id"),
            (COUNTING, &format!("a:{COUNTING},a:{COUNTING}"), "must not give two keys the same id"),
        ] {
            let line = secrets(master, jwt).unwrap_err();
            assert!(line.contains(expected), "{line}");
            assert!(!line.contains(short) && !line.contains(COUNTING), "{line}");
        }
    }

    #[test]
    fn debug_prints_key_ids_only() {
        assert_eq!(format!("{:?}", counting()), "Secrets { jwt_kids: [\"k1\"], .. }");
    }
}
