//! Changes of collections in MongoDB.
use std::collections::BTreeMap;

use bson::Document;

/// A change of one document. The writer adds `pos`, the log position it comes from: a change meets
/// only documents with a lower one. Documents are never removed, so that a writer that was asleep
/// cannot bring one back.
#[derive(Clone, Debug, PartialEq)]
pub enum DocumentChange {
    /// The whole document.
    Put {
        /// `_id`.
        id: String,
        /// Every other field.
        fields: Document,
    },
    /// Some fields of a document that exists. Where it does not, nothing happens.
    Set {
        /// `_id`.
        id: String,
        /// The changed fields.
        fields: Document,
    },
}

/// What remains of all changes of one document in a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FoldedDocument {
    /// `_id`.
    pub(crate) id: String,
    /// The position of the last change.
    pub(crate) position: i64,
    /// Whether `fields` are all there are.
    pub(crate) whole: bool,
    /// The fields to write, without `_id` and `pos`.
    pub(crate) fields: Document,
}

/// Folds changes in order into one per document, in the order of their first change.
pub(crate) fn fold_documents(
    changes: impl IntoIterator<Item = (i64, DocumentChange)>,
) -> Vec<FoldedDocument> {
    let mut documents: Vec<FoldedDocument> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (position, change) in changes {
        let (id, fields, whole) = match change {
            DocumentChange::Put { id, fields } => (id, fields, true),
            DocumentChange::Set { id, fields } => (id, fields, false),
        };
        if let Some(folded) = places.get(&id).and_then(|place| documents.get_mut(*place)) {
            folded.position = position;
            if whole {
                folded.whole = true;
                folded.fields = fields;
            } else {
                folded.fields.extend(fields);
            }
        } else {
            places.insert(id.clone(), documents.len());
            documents.push(FoldedDocument { id, position, whole, fields });
        }
    }
    documents
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn a_batch_becomes_one_write_per_document_with_the_last_position() {
        let put = |id: &str| DocumentChange::Put { id: id.into(), fields: doc! {"a": 1, "b": 1} };
        let set = |id: &str, a: i32| DocumentChange::Set { id: id.into(), fields: doc! {"a": a} };
        let folded =
            fold_documents([(5, put("x")), (6, set("y", 2)), (7, set("x", 3)), (9, set("y", 4))]);
        assert_eq!(
            folded,
            [
                FoldedDocument {
                    id: "x".into(),
                    position: 7,
                    whole: true,
                    fields: doc! {"a": 3, "b": 1}
                },
                FoldedDocument { id: "y".into(), position: 9, whole: false, fields: doc! {"a": 4} },
            ]
        );
    }
}
