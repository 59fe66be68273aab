//! Refresh tokens: `base64url(session id ‖ counter ‖ MAC)`.
//!
//! The server keeps only the counter, so there is nothing to steal from the store. The MAC is over
//! what stands before it, so the token of a session and a counter is always the same: the answer
//! to a lost answer can be given again.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::SessionId;
use hmac::{Hmac, KeyInit, Mac};
use platform::Secrets;
use sha2::Sha256;
use uuid::Uuid;

const ID_BYTES: usize = 16;
const COUNTER_BYTES: usize = 8;
/// HMAC-SHA-256 cut to 192 bits: the token is then 48 bytes, which base64 writes in one way only.
const MAC_BYTES: usize = 24;
const BYTES: usize = ID_BYTES + COUNTER_BYTES + MAC_BYTES;
/// The length of every refresh token.
const CHARACTERS: usize = BYTES / 3 * 4;

/// Makes and reads refresh tokens.
pub(crate) struct RefreshTokens {
    mac: Hmac<Sha256>,
}

impl RefreshTokens {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let Ok(mac) = Hmac::new_from_slice(secrets.derive("refresh-token").as_slice()) else {
            unreachable!("HMAC takes keys of any length")
        };
        Self { mac }
    }

    /// The one token of this session and counter.
    pub(crate) fn issue(&self, session_id: SessionId, counter: u64) -> String {
        let mut token = [0; BYTES];
        let (head, tag) = token.split_at_mut(ID_BYTES + COUNTER_BYTES);
        head[..ID_BYTES].copy_from_slice(session_id.0.as_bytes());
        head[ID_BYTES..].copy_from_slice(&counter.to_be_bytes());
        let mac = self.mac.clone().chain_update(&*head).finalize().into_bytes();
        tag.copy_from_slice(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The session and counter of a token of ours; `None` for anything else.
    pub(crate) fn open(&self, token: &str) -> Option<(SessionId, u64)> {
        if token.len() != CHARACTERS {
            return None;
        }
        let token: [u8; BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
        let (head, tag) = token.split_at(ID_BYTES + COUNTER_BYTES);
        // Takes the same time wherever the first wrong byte is.
        self.mac.clone().chain_update(head).verify_truncated_left(tag).ok()?;
        let (id, counter) = head.split_at(ID_BYTES);
        let session_id = SessionId(Uuid::from_bytes(id.try_into().ok()?));
        Some((session_id, u64::from_be_bytes(counter.try_into().ok()?)))
    }
}
