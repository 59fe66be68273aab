//! Access tokens that nobody was given, signed with the keys of a test.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use platform::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::World;

/// The header and the claims of a token.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| {
        let part = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&part).unwrap_or(Value::Null)
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

/// A token of these parts, up to its signature.
fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn key(world: &World) -> SigningKey {
    let secrets = world.secrets();
    SigningKey::from_bytes(&secrets.jwt_seeds()[0].1)
}

/// A token of these parts, signed as the installation does.
#[must_use]
pub fn signed(world: &World, header: &Value, claims: &Value) -> String {
    let message = unsigned(header, claims);
    let signature = key(world).sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

/// A token of these parts without a signature, as `alg: none` has it.
#[must_use]
pub fn bare(header: &Value, claims: &Value) -> String {
    format!("{}.", unsigned(header, claims))
}

/// A token whose HMAC was made with the public key, which everybody knows.
///
/// # Panics
/// Never.
#[must_use]
pub fn confused(world: &World, header: &Value, claims: &Value) -> String {
    let message = unsigned(header, claims);
    let public = key(world).verifying_key();
    let tag = hmac_sha256(public.as_bytes(), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// HMAC-SHA-256 (RFC 2104) for keys of at most a block.
fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    use sha2::{Digest as _, Sha256};
    let pad = |with: u8| {
        let mut block = [with; 64];
        for (byte, key) in block.iter_mut().zip(key) {
            *byte ^= key;
        }
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// This access token, signed anew, with another value of a claim.
#[must_use]
pub fn with(world: &World, token: &str, claim: &str, value: Value) -> String {
    let (header, mut claims) = parts(token);
    claims[claim] = value;
    signed(world, &header, &claims)
}

/// This access token, signed anew, with an end in so many seconds from now.
///
/// # Panics
/// When it is no token of a test.
#[must_use]
pub fn ending_in(world: &World, token: &str, seconds: i64) -> String {
    let (header, mut claims) = parts(token);
    let end = SystemClock.now().timestamp() + seconds;
    claims["exp"] = json!(end);
    claims["iat"] = json!(claims["iat"].as_i64().unwrap().min(end));
    signed(world, &header, &claims)
}
