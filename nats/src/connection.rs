//! The connection, the names of everything in NATS, and messages that are not stored.
use std::{sync::atomic::Ordering, time::Duration};

use async_nats::{
    Client, ConnectOptions, HeaderValue,
    connection::State,
    jetstream::{
        self, Context,
        stream::{self, DiscardPolicy, RetentionPolicy, StorageType, Stream},
    },
};
use domain::LogPosition;
use eventstore::StoredRecord;
use futures::{Stream as FutureStream, StreamExt as _};
use platform::config::{Nats as NatsConfig, NatsStorage};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

/// Carries the position of a published event.
pub(crate) const POSITION: &str = "Studyhall-Position";

/// NATS did not do what was asked. Always worth another try.
#[derive(Debug, thiserror::Error)]
#[error("nats: {0}")]
pub struct NatsError(String);

impl NatsError {
    pub(crate) fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamHead {
    /// The stream's last sequence, whether its message is still there or not.
    pub sequence: u64,
    /// The position in the last message that is there; 0 without any.
    pub position: LogPosition,
    /// Messages in the stream.
    pub messages: u64,
    /// The event in the last message that is there.
    pub event_id: Option<Uuid>,
}

/// A connection with the names of this installation. Cheap to clone.
#[derive(Clone)]
pub struct Nats {
    client: Client,
    jetstream: Context,
    config: NatsConfig,
}

impl Nats {
    /// Connects, or goes on trying in the background: NATS being away is no reason not to start.
    ///
    /// # Errors
    /// [`NatsError`] for a malformed URL.
    pub async fn connect(config: &NatsConfig) -> Result<Self, NatsError> {
        let urls: Vec<&str> = config.url.expose_secret().split(',').map(str::trim).collect();
        let client = ConnectOptions::new()
            .name("studyhall")
            .retry_on_initial_connect()
            .connection_timeout(Duration::from_secs(3))
            .ping_interval(Duration::from_secs(5))
            .reconnect_delay_callback(|attempt| {
                Duration::from_millis(50 * u64::try_from(attempt.min(20)).unwrap_or(20))
            })
            .connect(urls)
            .await
            .map_err(NatsError::new)?;
        let mut jetstream = jetstream::context::ContextBuilder::new()
            .timeout(Duration::from_secs(3))
            .max_ack_inflight(config.publish_window.saturating_mul(2).max(16))
            .build(client.clone());
        jetstream.set_timeout(Duration::from_secs(3));
        Ok(Self { client, jetstream, config: config.clone() })
    }

    /// Whether the connection stands right now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// How often the connection was made: once more each time that it was lost and stands again.
    #[must_use]
    pub fn times_connected(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// The stream's name.
    #[must_use]
    pub fn stream_name(&self) -> String {
        match self.config.namespace.as_str() {
            "" => "EVENTS".to_owned(),
            namespace => format!("EVENTS_{namespace}"),
        }
    }

    /// `events.<partition>.<aggregate type>`: few subjects, because NATS keeps a state for each.
    pub(crate) fn subject_of(&self, record: &StoredRecord) -> String {
        self.subject(&format!("events.{}.{}", record.partition(), record.aggregate_type))
    }

    pub(crate) fn subject(&self, name: &str) -> String {
        match self.config.namespace.as_str() {
            "" => name.to_owned(),
            namespace => format!("{namespace}.{name}"),
        }
    }

    pub(crate) fn jetstream(&self) -> &Context {
        &self.jetstream
    }

    pub(crate) fn publish_window(&self) -> usize {
        self.config.publish_window.max(1)
    }

    /// How long the stream keeps events; `None` for ever.
    pub(crate) fn retention(&self) -> Option<Duration> {
        (self.config.max_age_hours > 0)
            .then(|| Duration::from_secs(self.config.max_age_hours.saturating_mul(3600)))
    }

    /// The stream, made if it is not there.
    pub(crate) async fn stream(&self) -> Result<Stream, NatsError> {
        let config = stream::Config {
            name: self.stream_name(),
            description: Some("Recorded events, a copy of the event store".to_owned()),
            subjects: vec![self.subject("events.>")],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            max_age: self.retention().unwrap_or_default(),
            storage: match self.config.storage {
                NatsStorage::File => StorageType::File,
                NatsStorage::Memory => StorageType::Memory,
            },
            num_replicas: self.config.replicas,
            // The expected sequence keeps copies out, so the window only costs memory.
            duplicate_window: Duration::from_secs(10),
            allow_direct: true,
            ..stream::Config::default()
        };
        self.jetstream.get_or_create_stream(config).await.map_err(NatsError::new)
    }

    /// Where the stream ends.
    ///
    /// # Errors
    /// [`NatsError`] when NATS is away.
    pub async fn head(&self) -> Result<StreamHead, NatsError> {
        let stream = self.stream().await?;
        let state = stream.get_info().await.map_err(NatsError::new)?.state;
        let mut head = StreamHead {
            sequence: state.last_sequence,
            position: LogPosition(0),
            messages: state.messages,
            event_id: None,
        };
        if state.messages == 0 {
            return Ok(head);
        }
        let last = stream
            .get_last_raw_message_by_subject(&self.subject("events.>"))
            .await
            .map_err(NatsError::new)?;
        let header = |name: &str| last.headers.get(name).map(HeaderValue::as_str);
        let position = header(POSITION).and_then(|value| value.parse().ok());
        head.position = LogPosition(
            position.ok_or_else(|| NatsError::new("the last message carries no position"))?,
        );
        head.event_id = header("Nats-Msg-Id").and_then(|value| value.parse().ok());
        Ok(head)
    }

    /// Sends something that nobody needs to hear later, e.g. `typing.room.<id>`.
    ///
    /// # Errors
    /// [`NatsError`] when the message cannot even be queued.
    pub async fn publish_volatile(&self, topic: &str, payload: Vec<u8>) -> Result<(), NatsError> {
        // Without a connection the client would keep them all until it is back.
        if !self.is_connected() {
            return Err(NatsError::new("not connected"));
        }
        let subject = self.subject(&format!("volatile.{topic}"));
        self.client.publish(subject, payload.into()).await.map_err(NatsError::new)
    }

    /// Hears what is sent under a topic: `typing` hears `typing.room.<id>`. Lasts over reconnects.
    ///
    /// # Errors
    /// [`NatsError`] when the subscription cannot even be queued.
    pub async fn subscribe_volatile(
        &self,
        topic_prefix: &str,
    ) -> Result<impl FutureStream<Item = (String, Vec<u8>)> + Send + Unpin + use<>, NatsError> {
        let base = self.subject("volatile.");
        let messages = self
            .client
            .subscribe(format!("{base}{topic_prefix}.>"))
            .await
            .map_err(NatsError::new)?;
        Ok(messages.map(move |message| {
            let subject = message.subject.as_str();
            let topic = subject.strip_prefix(base.as_str()).unwrap_or(subject).to_owned();
            (topic, message.payload.to_vec())
        }))
    }
}
