//! What clients send to `/api/users`.
use domain::{
    Change, ProfileEdit, SubjectId, Violation,
    study::{LanguageTag, StudyLevel, StudyRole, TimeOfDay, TimeSlot, TimeZone},
    text::{Bio, FullName, Goals, Institution, Username},
    user::{Preferences, PreferencesEdit},
};
use projections::PeopleFilter;
use serde_json::Value;

use crate::{
    extract::{Fields, FromFields, boolean, id, list, one_of, search, text},
    page::Paging,
};

/// Levels of education, as they are written.
pub(in crate::routes) const EDUCATION_LEVELS: &str =
    "school, undergraduate, graduate, doctorate, professional, other";

/// Fewest characters to search people by: one letter would list everybody.
const LEAST_SEARCHED: usize = 2;

/// Body of `PUT` and `PATCH /api/users/me`.
#[derive(Debug)]
pub(in crate::routes) struct Edit(pub(super) Box<ProfileEdit>);

impl FromFields for Edit {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let full_name = full_name(fields);
        let username = fields.change("username", text(Username::parse));
        let bio = fields.change("bio", text(unless_empty(Bio::parse)));
        let education_level = fields.change("educationLevel", one_of(EDUCATION_LEVELS));
        let institution = fields.change("institution", text(unless_empty(Institution::parse)));
        let picture = fields.change("profilePictureUrl", text(picture));
        let languages = fields.change("languages", languages);
        let time_zone = fields.change("timeZone", text(TimeZone::parse));
        let availability = fields.change("availability", availability);
        let goals = fields.change("goals", text(Goals::parse));
        let preferences = preferences(fields);
        // There is no picture, so there is nothing to clear.
        let _: Change<Option<()>> = picture?;
        Some(Self(Box::new(ProfileEdit {
            full_name: full_name?,
            username: username?,
            bio: or_none(bio?),
            education_level: education_level?,
            institution: or_none(institution?),
            languages: or_empty(languages?),
            time_zone: time_zone?,
            availability: or_empty(availability?),
            goals: goals?,
            preferences: preferences?,
        })))
    }
}

/// Everybody has a name: it can be changed and not cleared.
fn full_name(fields: &mut Fields) -> Option<Change<FullName>> {
    match fields.change("fullName", text(FullName::parse))? {
        Change::Keep => Some(Change::Keep),
        Change::Set(Some(name)) => Some(Change::Set(name)),
        Change::Set(None) => {
            fields.refuse("fullName", Violation::new("required", "must not be null"));
            None
        }
    }
}

/// A picture is one of the person's own uploads. An address would let anybody make every reader's
/// browser call a server of their choice.
fn picture(_: &str) -> Result<(), Violation> {
    Err(Violation::new("unknown_upload", "must be the id of a picture that you uploaded"))
}

/// What a form sends of a field that was emptied is no text.
fn unless_empty<T>(
    parse: impl FnOnce(&str) -> Result<T, Violation>,
) -> impl FnOnce(&str) -> Result<Option<T>, Violation> {
    |raw| if raw.is_empty() { Ok(None) } else { parse(raw).map(Some) }
}

#[expect(clippy::option_option, reason = "null and an empty text are both nothing")]
fn or_none<T>(change: Change<Option<Option<T>>>) -> Change<Option<T>> {
    match change {
        Change::Keep => Change::Keep,
        Change::Set(value) => Change::Set(value.flatten()),
    }
}

fn or_empty<T>(change: Change<Option<Vec<T>>>) -> Change<Vec<T>> {
    match change {
        Change::Keep => Change::Keep,
        Change::Set(values) => Change::Set(values.unwrap_or_default()),
    }
}

fn languages(value: &Value) -> Result<Vec<LanguageTag>, Violation> {
    let mut tags = list(LanguageTag::MOST, |tag| text(LanguageTag::parse)(tag))(value)?;
    let mut seen = Vec::new();
    tags.retain(|tag| {
        let new = !seen.contains(tag);
        seen.push(tag.clone());
        new
    });
    Ok(tags)
}

fn availability(value: &Value) -> Result<Vec<TimeSlot>, Violation> {
    TimeSlot::week(list(TimeSlot::MOST, slot)(value)?)
}

fn slot(value: &Value) -> Result<TimeSlot, Violation> {
    let shape = || Violation::new("wrong_type", "must be an object of day, from and to");
    let object = value.as_object().ok_or_else(shape)?;
    let known = |name: &String| ["day", "from", "to"].contains(&name.as_str());
    if !object.keys().all(known) {
        return Err(Violation::new("unknown_field", "has day, from and to, and no other fields"));
    }
    let field = |name| object.get(name).ok_or_else(shape);
    let days = "monday, tuesday, wednesday, thursday, friday, saturday, sunday";
    Ok(TimeSlot {
        day: one_of(days)(field("day")?)?,
        from: text(TimeOfDay::parse)(field("from")?)?,
        to: text(TimeOfDay::parse)(field("to")?)?,
    })
}

/// Null asks for what everybody begins with: for all of them, or for one.
fn preferences(fields: &mut Fields) -> Option<PreferencesEdit> {
    let given = fields.given("preferences");
    match fields.nested::<Wanted>("preferences")? {
        Some(Wanted(edit)) => Some(edit),
        None if given => {
            let nulls = Wanted::NAMES.map(|name| (name.to_owned(), Value::Null));
            Wanted::from_fields(&mut Fields::new(nulls.into_iter().collect())).map(|it| it.0)
        }
        None => Some(PreferencesEdit::default()),
    }
}

struct Wanted(PreferencesEdit);

impl Wanted {
    const NAMES: [&'static str; 4] = ["dmPolicy", "typingVisible", "readReceipts", "discoverable"];
}

impl FromFields for Wanted {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let [policy, typing, receipts, discovery] = Self::NAMES;
        let dm_policy = fields.change(policy, one_of("everyone, shared_room, nobody"));
        let typing_visible = fields.change(typing, boolean);
        let read_receipts = fields.change(receipts, boolean);
        let discoverable = fields.change(discovery, boolean);
        let begin = Preferences::default();
        Some(Self(PreferencesEdit {
            dm_policy: wanted(dm_policy?, begin.dm_policy),
            typing_visible: wanted(typing_visible?, begin.typing_visible),
            read_receipts: wanted(read_receipts?, begin.read_receipts),
            discoverable: wanted(discoverable?, begin.discoverable),
        }))
    }
}

/// Null is what everybody begins with.
fn wanted<T>(change: Change<Option<T>>, begin: T) -> Option<T> {
    match change {
        Change::Keep => None,
        Change::Set(value) => Some(value.unwrap_or(begin)),
    }
}

/// Query of `GET /api/users`.
#[derive(Debug)]
pub(in crate::routes) struct Find {
    pub(super) filter: PeopleFilter,
    pub(super) paging: Paging,
}

impl FromFields for Find {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let q = fields.optional("q", text(words));
        let subject_id = fields.optional("subjectId", id::<SubjectId>);
        let paging = Paging::from_fields(fields);
        let filter = PeopleFilter { q: q?.flatten(), subject_id: subject_id? };
        if filter.q.is_none() && filter.subject_id.is_none() {
            fields.refuse("q", Violation::new("required", "give q or subjectId"));
            return None;
        }
        Some(Self { filter, paging: paging? })
    }
}

fn words(raw: &str) -> Result<Option<String>, Violation> {
    let q = search(raw)?;
    match &q {
        Some(q) if q.chars().count() < LEAST_SEARCHED => {
            Err(Violation::new("too_short", format!("at least {LEAST_SEARCHED} characters")))
        }
        _ => Ok(q),
    }
}

/// Body of `POST /api/users/subjects`.
#[derive(Debug)]
pub(in crate::routes) struct AddSubject {
    pub(super) subject_id: SubjectId,
    pub(super) level: Option<StudyLevel>,
    pub(super) role: Option<StudyRole>,
}

impl FromFields for AddSubject {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let subject_id = fields.required("subjectId", id);
        let level = fields.optional("level", one_of("beginner, intermediate, advanced"));
        let role = fields.optional("role", one_of("learn, teach"));
        Some(Self { subject_id: subject_id?, level: level?, role: role? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: FromFields>(value: Value) -> Result<T, Vec<String>> {
        let Value::Object(fields) = value else { panic!("an object") };
        Fields::new(fields).read().map_err(|problem| {
            let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
            let errors = body["errors"].as_array().unwrap().iter();
            errors.map(|e| format!("{} {}", e["pointer"], e["code"]).replace('"', "")).collect()
        })
    }

    #[test]
    fn an_empty_edit_changes_nothing() {
        assert_eq!(*read::<Edit>(json!({})).unwrap().0, ProfileEdit::default());
    }

    #[test]
    fn what_gives_rights_cannot_be_edited() {
        for field in
            ["email", "phone", "isVerified", "isPremium", "role", "id", "subjects", "version"]
        {
            let errors = read::<Edit>(json!({field: true})).unwrap_err();
            assert_eq!(errors, [format!("/{field} unknown_field")]);
        }
    }

    #[test]
    fn every_field_has_its_limits() {
        let slot = json!({"day": "monday", "from": "08:00", "to": "09:00"});
        for (field, value, code) in [
            ("fullName", json!(null), "required"),
            ("fullName", json!("x".repeat(101)), "too_long"),
            ("username", json!("a.b"), "invalid_characters"),
            ("bio", json!("x".repeat(501)), "too_long"),
            ("bio", json!({"$gt": ""}), "wrong_type"),
            ("educationLevel", json!("genius"), "invalid_value"),
            ("institution", json!("x".repeat(121)), "too_long"),
            ("institution", json!(" "), "blank"),
            ("profilePictureUrl", json!("https://evil.example/pixel.gif"), "unknown_upload"),
            ("profilePictureUrl", json!("0198a0a0-0000-7000-8000-000000000001"), "unknown_upload"),
            ("languages", json!("de"), "wrong_type"),
            ("languages", json!(["not a language"]), "invalid_language"),
            ("languages", json!(vec!["de"; 11]), "too_many"),
            ("timeZone", json!("Mars/Olympus"), "invalid_time_zone"),
            ("availability", json!([{"day": "monday"}]), "wrong_type"),
            (
                "availability",
                json!([{"day": "someday", "from": "08:00", "to": "09:00"}]),
                "invalid_value",
            ),
            (
                "availability",
                json!([{"day": "monday", "from": "8", "to": "09:00"}]),
                "invalid_time",
            ),
            ("availability", json!([slot, slot]), "overlapping"),
            ("goals", json!(" "), "blank"),
            ("preferences", json!([]), "wrong_type"),
        ] {
            let errors = read::<Edit>(json!({field: value})).unwrap_err();
            assert_eq!(errors, [format!("/{field} {code}")]);
        }
        let errors = read::<Edit>(json!({"preferences": {"dmPolicy": "friends", "admin": true}}));
        assert_eq!(
            errors.unwrap_err(),
            ["/preferences/admin unknown_field", "/preferences/dmPolicy invalid_value"]
        );
    }

    #[test]
    fn null_clears_and_resets() {
        let Edit(edit) = read(json!({
            "bio": null, "languages": null, "availability": null, "profilePictureUrl": null,
            "preferences": null, "institution": "",
        }))
        .unwrap();
        assert_eq!(edit.bio, Change::Set(None));
        assert_eq!(edit.institution, Change::Set(None), "an emptied field is cleared");
        assert_eq!(edit.languages, Change::Set(vec![]));
        assert_eq!(edit.availability, Change::Set(vec![]));
        assert_eq!(edit.preferences.discoverable, Some(true));
        assert!(edit.goals.is_keep());
    }

    #[test]
    fn a_language_named_twice_is_named_once() {
        let Edit(edit) = read(json!({"languages": ["DE", "de", "en"]})).unwrap();
        assert_eq!(json!(edit.languages), json!(["de", "en"]));
    }

    #[test]
    fn a_search_for_people_says_whom() {
        assert_eq!(read::<Find>(json!({})).unwrap_err(), ["/q required"]);
        assert_eq!(read::<Find>(json!({"q": " "})).unwrap_err(), ["/q required"]);
        assert_eq!(read::<Find>(json!({"q": "a"})).unwrap_err(), ["/q too_short"]);
        assert!(read::<Find>(json!({"q": "an"})).is_ok());
        let subject = "0198a0a0-0000-7000-8000-000000000001";
        assert!(read::<Find>(json!({"subjectId": subject})).is_ok());
    }
}
