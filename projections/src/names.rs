//! The names of the read models, and of what they are stored in.

/// Accounts, PostgreSQL.
pub const USERS: &str = "users";
/// Logins, PostgreSQL.
pub const SESSIONS: &str = "sessions";
/// Logins that work now, Redis.
pub const LIVE_SESSIONS: &str = "live_sessions";
/// Rooms, PostgreSQL.
pub const STUDY_ROOMS: &str = "study_rooms";
/// Who belongs to which room, PostgreSQL.
pub const ROOM_MEMBERS: &str = "room_members";
/// How far people have read, PostgreSQL.
pub const READ_MARKERS: &str = "read_markers";
/// The numbers of messages, without their words, PostgreSQL.
pub const MESSAGE_NUMBERS: &str = "message_numbers";
/// What was said in rooms, MongoDB.
pub const MESSAGES: &str = "messages";
/// Who is in which live room, Redis.
pub const ACTIVE_MEMBERS: &str = "active_members";
/// The catalogue of subjects, PostgreSQL.
pub const SUBJECTS: &str = "subjects";

/// What people reported to the moderators, PostgreSQL.
pub const REPORTS: &str = "reports";
/// What people said to each other, MongoDB.
pub const DIRECT_MESSAGES: &str = "direct_messages";
/// Who writes to whom, PostgreSQL.
pub const CONVERSATIONS: &str = "conversations";
/// Who wants nothing to do with whom, PostgreSQL.
pub const BLOCKS: &str = "blocks";
/// The words of messages, PostgreSQL.
pub const MESSAGE_SEARCH: &str = "message_search";
/// When what is cached changed last, Redis.
pub const LAST_CHANGES: &str = "last_changes";

/// Every read model.
pub const ALL: &[&str] = &[
    USERS,
    SESSIONS,
    LIVE_SESSIONS,
    STUDY_ROOMS,
    ROOM_MEMBERS,
    READ_MARKERS,
    MESSAGE_NUMBERS,
    MESSAGES,
    ACTIVE_MEMBERS,
    SUBJECTS,
    REPORTS,
    DIRECT_MESSAGES,
    CONVERSATIONS,
    BLOCKS,
    MESSAGE_SEARCH,
    LAST_CHANGES,
];

/// The name as the constant of this module, if it is one of them.
#[must_use]
pub fn find(name: &str) -> Option<&'static str> {
    ALL.iter().copied().find(|known| *known == name)
}

/// The table or collection of a version: `users`, `users_v2`.
#[must_use]
pub fn stored(name: &str, version: u32) -> String {
    if version == 1 { name.to_owned() } else { format!("{name}_v{version}") }
}

/// What stands before the Redis keys of a version: nothing, `v2:`.
#[must_use]
pub fn key_prefix(version: u32) -> String {
    if version == 1 { String::new() } else { format!("v{version}:") }
}

/// The Redis key that says for a moment that a partition of a version is complete.
pub(crate) fn fresh_key(prefix: &str, name: &str, version: u32, partition: u16) -> String {
    format!("{prefix}fresh:{name}:{version}:{partition}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_has_the_plain_name() {
        assert_eq!(stored("users", 1), "users");
        assert_eq!(stored("users", 2), "users_v2");
        assert_eq!(key_prefix(1), "");
        assert_eq!(key_prefix(3), "v3:");
    }
}
