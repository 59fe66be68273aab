//! A copy of what is kept of somebody, as a ZIP archive that is written while it is sent: however much
//! somebody said, a node holds a few hundred messages of it at a time.
use std::{
    collections::{BTreeSet, HashMap},
    io,
    time::Duration,
};

use async_zip::{Compression, ZipEntryBuilder, base::write::ZipFileWriter};
use axum::body::Bytes;
use domain::UserId;
use futures::{AsyncWriteExt as _, Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use projections::{MessageRow, ReadModels, SessionRow};
use serde_json::{Value, json};
use tokio::{
    io::DuplexStream,
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use tokio_util::{
    compat::{Compat, TokioAsyncWriteCompatExt as _},
    io::ReaderStream,
};

use crate::{
    ApiState,
    problem::Problem,
    problems, routes,
    views::{self, time},
};

/// Copies that one node writes at a time: each keeps the stores busy.
static PLACES: Semaphore = Semaphore::const_new(4);
/// Whose they are: nobody takes more than one place.
static OWNERS: Mutex<BTreeSet<UserId>> = Mutex::new(BTreeSet::new());
/// How long one may take. A client that reads slowly keeps its place no longer.
const LONGEST: Duration = Duration::from_mins(10);
/// Messages that are read at a time.
const PAGE: i64 = 250;
/// What waits for a slow client, bytes.
const WAITING: usize = 64 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Zip = ZipFileWriter<Compat<DuplexStream>>;

/// The archive, piece by piece. Where it cannot be completed it ends with an error: the connection
/// breaks, and nobody takes half of it for the whole.
///
/// # Errors
/// `overloaded` when too many are written already.
pub(crate) fn stream(
    state: &ApiState,
    owner: UserId,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Problem> {
    let place = Place::take(owner).ok_or_else(|| {
        Problem::new(&problems::OVERLOADED)
            .detail("too many copies, or one of this person, are being fetched right now")
    })?;
    let (theirs, ours) = tokio::io::duplex(WAITING);
    let writing = tokio::spawn(timeout(LONGEST, write(state.clone(), owner, ours, place)));
    let end = stream::once(writing).filter_map(async |outcome| match outcome {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => {
            tracing::warn!(error = &*error as &dyn std::error::Error, "an export broke off");
            Some(Err(io::Error::other("broken off")))
        }
        Ok(Err(_)) | Err(_) => Some(Err(io::Error::other("broken off"))),
    });
    Ok(ReaderStream::new(theirs).chain(end))
}

/// A place among the copies that are written.
struct Place {
    owner: UserId,
    _permit: SemaphorePermit<'static>,
}

impl Place {
    fn take(owner: UserId) -> Option<Self> {
        let permit = PLACES.try_acquire().ok()?;
        OWNERS.lock().insert(owner).then_some(Self { owner, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        OWNERS.lock().remove(&self.owner);
    }
}

async fn write(
    state: ApiState,
    owner: UserId,
    to: DuplexStream,
    _place: Place,
) -> Result<(), Failure> {
    let mut zip = ZipFileWriter::new(to.compat_write());
    let models = state.read_models();
    if let Some(row) = models.users().get(owner).await? {
        let shown = routes::self_of(&state, &row).await;
        let shown = shown.map_err(|_| "the profile cannot be shown now")?;
        whole(&mut zip, "profile.json", &shown).await?;
    }
    whole(&mut zip, "account.json", &account(&state, owner).await?).await?;
    let sessions = models.sessions().of(owner).await?;
    whole(&mut zip, "sessions.json", &sessions.iter().map(session).collect()).await?;
    whole(&mut zip, "rooms.json", &rooms(models, owner).await?).await?;
    whole(&mut zip, "contacts.json", &contacts(models, owner).await?).await?;
    whole(&mut zip, "reports.json", &reports(models, owner).await?).await?;
    said(&mut zip, models, owner, "room-messages.jsonl", true).await?;
    said(&mut zip, models, owner, "direct-messages.jsonl", false).await?;
    zip.close().await?;
    Ok(())
}

fn entry(name: &str) -> ZipEntryBuilder {
    ZipEntryBuilder::new(name.into(), Compression::Deflate)
}

async fn whole(zip: &mut Zip, name: &str, value: &Value) -> Result<(), Failure> {
    zip.write_entry_whole(entry(name), &serde_json::to_vec_pretty(value)?).await?;
    Ok(())
}

/// Everything that was recorded of the account, but for what only opens it.
async fn account(state: &ApiState, owner: UserId) -> Result<Value, Failure> {
    let events = state.commands().account_events(owner).await?;
    let mut all = Vec::new();
    for (number, event) in events {
        let mut event = serde_json::to_value(event)?;
        for fields in event.as_object_mut().into_iter().flat_map(|event| event.values_mut()) {
            if let Some(fields) = fields.as_object_mut() {
                fields.remove("passwordHash");
            }
        }
        all.push(json!({"number": number, "event": event}));
    }
    Ok(Value::Array(all))
}

fn session(row: &SessionRow) -> Value {
    json!({
        "id": row.id, "userAgent": row.user_agent, "createdAt": time(row.created_at),
        "lastRefreshedAt": row.last_refreshed_at.map(time), "expiresAt": time(row.expires_at),
        "revokedAt": row.revoked_at.map(time), "reason": row.reason,
    })
}

async fn rooms(models: &ReadModels, owner: UserId) -> Result<Value, Failure> {
    let members = models.members().rooms_of(owner).await?;
    let room = |it: &projections::MemberRow| json!({"roomId": it.room_id, "role": it.role, "joinedAt": time(it.joined_at)});
    Ok(members.iter().map(room).collect())
}

async fn contacts(models: &ReadModels, owner: UserId) -> Result<Value, Failure> {
    let blocked = models.blocks().by(owner).await?;
    let partners = models.conversations().partners(owner, i64::MAX).await?;
    Ok(json!({"blocked": blocked, "conversationsWith": partners}))
}

async fn reports(models: &ReadModels, owner: UserId) -> Result<Value, Failure> {
    let reports = models.reports().by(owner).await?;
    let report = |it: &projections::reports::ReportRow| {
        json!({
            "id": it.id, "targetType": it.target_type, "targetId": it.target_id,
            "reason": it.reason, "text": it.text, "createdAt": time(it.created_at),
        })
    };
    Ok(reports.iter().map(report).collect())
}

/// What they said, one message a line.
async fn said(
    zip: &mut Zip,
    models: &ReadModels,
    owner: UserId,
    name: &str,
    in_rooms: bool,
) -> Result<(), Failure> {
    let mut file = zip.write_entry_stream(entry(name)).await?;
    let nobody = HashMap::new();
    let mut after = None;
    loop {
        let page = models.messages().said_by(owner, in_rooms, after, PAGE).await?;
        let Some(MessageRow { id, .. }) = page.last() else { break };
        after = Some(*id);
        for message in &page {
            let mut line = serde_json::to_vec(&views::message(message, owner, &nobody))?;
            line.push(b'\n');
            file.write_all(&line).await?;
        }
    }
    file.close().await?;
    Ok(())
}
