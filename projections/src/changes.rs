//! Changes of read models as data, one kind per store, and how a batch of them is folded.
mod documents;
mod keys;
mod rows;

pub use documents::DocumentChange;
pub use keys::KeyChange;
pub use rows::{RowChange, Table};

pub(crate) use documents::{FoldedDocument, fold_documents, fold_reads};
pub(crate) use keys::fold_keys;
pub(crate) use rows::{Erasure, FoldedRow, fold_rows};

use serde_json::{Map, Value};

/// The fields of a `json!({…})` object.
pub(crate) fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
