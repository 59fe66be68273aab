//! Links that prove something, and the codes that can be typed instead. Both follow from the id of
//! the request, and nothing of them is stored: `base64url(purpose ‖ person ‖ request ‖ MAC)`.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{UserId, user::Side};
use hmac::{Hmac, KeyInit, Mac};
use platform::Secrets;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

const ID_BYTES: usize = 16;
const HEAD_BYTES: usize = 1 + 2 * ID_BYTES;
/// HMAC-SHA-256 cut to 216 bits: the token is then 60 bytes, which base64 writes in one way only.
const MAC_BYTES: usize = 27;
const BYTES: usize = HEAD_BYTES + MAC_BYTES;
/// The length of every link's token.
const CHARACTERS: usize = BYTES / 3 * 4;
/// Digits of a code.
const DIGITS: u64 = 1_000_000;

/// What a link is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkPurpose {
    /// Proves an address.
    VerifyEmail,
    /// Chooses another password.
    ResetPassword,
    /// Agrees to another address, for one of the two.
    ChangeEmail(Side),
    /// Fetches what is kept of the person.
    Export,
}

impl LinkPurpose {
    const ALL: [(u8, Self); 5] = [
        (1, Self::VerifyEmail),
        (2, Self::ResetPassword),
        (3, Self::ChangeEmail(Side::Old)),
        (4, Self::ChangeEmail(Side::New)),
        (5, Self::Export),
    ];

    fn byte(self) -> u8 {
        Self::ALL.iter().find(|(_, purpose)| *purpose == self).map_or(0, |(byte, _)| *byte)
    }
}

/// Makes and reads links and codes.
pub(crate) struct Links {
    links: Hmac<Sha256>,
    codes: Hmac<Sha256>,
}

impl Links {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let mac = |purpose| {
            let Ok(mac) = Hmac::new_from_slice(secrets.derive(purpose).as_slice()) else {
                unreachable!("HMAC takes keys of any length")
            };
            mac
        };
        Self { links: mac("link"), codes: mac("one-time-code") }
    }

    /// The one token of this request.
    pub(crate) fn issue(&self, purpose: LinkPurpose, user_id: UserId, request_id: Uuid) -> String {
        let mut token = [0; BYTES];
        let (head, tag) = token.split_at_mut(HEAD_BYTES);
        head[0] = purpose.byte();
        head[1..=ID_BYTES].copy_from_slice(user_id.0.as_bytes());
        head[1 + ID_BYTES..].copy_from_slice(request_id.as_bytes());
        let mac = self.links.clone().chain_update(&*head).finalize().into_bytes();
        tag.copy_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// What a token of ours is good for; `None` for anything else.
    pub(crate) fn open(&self, token: &str) -> Option<(LinkPurpose, UserId, Uuid)> {
        if token.len() != CHARACTERS {
            return None;
        }
        let token: [u8; BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (head, tag) = token.split_at(HEAD_BYTES);
        // Takes the same time wherever the first wrong byte is.
        self.links.clone().chain_update(head).verify_truncated_left(tag).ok()?;
        let (_, purpose) = *LinkPurpose::ALL.iter().find(|(byte, _)| *byte == head[0])?;
        let (user, request) = head[1..].split_at(ID_BYTES);
        let id = |bytes: &[u8]| bytes.try_into().ok().map(Uuid::from_bytes);
        Some((purpose, UserId(id(user)?), id(request)?))
    }

    /// The six digits of a request, which nobody without the key can know.
    pub(crate) fn code(&self, purpose: &str, id: Uuid) -> String {
        let mac = self.codes.clone().chain_update(purpose).chain_update([0]);
        let mac = mac.chain_update(id.as_bytes()).finalize().into_bytes();
        // 64 bits against a million: how much likelier the first codes are cannot be measured.
        let number = mac[..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        format!("{:06}", number % DIGITS)
    }

    /// Whether these are the digits. Takes the same time wherever the first wrong one is.
    pub(crate) fn is_code(&self, purpose: &str, id: Uuid, code: &str) -> bool {
        self.code(purpose, id).as_bytes().ct_eq(code.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use crate::tokens::tests::secrets;

    use super::*;

    const ANA: UserId = UserId(Uuid::from_u128(1));
    const REQUEST: Uuid = Uuid::from_u128(2);

    #[test]
    fn a_link_says_what_it_is_good_for() {
        let links = Links::new(&secrets(1));
        for (_, purpose) in LinkPurpose::ALL {
            let token = links.issue(purpose, ANA, REQUEST);
            assert_eq!(token.len(), CHARACTERS);
            assert_eq!(links.open(&token), Some((purpose, ANA, REQUEST)));
        }
    }

    #[test]
    fn a_changed_link_is_no_link() {
        let links = Links::new(&secrets(1));
        let token = links.issue(LinkPurpose::VerifyEmail, ANA, REQUEST);
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(links.open(std::str::from_utf8(&bytes).unwrap()), None, "{place}");
        }
        for other in ["", "x", &token[1..], &format!("{token}A")] {
            assert_eq!(links.open(other), None);
        }
        assert_eq!(Links::new(&secrets(2)).open(&token), None, "another installation's");
    }

    #[test]
    fn a_code_belongs_to_one_request_and_one_purpose() {
        let links = Links::new(&secrets(1));
        let code = links.code("login", REQUEST);
        assert!(code.len() == 6 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
        assert!(links.is_code("login", REQUEST, &code));
        assert!(!links.is_code("login", Uuid::from_u128(3), &code));
        assert!(!links.is_code("verify_phone", REQUEST, &code));
        assert!(!links.is_code("login", REQUEST, &code[1..]));
    }
}
