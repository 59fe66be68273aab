//! People and their sessions.
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use commands::{LoggedIn, Verification};
use domain::{SubjectId, UserId, study::StudySubject};
use projections::{Profile, SessionRow, UserRow, UserShort};
use serde_json::{Value, json};

use super::time;

/// The names of subjects, by id.
pub(crate) type SubjectNames = HashMap<SubjectId, String>;

/// A subject on a profile.
pub(crate) fn study_subject(entry: &StudySubject, names: &SubjectNames) -> Value {
    json!({
        "subjectId": entry.subject_id,
        "name": names.get(&entry.subject_id),
        "level": entry.level,
        "role": entry.role,
        "addedAt": time(entry.added_at),
    })
}

fn study_subjects(user: &Profile, names: &SubjectNames) -> Vec<Value> {
    user.subjects.iter().map(|entry| study_subject(entry, names)).collect()
}

/// `UserPublic` in a list of people found: without what takes a look at each of them.
pub(crate) fn user_found(user: &Profile, names: &SubjectNames) -> Value {
    json!({
        "id": user.id,
        "fullName": user.full_name,
        "username": user.username,
        "profilePictureUrl": user.profile_picture_url,
        "bio": user.bio,
        "educationLevel": user.education_level,
        "institution": user.institution,
        "languages": user.languages,
        "timeZone": user.time_zone,
        "availability": user.availability,
        "goals": user.goals,
        "subjects": study_subjects(user, names),
        "role": user.role,
        "isVerified": user.is_verified,
        "createdAt": time(user.created_at),
        "updatedAt": time(user.shown_at),
    })
}

/// The same with more fields.
fn with(mut shown: Value, more: Value) -> Value {
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

/// `UserSelf`: all that someone may see of their own account.
pub(crate) fn user_self(user: &UserRow, names: &SubjectNames) -> Value {
    let own = json!({
        "email": user.email,
        "emailVerified": user.email_verified,
        "phone": user.phone,
        "phoneVerified": user.phone_verified,
        "preferences": user.preferences,
        "isPremium": user.is_premium,
        "updatedAt": time(user.updated_at),
    });
    with(user_found(&user.profile, names), own)
}

/// What two people have to do with each other.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Acquaintance {
    /// Rooms to which both belong.
    pub(crate) shared_rooms: usize,
    /// Whether the other one is there; `None` when nobody can tell, or without such rooms.
    pub(crate) presence: Option<&'static str>,
}

/// `UserPublic`: what others may see of a person.
pub(crate) fn user_public(user: &Profile, names: &SubjectNames, to: Acquaintance) -> Value {
    let between = json!({ "presence": to.presence, "sharedRoomsCount": to.shared_rooms });
    with(user_found(user, names), between)
}

/// `UserPublic` of somebody in a conversation, with whether they are there. Of one who was erased, or
/// whom the read model does not show yet, there is the id only.
pub(crate) fn participant(
    id: UserId,
    people: &HashMap<UserId, Profile>,
    names: &SubjectNames,
    presence: Option<&str>,
) -> Value {
    let known = people.get(&id).map(|profile| user_found(profile, names));
    let nobody = || {
        json!({
            "id": id, "fullName": null, "username": null, "profilePictureUrl": null, "bio": null,
            "educationLevel": null, "institution": null, "languages": [], "timeZone": null,
            "availability": [], "goals": null, "subjects": [], "role": null, "isVerified": false,
            "createdAt": null, "updatedAt": null,
        })
    };
    with(known.unwrap_or_else(nobody), json!({ "presence": presence }))
}

/// What others see of a person beside something else. Of one who was erased, or whom the read model
/// does not show yet, there is the id only.
pub(crate) fn short(id: UserId, people: &HashMap<UserId, UserShort>) -> Value {
    let user = people.get(&id);
    json!({
        "id": id,
        "fullName": user.and_then(|user| user.full_name.as_deref()),
        "username": user.and_then(|user| user.username.as_deref()),
        "profilePictureUrl": user.and_then(|user| user.profile_picture_url.as_deref()),
    })
}

/// The answer to everything that logs someone in.
pub(crate) fn session(session: &LoggedIn, user: &Value) -> Value {
    json!({
        "status": "authenticated",
        "user": user,
        "session": {
            "id": session.session_id,
            "accessToken": session.access_token,
            "tokenType": "Bearer",
            "expiresIn": session.expires_in,
            "refreshToken": session.refresh_token,
            "refreshExpiresAt": time(session.refresh_expires_at),
        },
    })
}

/// What was sent to somebody who is to answer it.
pub(crate) fn verification(sent: &Verification) -> Value {
    json!({
        "status": "verification_required",
        "verification": {
            "id": sent.id,
            "channel": sent.channel,
            "maskedDestination": sent.masked_destination,
            "expiresAt": time(sent.expires_at),
            "resendAvailableAt": time(sent.resend_available_at),
        },
    })
}

/// A session in the list of a person's own.
pub(crate) fn login(session: &SessionRow, seen: Option<DateTime<Utc>>, current: bool) -> Value {
    let refreshed = session.last_refreshed_at.unwrap_or(session.created_at);
    json!({
        "id": session.id,
        "createdAt": time(session.created_at),
        "lastSeenAt": time(seen.map_or(refreshed, |seen| seen.max(refreshed))),
        "expiresAt": time(session.expires_at),
        "userAgent": session.user_agent,
        "current": current,
    })
}

#[cfg(test)]
mod tests {
    use domain::Preferences;

    use super::*;

    /// A person who has said nothing about themselves.
    fn nobody(at: DateTime<Utc>) -> Profile {
        Profile {
            id: UserId(uuid::Uuid::nil()),
            full_name: None,
            username: None,
            profile_picture_url: None,
            bio: None,
            education_level: None,
            institution: None,
            is_verified: false,
            role: "student".to_owned(),
            created_at: at,
            languages: Vec::new(),
            time_zone: None,
            availability: Vec::new(),
            goals: None,
            subjects: Vec::new(),
            shown_at: at,
            deactivated: false,
        }
    }

    #[test]
    fn what_belongs_to_a_person_alone_is_not_in_what_others_see() {
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let id = UserId(uuid::Uuid::nil());
        let profile = Profile {
            id,
            full_name: Some("Ana".to_owned()),
            education_level: Some("graduate".to_owned()),
            ..nobody(at)
        };
        let row = UserRow {
            profile,
            email: Some("Ana@Example.org".to_owned()),
            email_verified: false,
            phone: None,
            phone_verified: false,
            is_premium: false,
            updated_at: at,
            version: 1,
            preferences: Preferences::default(),
        };
        let shown = user_self(&row, &SubjectNames::new());
        let public = user_public(&row.profile, &SubjectNames::new(), Acquaintance::default());
        for private in
            ["email", "emailVerified", "phone", "phoneVerified", "preferences", "isPremium"]
        {
            assert!(shown.get(private).is_some() && public.get(private).is_none(), "{private}");
        }
    }

    #[test]
    fn who_is_not_known_has_every_field_all_the_same() {
        let id = UserId(uuid::Uuid::nil());
        let at = DateTime::from_timestamp_millis(1_800_000_000_123).unwrap();
        let unknown = participant(id, &HashMap::new(), &SubjectNames::new(), None);
        let profile = Profile { id, full_name: Some("Ana".to_owned()), ..nobody(at) };
        let known = participant(id, &HashMap::from([(id, profile)]), &SubjectNames::new(), None);
        let fields = |view: &Value| view.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(fields(&unknown), fields(&known));
        assert_eq!((&unknown["fullName"], &known["fullName"]), (&Value::Null, &json!("Ana")));
    }

    #[test]
    fn an_erased_person_has_an_id_and_no_name() {
        let id = UserId(uuid::Uuid::nil());
        let erased = UserShort { id, full_name: None, username: None, profile_picture_url: None };
        let people = HashMap::from([(id, erased)]);
        assert_eq!(short(id, &people), short(id, &HashMap::new()));
        assert_eq!(short(id, &people)["id"], json!(id));
        assert_eq!(short(id, &people)["fullName"], Value::Null);
    }
}
