//! Direct messages on their way to the sockets of both, on every node.
use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{ConversationEvent, LogPosition, MessagePlace, Recorded, UserId};
use projections::{ConversationRow, names::CONVERSATIONS};
use serde_json::{Value, json};

use crate::{
    channel::LogError,
    connection::Connection,
    handshake::{ResumeConversation, Resumes},
    inbound::Status,
    node::Node,
    payload::{Counts, Now, Prepared},
    replay::Ended,
    reply::Refusal,
    rooms::Stream,
};

/// Longest wait for the list of conversations to know what was told.
const LAGGING: Duration = Duration::from_secs(1);

/// A conversation that a client is being brought up to date with.
pub(crate) struct ResumedConversation {
    stream: Arc<Stream>,
    after: i64,
    head: i64,
    status: Status,
}

/// What a client wants to be told of conversations.
pub(crate) struct Wanted {
    /// Told from where the client was.
    pub(crate) resumed: Vec<ResumeConversation>,
    /// Named beyond what is told: read anew.
    pub(crate) left_out: Vec<ResumeConversation>,
    /// Why there are others to be read anew, if there are.
    pub(crate) more: Option<&'static str>,
}

impl Node {
    /// Whether any socket of this node hears of the event.
    pub(crate) fn hears(&self, event: &ConversationEvent) -> bool {
        event.participants().iter().any(|user_id| !self.connections.of_user(*user_id).is_empty())
    }

    /// Tells the sockets of both.
    pub(crate) async fn broadcast_direct(
        self: &Arc<Self>,
        recorded: &Recorded,
        event: &ConversationEvent,
        now: &Now,
    ) {
        let Some((_, seq)) = recorded.channel else { return };
        let unread = self.count_unread(event, seq).await;
        if !self.hears(event) {
            return;
        }
        let (id, _) = event.place_and_time();
        let (people, counts) = (HashMap::new(), Counts { unread, ..Counts::default() });
        let prepared = Prepared::new(recorded, &people, now, &counts).map(Arc::new);
        let Some(prepared) = prepared else { return };
        let sockets = event.participants().into_iter().flat_map(|it| self.connections.of_user(it));
        let streams = sockets.filter_map(|connection| connection.conversation(id, seq));
        self.deliver(&prepared, streams.collect());
    }

    /// What is new to each of the two, after this event, as far as anybody listens here.
    async fn count_unread(&self, event: &ConversationEvent, seq: i64) -> HashMap<UserId, i64> {
        let (id, _) = event.place_and_time();
        let mut counted = HashMap::new();
        for user_id in event.participants() {
            let listens = !self.connections.of_user(user_id).is_empty();
            match *event {
                ConversationEvent::DirectMessageSent { author_id, .. } if listens => {
                    let own = author_id == user_id;
                    if let Some(unread) = self.unread_up_to(user_id, id, seq, own).await {
                        counted.insert(user_id, unread);
                    }
                }
                ConversationEvent::DirectMessageSent { .. }
                | ConversationEvent::MessageDeleted { .. } => self.unread.forget(user_id, id),
                _ => {}
            }
        }
        counted
    }

    /// Which conversations are told from where the client was: those that it names, and those in which
    /// something came since its last connection.
    pub(crate) async fn wanted_conversations(&self, user_id: UserId, resume: &Resumes) -> Wanted {
        let most = self.settings.max_rooms_per_socket;
        let mut resumed = resume.conversations.clone();
        let left_out = resumed.split_off(most.min(resumed.len()));
        let mut wanted = Wanted { resumed, left_out, more: None };
        let Some(since) = resume.since else { return wanted };
        match self.came_since(user_id, since, resume, most).await {
            Ok((came, all)) => {
                wanted.resumed.extend(came);
                wanted.more = (!all).then_some("too_far_behind");
            }
            Err(error) => {
                tracing::warn!(error = &*error, "conversations since a cursor are not told");
                wanted.more = Some("unavailable");
            }
        }
        wanted
    }

    /// The conversations that the client does not name, with something new; and whether that is all.
    async fn came_since(
        &self,
        user_id: UserId,
        since: LogPosition,
        resume: &Resumes,
        most: usize,
    ) -> Result<(Vec<ResumeConversation>, bool), LogError> {
        let models = &self.read_models;
        models.wait(&[CONVERSATIONS], resume.entered_at, LAGGING).await?;
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let mut rows = models.conversations().liveliest(user_id, limit).await?;
        rows.retain(|row| !resume.conversations.iter().any(|it| it.conversation_id == row.id));
        let channel = |row: &ConversationRow| MessagePlace::Conversation(row.id).channel();
        let channels: Vec<_> = rows.iter().map(channel).collect();
        let known = self.history.seqs_at(&channels, since).await?;
        let news = rows.iter().zip(known).filter(|(row, after)| *after < row.last_seq);
        let mut came: Vec<_> = news
            .map(|(row, after)| ResumeConversation { conversation_id: row.id, after: Some(after) })
            .collect();
        let all = came.len() <= most;
        came.truncate(most);
        Ok((came, all))
    }

    /// Begins to tell a conversation from where the client was: first the check, then what is live
    /// waits, and only then it is asked where the conversation is.
    pub(crate) async fn resume_conversation(
        &self,
        connection: &Arc<Connection>,
        wanted: ResumeConversation,
    ) -> Result<ResumedConversation, Refusal> {
        let id = wanted.conversation_id;
        self.commands.require_participant(connection.user_id, id).await?;
        let place = MessagePlace::Conversation(id);
        let stream = Arc::new(Stream::new(place, connection));
        connection.resume_conversation(id, &stream);
        let head = match self.history.head(&place.channel()).await {
            Ok(head) => head,
            Err(error) => {
                connection.forget_conversation(id);
                tracing::error!(error = %error, "the events of a conversation cannot be read");
                return Err(Refusal::unavailable());
            }
        };
        let after = wanted.after.unwrap_or(head);
        let status = Status::of(after, head, self.settings.max_replay);
        stream.start(if status == Status::ResyncRequired { head } else { after }, head);
        Ok(ResumedConversation { stream, after, head, status })
    }

    /// Tells what was missed, and what waited meanwhile.
    pub(crate) async fn tell_missed(self: &Arc<Self>, resumed: &ResumedConversation) {
        let ResumedConversation { stream, after, head, status } = resumed;
        let MessagePlace::Conversation(id) = stream.place else { return };
        if *status == Status::ResyncRequired {
            let payload = json!({
                "conversationId": id, "reason": "too_far_behind", "fromSeq": after + 1,
                "lastSeq": head,
            });
            stream.connection.emit_volatile("resync_required", &payload);
        }
        match self.catch_up(stream).await {
            Ok(_) | Err(Ended::Gone) => {}
            Err(Ended::Slow) => self.drop_slow(&stream.connection),
            Err(Ended::Unavailable(error)) => {
                tracing::warn!(error = %error, "a conversation waits for the event log");
                self.catch_up_later(Arc::clone(stream));
            }
        }
    }
}

/// A conversation of the handshake that is not told: there are too many.
pub(crate) fn report_left_out(wanted: ResumeConversation) -> Value {
    let (id, status) = (wanted.conversation_id, Status::ResyncRequired.as_str());
    json!({ "conversationId": id, "fromSeq": null, "toSeq": null, "status": status })
}

/// How one conversation of the handshake goes on.
pub(crate) fn report(
    wanted: ResumeConversation,
    outcome: &Result<ResumedConversation, Refusal>,
) -> Value {
    let (from, to, status) = match outcome {
        Ok(resumed) if resumed.status == Status::UpToDate => {
            (Some(resumed.head + 1), Some(resumed.head), resumed.status.as_str())
        }
        Ok(resumed) => (Some(resumed.after + 1), Some(resumed.head), resumed.status.as_str()),
        Err(refusal) if refusal.retryable => (None, None, "unavailable"),
        Err(_) => (None, None, "forbidden"),
    };
    let id = wanted.conversation_id;
    json!({ "conversationId": id, "fromSeq": from, "toSeq": to, "status": status })
}
