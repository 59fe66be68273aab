//! Changes of collections in MongoDB.
use std::collections::BTreeMap;

use bson::{Bson, Document};

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
        /// The changed fields. A name with dots is a path into the document.
        fields: Document,
    },
    /// Somebody has read what was said to them in one place, up to a number. Documents that come to be
    /// later than this change, for they may arrive in any order, are read as well.
    Read {
        /// Where.
        place: String,
        /// Who.
        reader: String,
        /// The last number.
        seq: i64,
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
            DocumentChange::Read { .. } => continue,
        };
        if let Some(folded) = places.get(&id).and_then(|place| documents.get_mut(*place)) {
            folded.position = position;
            if whole {
                folded.whole = true;
                folded.fields = fields;
            } else {
                for (path, value) in fields {
                    set(&mut folded.fields, folded.whole, path, value);
                }
            }
        } else {
            places.insert(id.clone(), documents.len());
            documents.push(FoldedDocument { id, position, whole, fields });
        }
    }
    documents
}

/// How far each person has read in each place: place, person, number.
pub(crate) fn fold_reads(changes: &[(i64, DocumentChange)]) -> BTreeMap<(String, String), i64> {
    let mut reads = BTreeMap::new();
    for (_, change) in changes {
        let DocumentChange::Read { place, reader, seq } = change else { continue };
        let furthest = reads.entry((place.clone(), reader.clone())).or_insert(*seq);
        *furthest = (*seq).max(*furthest);
    }
    reads
}

/// Sets what is at a path. One change may name neither a path twice nor a path and what is above it.
fn set(fields: &mut Document, whole: bool, path: String, value: Bson) {
    if let Some((above, below)) = path.split_once('.')
        && (whole || fields.contains_key(above))
    {
        let above = fields.entry(above.to_owned()).or_insert_with(|| Document::new().into());
        if let Bson::Document(above) = above {
            set(above, true, below.to_owned(), value);
        }
        return;
    }
    let below = format!("{path}.");
    let replaced: Vec<_> = fields.keys().filter(|key| key.starts_with(&below)).cloned().collect();
    for key in replaced {
        fields.remove(key);
    }
    fields.insert(path, value);
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

    #[test]
    fn of_what_somebody_read_the_furthest_counts() {
        let read = |reader: &str, seq| {
            (7, DocumentChange::Read { place: "c".into(), reader: reader.into(), seq })
        };
        let changes = [read("ana", 4), read("ben", 1), read("ana", 9), read("ana", 5)];
        let of = |reader: &str| ("c".to_owned(), reader.to_owned());
        assert_eq!(fold_reads(&changes), BTreeMap::from([(of("ana"), 9), (of("ben"), 1)]));
        assert!(fold_documents(changes).is_empty());
    }

    fn fields_after(changes: Vec<DocumentChange>) -> Document {
        fold_documents((1..).zip(changes)).remove(0).fields
    }

    #[test]
    fn a_path_leads_into_a_whole_document() {
        let put = DocumentChange::Put { id: "x".into(), fields: doc! {"a": 1} };
        let set = |fields| DocumentChange::Set { id: "x".into(), fields };
        let after = fields_after(vec![put, set(doc! {"b.c.d": 1}), set(doc! {"b.e": 2})]);
        assert_eq!(after, doc! {"a": 1, "b": {"c": {"d": 1}, "e": 2}});
    }

    #[test]
    fn a_change_names_no_path_and_what_is_above_it() {
        let set = |fields| DocumentChange::Set { id: "x".into(), fields };
        let parts = vec![set(doc! {"b.c": 1, "ba": 1}), set(doc! {"b.d": 2})];
        assert_eq!(fields_after(parts.clone()), doc! {"b.c": 1, "ba": 1, "b.d": 2});
        let mut emptied = parts;
        emptied.push(set(doc! {"b": {}}));
        assert_eq!(fields_after(emptied.clone()), doc! {"ba": 1, "b": {}});
        emptied.push(set(doc! {"b.c": 3}));
        assert_eq!(fields_after(emptied), doc! {"ba": 1, "b": {"c": 3}});
    }
}
