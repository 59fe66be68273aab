//! MongoDB: every document carries the position it was last changed by, and a change meets only
//! documents with a lower one; `isRead` apart, which only ever becomes true (`receipts`). No transaction
//! is needed, so any deployment will do.
//!
//! The collection's own checkpoint is one document beside it, written after the data. It also names
//! one stored document: documents are never removed, so when that one is gone the collection was
//! emptied, and the checkpoint is worth nothing.
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use bson::{Bson, Document, doc};
use domain::UserId;
use futures::TryStreamExt;
use mongodb::options::IndexOptions;
use mongodb::{Collection, Database, IndexModel};
use serde_json::Value;

use super::{Sink, WriteError};
use crate::changes::{DocumentChange, FoldedDocument, fold_documents, fold_reads};
use crate::checkpoints::{Checkpoints, Step};
use crate::messages::Layout;
use crate::names;

mod receipts;

use receipts::Receipts;

/// The field with who said it.
const SENDER: &str = "senderId";
/// The collection of checkpoints.
const CHECKPOINTS: &str = "projection_checkpoints";
/// Says in a checkpoint that its collection was found emptied.
const EMPTIED: &str = "emptied";
/// Documents in one command: far below the server's limits on number and size.
const CHUNK: usize = 250;
/// The server's code for a value that a unique index has already.
const DUPLICATE_KEY: i32 = 11000;
/// Codes that speak of the values: `BadValue`, `FailedToParse`, `TypeMismatch`, field names,
/// validation, size, index key size (`src/mongo/base/error_codes.yml` of MongoDB).
const REFUSALS: &[i32] = &[2, 9, 14, 52, 57, 121, 10334, 17280, 17419, 17420];

/// The collection of one version of a read model.
pub(crate) struct MongodbSink {
    database: Database,
    name: String,
    layout: Layout,
    /// Of collections whose documents say that they were read.
    receipts: Option<Receipts>,
    has_index: AtomicBool,
    checkpoint_id: String,
    witness: Mutex<Option<String>>,
    checkpoints: Checkpoints,
}

impl MongodbSink {
    pub(crate) fn new(database: Database, layout: Layout, checkpoints: Checkpoints) -> Self {
        let Checkpoints { name, version, .. } = &checkpoints;
        let stored = names::stored(name, *version);
        Self {
            receipts: layout
                .has_recipients
                .then(|| Receipts::new(&database, &stored, layout.place)),
            database,
            name: stored,
            layout,
            has_index: AtomicBool::new(false),
            checkpoint_id: format!("{name}:{version}"),
            witness: Mutex::default(),
            checkpoints,
        }
    }

    fn collection(&self) -> Collection<Document> {
        self.database.collection(&self.name)
    }

    async fn make_indexes(&self) -> Result<(), WriteError> {
        let Layout { place, index, .. } = self.layout;
        let options = IndexOptions::builder().unique(true).name(index.to_owned()).build();
        let keys = doc! {place: 1, "seq": 1};
        let index = IndexModel::builder().keys(keys).options(options).build();
        self.collection().create_index(index).await?;
        self.make_index_by_sender().await
    }

    /// What somebody said is found by it: for copies, and to put it out.
    async fn make_index_by_sender(&self) -> Result<(), WriteError> {
        let index = IndexModel::builder().keys(doc! {SENDER: 1, "_id": 1}).build();
        self.collection().create_index(index).await?;
        Ok(())
    }

    fn mirrors(&self) -> Collection<Document> {
        self.database.collection(CHECKPOINTS)
    }

    fn set_witness(&self, witness: Option<String>) {
        *self.witness.lock().unwrap_or_else(PoisonError::into_inner) = witness;
    }

    fn has_witness(&self) -> bool {
        self.witness.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Inserts whole documents. Answers those that are there already.
    async fn insert<'a>(
        &self,
        whole: &'a [FoldedDocument],
    ) -> Result<Vec<&'a FoldedDocument>, WriteError> {
        let documents: Vec<Document> = whole
            .iter()
            .map(|folded| {
                let mut document = doc! {"_id": &folded.id};
                document.extend(folded.fields.clone());
                document.insert("pos", folded.position);
                document
            })
            .collect();
        let command = doc! {
            "insert": &self.name, "documents": documents, "ordered": false,
            "writeConcern": {"w": "majority"},
        };
        let mut there = Vec::new();
        for (index, code) in run(&self.database, command).await? {
            match whole.get(index) {
                Some(folded) if code == DUPLICATE_KEY => there.push(folded),
                _ => return Err(by_code(code)),
            }
        }
        Ok(there)
    }

    /// Changes documents that have a lower position, and none else.
    async fn update(&self, changed: &[&FoldedDocument]) -> Result<(), WriteError> {
        let updates: Vec<Document> = changed
            .iter()
            .map(|folded| {
                let mut fields = folded.fields.clone();
                // What was read stays so: only a new document begins unread.
                fields.remove("isRead");
                fields.insert("pos", folded.position);
                doc! {
                    "q": {"_id": &folded.id, "pos": {"$lt": folded.position}},
                    "u": {"$set": fields},
                }
            })
            .collect();
        update_all(&self.database, &self.name, updates).await
    }

    /// Documents that could not be inserted must be there; otherwise another one has their place in
    /// the unique index.
    async fn require(&self, there: &[&FoldedDocument]) -> Result<(), WriteError> {
        let ids: Vec<&str> = there.iter().map(|folded| folded.id.as_str()).collect();
        let mut cursor =
            self.collection().find(doc! {"_id": {"$in": &ids}}).projection(doc! {"_id": 1}).await?;
        let mut found = HashSet::new();
        while let Some(document) = cursor.try_next().await? {
            found.extend(document.get_str("_id").ok().map(str::to_owned));
        }
        if ids.iter().all(|id| found.contains(*id)) {
            Ok(())
        } else {
            Err(WriteError::Refused(format!("code {DUPLICATE_KEY}, index {}", self.layout.index)))
        }
    }

    async fn write_documents(&self, folded: &[FoldedDocument]) -> Result<(), WriteError> {
        let (whole, parts): (Vec<_>, Vec<_>) = folded.iter().cloned().partition(|f| f.whole);
        for chunk in whole.chunks(CHUNK) {
            let there = self.insert(chunk).await?;
            if !there.is_empty() {
                self.require(&there).await?;
                self.update(&there).await?;
            }
        }
        let parts: Vec<&FoldedDocument> = parts.iter().collect();
        for chunk in parts.chunks(CHUNK) {
            self.update(chunk).await?;
        }
        Ok(())
    }

    /// Puts out what people said who were forgotten. Positions stay: what others did to these messages
    /// meanwhile is still to come.
    async fn erase(&self, people: &[UserId]) -> Result<(), WriteError> {
        if people.is_empty() {
            return Ok(());
        }
        // A rebuild has none yet, and would look through everything for each of them.
        self.make_index_by_sender().await?;
        let people: Vec<_> = people.iter().map(ToString::to_string).collect();
        let update = doc! {
            "q": {SENDER: {"$in": people}}, "u": {"$set": {"senderName": null, "content": null}},
            "multi": true,
        };
        update_all(&self.database, &self.name, vec![update]).await
    }

    /// After the collection was emptied: what was read of the older history says nothing of the next.
    async fn begin_anew(&self) -> Result<(), WriteError> {
        self.has_index.store(false, Ordering::Release);
        if let Some(receipts) = &self.receipts {
            receipts.destroy().await?;
        }
        let emptied = doc! {"_id": &self.checkpoint_id, EMPTIED: true};
        self.mirrors().delete_one(emptied).await?;
        Ok(())
    }

    /// Moves the collection's own checkpoint, if it is where we left it.
    async fn advance(&self, step: &Step, witness: Option<&str>) -> Result<(), WriteError> {
        let mut filter = doc! {"_id": &self.checkpoint_id};
        let mut fields = Document::new();
        for moved in &step.moves {
            filter.insert(field(moved.partition), moved.mirror);
            fields.insert(field(moved.partition), moved.to);
        }
        if let Some(witness) = witness {
            fields.insert("witness", witness);
        }
        let updated = self.mirrors().update_one(filter, doc! {"$set": fields}).await?;
        if updated.matched_count == 1 { Ok(()) } else { Err(WriteError::Moved) }
    }
}

impl Sink<DocumentChange> for MongodbSink {
    async fn prepare(&self) -> Result<(), WriteError> {
        let mirror = self.mirrors().find_one(doc! {"_id": &self.checkpoint_id}).await?;
        let witness =
            mirror.as_ref().and_then(|m| m.get_str("witness").ok()).map(ToOwned::to_owned);
        if let Some(id) = &witness
            && self
                .collection()
                .find_one(doc! {"_id": id})
                .projection(doc! {"_id": 1})
                .await?
                .is_none()
        {
            // One of several workers begins anew, and the others wait until it has.
            let gone = doc! {"_id": &self.checkpoint_id, "witness": id};
            let claim = doc! {"$set": {EMPTIED: true}, "$unset": {"witness": 1}};
            if self.mirrors().update_one(gone, claim).await?.matched_count == 1 {
                self.begin_anew().await?;
            }
            self.set_witness(None);
        } else {
            // Who claimed it may have died.
            if mirror.is_some_and(|mirror| mirror.get_bool(EMPTIED).unwrap_or(false)) {
                self.begin_anew().await?;
            }
            self.set_witness(witness);
        }
        // What somebody read is found by it. Made once: this is asked every second.
        if self.receipts.is_some() && !self.has_index.swap(true, Ordering::AcqRel) {
            self.make_indexes()
                .await
                .inspect_err(|_| self.has_index.store(false, Ordering::Release))?;
        }
        Ok(())
    }

    async fn prepare_for_readers(&self) -> Result<(), WriteError> {
        self.make_indexes().await
    }

    async fn mirror(&self, partitions: &[u16]) -> Result<Option<BTreeMap<u16, i64>>, WriteError> {
        let id = doc! {"_id": &self.checkpoint_id};
        let mirror = self.mirrors().find_one(id.clone()).await?.unwrap_or_default();
        let at = |p: &u16| Some((*p, mirror.get_i64(field(*p)).ok()?));
        let there: BTreeMap<u16, i64> = partitions.iter().filter_map(at).collect();
        if there.len() == partitions.len() {
            return Ok(Some(there));
        }
        // Makes what is missing, so that the compare-and-set finds something to compare.
        let zeros: Document = partitions.iter().map(|p| (field(*p), Bson::Int64(0))).collect();
        self.mirrors().update_one(id, doc! {"$max": zeros}).upsert(true).await?;
        let at = |p: &u16| (*p, there.get(p).copied().unwrap_or(0));
        Ok(Some(partitions.iter().map(at).collect()))
    }

    async fn write(
        &self,
        changes: Vec<(i64, DocumentChange)>,
        step: &Step,
    ) -> Result<(), WriteError> {
        let reads = fold_reads(&changes);
        let folded = fold_documents(changes);
        self.write_documents(&folded).await?;
        self.erase(&step.erase).await?;
        if let Some(receipts) = &self.receipts {
            receipts.mark_read(&reads).await?;
            receipts.catch_up(&folded).await?;
        }
        platform::crash_point!("projection.after_write");
        let fresh = folded.iter().find(|f| f.whole && !self.has_witness()).map(|f| f.id.as_str());
        self.advance(step, fresh).await?;
        if let Some(fresh) = fresh {
            self.set_witness(Some(fresh.to_owned()));
        }
        self.checkpoints.commit_alone(step).await
    }

    async fn dump(&self) -> Result<BTreeMap<String, Value>, WriteError> {
        let mut dump = dump(&self.collection()).await?;
        if let Some(receipts) = &self.receipts {
            dump.extend(receipts.dump().await?);
        }
        Ok(dump)
    }

    async fn destroy(&self) -> Result<(), WriteError> {
        // The checkpoint first: should we die in between, the rest is written anew.
        self.mirrors().delete_one(doc! {"_id": &self.checkpoint_id}).await?;
        self.set_witness(None);
        self.collection().drop().await?;
        if let Some(receipts) = &self.receipts {
            receipts.destroy().await?;
        }
        let mut postgres = self.checkpoints.pool.acquire().await?;
        Ok(self.checkpoints.forget(&mut postgres).await?)
    }
}

/// Changes documents of a collection.
async fn update_all(
    database: &Database,
    collection: &str,
    updates: Vec<Document>,
) -> Result<(), WriteError> {
    let command = doc! {
        "update": collection, "updates": updates, "ordered": false,
        "writeConcern": {"w": "majority"},
    };
    match run(database, command).await?.first() {
        None => Ok(()),
        Some((_, code)) => Err(by_code(*code)),
    }
}

/// Everything that is stored in a collection.
async fn dump(collection: &Collection<Document>) -> Result<BTreeMap<String, Value>, WriteError> {
    let mut cursor = collection.find(doc! {}).await?;
    let mut dump = BTreeMap::new();
    while let Some(document) = cursor.try_next().await? {
        let id = document.get_str("_id").unwrap_or_default().to_owned();
        dump.insert(id, Bson::Document(document).into_relaxed_extjson());
    }
    Ok(dump)
}

/// Runs an `insert` or `update` command and answers what was wrong with single documents. The
/// commands are older than every server we may meet; the client's own bulk write needs 8.0.
async fn run(database: &Database, command: Document) -> Result<Vec<(usize, i32)>, WriteError> {
    let answer = database.run_command(command).await?;
    if let Ok(concern) = answer.get_document("writeConcernError") {
        let code = concern.get_i32("code").unwrap_or(0);
        return Err(WriteError::failed(format!("write concern failed, code {code}")));
    }
    let errors = answer.get_array("writeErrors").cloned().unwrap_or_default();
    let single = |error: &Bson| {
        let error = error.as_document()?;
        let index = integer(error.get("index")?)?;
        Some((usize::try_from(index).ok()?, i32::try_from(integer(error.get("code")?)?).ok()?))
    };
    errors
        .iter()
        .map(|error| single(error).ok_or_else(|| WriteError::failed("unreadable write error")))
        .collect()
}

fn field(partition: u16) -> String {
    format!("p{partition:02}")
}

fn integer(number: &Bson) -> Option<i64> {
    match number {
        Bson::Int32(n) => Some((*n).into()),
        Bson::Int64(n) => Some(*n),
        _ => None,
    }
}

fn by_code(code: i32) -> WriteError {
    let reason = format!("MongoDB refused a document, code {code}");
    if REFUSALS.contains(&code) { WriteError::Refused(reason) } else { WriteError::failed(reason) }
}

impl From<mongodb::error::Error> for WriteError {
    fn from(error: mongodb::error::Error) -> Self {
        use mongodb::error::ErrorKind;
        match error.kind.as_ref() {
            ErrorKind::Command(command) if REFUSALS.contains(&command.code) => {
                by_code(command.code)
            }
            ErrorKind::BsonSerialization(_) | ErrorKind::Bson(_) => {
                Self::Refused("the document cannot be encoded".into())
            }
            _ => Self::failed(error),
        }
    }
}
