//! How things look to clients: the one place of each JSON shape.
mod messages;
mod rooms;
mod users;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::{problem::Problem, problems};

pub(crate) use messages::{message, message_version, reactions, sent_message};
pub(crate) use rooms::{
    RoomContext, ban, created_invite, invite, member, membership, mute, room, room_reduced,
};
pub(crate) use users::{
    Acquaintance, SubjectNames, login, participant, session, short, study_subject, user_found,
    user_public, user_self, verification,
};

/// RFC 3339, UTC, milliseconds.
pub(crate) fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The caller may see it, but the read model does not show it yet: no reason to say that it does
/// not exist.
pub(crate) fn not_shown_yet() -> Problem {
    Problem::new(&problems::PROJECTION_LAGGING).detail("it exists, but cannot be shown yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_end_in_z() {
        let at = DateTime::from_timestamp_micros(1_800_000_000_000_000).unwrap();
        assert_eq!(time(at), "2027-01-15T08:00:00.000Z");
    }
}
