use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionId, UserId};
use ed25519_dalek::SigningKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use platform::{Config, Secrets, config::Security};
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::{LEEWAY, TYPE, signing_key};
use super::*;

const ANA: UserId = UserId(Uuid::from_u128(1));
const SESSION: SessionId = SessionId(Uuid::from_u128(2));

/// The default settings, and keys that `byte` decides. Signs with `new`, verifies `old` too.
pub(crate) fn config(byte: u8) -> Config {
    let key = |byte| base64::engine::general_purpose::STANDARD.encode([byte; 32]);
    let keys = format!("new:{},old:{}", key(byte.wrapping_add(100)), key(byte.wrapping_add(200)));
    Config::from_sources(
        None,
        [
            ("STUDYHALL_SECURITY__MASTER_KEY", key(byte).as_str()),
            ("STUDYHALL_SECURITY__JWT_KEYS", keys.as_str()),
            ("STUDYHALL_POSTGRES__URL", "postgres://localhost/studyhall"),
            ("STUDYHALL_MONGODB__URL", "mongodb://localhost"),
            ("STUDYHALL_REDIS__URL", "redis://localhost"),
            ("STUDYHALL_NATS__URL", "nats://localhost"),
        ],
    )
    .unwrap()
}

/// The keys that `byte` decides.
pub(crate) fn secrets(byte: u8) -> Secrets {
    Secrets::from_config(&config(byte).security).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn access_tokens() -> AccessTokens {
    AccessTokens::new(&config(1).security, &secrets(1))
}

fn refresh_tokens() -> RefreshTokens {
    RefreshTokens::new(&secrets(1))
}

fn issued() -> String {
    access_tokens().issue(ANA, SESSION, 3, at(0), at(1_000_000_000)).unwrap().0
}

/// What we would sign at second 0, for tests to spoil.
fn claims() -> Value {
    json!({
        "sub": ANA, "sid": SESSION, "iat": at(0).timestamp(), "exp": at(900).timestamp(),
        "iss": "studyhall", "aud": "studyhall", "jti": Uuid::nil(), "ver": 0,
    })
}

fn header() -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some("new".to_owned());
    header
}

/// Signed with the installation's own key, named `kid`.
fn signed(header: &Header, claims: &Value, kid: &str) -> String {
    let secrets = secrets(1);
    let (_, seed) = secrets.jwt_seeds().iter().find(|(known, _)| known == kid).unwrap();
    encode(header, claims, &signing_key(seed)).unwrap()
}

fn with(field: &str, value: Value) -> String {
    let mut claims = claims();
    claims[field] = value;
    signed(&header(), &claims, "new")
}

fn verify_at(token: &str, seconds: i64) -> Result<AccessClaims, TokenError> {
    access_tokens().verify(token, at(seconds))
}

fn assert_invalid(token: &str) {
    assert_eq!(verify_at(token, 1), Err(TokenError::Invalid));
    assert_eq!(
        access_tokens().verify_ignoring_expiry(token, at(1)),
        Err(TokenError::Invalid),
        "logging out takes no other tokens, only older ones"
    );
}

#[test]
fn an_access_token_says_whose_it_is() {
    let claims = verify_at(&issued(), 1).unwrap();
    assert_eq!((claims.user_id, claims.session_id), (ANA, SESSION));
    assert_eq!(claims.token_version, 3);
    assert_eq!((claims.issued_at, claims.expires_at), (at(0), at(604_800)));
    assert!(verify_at(&signed(&header(), &self::claims(), "new"), 1).is_ok(), "the tests' own");
}

#[test]
fn an_access_token_has_the_claims_and_the_header_of_the_contract() {
    let token = issued();
    let part = |n| -> Value {
        serde_json::from_slice(&BASE64.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "new"}));
    let mut names: Vec<_> = part(1).as_object().unwrap().keys().cloned().collect();
    names.sort();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "sid", "sub", "ver"]);
}

#[test]
fn an_access_token_does_not_outlive_its_session() {
    let (token, expires_in) = access_tokens().issue(ANA, SESSION, 3, at(0), at(60)).unwrap();
    assert_eq!(expires_in, 60);
    assert_eq!(verify_at(&token, 1).unwrap().expires_at, at(60));
}

#[test]
fn an_expired_token_is_told_from_a_wrong_one_and_still_logs_out() {
    let (token, leeway) = (issued(), LEEWAY.num_seconds());
    assert!(verify_at(&token, 604_799 + leeway).is_ok());
    assert_eq!(verify_at(&token, 604_800 + leeway), Err(TokenError::Expired));
    let claims = access_tokens().verify_ignoring_expiry(&token, at(100_000_000)).unwrap();
    assert_eq!(claims.session_id, SESSION);
    assert!(LEEWAY <= TimeDelta::seconds(30));
}

#[test]
fn a_token_of_the_future_does_not_count_yet() {
    assert_invalid(&with("nbf", json!(at(60).timestamp())));
    assert_invalid(&with("iat", json!(at(60).timestamp())));
    assert!(verify_at(&with("nbf", json!(at(0).timestamp())), 1).is_ok());
    assert_invalid(&with("nbf", json!("soon")));
    assert_invalid(&with("exp", json!(i64::MAX)));
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_does_not_count() {
    for field in ["iss", "aud"] {
        assert_invalid(&with(field, json!("elsewhere")));
        assert_invalid(&with(field, json!(["studyhall", "elsewhere"])));
        assert_invalid(&with(field, Value::Null));
    }
}

#[test]
fn a_token_without_one_of_the_claims_does_not_count() {
    for field in ["sub", "sid", "iat", "exp", "iss", "aud", "jti", "ver"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(field);
        assert_invalid(&signed(&header(), &claims, "new"));
    }
}

#[test]
fn every_key_verifies_and_only_under_its_own_name() {
    let mut header = header();
    header.kid = Some("old".to_owned());
    assert!(verify_at(&signed(&header, &claims(), "old"), 1).is_ok());
    assert_invalid(&signed(&header, &claims(), "new"));
    header.kid = Some("unknown".to_owned());
    assert_invalid(&signed(&header, &claims(), "new"));
    header.kid = None;
    assert_invalid(&signed(&header, &claims(), "new"));
}

#[test]
fn another_kind_of_token_signed_with_the_same_key_does_not_count() {
    let mut header = header();
    for typ in [Some("JWT"), Some("dpop+jwt"), Some(""), None] {
        header.typ = typ.map(str::to_owned);
        assert_invalid(&signed(&header, &claims(), "new"));
    }
    let mut header = self::header();
    header.crit = Some(vec!["b64".to_owned()]);
    assert_invalid(&signed(&header, &claims(), "new"));
}

#[test]
fn another_algorithm_does_not_count() {
    let payload = BASE64.encode(claims().to_string());
    for alg in ["none", "None", "NONE", ""] {
        let header = BASE64.encode(json!({"alg": alg, "typ": TYPE, "kid": "new"}).to_string());
        assert_invalid(&format!("{header}.{payload}."));
        let signature = issued().rsplit('.').next().unwrap().to_owned();
        assert_invalid(&format!("{header}.{payload}.{signature}"));
    }
    // The public key as the secret of a symmetric algorithm: the classic confusion.
    let secrets = secrets(1);
    let public = SigningKey::from_bytes(&secrets.jwt_seeds()[0].1).verifying_key();
    for alg in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let header = Header { alg, ..header() };
        let key = EncodingKey::from_secret(public.as_bytes());
        assert_invalid(&encode(&header, &claims(), &key).unwrap());
    }
}

#[test]
fn a_changed_token_does_not_count() {
    let token = issued();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let mut claims = claims();
    claims["sub"] = json!(Uuid::from_u128(9));
    assert_invalid(&format!("{header}.{}.{signature}", BASE64.encode(claims.to_string())));
    assert_invalid(message);
    assert_invalid(&format!("{message}."));
    assert_invalid("");
    assert_invalid(&"a".repeat(1_000_000));
    let another = AccessTokens::new(&config(2).security, &secrets(2));
    assert_eq!(another.verify(&token, at(1)), Err(TokenError::Invalid), "another installation");
}

#[test]
fn a_refresh_token_says_which_session_and_how_often() {
    for counter in [0, 1, 77, u64::MAX] {
        let token = refresh_tokens().issue(SESSION, counter);
        assert_eq!(refresh_tokens().open(&token), Some((SESSION, counter)));
        assert_eq!(token, refresh_tokens().issue(SESSION, counter), "the same again");
    }
}

#[test]
fn a_changed_refresh_token_does_not_count() {
    let tokens = refresh_tokens();
    let token = tokens.issue(SESSION, 5);
    let bytes = BASE64.decode(&token).unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            assert_eq!(tokens.open(&BASE64.encode(changed)), None);
        }
    }
    // The counter of another token with the MAC of this one.
    let other = BASE64.decode(tokens.issue(SESSION, 6)).unwrap();
    let mixed = [&other[..24], &bytes[24..]].concat();
    assert_eq!(tokens.open(&BASE64.encode(mixed)), None);
    for wrong in ["", "x", &token[1..], &format!("{token}=")] {
        assert_eq!(tokens.open(wrong), None);
    }
    assert_eq!(tokens.open(&BASE64.encode(&bytes[..24])), None, "no MAC at all");
    assert_eq!(RefreshTokens::new(&secrets(2)).open(&token), None, "another installation");
}

#[test]
fn neither_token_passes_for_the_other() {
    assert_eq!(refresh_tokens().open(&issued()), None);
    assert_invalid(&refresh_tokens().issue(SESSION, 0));
}

#[test]
fn issuer_and_audience_are_those_of_the_configuration() {
    let security = Security {
        issuer: "https://a.example".to_owned(),
        audience: "b".to_owned(),
        jwt_keys: SecretString::default(), // The keys come from `Secrets`.
        ..config(1).security
    };
    let tokens = AccessTokens::new(&security, &secrets(1));
    let (token, _) = tokens.issue(ANA, SESSION, 3, at(0), at(60)).unwrap();
    assert!(tokens.verify(&token, at(1)).is_ok());
    assert_invalid(&token);
}
