//! How much somebody has not read, beside the answer to their reading.
use domain::{MessagePlace, UserId};

use crate::ApiState;

/// Messages of others behind this number: counted where they are recorded, and asked of the read
/// models when they are many. `None` when nobody can tell now: what was to be done is done.
pub(crate) async fn behind(
    state: &ApiState,
    reader: UserId,
    place: MessagePlace,
    after: i64,
) -> Option<i64> {
    match state.commands().unread_between(reader, place, after, i64::MAX).await {
        Ok(Some(unread)) => return Some(unread),
        Ok(None) => {}
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "unread messages cannot be counted where they are recorded");
        }
    }
    let behind = state.read_models().reading().messages_behind(reader, place, after).await;
    crate::writes::shown(behind.map(Some))
}
