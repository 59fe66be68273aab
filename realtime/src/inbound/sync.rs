//! `sync`: the durable events after a number, as many as the client wants to take at once.
use serde_json::Value;

use super::{
    fields::{Fields, place_and_seq, whole},
    join_room::log_unavailable,
};
use crate::{
    codes,
    connection::Connection,
    history::{HistoryError, MOST},
    node::Node,
    reply::Refusal,
};

impl Node {
    pub(super) async fn sync(
        &self,
        connection: &Connection,
        data: Value,
    ) -> Result<Value, Refusal> {
        let mut fields = Fields::new(data)?;
        let behind = place_and_seq(&mut fields, "afterSeq");
        let limit = fields.optional("limit", |value| whole(value, 1, MOST));
        let (place, after) = fields.finish(behind)?;
        Ok(self.history.after(connection.user_id, place, after, limit).await?)
    }
}

impl From<HistoryError> for Refusal {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Refused(error) => error.into(),
            HistoryError::ResyncRequired => Self::new(codes::RESYNC_REQUIRED, error.to_string()),
            HistoryError::Unavailable(error) => log_unavailable(&error),
        }
    }
}
