//! `room_members`: who belongs to which room, one row per membership. PostgreSQL.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::{AnyEvent, MemberRole, NotificationLevel, Recorded, RoomEvent, RoomId, UserId};
use serde_json::{Map, Value, json};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use crate::changes::{Erasure, RowChange, Table, fields};
use crate::page::{Page, PageRequest, SortKey, SortValue};
use crate::projector::Projector;
use crate::subjects::containing;
use crate::{ReadError, ReadModels, names};

pub(crate) const TABLE: Table = Table {
    name: names::ROOM_MEMBERS,
    key: &["room_id", "user_id"],
    columns: "room_id uuid not null, user_id uuid not null, role text not null, \
              joined_at timestamptz not null, joined_seq bigint not null default 0, \
              notification_level text not null default 'all', muted_until timestamptz",
    indexes: &[("joined", "(room_id, joined_at, user_id)"), ("user", "(user_id, room_id)")],
    erasure: Erasure::Nothing,
};

/// Feeds `room_members`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoomMembersProjector;

impl Projector for RoomMembersProjector {
    type Change = RowChange;
    const NAME: &'static str = names::ROOM_MEMBERS;
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room"];

    fn project(&self, recorded: &Recorded) -> Vec<RowChange> {
        let AnyEvent::Room(event) = &recorded.event else { return vec![] };
        match *event {
            RoomEvent::MemberJoined { room_id, user_id, role, muted_until, at, .. } => {
                let mut row = key(room_id, user_id);
                let seq = recorded.channel.as_ref().map_or(0, |channel| channel.1);
                row.extend(fields(json!({
                    "role": role, "joined_at": at, "joined_seq": seq,
                    "notification_level": NotificationLevel::default(),
                    "muted_until": muted_until,
                })));
                vec![RowChange::Put { row }]
            }
            RoomEvent::MemberLeft { room_id, user_id, .. }
            | RoomEvent::MemberRemoved { room_id, user_id, .. } => {
                vec![RowChange::Delete { key: key(room_id, user_id) }]
            }
            RoomEvent::MemberRoleChanged { room_id, user_id, role, .. } => {
                let fields = fields(json!({"role": role}));
                vec![RowChange::Set { key: key(room_id, user_id), fields }]
            }
            RoomEvent::NotificationLevelChanged { room_id, user_id, level, .. } => {
                let fields = fields(json!({"notification_level": level}));
                vec![RowChange::Set { key: key(room_id, user_id), fields }]
            }
            RoomEvent::MemberMuted { room_id, user_id, until, .. } => {
                let fields = fields(json!({"muted_until": until}));
                vec![RowChange::Set { key: key(room_id, user_id), fields }]
            }
            RoomEvent::MuteLifted { room_id, user_id, .. } => {
                let fields = fields(json!({"muted_until": null}));
                vec![RowChange::Set { key: key(room_id, user_id), fields }]
            }
            RoomEvent::OwnershipTransferred { room_id, from, to, .. } => vec![
                RowChange::Set {
                    key: key(room_id, from),
                    fields: fields(json!({"role": MemberRole::Member})),
                },
                RowChange::Set {
                    key: key(room_id, to),
                    fields: fields(json!({"role": MemberRole::Owner, "muted_until": null})),
                },
            ],
            RoomEvent::RoomCreated { .. }
            | RoomEvent::RoomEdited { .. }
            | RoomEvent::RoomArchived { .. }
            | RoomEvent::MemberBanned { .. }
            | RoomEvent::BanLifted { .. }
            | RoomEvent::InviteCreated { .. }
            | RoomEvent::InviteRevoked { .. }
            | RoomEvent::MessagePosted { .. }
            | RoomEvent::MessageEdited { .. }
            | RoomEvent::MessageDeleted { .. }
            | RoomEvent::ReactionAdded { .. }
            | RoomEvent::ReactionRemoved { .. } => vec![],
        }
    }
}

fn key(room_id: RoomId, user_id: UserId) -> Map<String, Value> {
    fields(json!({"room_id": room_id, "user_id": user_id}))
}

/// A membership as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Which room.
    pub room_id: RoomId,
    /// Who.
    pub user_id: UserId,
    /// What they may do.
    pub role: MemberRole,
    /// Since when, UTC.
    pub joined_at: DateTime<Utc>,
    /// The number of the event by which they joined.
    pub joined_seq: i64,
    /// What they want to be told of.
    pub notification_level: NotificationLevel,
}

impl MemberRow {
    fn sort_key(&self) -> SortKey {
        let value = SortValue::Number(self.joined_at.timestamp_micros());
        SortKey { value, id: self.user_id.0 }
    }
}

/// Which members are wanted. The default is all of them.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Part of the full name or handle, without case.
    pub q: Option<String>,
    /// Only members with this role.
    pub role: Option<MemberRole>,
    /// Only members who are among these (who are online, for example).
    pub among: Option<Vec<UserId>>,
    /// Only members who are not among these.
    pub not_among: Option<Vec<UserId>>,
}

/// Queries of `room_members`.
#[derive(Clone, Copy)]
pub struct Members<'a>(pub(crate) &'a ReadModels);

impl Members<'_> {
    /// One membership.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get(
        &self,
        room_id: RoomId,
        user_id: UserId,
    ) -> Result<Option<MemberRow>, ReadError> {
        let table = self.0.stored(names::ROOM_MEMBERS);
        let row =
            sqlx::query(&format!("select * from {table} where room_id = $1 and user_id = $2"))
                .bind(room_id.0)
                .bind(user_id.0)
                .fetch_optional(self.0.pool())
                .await?;
        Ok(row.as_ref().map(member_row).transpose()?)
    }

    /// The memberships of one person in several rooms, by room.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn of(
        &self,
        user_id: UserId,
        room_ids: &[RoomId],
    ) -> Result<HashMap<RoomId, MemberRow>, ReadError> {
        let table = self.0.stored(names::ROOM_MEMBERS);
        let room_ids: Vec<_> = room_ids.iter().map(|id| id.0).collect();
        let rows =
            sqlx::query(&format!("select * from {table} where user_id = $1 and room_id = any($2)"))
                .bind(user_id.0)
                .bind(room_ids)
                .fetch_all(self.0.pool())
                .await?;
        let by_room = |row: &PgRow| member_row(row).map(|member| (member.room_id, member));
        Ok(rows.iter().map(by_room).collect::<Result<_, _>>()?)
    }

    /// All memberships of a person, in the order of joining.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn rooms_of(&self, user_id: UserId) -> Result<Vec<MemberRow>, ReadError> {
        let table = self.0.stored(names::ROOM_MEMBERS);
        let rows = sqlx::query(&format!(
            "select * from {table} where user_id = $1 order by joined_at, room_id"
        ))
        .bind(user_id.0)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rows.iter().map(member_row).collect::<Result<_, _>>()?)
    }

    /// Everyone who belongs to a room.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn ids(&self, room_id: RoomId) -> Result<Vec<UserId>, ReadError> {
        let table = self.0.stored(names::ROOM_MEMBERS);
        let ids = sqlx::query_scalar(&format!("select user_id from {table} where room_id = $1"))
            .bind(room_id.0)
            .fetch_all(self.0.pool())
            .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }

    /// Who of these people belongs to one of the rooms.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn among(
        &self,
        rooms: &[RoomId],
        people: &[UserId],
    ) -> Result<Vec<UserId>, ReadError> {
        if rooms.is_empty() || people.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.0.stored(names::ROOM_MEMBERS);
        let rooms: Vec<_> = rooms.iter().map(|id| id.0).collect();
        let ids = sqlx::query_scalar(&format!(
            "select distinct user_id from {table} where room_id = any($1) and user_id = any($2)"
        ))
        .bind(rooms)
        .bind(uuids(people))
        .fetch_all(self.0.pool())
        .await?;
        Ok(ids.into_iter().map(UserId).collect())
    }

    /// The rooms to which both people belong.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn shared(&self, one: UserId, other: UserId) -> Result<Vec<RoomId>, ReadError> {
        let table = self.0.stored(names::ROOM_MEMBERS);
        let rooms: Vec<uuid::Uuid> = sqlx::query_scalar(&format!(
            "select a.room_id from {table} a join {table} b using (room_id) \
             where a.user_id = $1 and b.user_id = $2"
        ))
        .bind(one.0)
        .bind(other.0)
        .fetch_all(self.0.pool())
        .await?;
        Ok(rooms.into_iter().map(RoomId).collect())
    }

    /// The members of a room in the order of joining.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn list(
        &self,
        room_id: RoomId,
        filter: &MemberFilter,
        page: &PageRequest,
    ) -> Result<Page<MemberRow>, ReadError> {
        let table = self.0.stored(names::ROOM_MEMBERS);
        let mut query =
            QueryBuilder::<Postgres>::new(format!("select m.* from {table} m where m.room_id = "));
        query.push_bind(room_id.0);
        if let Some(q) = &filter.q {
            let users = self.0.stored(names::USERS);
            query.push(format!(
                " and exists (select from {users} u where u.id = m.user_id \
                 and not u.deactivated and (u.full_name ilike "
            ));
            query.push_bind(containing(q)).push(" or u.username ilike ");
            query.push_bind(containing(q)).push("))");
        }
        if let Some(role) = filter.role {
            query.push(" and m.role = ").push_bind(role.as_str());
        }
        if let Some(among) = &filter.among {
            query.push(" and m.user_id = any(").push_bind(uuids(among)).push(")");
        }
        if let Some(not_among) = &filter.not_among {
            query.push(" and m.user_id <> all(").push_bind(uuids(not_among)).push(")");
        }
        let (compare, direction) = if page.is_backward() { ("<", "desc") } else { (">", "asc") };
        if let Some(key) = page.anchor() {
            query.push(format!(" and (m.joined_at, m.user_id) {compare} ("));
            query
                .push_bind(DateTime::from_timestamp_micros(key.value.number()).unwrap_or_default());
            query.push(", ").push_bind(key.id).push(")");
        }
        query.push(format!(" order by m.joined_at {direction}, m.user_id {direction} limit "));
        query.push_bind(page.fetch());
        let rows = query.build().fetch_all(self.0.pool()).await?;
        let rows: Vec<_> = rows.iter().map(member_row).collect::<Result<_, _>>()?;
        Ok(Page::build(rows, page, MemberRow::sort_key))
    }
}

fn uuids(ids: &[UserId]) -> Vec<uuid::Uuid> {
    ids.iter().map(|id| id.0).collect()
}

fn member_row(row: &PgRow) -> Result<MemberRow, sqlx::Error> {
    Ok(MemberRow {
        room_id: RoomId(row.try_get("room_id")?),
        user_id: UserId(row.try_get("user_id")?),
        role: stored_name(row.try_get("role")?)?,
        joined_at: row.try_get("joined_at")?,
        joined_seq: row.try_get("joined_seq")?,
        notification_level: stored_name(row.try_get("notification_level")?)?,
    })
}

/// Reads an enum from the name it is stored under.
pub(crate) fn stored_name<T: serde::de::DeserializeOwned>(name: String) -> Result<T, sqlx::Error> {
    serde_json::from_value(Value::String(name)).map_err(|error| sqlx::Error::Decode(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{
        ANA, BEN, ROOM, assert_whole, at, in_room, joined, left, removed, said, transferred,
    };

    fn project(event: RoomEvent) -> Vec<RowChange> {
        RoomMembersProjector.project(&in_room(3, event))
    }

    #[test]
    fn joining_makes_a_row_and_leaving_removes_it() {
        let [RowChange::Put { row }] = &project(joined(BEN, MemberRole::Member, 2))[..] else {
            panic!("not a whole row")
        };
        assert_whole(&TABLE, row);
        assert_eq!((&row["role"], &row["joined_at"]), (&json!("member"), &json!(at(1))));
        assert_eq!((&row["joined_seq"], &row["notification_level"]), (&json!(3), &json!("all")));
        let gone = [RowChange::Delete { key: key(ROOM, BEN) }];
        assert_eq!(project(left(BEN, 1)), gone);
        assert_eq!(project(removed(BEN, 1)), gone);
        assert_eq!(project(said("hello")), []);
    }

    #[test]
    fn a_mute_stands_in_the_row_until_it_is_lifted() {
        let (room_id, user_id, by, at) = (ROOM, BEN, ANA, at(1));
        let until = at + chrono::TimeDelta::hours(1);
        let set = |until: Option<_>| RowChange::Set {
            key: key(ROOM, BEN),
            fields: fields(json!({"muted_until": until})),
        };
        let muted = RoomEvent::MemberMuted { room_id, user_id, by, until, at };
        assert_eq!(project(muted), [set(Some(until))]);
        assert_eq!(project(RoomEvent::MuteLifted { room_id, user_id, by, at }), [set(None)]);
        let RoomEvent::MemberJoined { role, member_count, invite, .. } =
            joined(BEN, MemberRole::Member, 2)
        else {
            unreachable!()
        };
        let muted_until = Some(until);
        let back = RoomEvent::MemberJoined {
            room_id,
            user_id,
            role,
            member_count,
            invite,
            muted_until,
            at,
        };
        let [RowChange::Put { row }] = &project(back)[..] else { panic!("not a whole row") };
        assert_eq!(row["muted_until"], json!(until));
    }

    #[test]
    fn a_room_changes_hands_in_one_step() {
        let set = |user_id, changed: Value| RowChange::Set {
            key: key(ROOM, user_id),
            fields: fields(changed),
        };
        let owner = json!({"role": "owner", "muted_until": null});
        assert_eq!(project(transferred()), [set(ANA, json!({"role": "member"})), set(BEN, owner)]);
    }
}
