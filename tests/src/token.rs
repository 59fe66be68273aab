//! Access tokens that end sooner than the shortest setting lets them.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use platform::{Clock as _, SystemClock};
use serde_json::Value;

use crate::World;

/// This access token, signed anew, with an end in so many seconds from now.
///
/// # Panics
/// When it is no token of a test.
#[must_use]
pub fn ending_in(world: &World, token: &str, seconds: i64) -> String {
    let (header, rest) = token.split_once('.').unwrap();
    let claims = URL_SAFE_NO_PAD.decode(rest.split_once('.').unwrap().0).unwrap();
    let mut claims: Value = serde_json::from_slice(&claims).unwrap();
    let end = SystemClock.now().timestamp() + seconds;
    claims["exp"] = end.into();
    claims["iat"] = claims["iat"].as_i64().unwrap().min(end).into();
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let secrets = world.secrets();
    let (_, seed) = &secrets.jwt_seeds()[0];
    let signature = SigningKey::from_bytes(seed).sign(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}
