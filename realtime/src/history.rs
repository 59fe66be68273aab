//! The past of rooms as clients read it: over sockets with `sync`, over HTTP, and when they resume.
//! The one place that writes out old events, so that all of them are the same everywhere.
use std::{sync::Arc, time::Duration};

use commands::{CommandError, Commands};
use domain::{AnyEvent, ConversationId, LogPosition, MessagePlace, Recorded, RoomId, UserId};
use projections::ReadModels;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    channel::{ChannelLog, LogError, Page},
    payload::{
        Counts, Now, Prepared, counts_people_of, counts_unread_of, person_of, shows_words_of,
    },
    people::People,
    present::count,
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
/// Longest wait for numbers of the moment: old events without one are better than late ones.
const PATIENCE: Duration = Duration::from_millis(500);

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

    /// Writes old events of one place out as this reader sees them today: what was taken back since is not
    /// shown, what was changed since is shown as it is now, and numbers of the moment are those of this one.
    pub(crate) async fn prepare(
        &self,
        events: &[Recorded],
        reader: UserId,
    ) -> Result<Vec<Prepared>, LogError> {
        let people = self.people.find(events.iter().filter_map(|e| person_of(&e.event))).await;
        let now = self.now(events.iter().map(|recorded| &recorded.event)).await?;
        let counts = self.counts(events.iter().map(|recorded| &recorded.event), reader).await;
        let prepared = |recorded| Prepared::new(recorded, &people, &now, &counts);
        Ok(events.iter().filter_map(prepared).collect())
    }

    /// The numbers of the moment that these events of one place tell: one look for all of them.
    async fn counts(&self, events: impl Iterator<Item = &AnyEvent>, reader: UserId) -> Counts {
        let (mut room, mut conversation) = (None, None);
        for event in events {
            room = room.or(counts_people_of(event));
            conversation = conversation.or(counts_unread_of(event));
        }
        let look_up = async {
            let mut counts = Counts::default();
            if let Some(id) = room {
                counts.online = Some(self.seen_in(id).await?);
            }
            if let Some(id) = conversation {
                counts.unread.insert(reader, self.unread_of(reader, id).await?);
            }
            Ok::<_, LogError>(counts)
        };
        match timeout(PATIENCE, look_up).await {
            Ok(Ok(counts)) => counts,
            without => {
                tracing::debug!(?without, "old events are told without numbers");
                Counts::default()
            }
        }
    }

    /// How many people others see in a live room.
    async fn seen_in(&self, room_id: RoomId) -> Result<u32, LogError> {
        let people: Vec<_> = self.commands.attendance(room_id).await?.0.present().collect();
        let invisible = self.people.read_models().presence().invisible(&people).await?;
        Ok(count(people.into_iter(), &invisible))
    }

    /// Messages of the other that the reader has not read.
    async fn unread_of(&self, reader: UserId, id: ConversationId) -> Result<i64, LogError> {
        let place = MessagePlace::Conversation(id);
        let after = self.commands.last_read(reader, place).await?;
        let reading = self.people.read_models().reading();
        Ok(reading.messages_between(reader, place, after, i64::MAX).await?)
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
            let events =
                without_gaps(place, reached, found, self.prepare(&page.events, user_id).await?);
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
