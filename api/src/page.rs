//! Lists page by page: limits and cursors.
use std::ops::RangeInclusive;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::Violation;
use hmac::{Hmac, KeyInit, Mac};
use platform::secrets::Key;
use projections::{Page, PageRequest, SortKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    extract::{Fields, integer, text},
    problem::Problem,
    problems,
};

/// Entries of a page if the client does not say.
const DEFAULT_LIMIT: u32 = 50;
/// Entries a client may ask for; anything else is refused, not clamped.
const LIMITS: RangeInclusive<u32> = 1..=100;
/// Longest cursor that is looked at.
const MAX_CURSOR: usize = 2048;
const MAC_LENGTH: usize = 32;

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
    Some(fields.optional("limit", integer(LIMITS))?.unwrap_or(DEFAULT_LIMIT))
}

/// Makes and reads cursors: base64url of an HMAC-SHA-256 and the JSON it covers. What is in a
/// cursor is ours to change: clients get it and give it back, no more.
#[derive(Clone)]
pub(crate) struct Cursors {
    mac: Hmac<Sha256>,
}

#[derive(Serialize, Deserialize)]
struct Content<K> {
    /// Where the page before ended.
    key: K,
    /// Of which list.
    list: String,
}

impl Cursors {
    pub(crate) fn new(key: &Key) -> Self {
        let Ok(mac) = Hmac::new_from_slice(key.as_slice()) else {
            unreachable!("HMAC takes keys of any length")
        };
        Self { mac }
    }

    /// The cursor behind `key` in the list that `list` names: the route and every filter.
    pub(crate) fn encode<K: Serialize>(&self, key: &K, list: &impl Serialize) -> String {
        let content = Content { key, list: fingerprint(list) };
        let content = serde_json::to_vec(&content).unwrap_or_default(); // plain data: cannot fail
        let mut bytes = self.sign(&content).to_vec();
        bytes.extend(content);
        URL_SAFE_NO_PAD.encode(bytes)
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
        let (mac, content) = bytes.split_at_checked(MAC_LENGTH).ok_or_else(invalid)?;
        let mut expected = self.mac.clone();
        expected.update(content);
        expected.verify_slice(mac).map_err(|_| invalid())?;
        let content: Content<K> = serde_json::from_slice(content).map_err(|_| invalid())?;
        if content.list == fingerprint(list) { Ok(Some(content.key)) } else { Err(invalid()) }
    }

    fn sign(&self, content: &[u8]) -> [u8; MAC_LENGTH] {
        let mut mac = self.mac.clone();
        mac.update(content);
        mac.finalize().into_bytes().into()
    }
}

/// Enough of a hash to tell lists apart; nobody can choose it, the MAC sees to that.
fn fingerprint(list: &impl Serialize) -> String {
    let list = serde_json::to_vec(list).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(&Sha256::digest(list)[..12])
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
