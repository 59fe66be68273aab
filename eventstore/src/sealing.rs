//! Personal data inside stored JSON: sealed under the key of the person it is about.
//!
//! A sealed field reads `{"sealed": "<base64url of nonce and ciphertext>", "of": "<person>"}`. It
//! is bound to its place, so it cannot be moved to another field, event or stream.
use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use domain::{Personal, PersonalFields};
use platform::{ids, secrets::Key};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::{StoreError, Unreadable};

const NONCE: usize = 24;

/// The keys of the people concerned; `None` for people who were erased.
pub(crate) type Keys = HashMap<Uuid, Option<Key>>;

/// Where a sealed value stands: authenticated with it.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) aggregate_type: &'a str,
    pub(crate) aggregate_id: &'a str,
    pub(crate) sequence: i64,
}

impl Place<'_> {
    fn of_field(&self, field: &str) -> String {
        format!("{}/{}/{}/{field}", self.aggregate_type, self.aggregate_id, self.sequence)
    }
}

/// Encrypts `plain`, authenticating `place` with it.
pub(crate) fn encrypt(key: &Key, plain: &[u8], place: &[u8]) -> Result<Vec<u8>, StoreError> {
    let nonce = ids::random_bytes::<NONCE>();
    let sealed = XChaCha20Poly1305::new((&**key).into())
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: place })
        .map_err(|_| StoreError::Unreadable("sealing failed".into()))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Decrypts what [`encrypt`] made.
pub(crate) fn decrypt(key: &Key, sealed: &[u8], place: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let (nonce, sealed) = sealed
        .split_first_chunk::<NONCE>()
        .ok_or_else(|| Unreadable::new("sealed value is cut"))?;
    XChaCha20Poly1305::new((&**key).into())
        .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: place })
        .map_err(|_| Unreadable::new("sealed value does not open"))
}

/// The people whose keys are needed to seal this payload.
pub(crate) fn subjects_to_seal(payload: &Value, fields: &[PersonalFields]) -> Vec<Uuid> {
    let Some(body) = body_of(payload) else { return Vec::new() };
    fields.iter().filter_map(|f| subject_of(body, f)).collect()
}

/// Seals the personal fields of an externally tagged payload (`{"EventType": {…}}`).
pub(crate) fn seal(
    payload: &mut Value,
    fields: &[PersonalFields],
    place: Place<'_>,
    keys: &Keys,
) -> Result<(), StoreError> {
    let Some(body) = body_of_mut(payload) else { return Ok(()) };
    for personal in fields {
        let subject = subject_of(body, personal).ok_or_else(|| {
            StoreError::Unreadable(format!("`{}` is not a person's id", personal.subject))
        })?;
        for field in personal.fields {
            let Some(value) = body.get_mut(*field) else { continue };
            if *value == Personal::<()>::erased_json() {
                continue;
            }
            let key =
                keys.get(&subject).and_then(Option::as_ref).ok_or(StoreError::SubjectErased)?;
            let sealed =
                encrypt(key, value.to_string().as_bytes(), place.of_field(field).as_bytes())?;
            *value = json!({ "sealed": BASE64.encode(sealed), "of": subject });
        }
    }
    Ok(())
}

/// The people whose keys are needed to open this payload.
pub(crate) fn subjects_to_open(payload: &Value, subjects: &mut HashSet<Uuid>) {
    let Some(body) = body_of(payload) else { return };
    subjects.extend(body.values().filter_map(|value| sealed_parts(value).map(|(_, of)| of)));
}

/// Opens every sealed field. Fields of erased people read as [`Personal::Erased`].
pub(crate) fn open(payload: &mut Value, place: Place<'_>, keys: &Keys) -> Result<(), Unreadable> {
    let Some(body) = body_of_mut(payload) else { return Ok(()) };
    for (field, value) in body.iter_mut() {
        let Some((sealed, subject)) = sealed_parts(value) else { continue };
        *value = match keys.get(&subject) {
            Some(Some(key)) => {
                let sealed = BASE64
                    .decode(sealed)
                    .map_err(|_| Unreadable::new("sealed value is not base64url"))?;
                let plain = decrypt(key, &sealed, place.of_field(field).as_bytes())?;
                serde_json::from_slice(&plain)
                    .map_err(|_| Unreadable::new("sealed value is not JSON"))?
            }
            Some(None) => Personal::<()>::erased_json(),
            None => return Err(Unreadable::new("there is no key for a sealed value")),
        };
    }
    Ok(())
}

/// Seals a whole JSON value (a stored answer) as one string.
pub(crate) fn seal_text(key: &Key, value: &Value, place: &[u8]) -> Result<String, StoreError> {
    Ok(BASE64.encode(encrypt(key, value.to_string().as_bytes(), place)?))
}

/// Opens what [`seal_text`] made.
pub(crate) fn open_text(key: &Key, sealed: &str, place: &[u8]) -> Result<Value, Unreadable> {
    let sealed =
        BASE64.decode(sealed).map_err(|_| Unreadable::new("sealed value is not base64url"))?;
    serde_json::from_slice(&decrypt(key, &sealed, place)?)
        .map_err(|_| Unreadable::new("sealed value is not JSON"))
}

fn sealed_parts(value: &Value) -> Option<(String, Uuid)> {
    let object = value.as_object().filter(|o| o.len() == 2)?;
    let of = object.get("of")?.as_str()?.parse().ok()?;
    Some((object.get("sealed")?.as_str()?.to_owned(), of))
}

fn subject_of(body: &Map<String, Value>, personal: &PersonalFields) -> Option<Uuid> {
    body.get(personal.subject)?.as_str()?.parse().ok()
}

fn body_of(payload: &Value) -> Option<&Map<String, Value>> {
    payload.as_object().filter(|o| o.len() == 1)?.values().next()?.as_object()
}

fn body_of_mut(payload: &mut Value) -> Option<&mut Map<String, Value>> {
    payload.as_object_mut().filter(|o| o.len() == 1)?.values_mut().next()?.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[PersonalFields] =
        &[PersonalFields { subject: "userId", fields: &["email", "phone"] }];
    const ANA: Uuid = Uuid::from_u128(1);

    fn place(sequence: i64) -> Place<'static> {
        Place { aggregate_type: "user", aggregate_id: "a", sequence }
    }

    fn keys() -> Keys {
        Keys::from([(ANA, Some(Key::from([7; 32])))])
    }

    fn registered() -> Value {
        json!({"Registered": {"userId": ANA, "email": "ana@x.org", "phone": null, "at": 1}})
    }

    #[test]
    fn what_was_sealed_opens_and_shows_nothing_until_then() {
        let mut payload = registered();
        seal(&mut payload, FIELDS, place(1), &keys()).unwrap();
        assert!(!payload.to_string().contains("ana@x.org"));
        assert_eq!(payload["Registered"]["at"], 1);
        open(&mut payload, place(1), &keys()).unwrap();
        assert_eq!(payload, registered());
    }

    #[test]
    fn a_sealed_value_opens_at_its_own_place_only() {
        let mut payload = registered();
        seal(&mut payload, FIELDS, place(1), &keys()).unwrap();
        assert!(open(&mut payload.clone(), place(2), &keys()).is_err());
        let email = payload["Registered"]["email"].clone();
        payload["Registered"]["phone"] = email;
        assert!(open(&mut payload, place(1), &keys()).is_err());
    }

    #[test]
    fn without_a_key_a_value_is_erased_and_nothing_new_is_sealed() {
        let mut payload = registered();
        seal(&mut payload, FIELDS, place(1), &keys()).unwrap();
        let erased = Keys::from([(ANA, None)]);
        open(&mut payload, place(1), &erased).unwrap();
        assert_eq!(payload["Registered"]["email"], json!({"erased": true}));
        let refused = seal(&mut registered(), FIELDS, place(1), &erased);
        assert!(matches!(refused, Err(StoreError::SubjectErased)));
    }
}
