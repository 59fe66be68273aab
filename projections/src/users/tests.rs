use std::collections::BTreeMap;

use cqrs_es::Aggregate as _;
use cqrs_es::event_sink::EventSink;
use domain::study::{Day, LanguageTag, StudyLevel, TimeOfDay, TimeZone};
use domain::text::{Bio, Email, FullName, Goals, Institution, Phone, Username};
use domain::user::{PreferencesEdit, ProfileCommand, ProfileEdit};
use domain::{EducationLevel, SubjectId, User, UserCommand};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use super::*;
use crate::samples::{ANA, assert_whole, at, recorded};

fn project(sequence: i64, event: UserEvent) -> RowChange {
    UsersProjector.project(&recorded(&ANA, sequence, AnyEvent::User(event))).remove(0)
}

fn registered() -> UserEvent {
    UserEvent::UserRegistered {
        user_id: ANA,
        email: Email::parse("Ana@Example.org").unwrap().into(),
        password_hash: "$argon2id$x".to_owned().into(),
        full_name: FullName::parse("Ana López").unwrap().into(),
        username: None.into(),
        phone: None.into(),
        education_level: Some(EducationLevel::Graduate).into(),
        institution: None.into(),
        at: at(0),
    }
}

#[test]
fn an_account_is_a_whole_row_without_its_password() {
    let RowChange::Put { row } = project(1, registered()) else { panic!("not a whole row") };
    assert_whole(&TABLE, &row);
    assert_eq!(row["email"], "Ana@Example.org");
    assert_eq!(row["education_level"], "graduate");
    assert!(!Value::Object(row).to_string().contains("argon2"));
}

#[test]
fn an_account_can_be_shown_from_its_events_and_is_verified_by_either_proof() {
    let phone = Phone::parse("+4930123456").unwrap();
    let opened = UserEvent::UserRegisteredWithPhone {
        user_id: ANA,
        phone: phone.clone().into(),
        full_name: FullName::parse("Ana").unwrap().into(),
        at: at(3),
    };
    let row = UserRow::of([(1, opened)]).unwrap();
    assert_eq!((row.phone.as_deref(), row.phone_verified), (Some(phone.as_str()), true));
    assert_eq!((row.email, row.email_verified, row.profile.is_verified), (None, false, true));
    assert_eq!((row.profile.created_at, row.updated_at, row.version), (at(3), at(3), 1));
    assert_eq!(row.preferences, Preferences::default());

    let fresh = UserRow::of([(1, registered())]).unwrap();
    assert_eq!(fresh.profile.education_level.as_deref(), Some("graduate"));
    assert!(!fresh.email_verified && !fresh.profile.is_verified);
    let email = Email::parse("Ana@Example.org").unwrap().into();
    let proven = UserEvent::EmailVerified { user_id: ANA, email, at: at(5) };
    let row = UserRow::of([(1, registered()), (2, proven.clone())]).unwrap();
    assert!(row.email_verified && row.profile.is_verified);
    assert_eq!((row.updated_at, row.version), (at(5), 2));
    assert_eq!(UserRow::of([(2, proven)]), None, "without its first event");
}

#[test]
fn an_erased_person_has_no_name_and_no_address() {
    let mut event = registered();
    if let UserEvent::UserRegistered { email, full_name, education_level, .. } = &mut event {
        (*email, *full_name) = (Personal::Erased, Personal::Erased);
        *education_level = Personal::Erased;
    }
    let RowChange::Put { row } = project(1, event) else { panic!("not a whole row") };
    for column in ["email", "full_name", "education_level"] {
        assert_eq!(row[column], Value::Null);
    }
}

#[test]
fn a_new_hash_of_the_password_is_a_new_version_of_the_account() {
    let event = UserEvent::PasswordRehashed {
        user_id: ANA,
        password_hash: "$argon2id$y".to_owned().into(),
        at: at(5),
    };
    let change =
        RowChange::Set { key: fields(json!({"id": ANA})), fields: fields(json!({"version": 2})) };
    assert_eq!(project(2, event), change);
}

#[test]
fn an_edit_changes_the_columns_it_names_and_clears_what_is_null() {
    let event = UserEvent::ProfileChanged {
        user_id: ANA,
        full_name: Change::Keep,
        bio: Change::Set(None.into()),
        education_level: Change::Keep,
        institution: Change::Set(Personal::Erased),
        languages: Change::Set(Personal::Erased),
        time_zone: Change::Keep,
        availability: Change::Keep,
        goals: Change::Set(Some(Goals::parse("Pass").unwrap()).into()),
        at: at(5),
    };
    let change = RowChange::Set {
        key: fields(json!({"id": ANA})),
        fields: fields(json!({
            "bio": null, "institution": null, "languages": [], "goals": "Pass",
            "shown_at": at(5), "updated_at": at(5), "version": 2,
        })),
    };
    assert_eq!(project(2, event), change);
}

#[test]
fn what_only_its_owner_sees_does_not_show_as_a_change() {
    let event = UserEvent::PreferencesChanged {
        user_id: ANA,
        preferences: Preferences::default(),
        at: at(5),
    };
    let RowChange::Set { fields, .. } = project(2, event) else { panic!("a whole row") };
    assert!(fields.contains_key("updated_at") && !fields.contains_key("shown_at"), "{fields:?}");
}

/// What one request asks.
#[derive(Clone, Debug)]
enum Step {
    Edit(Box<ProfileEdit>),
    Subject(u128, Option<StudyLevel>),
    NoSubject(u128),
}

/// One of two values, none, or no change.
fn choice<T: Clone + std::fmt::Debug + 'static>(
    values: [T; 2],
) -> BoxedStrategy<Change<Option<T>>> {
    prop_oneof![
        2 => Just(Change::Keep),
        1 => Just(Change::Set(None)),
        2 => proptest::sample::select(Vec::from(values)).prop_map(|value| Change::Set(Some(value))),
    ]
    .boxed()
}

fn required<T: Clone + std::fmt::Debug + 'static>(values: [T; 2]) -> BoxedStrategy<Change<T>> {
    choice(values)
        .prop_map(|change| match change {
            Change::Set(Some(value)) => Change::Set(value),
            _ => Change::Keep,
        })
        .boxed()
}

fn edits() -> impl Strategy<Value = Step> {
    let slot = |day, to| TimeSlot {
        day,
        from: TimeOfDay::parse("08:00").unwrap(),
        to: TimeOfDay::parse(to).unwrap(),
    };
    let people = (
        required(["Ana", "Ana López"].map(|it| FullName::parse(it).unwrap())),
        choice(["ana", "ana_2"].map(|it| Username::parse(it).unwrap())),
        choice(["Likes rings", "Likes\nfields"].map(|it| Bio::parse(it).unwrap())),
        choice([EducationLevel::School, EducationLevel::Other]),
        choice(["MIT", "ETH"].map(|it| Institution::parse(it).unwrap())),
    );
    let study = (
        required(["de", "pt-BR"].map(|it| vec![LanguageTag::parse(it).unwrap()])),
        choice(["UTC", "Europe/Berlin"].map(|it| TimeZone::parse(it).unwrap())),
        required([vec![], vec![slot(Day::Monday, "09:00"), slot(Day::Friday, "24:00")]]),
        choice(["Pass", "Learn"].map(|it| Goals::parse(it).unwrap())),
        any::<(Option<bool>, Option<bool>, Option<bool>)>(),
        proptest::option::of(proptest::sample::select(vec![DmPolicy::Nobody, DmPolicy::Everyone])),
    );
    (people, study).prop_map(|(people, study)| {
        let (full_name, username, bio, education_level, institution) = people;
        let (languages, time_zone, availability, goals, flags, dm_policy) = study;
        let (typing_visible, read_receipts, discoverable) = flags;
        let preferences =
            PreferencesEdit { dm_policy, typing_visible, read_receipts, discoverable };
        Step::Edit(Box::new(ProfileEdit {
            full_name,
            username,
            bio,
            education_level,
            institution,
            languages,
            time_zone,
            availability,
            goals,
            preferences,
        }))
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let level = proptest::option::of(proptest::sample::select(vec![
        StudyLevel::Beginner,
        StudyLevel::Advanced,
    ]));
    prop_oneof![
        4 => edits(),
        2 => (0_u128..4, level).prop_map(|(subject, level)| Step::Subject(subject, level)),
        1 => (0_u128..4).prop_map(Step::NoSubject),
    ]
}

/// What a client that remembers its own requests expects to read.
#[derive(Default)]
struct Expected {
    columns: BTreeMap<&'static str, Value>,
    /// Subject and level, in the order of adding.
    subjects: Vec<(u128, Value)>,
}

impl Expected {
    fn change<T: Serialize>(&mut self, column: &'static str, change: &Change<T>) {
        if let Change::Set(value) = change {
            self.columns.insert(column, json!(value));
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Edit(edit) => {
                self.change("full_name", &edit.full_name);
                self.change("username", &edit.username);
                self.change("bio", &edit.bio);
                self.change("education_level", &edit.education_level);
                self.change("institution", &edit.institution);
                self.change("languages", &edit.languages);
                self.change("time_zone", &edit.time_zone);
                self.change("availability", &edit.availability);
                self.change("goals", &edit.goals);
                let wanted = edit.preferences;
                for (column, value) in [
                    ("dm_policy", wanted.dm_policy.map(|it| json!(it))),
                    ("typing_visible", wanted.typing_visible.map(Value::Bool)),
                    ("read_receipts", wanted.read_receipts.map(Value::Bool)),
                    ("discoverable", wanted.discoverable.map(Value::Bool)),
                ] {
                    self.columns.extend(value.map(|value| (column, value)));
                }
            }
            Step::Subject(id, level) => {
                let full = self.subjects.len() == 2;
                let found = self.subjects.iter_mut().find(|(known, _)| known == id);
                match (found, level) {
                    (Some((_, known)), Some(level)) => *known = json!(level),
                    (Some(_), None) => {}
                    // The third subject is one too many.
                    (None, _) if full => {}
                    (None, level) => self.subjects.push((*id, json!(level))),
                }
            }
            Step::NoSubject(id) => self.subjects.retain(|(known, _)| known != id),
        }
    }
}

fn command(step: Step, seconds: i64) -> UserCommand {
    let at = at(seconds);
    let subject = |number| SubjectId(Uuid::from_u128(number));
    UserCommand::Profile(match step {
        Step::Edit(edit) => ProfileCommand::Edit { edit, at },
        Step::Subject(id, level) => {
            ProfileCommand::SetSubject { subject_id: subject(id), level, role: None, most: 2, at }
        }
        Step::NoSubject(id) => ProfileCommand::RemoveSubject { subject_id: subject(id), at },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_read_model_is_what_all_edits_come_to(steps in proptest::collection::vec(steps(), 1..25)) {
        let mut user = User::default();
        user.apply(registered());
        let RowChange::Put { mut row } = project(1, registered()) else { panic!("a whole row") };
        let mut expected = Expected::default();
        let mut sequence = 1;
        for (second, step) in (6..).zip(steps) {
            expected.take(&step);
            let before = row.clone();
            let sink = EventSink::default();
            let events = futures::executor::block_on(async {
                let decided = user.handle(command(step, second), &(), &sink).await;
                (if decided.is_ok() { sink.collect().await } else { vec![] }, decided.is_ok())
            });
            for event in events.0 {
                sequence += 1;
                let RowChange::Set { fields, .. } = project(sequence, event) else {
                    panic!("only some columns")
                };
                row.extend(fields);
            }
            // Whoever knows the version knows the row.
            prop_assert_eq!(row["version"] == before["version"], row == before);
        }
        for (column, value) in expected.columns {
            prop_assert_eq!(&row[column], &value, "{}", column);
        }
        let subjects: Vec<(Uuid, Value)> = row["subjects"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| (it["subjectId"].as_str().unwrap().parse().unwrap(), it["level"].clone()))
            .collect();
        let expected: Vec<_> =
            expected.subjects.into_iter().map(|(id, level)| (Uuid::from_u128(id), level)).collect();
        prop_assert_eq!(subjects, expected);
    }
}
