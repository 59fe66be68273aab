//! Pages by sort key: rows that come or go between two pages neither repeat nor hide others.
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a row stands in the order of a list: its sort value, then its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SortKey {
    /// What the list is ordered by. Times are microseconds since 1970, UTC.
    pub value: SortValue,
    /// Decides between equal values.
    pub id: Uuid,
}

/// The value a list is ordered by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SortValue {
    /// A count or a time.
    Number(i64),
    /// A name.
    Text(String),
}

impl SortValue {
    /// The number; 0 for text, which only a forged cursor can hold in its place.
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Text(_) => 0,
        }
    }

    /// The text; empty for numbers.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(_) => "",
        }
    }
}

/// Which part of a list is wanted. Give `after`, `before` or neither (the beginning).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PageRequest {
    /// Most rows.
    pub limit: u32,
    /// Rows behind this one.
    pub after: Option<SortKey>,
    /// The last rows before this one. Loses against `after`.
    pub before: Option<SortKey>,
}

impl PageRequest {
    /// The beginning of the list.
    #[must_use]
    pub fn first(limit: u32) -> Self {
        Self { limit, after: None, before: None }
    }

    /// Rows to read: one more than wanted tells whether there are more.
    pub(crate) fn fetch(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Whether the rows are read against the order of the list.
    pub(crate) fn is_backward(&self) -> bool {
        self.after.is_none() && self.before.is_some()
    }

    /// The row to start from.
    pub(crate) fn anchor(&self) -> Option<&SortKey> {
        self.after.as_ref().or(self.before.as_ref())
    }
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// In the order of the list.
    pub rows: Vec<T>,
    /// Give this as `after` for the next page; `None` at the end.
    pub next: Option<SortKey>,
    /// Give this as `before` for the previous page; `None` at the beginning.
    pub previous: Option<SortKey>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), next: None, previous: None }
    }
}

impl<T> Page<T> {
    /// Takes the rows as they were read, up to one more than wanted, in reading order.
    pub(crate) fn build(
        mut rows: Vec<T>,
        request: &PageRequest,
        key: impl Fn(&T) -> SortKey,
    ) -> Self {
        let wanted = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let backward = request.is_backward();
        if backward {
            rows.reverse();
        }
        // We came from somewhere: the row we came from is on that side.
        let came = request.anchor().is_some();
        let (has_next, has_previous) = if backward { (came, more) } else { (more, came) };
        let next = if has_next { rows.last().map(&key) } else { None };
        let previous = if has_previous { rows.first().map(&key) } else { None };
        Self { rows, next, previous }
    }

    /// The same page with other rows.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            rows: self.rows.into_iter().map(f).collect(),
            next: self.next,
            previous: self.previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape of a key function")]
    fn key(n: &i64) -> SortKey {
        SortKey { value: SortValue::Number(*n), id: Uuid::nil() }
    }

    #[test]
    fn one_row_too_many_means_that_there_are_more() {
        let page = Page::build(vec![1, 2, 3], &PageRequest::first(2), key);
        assert_eq!(page, Page { rows: vec![1, 2], next: Some(key(&2)), previous: None });

        let after = PageRequest { limit: 2, after: Some(key(&2)), before: None };
        let page = Page::build(vec![3, 4], &after, key);
        assert_eq!(page, Page { rows: vec![3, 4], next: None, previous: Some(key(&3)) });
    }

    #[test]
    fn a_page_read_backward_is_in_the_order_of_the_list() {
        let before = PageRequest { limit: 2, after: None, before: Some(key(&5)) };
        let page = Page::build(vec![4, 3, 2], &before, key);
        assert_eq!(page, Page { rows: vec![3, 4], next: Some(key(&4)), previous: Some(key(&3)) });
    }

    #[test]
    fn sort_keys_are_stored_as_plain_values() {
        let json = serde_json::to_value(key(&7)).unwrap();
        assert_eq!(json["value"], 7);
        assert_eq!(serde_json::from_value::<SortKey>(json).unwrap(), key(&7));
    }
}
