//! Rooms and memberships.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use commands::CreatedInvite;
use domain::{
    InviteId, MemberRole, RoomId, UserId,
    room::{Ban, Invite, Mute},
};
use projections::{My, RoomRow, Seen, UserShort};
use serde_json::{Value, json};

use super::{short, time};

/// What a room's picture needs beside the room.
#[derive(Debug, Default)]
pub(crate) struct RoomContext {
    /// Who opened the rooms.
    pub(crate) people: HashMap<UserId, UserShort>,
    /// People in the live rooms; `None` when nobody can tell now.
    pub(crate) online: Option<HashMap<RoomId, u32>>,
}

/// `Room`, with what the reader is in it.
pub(crate) fn room(room: &RoomRow, my: Option<My>, context: &RoomContext) -> Value {
    let online = context.online.as_ref().map(|counts| counts.get(&room.id).copied().unwrap_or(0));
    json!({
        "id": room.id,
        "name": room.name,
        "description": room.description,
        "subject": { "id": room.subject_id, "name": room.subject_name },
        "createdBy": short(room.created_by, &context.people),
        "roomType": room.room_type,
        "maxParticipants": room.max_participants,
        "memberCount": room.member_count,
        "onlineCount": online,
        "logoUrl": room.logo_url,
        "isActive": room.is_active,
        "lastMessageAt": room.last_message_at.map(time),
        "lastSeq": room.last_seq,
        "createdAt": time(room.created_at),
        "version": room.revision,
        "my": my.map(mine),
    })
}

/// What the reader is in a room.
fn mine(my: My) -> Value {
    json!({
        "isMember": true,
        "role": my.role,
        "joinedAt": time(my.joined_at),
        "lastReadSeq": my.last_read_seq,
        "unreadCount": my.unread.messages,
        "mentionCount": my.unread.mentions,
        "notificationLevel": my.notification_level,
        "mutedUntil": my.muted_until.map(time),
    })
}

/// An invite as those see it who may make them. Its code is known to whoever made it.
pub(crate) fn invite(id: InviteId, invite: &Invite, people: &HashMap<UserId, UserShort>) -> Value {
    json!({
        "id": id,
        "createdBy": short(invite.by, people),
        "createdAt": time(invite.created_at),
        "expiresAt": time(invite.expires_at),
        "maxUses": invite.max_uses,
        "uses": invite.uses,
    })
}

/// An invite that was just made, with its code.
pub(crate) fn created_invite(
    invite: &CreatedInvite,
    by: UserId,
    people: &HashMap<UserId, UserShort>,
    url: &str,
) -> Value {
    json!({
        "id": invite.id,
        "code": invite.code,
        "url": url,
        "createdBy": short(by, people),
        "createdAt": time(invite.created_at),
        "expiresAt": time(invite.expires_at),
        "maxUses": invite.max_uses,
        "uses": 0,
    })
}

/// Someone who is banned from a room.
pub(crate) fn ban(user_id: UserId, ban: &Ban, people: &HashMap<UserId, UserShort>) -> Value {
    json!({
        "user": short(user_id, people),
        "bannedBy": short(ban.by, people),
        "bannedAt": time(ban.at),
    })
}

/// Someone who may not speak in a room for a while.
pub(crate) fn mute(user_id: UserId, mute: &Mute, people: &HashMap<UserId, UserShort>) -> Value {
    json!({
        "user": short(user_id, people),
        "mutedBy": short(mute.by, people),
        "mutedAt": time(mute.at),
        "mutedUntil": time(mute.until),
    })
}

/// `Room` for people who may know that it exists and what it is about, but not who is in it and
/// what goes on there: a version or a number would tell how much.
pub(crate) fn room_reduced(room: &RoomRow) -> Value {
    json!({
        "id": room.id,
        "name": room.name,
        "description": room.description,
        "subject": { "id": room.subject_id, "name": room.subject_name },
        "roomType": room.room_type,
        "maxParticipants": room.max_participants,
        "logoUrl": room.logo_url,
        "isActive": room.is_active,
        "createdAt": time(room.created_at),
        "my": null,
    })
}

/// Someone's membership of a room.
pub(crate) fn membership(
    room_id: RoomId,
    user_id: UserId,
    role: MemberRole,
    joined_at: Option<DateTime<Utc>>,
) -> Value {
    json!({
        "roomId": room_id,
        "userId": user_id,
        "role": role,
        "joinedAt": joined_at.map(time),
    })
}

/// One line of a member list.
pub(crate) fn member(
    user: &Value,
    role: MemberRole,
    joined_at: DateTime<Utc>,
    seen: Option<&Seen>,
) -> Value {
    json!({
        "user": user,
        "role": role,
        "joinedAt": time(joined_at),
        "presence": seen.map(Seen::as_str),
    })
}

#[cfg(test)]
mod tests {
    use domain::{RoomType, SubjectId};
    use uuid::Uuid;

    use super::*;

    fn row() -> RoomRow {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        RoomRow {
            id: RoomId(Uuid::nil()),
            name: "Algebra".to_owned(),
            description: String::new(),
            subject_id: SubjectId(Uuid::nil()),
            subject_name: Some("Algebra".to_owned()),
            created_by: UserId(Uuid::nil()),
            room_type: RoomType::InviteOnly,
            max_participants: 10,
            logo_url: None,
            member_count: 3,
            message_count: 7,
            last_message_at: Some(at),
            last_seq: 12,
            is_active: true,
            created_at: at,
            updated_at: at,
            version: 12,
            revision: 2,
            my: None,
        }
    }

    #[test]
    fn a_reduced_room_tells_nothing_of_its_people_and_its_life() {
        let full = room(&row(), None, &RoomContext::default());
        let reduced = room_reduced(&row());
        for hidden in
            ["createdBy", "memberCount", "onlineCount", "lastMessageAt", "lastSeq", "version"]
        {
            assert!(full.get(hidden).is_some(), "{hidden}");
            assert!(reduced.get(hidden).is_none(), "{hidden}");
        }
        for (name, value) in reduced.as_object().unwrap() {
            assert_eq!(full.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_number_that_nobody_knows_is_null() {
        let unknown = room(&row(), None, &RoomContext::default());
        assert_eq!(unknown["onlineCount"], Value::Null);
        let context = RoomContext { online: Some(HashMap::new()), ..RoomContext::default() };
        assert_eq!(room(&row(), None, &context)["onlineCount"], 0);
    }
}
