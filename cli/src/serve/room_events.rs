//! The events of rooms over HTTP: from the same place as those over sockets.
use api::{EventsError, RoomEvents};
use async_trait::async_trait;
use domain::{MessagePlace, RoomId, UserId};
use realtime::{History, HistoryError};
use serde_json::Value;

/// The realtime side's history as the API sees it.
pub(super) struct Events(pub(super) History);

#[async_trait]
impl RoomEvents for Events {
    async fn after(
        &self,
        reader: UserId,
        room_id: RoomId,
        after: i64,
        limit: i64,
    ) -> Result<Value, EventsError> {
        let events = self.0.after(reader, MessagePlace::Room(room_id), after, Some(limit)).await;
        events.map_err(|error| match error {
            HistoryError::Refused(error) => EventsError::Refused(error),
            HistoryError::ResyncRequired => EventsError::ResyncRequired,
            HistoryError::Unavailable(error) => EventsError::Unavailable(error),
        })
    }
}
