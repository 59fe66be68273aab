//! What clients send to `/api/rooms`.
use commands::RoomChanges;
use domain::{
    MAX_SAFE_INTEGER, NotificationLevel, Room, RoomType, SubjectId, UserId, Violation,
    text::{RoomDescription, RoomName},
};
use projections::{RoomFilter, RoomSort};
use serde_json::{Value, json};

use crate::{
    extract::{Fields, FromFields, boolean, id, in_query, integer, one_of, search, text},
    page::Paging,
};

const ROOM_TYPES: &str = "public, private, invite_only";

/// Query of `GET /api/rooms`.
pub(in crate::routes) struct List {
    pub(super) filter: RoomFilter,
    pub(super) paging: Paging,
    /// Names the list in cursors.
    pub(super) fingerprint: Value,
}

impl FromFields for List {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.optional("q", text(search));
        let subject_id = fields.optional("subjectId", id::<SubjectId>);
        let room_type = fields.optional("roomType", one_of::<RoomType>(ROOM_TYPES));
        let has_space = fields.optional("hasSpace", in_query(boolean));
        let mine = fields.optional("mine", in_query(boolean));
        let active = fields.optional("active", in_query(boolean));
        let sort = fields.optional("sort", text(sort));
        let paging = Paging::from_fields(fields);
        let (sort_name, sort) = sort?.unwrap_or(("activity", RoomSort::Activity));
        let filter = RoomFilter {
            q: q?.flatten(),
            subject_id: subject_id?,
            room_type: room_type?,
            has_space: has_space?,
            mine: mine?,
            active: active?,
            sort,
        };
        let fingerprint = json!([
            "rooms",
            filter.q,
            filter.subject_id,
            filter.room_type,
            filter.has_space,
            filter.mine,
            filter.active,
            sort_name,
        ]);
        Some(Self { filter, paging: paging?, fingerprint })
    }
}

fn sort(raw: &str) -> Result<(&'static str, RoomSort), Violation> {
    match raw {
        "activity" => Ok(("activity", RoomSort::Activity)),
        "created" => Ok(("created", RoomSort::Created)),
        "members" => Ok(("members", RoomSort::Members)),
        _ => Err(Violation::new("invalid_value", "must be one of activity, created, members")),
    }
}

/// Body of `POST /api/rooms`.
#[derive(Debug)]
pub(in crate::routes) struct Create {
    pub(super) name: RoomName,
    pub(super) description: RoomDescription,
    pub(super) subject_id: SubjectId,
    pub(super) room_type: RoomType,
    /// `None` takes the configured default.
    pub(super) max_participants: Option<u32>,
}

impl FromFields for Create {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.required("name", text(RoomName::parse));
        let description = fields.optional("description", text(RoomDescription::parse));
        let subject_id = fields.required("subjectId", id);
        let room_type = fields.required("roomType", one_of(ROOM_TYPES));
        let places = integer(Room::MIN_PARTICIPANTS..=Room::MAX_PARTICIPANTS);
        let max_participants = fields.optional("maxParticipants", places);
        let description = match description? {
            Some(description) => description,
            None => RoomDescription::parse("").ok()?,
        };
        Some(Self {
            name: name?,
            description,
            subject_id: subject_id?,
            room_type: room_type?,
            max_participants: max_participants?,
        })
    }
}

/// Body of `PATCH /api/rooms/{roomId}`. What is absent stays as it is; only the description may be
/// null, which empties it.
#[derive(Debug)]
pub(in crate::routes) struct Edit(pub(super) RoomChanges);

impl FromFields for Edit {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let name = fields.changed("name", text(RoomName::parse));
        let description = fields.cleared("description", text(RoomDescription::parse));
        let subject_id = fields.changed("subjectId", id);
        let room_type = fields.changed("roomType", one_of(ROOM_TYPES));
        let places = integer(Room::MIN_PARTICIPANTS..=Room::MAX_PARTICIPANTS);
        let max_participants = fields.changed("maxParticipants", places);
        let description = match description? {
            Some(None) => Some(RoomDescription::parse("").ok()?),
            Some(Some(description)) => Some(description),
            None => None,
        };
        Some(Self(RoomChanges {
            name: name?,
            description,
            subject_id: subject_id?,
            room_type: room_type?,
            max_participants: max_participants?,
        }))
    }
}

/// Body of `POST /api/rooms/{roomId}/join`.
pub(in crate::routes) struct Join {
    pub(super) invite_code: Option<String>,
}

impl FromFields for Join {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { invite_code: fields.optional("inviteCode", text(invite_code))? })
    }
}

/// A code that is none of ours is refused by the room, not here: it tells nothing about the room.
fn invite_code(raw: &str) -> Result<String, Violation> {
    const MAX_CHARACTERS: usize = 100;
    if raw.chars().count() > MAX_CHARACTERS {
        return Err(Violation::new("too_long", format!("at most {MAX_CHARACTERS} characters")));
    }
    Ok(raw.to_owned())
}

/// Body of `PUT /api/rooms/{roomId}/read`.
pub(in crate::routes) struct MarkRead {
    pub(super) last_read_seq: i64,
}

impl FromFields for MarkRead {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { last_read_seq: fields.required("lastReadSeq", integer(0..=MAX_SAFE_INTEGER))? })
    }
}

/// Body of `PUT /api/rooms/{roomId}/notification-level`.
pub(in crate::routes) struct Level(pub(super) NotificationLevel);

impl FromFields for Level {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        fields.required("notificationLevel", one_of("all, mentions, none")).map(Self)
    }
}

/// Body of `POST /api/rooms/{roomId}/leave`.
pub(in crate::routes) struct Leave {
    /// Who owns the room afterwards, if the owner leaves.
    pub(super) transfer_to: Option<UserId>,
}

impl FromFields for Leave {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        Some(Self { transfer_to: fields.optional("transferTo", id)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;

    fn read<T: FromFields>(value: Value) -> Result<T, Problem> {
        let Value::Object(fields) = value else { panic!("an object") };
        Fields::new(fields).read()
    }

    fn algebra() -> Value {
        let subject_id = "0198a0a0-0000-7000-8000-000000000001";
        json!({"name": "Algebra", "subjectId": subject_id, "roomType": "invite_only"})
    }

    #[test]
    fn a_room_needs_a_name_a_subject_and_a_type() {
        let room: Create = read(algebra()).unwrap();
        assert_eq!(room.room_type, RoomType::InviteOnly);
        assert_eq!(room.description.as_str(), "");
        assert_eq!(room.max_participants, None);
        let problem = read::<Create>(json!({})).unwrap_err();
        let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
        assert_eq!(body["errors"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn sizes_types_and_ids_are_checked() {
        for (field, value, code) in [
            ("maxParticipants", json!(1), "out_of_range"),
            ("maxParticipants", json!(501), "out_of_range"),
            ("roomType", json!("secret"), "invalid_value"),
            ("subjectId", json!("algebra"), "invalid_id"),
            ("name", json!("ab"), "too_short"),
            ("name", json!({"$gt": ""}), "wrong_type"),
        ] {
            let mut body = algebra();
            body[field] = value;
            let problem = read::<Create>(body).unwrap_err();
            let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
            assert_eq!(body["errors"][0]["pointer"], format!("/{field}"));
            assert_eq!(body["errors"][0]["code"], code, "{field}");
        }
    }

    #[test]
    fn lists_with_other_filters_are_other_lists() {
        let fingerprint = |query: Value| read::<List>(query).unwrap().fingerprint;
        assert_eq!(fingerprint(json!({})), fingerprint(json!({"sort": "activity", "limit": "7"})));
        assert_ne!(fingerprint(json!({})), fingerprint(json!({"sort": "members"})));
        assert_ne!(fingerprint(json!({})), fingerprint(json!({"mine": "true"})));
        assert!(read::<List>(json!({"sort": "name"})).is_err());
    }
}
