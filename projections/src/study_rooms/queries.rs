//! Finding rooms, as far as the reader may know of them.
use chrono::DateTime;
use domain::{RoomId, SubjectId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row};

use super::{My, RoomFilter, RoomRow, RoomSort, Rooms};
use crate::page::{Page, PageRequest, SortKey};
use crate::room_members::stored_name;
use crate::subjects::containing;
use crate::{ReadError, Unread, names};

/// The key of rooms that are not put in order.
const UNSORTED: &str = "null";

impl Rooms<'_> {
    /// One room, whoever may know of it: the caller decides. `my` is `None`.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get(&self, id: RoomId) -> Result<Option<RoomRow>, ReadError> {
        self.find(id, None).await
    }

    /// One room as `viewer` sees it: `None` for private rooms of others.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get_for(&self, id: RoomId, viewer: UserId) -> Result<Option<RoomRow>, ReadError> {
        self.find(id, Some(viewer)).await
    }

    async fn find(&self, id: RoomId, viewer: Option<UserId>) -> Result<Option<RoomRow>, ReadError> {
        let mut query = QueryBuilder::new("");
        self.select(&mut query, viewer, UNSORTED);
        query.push(" where r.id = ").push_bind(id.0);
        if viewer.is_some() {
            query.push(" and (r.room_type <> 'private' or m.role is not null)");
        }
        let row = query.build().fetch_optional(self.0.pool()).await?;
        let mut row = row.as_ref().map(room_row).transpose()?;
        if let Some(viewer) = viewer {
            self.count_unread(viewer, row.as_mut_slice()).await?;
        }
        Ok(row)
    }

    /// Tells the members among the viewers of these rooms what they have not read.
    async fn count_unread(self, viewer: UserId, rooms: &mut [RoomRow]) -> Result<(), ReadError> {
        let read = rooms.iter().filter_map(|room| Some((room.id.0, room.my?.last_read_seq)));
        let read: Vec<_> = read.collect();
        let unread = self.0.reading().unread(viewer, &read).await?;
        for room in rooms {
            if let (Some(my), Some(unread)) = (room.my.as_mut(), unread.get(&room.id.0)) {
                my.unread = *unread;
            }
        }
        Ok(())
    }

    /// Several rooms, whoever may know of them, in no order. `my` is `None`.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn get_many(&self, ids: &[RoomId]) -> Result<Vec<RoomRow>, ReadError> {
        let mut query = QueryBuilder::new("");
        self.select(&mut query, None, UNSORTED);
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        query.push(" where r.id = any(").push_bind(ids).push(")");
        let rows = query.build().fetch_all(self.0.pool()).await?;
        Ok(rows.iter().map(room_row).collect::<Result<_, _>>()?)
    }

    /// The rooms `viewer` may know of: all but private rooms of others.
    ///
    /// # Errors
    /// [`ReadError`] when PostgreSQL is unavailable.
    pub async fn list(
        &self,
        filter: &RoomFilter,
        viewer: UserId,
        page: &PageRequest,
    ) -> Result<Page<RoomRow>, ReadError> {
        // Two orders, each by its index, and of both together the first.
        let (_, direction) = seeking(page);
        let mut query = QueryBuilder::new("select r.* from ((");
        self.select(&mut query, Some(viewer), filter.sort.column(true));
        query.push(" where (r.room_type = 'public' or m.role is not null)");
        narrow(&mut query, filter);
        seek(&mut query, filter.sort, true, page);
        query.push(") union all (");
        self.select(&mut query, Some(viewer), filter.sort.column(false));
        query.push(" where r.room_type = 'invite_only' and m.role is null");
        narrow(&mut query, filter);
        seek(&mut query, filter.sort, false, page);
        query.push(format!(")) r order by r.sort_key {direction}, r.id {direction} limit "));
        query.push_bind(page.fetch());
        let rows = query.build().fetch_all(self.0.pool()).await?;
        let mut rows: Vec<_> = rows.iter().map(room_row).collect::<Result<_, _>>()?;
        self.count_unread(viewer, &mut rows).await?;
        Ok(Page::build(rows, page, |room| filter.sort.key(room)))
    }

    /// Adds the question for rooms; `key` is what they are put in order by.
    fn select(self, query: &mut QueryBuilder<'_, Postgres>, viewer: Option<UserId>, key: &str) {
        let [rooms, subjects, members, markers] =
            [names::STUDY_ROOMS, names::SUBJECTS, names::ROOM_MEMBERS, names::READ_MARKERS]
                .map(|n| self.0.stored(n));
        query.push(format!(
            "select r.*, s.name as subject_name, m.role as my_role, m.joined_at as my_joined_at, \
             m.notification_level as my_level, m.muted_until as my_muted_until, \
             greatest(k.last_read_seq, m.joined_seq) as my_last_read_seq, {key} as sort_key \
             from {rooms} r left join {subjects} s on s.id = r.subject_id \
             left join {markers} k on k.channel_id = r.id and k.user_id = "
        ));
        query.push_bind(viewer.map(|viewer| viewer.0));
        query.push(format!(" left join {members} m on m.room_id = r.id and m.user_id = "));
        query.push_bind(viewer.map(|viewer| viewer.0));
    }
}

/// Adds the conditions of the filter.
fn narrow(query: &mut QueryBuilder<'_, Postgres>, filter: &RoomFilter) {
    if let Some(q) = &filter.q {
        query.push(" and (r.name ilike ").push_bind(containing(q));
        query.push(" or r.description ilike ").push_bind(containing(q)).push(")");
    }
    if let Some(SubjectId(id)) = filter.subject_id {
        query.push(" and r.subject_id = ").push_bind(id);
    }
    if let Some(room_type) = filter.room_type {
        query.push(" and r.room_type = ").push_bind(room_type.as_str());
    }
    if let Some(has_space) = filter.has_space {
        // A room that shows itself only in part does not tell how many are in it.
        query.push(" and (r.room_type = 'public' or m.role is not null)");
        query.push(" and (r.member_count < r.max_participants) = ").push_bind(has_space);
    }
    if let Some(mine) = filter.mine {
        query.push(" and (m.role is not null) = ").push_bind(mine);
    }
    if let Some(active) = filter.active {
        query.push(" and r.is_active = ").push_bind(active);
    }
}

/// How the next row compares to the one before, and the direction that is.
fn seeking(page: &PageRequest) -> (&'static str, &'static str) {
    if page.is_backward() { (">", "asc") } else { ("<", "desc") }
}

/// Adds the start, the order and the size of the page.
fn seek(query: &mut QueryBuilder<'_, Postgres>, sort: RoomSort, whole: bool, page: &PageRequest) {
    let column = sort.column(whole);
    let (compare, direction) = seeking(page);
    if let Some(SortKey { value, id }) = page.anchor() {
        query.push(format!(" and ({column}, r.id) {compare} ("));
        match sort {
            RoomSort::Members => query.push_bind(value.number()),
            RoomSort::Activity | RoomSort::Created => {
                query.push_bind(DateTime::from_timestamp_micros(value.number()).unwrap_or_default())
            }
        };
        query.push(", ").push_bind(*id).push(")");
    }
    query.push(format!(" order by {column} {direction}, r.id {direction} limit "));
    query.push_bind(page.fetch());
}

fn room_row(row: &PgRow) -> Result<RoomRow, sqlx::Error> {
    let role: Option<String> = row.try_get("my_role")?;
    let my = role.map(|role| {
        Ok::<_, sqlx::Error>(My {
            role: stored_name(role)?,
            joined_at: row.try_get("my_joined_at")?,
            last_read_seq: row.try_get("my_last_read_seq")?,
            unread: Unread::default(),
            notification_level: stored_name(row.try_get("my_level")?)?,
            muted_until: row.try_get("my_muted_until")?,
        })
    });
    let my = my.transpose()?;
    Ok(RoomRow {
        id: RoomId(row.try_get("id")?),
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        subject_id: SubjectId(row.try_get("subject_id")?),
        subject_name: row.try_get("subject_name")?,
        created_by: UserId(row.try_get("created_by")?),
        room_type: stored_name(row.try_get("room_type")?)?,
        max_participants: row.try_get::<i32, _>("max_participants")?.unsigned_abs(),
        logo_url: row.try_get("logo_url")?,
        member_count: row.try_get::<i32, _>("member_count")?.unsigned_abs(),
        message_count: row.try_get("message_count")?,
        last_message_at: row.try_get("last_message_at")?,
        last_seq: row.try_get("last_seq")?,
        is_active: row.try_get("is_active")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        version: row.try_get("version")?,
        revision: row.try_get("revision")?,
        my,
    })
}
