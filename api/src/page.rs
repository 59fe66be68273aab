//! Lists page by page: limits and cursors.
use std::ops::RangeInclusive;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use domain::Violation;
use platform::{ids, secrets::Key};
use projections::{Page, PageRequest, SortKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    etag,
    extract::{Fields, in_query, integer, text},
    problem::Problem,
    problems,
};

/// Entries of a page if the client does not say.
const DEFAULT_LIMIT: u32 = 50;
/// Entries a client may ask for; anything else is refused, not clamped.
const LIMITS: RangeInclusive<u32> = 1..=100;
/// Longest cursor that is looked at.
const MAX_CURSOR: usize = 2048;
const NONCE: usize = 24;
/// Sealed keys are as long as the next multiple of this: all numbers and most names look alike.
const PADDED_TO: usize = 128;

/// `limit` and `cursor` of a list.
#[derive(Debug)]
pub(crate) struct Paging {
    pub(crate) limit: u32,
    pub(crate) cursor: Option<String>,
}

impl Paging {
    /// Takes both out of the query.
    pub(crate) fn from_fields(fields: &mut Fields) -> Option<Self> {
        let limit = limit(fields);
        let cursor = fields.optional("cursor", text(|raw| Ok::<_, Violation>(raw.to_owned())));
        Some(Self { limit: limit?, cursor: cursor? })
    }
}

/// Takes `limit` out of the query.
pub(crate) fn limit(fields: &mut Fields) -> Option<u32> {
    Some(fields.optional("limit", in_query(integer(LIMITS)))?.unwrap_or(DEFAULT_LIMIT))
}

/// Makes and reads cursors: base64url of a nonce and of the sealed JSON of where the page ended,
/// bound to its list. Sealed, because the last row of a page may be one that the reader sees only in
/// part, and its sort value belongs to the rest.
#[derive(Clone)]
pub(crate) struct Cursors {
    cipher: XChaCha20Poly1305,
}

impl Cursors {
    pub(crate) fn new(key: &Key) -> Self {
        Self { cipher: XChaCha20Poly1305::new((&**key).into()) }
    }

    /// The cursor behind `key` in the list that `list` names: the route and every filter.
    pub(crate) fn encode<K: Serialize>(&self, key: &K, list: &impl Serialize) -> String {
        let mut plain = serde_json::to_vec(key).unwrap_or_default(); // plain data: cannot fail
        plain.resize(plain.len().next_multiple_of(PADDED_TO), b' '); // JSON may end in spaces
        let nonce = ids::random_bytes::<NONCE>();
        let sealed = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: &plain, aad: &fingerprint(list) })
            .unwrap_or_default(); // refuses gigabytes only
        URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    /// Where a page of this list begins; `None` at the start.
    ///
    /// # Errors
    /// `invalid_cursor` for cursors that we did not make, or made for another list.
    pub(crate) fn decode<K: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
        list: &impl Serialize,
    ) -> Result<Option<K>, Problem> {
        let Some(cursor) = cursor else { return Ok(None) };
        let invalid = || {
            Problem::new(&problems::INVALID_CURSOR)
                .detail("use a cursor as it was answered, with the same filters")
        };
        if cursor.len() > MAX_CURSOR {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| invalid())?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or_else(invalid)?;
        let plain = self
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &fingerprint(list) })
            .map_err(|_| invalid())?;
        serde_json::from_slice(&plain).map(Some).map_err(|_| invalid())
    }
}

/// Tells lists apart.
fn fingerprint(list: &impl Serialize) -> [u8; 32] {
    Sha256::digest(serde_json::to_vec(list).unwrap_or_default()).into()
}

/// Which way a cursor leads.
#[derive(Serialize, Deserialize)]
enum Step {
    #[serde(rename = "n")]
    Next(SortKey),
    #[serde(rename = "p")]
    Previous(SortKey),
}

impl Paging {
    /// The part of the list that the client asks for. `list` names the list: its route and every
    /// filter.
    ///
    /// # Errors
    /// As [`Cursors::decode`].
    pub(crate) fn request(
        &self,
        cursors: &Cursors,
        list: &impl Serialize,
    ) -> Result<PageRequest, Problem> {
        let mut request = PageRequest::first(self.limit);
        match cursors.decode(self.cursor.as_deref(), list)? {
            Some(Step::Next(key)) => request.after = Some(key),
            Some(Step::Previous(key)) => request.before = Some(key),
            None => {}
        }
        Ok(request)
    }
}

/// The answer of a list.
pub(crate) fn answer(page: Page<Value>, cursors: &Cursors, list: &impl Serialize) -> Value {
    let has_more = page.next.is_some();
    let cursor = |step: Step| cursors.encode(&step, list);
    json!({
        "data": page.rows,
        "page": {
            "nextCursor": page.next.map(|key| cursor(Step::Next(key))),
            "prevCursor": page.previous.map(|key| cursor(Step::Previous(key))),
            "hasMore": has_more,
        },
    })
}

/// The tag of an [`answer`]: of its rows and of whether there are more on either side. The cursors
/// themselves are sealed anew each time.
pub(crate) fn tag(answer: &Value) -> String {
    let page = &answer["page"];
    let (next, previous) = (page["nextCursor"].is_string(), page["prevCursor"].is_string());
    etag::of_body(&json!([answer["data"], next, previous]))
}

#[cfg(test)]
mod tests {
    use projections::SortValue;

    use super::*;

    #[derive(Debug)]
    struct Limit;

    impl crate::extract::FromFields for Limit {
        fn from_fields(fields: &mut Fields) -> Option<Self> {
            Paging::from_fields(fields).map(|_| Self)
        }
    }

    fn cursors(byte: u8) -> Cursors {
        Cursors::new(&Key::new([byte; 32]))
    }

    fn decode(cursor: &str, list: &str) -> Result<Option<(i64, String)>, &'static str> {
        cursors(1).decode(Some(cursor), &list).map_err(|problem| problem.code())
    }

    #[test]
    fn a_cursor_is_read_back_for_the_same_list_only() {
        let key = (7, "x".to_owned());
        let cursor = cursors(1).encode(&key, &"rooms?q=a");
        assert_eq!(decode(&cursor, "rooms?q=a"), Ok(Some(key)));
        assert_eq!(decode(&cursor, "rooms?q=b"), Err("invalid_cursor"));
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn a_cursor_with_any_byte_changed_is_refused() {
        let cursor = cursors(1).encode(&(7, "x"), &"list");
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for at in 0..bytes.len() {
            let mut tampered = bytes.clone();
            tampered[at] ^= 1;
            let tampered = URL_SAFE_NO_PAD.encode(tampered);
            assert_eq!(decode(&tampered, "list"), Err("invalid_cursor"), "byte {at}");
        }
        for cut in 0..cursor.len() {
            assert_eq!(decode(&cursor[..cut], "list"), Err("invalid_cursor"), "cut at {cut}");
        }
    }

    #[test]
    fn a_cursor_does_not_tell_where_it_leads() {
        let cursor = |count| {
            let key = SortKey { value: SortValue::Number(count), id: uuid::Uuid::nil() };
            URL_SAFE_NO_PAD.decode(cursors(1).encode(&Step::Next(key), &"rooms")).unwrap()
        };
        let few = cursor(7);
        assert!(!String::from_utf8_lossy(&few).contains("value"));
        assert_eq!(few.len(), cursor(i64::MAX).len(), "nor by its length");
        assert_ne!(few, cursor(7), "nor by staying the same");
    }

    #[test]
    fn equal_pages_have_equal_tags_although_their_cursors_differ() {
        let page = |rows: &[i64], next: Option<i64>| {
            let key = |id| SortKey { value: SortValue::Number(id), id: uuid::Uuid::nil() };
            let rows = rows.iter().map(|row| json!(row)).collect();
            let page = Page { rows, next: next.map(key), previous: None };
            tag(&answer(page, &cursors(1), &"list"))
        };
        assert_eq!(page(&[1, 2], Some(2)), page(&[1, 2], Some(2)));
        assert_ne!(page(&[1, 2], Some(2)), page(&[1, 2], None));
        assert_ne!(page(&[1, 2], Some(2)), page(&[1, 3], Some(2)));
    }

    #[test]
    fn what_we_did_not_make_is_refused() {
        let foreign = cursors(2).encode(&(7, "x"), &"list");
        for cursor in ["", "%", "AAAA", "é", &foreign, &"A".repeat(5000)] {
            assert_eq!(decode(cursor, "list"), Err("invalid_cursor"), "{cursor:.20}");
        }
    }

    #[test]
    fn both_cursors_of_a_page_lead_back_to_its_ends() {
        let key = |number| SortKey { value: SortValue::Number(number), id: uuid::Uuid::nil() };
        let page =
            Page { rows: vec![json!(3), json!(4)], next: Some(key(4)), previous: Some(key(3)) };
        let answer = answer(page, &cursors(1), &"list");
        let follow = |name: &str| {
            let cursor = answer["page"][name].as_str().map(str::to_owned);
            Paging { limit: 2, cursor }.request(&cursors(1), &"list").unwrap()
        };
        let (next, previous) = (follow("nextCursor"), follow("prevCursor"));
        assert_eq!(next, PageRequest { limit: 2, after: Some(key(4)), before: None });
        assert_eq!(previous, PageRequest { limit: 2, after: None, before: Some(key(3)) });
        assert_eq!(answer["page"]["hasMore"], true);
    }

    #[test]
    fn limits_are_refused_outside_and_never_clamped() {
        for (limit, accepted) in
            [("1", true), ("100", true), ("0", false), ("101", false), ("-1", false), ("x", false)]
        {
            let query = serde_json::Map::from_iter([("limit".to_owned(), json!(limit))]);
            let read = Fields::new(query).read::<Limit>();
            assert_eq!(read.is_ok(), accepted, "{limit}");
        }
    }
}
