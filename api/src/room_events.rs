//! The events of rooms as sockets hear them, for clients without one.
use async_trait::async_trait;
use commands::{BoxError, CommandError};
use domain::{RoomId, UserId};
use serde_json::Value;

use crate::{problem::Problem, problems};

/// Tells the events of a room after a number, written out exactly as for sockets.
#[async_trait]
pub trait RoomEvents: Send + Sync + 'static {
    /// `{events, lastSeq, hasMore}`, with at most `limit` events.
    ///
    /// # Errors
    /// [`EventsError`], as its variants say.
    async fn after(
        &self,
        reader: UserId,
        room_id: RoomId,
        after: i64,
        limit: i64,
    ) -> Result<Value, EventsError>;
}

/// Why events are not told.
#[derive(Debug)]
pub enum EventsError {
    /// The reader may not have them.
    Refused(CommandError),
    /// There are no such events, or too many.
    ResyncRequired,
    /// They cannot be read now.
    Unavailable(BoxError),
}

impl From<EventsError> for Problem {
    fn from(error: EventsError) -> Self {
        match error {
            EventsError::Refused(error) => error.into(),
            EventsError::ResyncRequired => {
                Self::new(&problems::RESYNC_REQUIRED).detail("read the messages of the room anew")
            }
            EventsError::Unavailable(source) => CommandError::Unavailable(source).into(),
        }
    }
}
