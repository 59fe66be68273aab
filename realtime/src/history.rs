//! The past of rooms as clients read it: over sockets with `sync`, over HTTP, and when they resume.
//! The one place that writes out old events, so that all of them are the same everywhere.
use std::sync::Arc;

use commands::{CommandError, Commands};
use domain::{AnyEvent, LogPosition, MessagePlace, Recorded, UserId};
use projections::ReadModels;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use tokio::sync::Semaphore;

use crate::{
    channel::{ChannelLog, LogError, Page},
    payload::{Now, Prepared, person_of, shows_words_of},
    people::People,
};

/// Most events of one answer.
pub(crate) const MOST: i64 = 500;
/// Most bytes of one answer's events, unless the first one alone has more.
const MOST_BYTES: usize = 256 * 1024;
/// Events that are read at once.
const STEP: i64 = 100;
/// What an answer puts around each event.
const AROUND: usize = r#"{"event":"","data":},"#.len();
/// Replays that read the log at the same time, so that a herd of returning clients does not take
/// the store from everyone else.
const REPLAYS: usize = 16;

/// Reads the past of rooms. Cheap to clone.
#[derive(Clone)]
pub struct History {
    commands: Commands,
    log: Arc<dyn ChannelLog>,
    pub(crate) people: Arc<People>,
    replays: Arc<Semaphore>,
    /// How far behind a client may be.
    most_behind: i64,
}

/// Why the past is not told.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The caller may not read it.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// There are no such numbers, or too many: the client reads the room anew.
    #[error("these events cannot be had; read the room anew")]
    ResyncRequired,
    /// The log cannot be read now.
    #[error("the events of a room cannot be read")]
    Unavailable(#[source] LogError),
}

/// One event of an answer: its name, and the payload it has as a live event.
#[derive(Serialize)]
struct Missed<'a> {
    event: &'static str,
    data: &'a RawValue,
}

impl History {
    /// Reads from `log`, and names people as `read_models` does.
    #[must_use]
    pub fn new(
        commands: Commands,
        read_models: ReadModels,
        log: Arc<dyn ChannelLog>,
        most_behind: u32,
    ) -> Self {
        Self {
            commands,
            log,
            people: Arc::new(People::new(read_models)),
            replays: Arc::new(Semaphore::new(REPLAYS)),
            most_behind: most_behind.into(),
        }
    }

    /// The events of a room or conversation after a number, at most `limit`, for someone who may
    /// read them:
    /// `{events: [{event, data}], lastSeq, hasMore}`.
    ///
    /// # Errors
    /// [`HistoryError`], as its variants say.
    pub async fn after(
        &self,
        reader: UserId,
        place: MessagePlace,
        after: i64,
        limit: Option<i64>,
    ) -> Result<Value, HistoryError> {
        self.require_reader(reader, place).await?;
        platform::crash_point!("history.admitted");
        let channel = place.channel();
        let head = self.log.head(&channel).await.map_err(HistoryError::Unavailable)?;
        if head.saturating_sub(after) > self.most_behind {
            return Err(HistoryError::ResyncRequired);
        }
        let until = after.saturating_add(limit.unwrap_or(MOST));
        let missed = self.missed(place, reader, after, head, until);
        let missed = missed.await.map_err(HistoryError::Unavailable)?;
        // Who left while this was read must not get what was said since.
        self.require_reader(reader, place).await?;
        if after > head && missed.is_empty() {
            return Err(HistoryError::ResyncRequired);
        }
        let reached = missed.last().map_or(after, |last| last.seq);
        // What was recorded since `head` was read may be among them already.
        let head = head.max(reached);
        let missed: Vec<_> = missed
            .iter()
            .map(|one| Missed { event: one.event, data: one.payload_for(reader) })
            .collect();
        let events = serde_json::to_value(missed)
            .map_err(|error| HistoryError::Unavailable(error.into()))?;
        Ok(json!({ "events": events, "lastSeq": head, "hasMore": reached < head }))
    }

    async fn require_reader(
        &self,
        reader: UserId,
        place: MessagePlace,
    ) -> Result<(), CommandError> {
        match place {
            MessagePlace::Room(room_id) => {
                self.commands.require_member(reader, room_id).await.map(drop)
            }
            MessagePlace::Conversation(id) => {
                self.commands.require_participant(reader, id).await.map(drop)
            }
        }
    }

    /// A page of the log. Waits for its turn.
    pub(crate) async fn read(
        &self,
        channel: &str,
        after: i64,
        limit: i64,
    ) -> Result<Page, LogError> {
        let _permit = self.replays.acquire().await?;
        self.log.after(channel, after, limit).await
    }

    /// The newest number of a channel.
    pub(crate) async fn head(&self, channel: &str) -> Result<i64, LogError> {
        self.log.head(channel).await
    }

    /// The newest number of each channel up to a position in the whole log.
    pub(crate) async fn seqs_at(
        &self,
        channels: &[String],
        position: LogPosition,
    ) -> Result<Vec<i64>, LogError> {
        self.log.seqs_at(channels, position).await
    }

    /// Writes old events out as clients see them today: what was taken back since is not shown, and
    /// what was changed since is shown as it is now.
    pub(crate) async fn prepare(&self, events: &[Recorded]) -> Result<Vec<Prepared>, LogError> {
        let people = self.people.find(events.iter().filter_map(|e| person_of(&e.event))).await;
        let now = self.now(events.iter().map(|recorded| &recorded.event)).await?;
        Ok(events.iter().filter_map(|recorded| Prepared::new(recorded, &people, &now)).collect())
    }

    /// How the messages read now whose words these events show.
    pub(crate) async fn now(
        &self,
        events: impl Iterator<Item = &AnyEvent>,
    ) -> Result<Now, LogError> {
        let mut ids: Vec<_> = events.filter_map(shows_words_of).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() { Ok(Now::new()) } else { self.log.now(&ids).await }
    }

    /// The events from `after` to `until`, without gaps, as many as one answer takes.
    async fn missed(
        &self,
        place: MessagePlace,
        user_id: UserId,
        after: i64,
        head: i64,
        until: i64,
    ) -> Result<Vec<Prepared>, LogError> {
        let channel = place.channel();
        let (mut missed, mut bytes, mut reached) = (Vec::new(), 0, after);
        while reached < until {
            let page = self.read(&channel, reached, STEP.min(until - reached)).await?;
            // A number that was given and is not found is not readable either: a client that got
            // nothing for it would ask for ever.
            let found = if page.reached > reached { page.reached } else { head };
            let found = found.min(until);
            let events = without_gaps(place, reached, found, self.prepare(&page.events).await?);
            let sizes = events
                .iter()
                .map(|one| AROUND + one.event.len() + one.payload_for(user_id).get().len());
            let taken = fitting(sizes, &mut bytes);
            let all = taken == events.len();
            missed.extend(events.into_iter().take(taken));
            if !all || found <= reached {
                break;
            }
            reached = found;
        }
        Ok(missed)
    }
}

/// How many events of these sizes an answer takes that has `bytes` already. The very first always
/// fits: every answer brings its client on.
fn fitting(sizes: impl Iterator<Item = usize>, bytes: &mut usize) -> usize {
    let mut count = 0;
    for size in sizes {
        if *bytes > 0 && *bytes + size > MOST_BYTES {
            break;
        }
        *bytes += size;
        count += 1;
    }
    count
}

/// The events from `after` to `until`, with placeholders where the log has nothing readable.
fn without_gaps(
    place: MessagePlace,
    after: i64,
    until: i64,
    events: Vec<Prepared>,
) -> Vec<Prepared> {
    let mut whole = Vec::with_capacity(events.len());
    let mut next = after + 1;
    let placeholder = |seq| Prepared::unavailable(place, seq);
    for event in events {
        if event.seq > until {
            break;
        }
        whole.extend((next..event.seq).filter_map(placeholder));
        next = event.seq + 1;
        whole.push(event);
    }
    whole.extend((next..=until).filter_map(placeholder));
    whole
}

#[cfg(test)]
mod tests {
    use domain::RoomId;
    use uuid::Uuid;

    use super::*;

    fn numbers(after: i64, until: i64, events: &[i64]) -> Vec<i64> {
        let room = MessagePlace::Room(RoomId(Uuid::nil()));
        let events = events.iter().filter_map(|seq| Prepared::unavailable(room, *seq)).collect();
        without_gaps(room, after, until, events).iter().map(|event| event.seq).collect()
    }

    #[test]
    fn an_answer_has_no_gaps() {
        assert_eq!(numbers(2, 8, &[4, 5, 8]), [3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn unreadable_events_at_the_end_are_answered_too() {
        assert_eq!(numbers(2, 6, &[4]), [3, 4, 5, 6]);
        assert_eq!(numbers(2, 4, &[]), [3, 4]);
        assert_eq!(numbers(2, 2, &[]), [0; 0]);
    }

    #[test]
    fn an_answer_ends_where_the_client_wants_it_to() {
        assert_eq!(numbers(2, 4, &[3, 6]), [3, 4]);
    }

    #[test]
    fn an_answer_is_bounded_by_bytes() {
        let mut bytes = 0;
        assert_eq!(fitting([MOST_BYTES / 2; 3].into_iter(), &mut bytes), 2);
        assert_eq!(fitting([1].into_iter(), &mut bytes), 0);
        assert_eq!(bytes, MOST_BYTES);
    }

    #[test]
    fn an_answer_has_at_least_one_event() {
        let mut bytes = 0;
        assert_eq!(fitting([MOST_BYTES + 1, 1].into_iter(), &mut bytes), 1);
    }
}
