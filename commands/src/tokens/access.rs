//! Access tokens: JWTs (RFC 7519, profiled by RFC 9068) signed with Ed25519 (RFC 8037).
use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionId, UserId};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
};
use platform::{Secrets, config::Security, ids::new_id, secrets::Key};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::CommandError;

/// The header's `typ`: a JWT made for another purpose with the same key is no access token (RFC
/// 9068, section 2.1).
pub(super) const TYPE: &str = "at+jwt";
/// How far the clocks of two nodes may be apart.
pub(super) const LEEWAY: TimeDelta = TimeDelta::seconds(10);
/// Longer than any token of ours: bounds the work of reading one.
const MAX_BYTES: usize = 2048;
/// An Ed25519 private key in PKCS #8 up to its seed (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Whose access token it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessClaims {
    /// The person.
    pub user_id: UserId,
    /// The login it was made for.
    pub session_id: SessionId,
    /// The account's token version when it was made.
    pub token_version: u64,
    /// When it was made.
    pub issued_at: DateTime<Utc>,
    /// When it stops working.
    pub expires_at: DateTime<Utc>,
}

/// Why an access token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It worked once; time for a refresh.
    #[error("the access token has expired")]
    Expired,
    /// Not an access token of ours.
    #[error("the access token is not valid")]
    Invalid,
}

/// The claims as they are signed. Times are seconds since 1970.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) sub: UserId,
    pub(super) sid: SessionId,
    pub(super) iat: i64,
    pub(super) exp: i64,
    pub(super) iss: String,
    pub(super) aud: String,
    pub(super) jti: Uuid,
    /// The person's token version, for ending all tokens at once.
    pub(super) ver: u64,
    /// We set none, and honour it where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<i64>,
}

/// Signs with the first key, verifies with all of them.
pub(crate) struct AccessTokens {
    header: Header,
    signing_key: EncodingKey,
    verifying_keys: Vec<(String, DecodingKey)>,
    public_keys: Vec<(String, [u8; 32])>,
    validation: Validation,
    issuer: String,
    audience: String,
    lifetime: TimeDelta,
}

impl AccessTokens {
    pub(crate) fn new(security: &Security, secrets: &Secrets) -> Self {
        let seeds = secrets.jwt_seeds();
        let (kid, seed) = &seeds[0]; // `Secrets` has at least one.
        let verifying_keys =
            seeds.iter().map(|(kid, seed)| (kid.clone(), verifying_key(seed))).collect();

        let public = |seed| SigningKey::from_bytes(seed).verifying_key().to_bytes();
        let public_keys = seeds.iter().map(|(kid, seed)| (kid.clone(), public(seed))).collect();

        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(kid.clone());

        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&security.issuer]);
        validation.set_audience(&[&security.audience]);
        // The library asks the operating system for the time; we ask our clock, in `check_times`.
        validation.validate_exp = false;
        validation.validate_nbf = false;

        Self {
            header,
            signing_key: signing_key(seed),
            verifying_keys,
            public_keys,
            validation,
            issuer: security.issuer.clone(),
            audience: security.audience.clone(),
            lifetime: TimeDelta::seconds(i64::from(security.access_token_seconds)),
        }
    }

    /// The public halves of all keys, by their ids.
    pub(crate) fn public_keys(&self) -> &[(String, [u8; 32])] {
        &self.public_keys
    }

    /// A new token and the seconds it works: never longer than its session, which ends at `until`.
    pub(crate) fn issue(
        &self,
        user_id: UserId,
        session_id: SessionId,
        token_version: u64,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<(String, u64), CommandError> {
        let expires_at = until.min(now + self.lifetime);
        let claims = Claims {
            sub: user_id,
            sid: session_id,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            jti: new_id(),
            ver: token_version,
            nbf: None,
        };
        let expires_in = u64::try_from(claims.exp - claims.iat).unwrap_or_default();
        encode(&self.header, &claims, &self.signing_key)
            .map(|token| (token, expires_in))
            .map_err(CommandError::unavailable)
    }

    pub(crate) fn verify(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<AccessClaims, TokenError> {
        let claims = self.verify_ignoring_expiry(token, now)?;
        if now >= claims.expires_at + LEEWAY {
            return Err(TokenError::Expired);
        }
        Ok(claims)
    }

    pub(crate) fn verify_ignoring_expiry(
        &self,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<AccessClaims, TokenError> {
        if token.len() > MAX_BYTES {
            return Err(TokenError::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenError::Invalid)?;
        // An extension marked critical must be understood or refused (RFC 7515, section 4.1.11).
        if header.typ.as_deref() != Some(TYPE) || header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let (_, key) = self
            .verifying_keys
            .iter()
            .find(|(known, _)| *known == kid)
            .ok_or(TokenError::Invalid)?;
        let claims =
            decode::<Claims>(token, key, &self.validation).map_err(|_| TokenError::Invalid)?.claims;
        check_times(&claims, now)
    }
}

/// Reads the times and refuses a token of the future.
fn check_times(claims: &Claims, now: DateTime<Utc>) -> Result<AccessClaims, TokenError> {
    let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(TokenError::Invalid);
    let (issued_at, expires_at) = (time(claims.iat)?, time(claims.exp)?);
    let not_before = time(claims.nbf.unwrap_or(claims.iat))?;
    if now + LEEWAY < issued_at.max(not_before) {
        return Err(TokenError::Invalid);
    }
    Ok(AccessClaims {
        user_id: claims.sub,
        session_id: claims.sid,
        token_version: claims.ver,
        issued_at,
        expires_at,
    })
}

pub(super) fn signing_key(seed: &Key) -> EncodingKey {
    let der = Zeroizing::new([PKCS8_PREFIX.as_slice(), seed.as_slice()].concat());
    EncodingKey::from_ed_der(&der)
}

fn verifying_key(seed: &Key) -> DecodingKey {
    // Despite its name it takes the 32 bytes of the public key as they are.
    DecodingKey::from_ed_der(SigningKey::from_bytes(seed).verifying_key().as_bytes())
}
