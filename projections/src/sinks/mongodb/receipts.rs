//! `isRead` of documents that were said to somebody. How far somebody has read and what was said come
//! from two aggregates, so either may arrive first. How far each person has read is kept in a collection
//! beside the documents (`_id` is `<place>:<reader>`): who reads marks the documents that are there, and a
//! document that comes to be looks there. Both write first what the other looks at, so one of them sees
//! the other. A document that was read stays so.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bson::{Document, doc};
use futures::TryStreamExt;
use mongodb::{Collection, Database};
use serde_json::Value;

use super::{CHUNK, dump, update_all};
use crate::changes::FoldedDocument;
use crate::sinks::WriteError;

/// How far people have read, beside one collection of documents.
pub(super) struct Receipts {
    database: Database,
    documents: String,
    name: String,
    /// The field of the documents that says where they were said.
    place: &'static str,
}

impl Receipts {
    pub(super) fn new(database: &Database, documents: &str, place: &'static str) -> Self {
        let (database, name) = (database.clone(), format!("{documents}_receipts"));
        Self { database, documents: documents.to_owned(), name, place }
    }

    fn collection(&self) -> Collection<Document> {
        self.database.collection(&self.name)
    }

    /// Takes note of how far people have read, and marks what is there.
    pub(super) async fn mark_read(
        &self,
        reads: &BTreeMap<(String, String), i64>,
    ) -> Result<(), WriteError> {
        let reads: Vec<_> = reads.iter().collect();
        for chunk in reads.chunks(CHUNK) {
            let noted = chunk.iter().map(|((place, reader), seq)| {
                doc! {
                    "q": {"_id": key(place, reader)}, "u": {"$max": {"seq": **seq}}, "upsert": true,
                }
            });
            self.update(&self.name, noted.collect()).await?;
            // What was marked before need not be looked at: what came since has looked here.
            let keys = chunk.iter().map(|((place, reader), _)| key(place, reader));
            let marked = self.numbers(keys.collect(), "marked").await?;
            let read = chunk.iter().map(|((place, reader), seq)| {
                let marked = marked.get(&key(place, reader)).copied().unwrap_or(0);
                doc! {
                    "q": {
                        self.place: place, "seq": {"$gt": marked, "$lte": **seq},
                        "recipientId": reader, "isRead": false,
                    },
                    "u": {"$set": {"isRead": true}},
                    "multi": true,
                }
            });
            self.update(&self.documents, read.collect()).await?;
            let marked = chunk.iter().map(|((place, reader), seq)| {
                doc! {"q": {"_id": key(place, reader)}, "u": {"$max": {"marked": **seq}}}
            });
            self.update(&self.name, marked.collect()).await?;
        }
        Ok(())
    }

    /// Marks those of these documents that their recipients had read before they came to be here.
    pub(super) async fn catch_up(&self, written: &[FoldedDocument]) -> Result<(), WriteError> {
        let said = |folded: &FoldedDocument| {
            let place = folded.fields.get_str(self.place).ok()?;
            let reader = folded.fields.get_str("recipientId").ok()?;
            Some((folded.id.clone(), key(place, reader), folded.fields.get_i64("seq").ok()?))
        };
        let said: Vec<_> = written.iter().filter(|folded| folded.whole).filter_map(said).collect();
        for chunk in said.chunks(CHUNK) {
            let keys: BTreeSet<_> = chunk.iter().map(|(_, key, _)| key.clone()).collect();
            let read = self.numbers(keys.into_iter().collect(), "seq").await?;
            let read = chunk.iter().filter(|(_, key, seq)| read.get(key) >= Some(seq));
            let read = read.map(|(id, ..)| {
                doc! {"q": {"_id": id, "isRead": false}, "u": {"$set": {"isRead": true}}}
            });
            self.update(&self.documents, read.collect()).await?;
        }
        Ok(())
    }

    /// One of the numbers of these, where there is one.
    async fn numbers(
        &self,
        keys: Vec<String>,
        field: &str,
    ) -> Result<HashMap<String, i64>, WriteError> {
        let filter = doc! {"_id": {"$in": keys}, field: {"$exists": true}};
        let mut cursor = self.collection().find(filter).await?;
        let mut numbers = HashMap::new();
        while let Some(found) = cursor.try_next().await? {
            if let (Ok(id), Ok(number)) = (found.get_str("_id"), found.get_i64(field)) {
                numbers.insert(id.to_owned(), number);
            }
        }
        Ok(numbers)
    }

    async fn update(&self, collection: &str, updates: Vec<Document>) -> Result<(), WriteError> {
        if updates.is_empty() {
            return Ok(());
        }
        update_all(&self.database, collection, updates).await
    }

    /// Everything that is stored here.
    pub(super) async fn dump(&self) -> Result<BTreeMap<String, Value>, WriteError> {
        dump(&self.collection()).await
    }

    pub(super) async fn destroy(&self) -> Result<(), WriteError> {
        Ok(self.collection().drop().await?)
    }
}

fn key(place: &str, reader: &str) -> String {
    format!("{place}:{reader}")
}
