//! `study_rooms`: rooms, one row each. PostgreSQL.
use chrono::{DateTime, Utc};
use domain::{
    AnyEvent, MemberRole, NotificationLevel, Recorded, RoomEvent, RoomId, RoomType, SubjectId,
    UserId,
};
use serde_json::{Value, json};

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::page::{SortKey, SortValue};
use crate::projector::Projector;
use crate::{ReadModels, Unread, names};

mod queries;
#[cfg(test)]
mod tests;

pub(crate) const TABLE: Table = Table {
    name: names::STUDY_ROOMS,
    key: &["id"],
    // `active_at` is the last message, or the beginning before there is one: what lists go by.
    columns: "id uuid not null, name text not null, description text not null, \
              subject_id uuid not null, created_by uuid not null, room_type text not null, \
              max_participants integer not null, logo_url text, member_count integer not null, \
              message_count bigint not null, last_message_at timestamptz, \
              active_at timestamptz not null, last_seq bigint not null, \
              is_active boolean not null, created_at timestamptz not null, \
              updated_at timestamptz not null, version bigint not null, \
              revision bigint not null default 1",
    indexes: &[
        ("activity", "(active_at, id)"),
        ("created", "(created_at, id)"),
        ("members", "(member_count, id)"),
        ("subject", "(subject_id, active_at, id)"),
    ],
    erasure: Erasure::Nothing,
};

/// Feeds `study_rooms`.
#[derive(Clone, Copy, Debug, Default)]
pub struct StudyRoomsProjector;

impl Projector for StudyRoomsProjector {
    type Change = RowChange;
    const NAME: &'static str = names::STUDY_ROOMS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Room(event) = &recorded.event else { return vec![] };
        let (version, last_seq) = (recorded.sequence, recorded.channel.as_ref().map(|c| c.1));
        if let RoomEvent::RoomCreated {
            room_id,
            created_by,
            name,
            description,
            subject_id,
            room_type,
            max_participants,
            at,
            ..
        } = event
        {
            let row = fields(json!({
                "id": room_id, "name": name, "description": description, "subject_id": subject_id,
                "created_by": created_by, "room_type": room_type,
                "max_participants": max_participants, "logo_url": null, "member_count": 0,
                "message_count": 0, "last_message_at": null, "active_at": at,
                "last_seq": last_seq.unwrap_or(0), "is_active": true, "created_at": at,
                "updated_at": at, "version": version, "revision": 1,
            }));
            return vec![RowChange::Put { row }];
        }
        let (room_id, changed) = changed_by(event);
        let mut changed = fields(changed);
        changed.insert("version".into(), version.into());
        if let Some(seq) = last_seq {
            changed.insert("last_seq".into(), seq.into());
        }
        vec![RowChange::Set { key: fields(json!({"id": room_id})), fields: changed }]
    }
}

/// The columns that an event of an existing room changes, beside those that every event does.
fn changed_by(event: &RoomEvent) -> (RoomId, Value) {
    match event {
        RoomEvent::MemberJoined { room_id, member_count, .. }
        | RoomEvent::MemberLeft { room_id, member_count, .. }
        | RoomEvent::MemberRemoved { room_id, member_count, .. } => {
            (*room_id, json!({"member_count": member_count}))
        }
        RoomEvent::MessagePosted { room_id, message_count, at, .. } => (
            *room_id,
            json!({"message_count": message_count, "last_message_at": at, "active_at": at}),
        ),
        RoomEvent::RoomEdited {
            room_id,
            name,
            description,
            subject_id,
            room_type,
            max_participants,
            revision,
            at,
        } => {
            let mut changed = json!({
                "name": name, "description": description, "subject_id": subject_id,
                "room_type": room_type, "max_participants": max_participants,
            });
            // What is null stayed as it was.
            if let Some(changed) = changed.as_object_mut() {
                changed.retain(|_, value| !value.is_null());
                changed.extend(fields(json!({"revision": revision, "updated_at": at})));
            }
            (*room_id, changed)
        }
        RoomEvent::RoomArchived { room_id, at, .. } => {
            (*room_id, json!({"is_active": false, "updated_at": at}))
        }
        RoomEvent::OwnershipTransferred { room_id, at, .. } => {
            (*room_id, json!({"updated_at": at}))
        }
        RoomEvent::RoomCreated { room_id, .. }
        | RoomEvent::MemberRoleChanged { room_id, .. }
        | RoomEvent::NotificationLevelChanged { room_id, .. }
        | RoomEvent::MemberBanned { room_id, .. }
        | RoomEvent::BanLifted { room_id, .. }
        | RoomEvent::MemberMuted { room_id, .. }
        | RoomEvent::MuteLifted { room_id, .. }
        | RoomEvent::InviteCreated { room_id, .. }
        | RoomEvent::InviteRevoked { room_id, .. }
        | RoomEvent::MessageEdited { room_id, .. }
        | RoomEvent::MessageDeleted { room_id, .. }
        | RoomEvent::ReactionAdded { room_id, .. }
        | RoomEvent::ReactionRemoved { room_id, .. } => (*room_id, json!({})),
    }
}

/// A room as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// Which room.
    pub id: RoomId,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// What is studied in it.
    pub subject_id: SubjectId,
    /// The name of that; `None` while the catalogue has not arrived.
    pub subject_name: Option<String>,
    /// Who opened it.
    pub created_by: UserId,
    /// Who may find and enter it.
    pub room_type: RoomType,
    /// Places.
    pub max_participants: u32,
    /// Where its picture is.
    pub logo_url: Option<String>,
    /// Members now.
    pub member_count: u32,
    /// Messages so far.
    pub message_count: i64,
    /// UTC; `None` before the first message.
    pub last_message_at: Option<DateTime<Utc>>,
    /// The number of the room's last event, as clients see it.
    pub last_seq: i64,
    /// Whether people can enter and write.
    pub is_active: bool,
    /// UTC.
    pub created_at: DateTime<Utc>,
    /// UTC.
    pub updated_at: DateTime<Utc>,
    /// The sequence of the room's last event.
    pub version: i64,
    /// 1 for the room as it was opened, one more for each edit.
    pub revision: i64,
    /// What the reader is in the room; `None` for people who are not members, and where no reader
    /// was named.
    pub my: Option<My>,
}

/// What the reader is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct My {
    /// What they may do.
    pub role: MemberRole,
    /// Since when they belong to it, UTC.
    pub joined_at: DateTime<Utc>,
    /// The number of the last event that they have read; what was before they came counts as read.
    pub last_read_seq: i64,
    /// What they have not read.
    pub unread: Unread,
    /// What they want to be told of.
    pub notification_level: NotificationLevel,
    /// Until when they may not speak, UTC; perhaps over.
    pub muted_until: Option<DateTime<Utc>>,
}

impl My {
    /// What someone is in a room that they entered a moment ago, by the event of this number.
    #[must_use]
    pub fn fresh(role: MemberRole, joined_at: DateTime<Utc>, seq: i64) -> Self {
        Self {
            role,
            joined_at,
            last_read_seq: seq,
            unread: Unread::default(),
            notification_level: NotificationLevel::default(),
            muted_until: None,
        }
    }
}

/// Which rooms are wanted, and in which order. The default is all the reader may know of, the
/// liveliest first.
#[derive(Clone, Debug, Default)]
pub struct RoomFilter {
    /// Part of the name or description, without case.
    pub q: Option<String>,
    /// Only rooms of this subject.
    pub subject_id: Option<SubjectId>,
    /// Only rooms of this type.
    pub room_type: Option<RoomType>,
    /// Whether a place is free.
    pub has_space: Option<bool>,
    /// Whether the reader is a member.
    pub mine: Option<bool>,
    /// Whether people can enter and write.
    pub active: Option<bool>,
    /// The order.
    pub sort: RoomSort,
}

/// The order of rooms; equal ones by id. The largest or latest comes first. A room that shows itself in
/// part only is as old as its beginning, and has no size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RoomSort {
    /// The last message.
    #[default]
    Activity,
    /// The beginning.
    Created,
    /// The number of members.
    Members,
}

impl RoomSort {
    /// What rooms go by, those that show themselves to the reader as a whole, and those that do
    /// not: in the order of what they hide, they would show it.
    fn column(self, whole: bool) -> &'static str {
        match (self, whole) {
            (Self::Activity, true) => "r.active_at",
            (Self::Members, true) => "r.member_count",
            (Self::Created, _) | (Self::Activity, false) => "r.created_at",
            (Self::Members, false) => "least(r.member_count, 0)",
        }
    }

    fn key(self, room: &RoomRow) -> SortKey {
        let whole = room.room_type == RoomType::Public || room.my.is_some();
        let number = match (self, whole) {
            (Self::Activity, true) => {
                room.last_message_at.unwrap_or(room.created_at).timestamp_micros()
            }
            (Self::Members, true) => room.member_count.into(),
            (Self::Created, _) | (Self::Activity, false) => room.created_at.timestamp_micros(),
            (Self::Members, false) => 0,
        };
        SortKey { value: SortValue::Number(number), id: room.id.0 }
    }
}

/// Queries of `study_rooms`.
#[derive(Clone, Copy)]
pub struct Rooms<'a>(pub(crate) &'a ReadModels);
