//! `read_markers`: how far people have read, one row per person and room or conversation. PostgreSQL.
use domain::{AnyEvent, ReadMarkerEvent, Recorded};
use serde_json::json;
use uuid::Uuid;

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::names;
use crate::projector::Projector;

pub(crate) const TABLE: Table = Table {
    name: names::READ_MARKERS,
    key: &["user_id", "channel_id"],
    columns: "user_id uuid not null, channel_id uuid not null, last_read_seq bigint not null",
    indexes: &[("channel", "(channel_id, user_id)")],
    erasure: Erasure::Nothing,
};

/// Feeds `read_markers`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadMarkersProjector;

impl Projector for ReadMarkersProjector {
    type Change = RowChange;
    const NAME: &'static str = names::READ_MARKERS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["read_marker"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::ReadMarker(event) = &recorded.event else { return vec![] };
        let ReadMarkerEvent::ChannelRead { user_id, channel, last_read_seq, .. } = event;
        let Some(channel_id) = channel_id(channel) else { return vec![] };
        let row = json!({
            "user_id": user_id, "channel_id": channel_id, "last_read_seq": last_read_seq,
        });
        vec![RowChange::Put { row: fields(row) }]
    }
}

/// The id of the room or conversation of a channel. No two of them have the same.
pub(crate) fn channel_id(channel: &str) -> Option<Uuid> {
    channel.split_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ANA, ROOM, assert_whole, at, recorded};

    #[test]
    fn a_marker_is_a_row() {
        let event = AnyEvent::ReadMarker(ReadMarkerEvent::ChannelRead {
            user_id: ANA,
            channel: format!("room:{ROOM}"),
            last_read_seq: 7,
            at: at(0),
        });
        let changes = ReadMarkersProjector.project(&recorded(&"marker", 1, event));
        let [RowChange::Put { row }] = &changes[..] else { panic!("not a whole row") };
        assert_whole(&TABLE, row);
        assert_eq!((&row["channel_id"], &row["last_read_seq"]), (&json!(ROOM), &json!(7)));
    }
}
