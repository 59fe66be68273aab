//! Recorded events for the tests of projectors.
use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::room::RemovalReason;
use domain::text::{FullName, MessageBody, RoomDescription, RoomName};
use domain::{
    AnyEvent, ConnectionId, LogPosition, MemberRole, MessageId, MessageType, Metadata, Personal,
    Recorded, RoomEvent, RoomId, RoomType, SubjectId, UserId,
};
use eventstore::{Opened, Unreadable, partition_of};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Table;

pub(crate) const ROOM: RoomId = RoomId(Uuid::from_u128(0x40));
pub(crate) const ANA: UserId = UserId(Uuid::from_u128(0xa));
pub(crate) const BEN: UserId = UserId(Uuid::from_u128(0xb));
pub(crate) const PHONE: ConnectionId = ConnectionId(Uuid::from_u128(0xc));
pub(crate) const MESSAGE: MessageId = MessageId(Uuid::from_u128(0xd));

pub(crate) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

/// The event at position `1000 + sequence`, with number `sequence` in its channel.
pub(crate) fn recorded(aggregate_id: &impl ToString, sequence: i64, event: AnyEvent) -> Recorded {
    let aggregate_id = aggregate_id.to_string();
    Recorded {
        position: LogPosition(1000 + sequence),
        channel: Some((format!("room:{aggregate_id}"), sequence)),
        event_id: Uuid::from_u128(sequence.unsigned_abs().into()),
        aggregate_id,
        sequence,
        recorded_at: at(0),
        metadata: Metadata::default(),
        event,
    }
}

pub(crate) fn in_room(sequence: i64, event: RoomEvent) -> Recorded {
    recorded(&ROOM, sequence, AnyEvent::Room(event))
}

pub(crate) fn created() -> RoomEvent {
    RoomEvent::RoomCreated {
        room_id: ROOM,
        created_by: ANA,
        name: RoomName::parse("Algebra").unwrap(),
        description: RoomDescription::parse("Rings and fields").unwrap(),
        subject_id: SubjectId(Uuid::from_u128(0x5)),
        room_type: RoomType::Public,
        max_participants: 10,
        owner_slot: Some(0),
        at: at(0),
    }
}

pub(crate) fn joined(user_id: UserId, role: MemberRole, member_count: u32) -> RoomEvent {
    let (room_id, invite) = (ROOM, None);
    RoomEvent::MemberJoined {
        room_id,
        user_id,
        role,
        member_count,
        invite,
        muted_until: None,
        at: at(1),
    }
}

pub(crate) fn left(user_id: UserId, member_count: u32) -> RoomEvent {
    RoomEvent::MemberLeft { room_id: ROOM, user_id, member_count, at: at(2) }
}

pub(crate) fn removed(user_id: UserId, member_count: u32) -> RoomEvent {
    let (room_id, reason) = (ROOM, RemovalReason::Kicked);
    RoomEvent::MemberRemoved { room_id, user_id, by: ANA, reason, member_count, at: at(2) }
}

/// From Ana to Ben.
pub(crate) fn transferred() -> RoomEvent {
    let (from, to, from_slot, to_slot) = (ANA, BEN, Some(0), Some(1));
    RoomEvent::OwnershipTransferred { room_id: ROOM, from, to, from_slot, to_slot, at: at(2) }
}

pub(crate) fn said(content: &str) -> RoomEvent {
    RoomEvent::MessagePosted {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: ANA,
        author_name: Personal::Known(FullName::parse("Ana López").unwrap()),
        message_type: MessageType::Text,
        content: Personal::Known(MessageBody::parse(content).unwrap()),
        client_message_id: Some("c-1".into()),
        reply_to_id: None,
        message_count: 7,
        at: at(3),
    }
}

/// As the feed delivers it.
pub(crate) fn opened(recorded: Recorded) -> Opened {
    Opened {
        position: recorded.position,
        aggregate_type: recorded.event.aggregate_type().to_owned(),
        aggregate_id: recorded.aggregate_id.clone(),
        event_id: recorded.event_id,
        partition: partition_of(&recorded.aggregate_id),
        outcome: Ok(recorded),
    }
}

/// The same, as this build cannot read it.
pub(crate) fn unreadable(recorded: Recorded) -> Opened {
    let reason = Unreadable { reason: "no such event".into() };
    Opened { outcome: Err(reason), ..opened(recorded) }
}

/// A row that leaves out a column would keep what stood there before.
pub(crate) fn assert_whole(table: &Table, row: &Map<String, Value>) {
    let columns = table.columns.split(',').filter_map(|column| column.split_whitespace().next());
    let columns: BTreeSet<&str> = columns.collect();
    assert_eq!(columns, row.keys().map(String::as_str).collect());
}
