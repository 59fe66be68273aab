//! Direct messages on their way to the sockets of both, on every node.
use std::{sync::Arc, time::Duration};

use domain::{ConversationEvent, ConversationId, MessagePlace, Recorded, UserId};
use serde_json::{Value, json};

use crate::{
    connection::Connection,
    handshake::ResumeConversation,
    inbound::Status,
    node::Node,
    payload::{Now, Prepared},
    replay::Ended,
    reply::Refusal,
    rooms::Stream,
};

/// Longest wait for the number of unread messages: a message is told without it, then.
const PATIENCE: Duration = Duration::from_millis(200);

/// A conversation that a client is being brought up to date with.
pub(crate) struct ResumedConversation {
    stream: Arc<Stream>,
    after: i64,
    head: i64,
    status: Status,
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
        if !self.hears(event) {
            return;
        }
        let (id, _) = event.place_and_time();
        let unread = match *event {
            ConversationEvent::DirectMessageSent { recipient_id, .. } => {
                self.unread_before(recipient_id, id, seq).await.map(|unread| unread + 1)
            }
            _ => None,
        };
        let people = std::collections::HashMap::new();
        let prepared = Prepared::with_unread(recorded, &people, now, unread).map(Arc::new);
        let Some(prepared) = prepared else { return };
        let sockets = event.participants().into_iter().flat_map(|it| self.connections.of_user(it));
        let streams = sockets.filter_map(|connection| connection.conversation(id, seq));
        self.deliver(&prepared, streams.collect());
    }

    /// Messages of the other that the person has not read, before this one; as far as is known now.
    async fn unread_before(&self, user_id: UserId, id: ConversationId, seq: i64) -> Option<i64> {
        if self.connections.of_user(user_id).is_empty() {
            return None;
        }
        let count = async {
            let models = &self.read_models;
            let read = models.conversations().read_by(user_id, &[id]).await?;
            let after = read.get(&id).copied().unwrap_or(0);
            models.message_search().unread_between(user_id, id.0, after, seq).await
        };
        match tokio::time::timeout(PATIENCE, count).await {
            Ok(Ok(count)) => Some(count),
            Ok(Err(error)) => {
                tracing::debug!(error = %error, "unread messages cannot be counted");
                None
            }
            Err(_) => None,
        }
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
