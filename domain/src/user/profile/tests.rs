use uuid::Uuid;

use super::*;
use crate::{AggregateRoot, ClaimChange, User, UserCommand, study::Day, study::TimeOfDay};

const ANA: UserId = UserId(Uuid::nil());
const ALGEBRA: SubjectId = SubjectId(Uuid::from_u128(1));
const PHYSICS: SubjectId = SubjectId(Uuid::from_u128(2));

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn name(name: &str) -> FullName {
    FullName::parse(name).unwrap()
}

fn handle(handle: &str) -> Username {
    Username::parse(handle).unwrap()
}

fn follow(profile: &mut Profile, events: &[UserEvent]) {
    for event in events {
        profile.evolve(event);
    }
}

fn profile() -> Profile {
    Profile::new(Some(handle("ana")).into(), None.into(), None.into())
}

fn edit(profile: &Profile, edit: ProfileEdit) -> Vec<UserEvent> {
    let command = ProfileCommand::Edit { edit: Box::new(edit), at: at() };
    profile.decide(ANA, &name("Ana").into(), command).unwrap()
}

fn set(profile: &mut Profile, subject_id: SubjectId, level: Option<StudyLevel>) -> Vec<UserEvent> {
    let command = ProfileCommand::SetSubject { subject_id, level, role: None, most: 1, at: at() };
    let events = profile.decide(ANA, &name("Ana").into(), command).unwrap();
    follow(profile, &events);
    events
}

#[test]
fn saying_again_what_holds_records_nothing() {
    let same = ProfileEdit {
        full_name: Change::Set(name("Ana")),
        username: Change::Set(Some(handle("ana"))),
        bio: Change::Set(None),
        languages: Change::Set(vec![]),
        preferences: PreferencesEdit { discoverable: Some(true), ..PreferencesEdit::default() },
        ..ProfileEdit::default()
    };
    assert_eq!(edit(&profile(), same), []);
    assert_eq!(edit(&profile(), ProfileEdit::default()), []);
}

#[test]
fn an_edit_records_what_differs_and_nothing_else() {
    let mut profile = profile();
    let bio = Some(Bio::parse("Likes rings.").unwrap());
    let wanted = ProfileEdit {
        full_name: Change::Set(name("Ana")),
        bio: Change::Set(bio.clone()),
        goals: Change::Set(None),
        ..ProfileEdit::default()
    };
    let [UserEvent::ProfileChanged { bio: recorded, full_name, goals, .. }] =
        &edit(&profile, wanted)[..]
    else {
        panic!("one change")
    };
    assert_eq!(recorded, &Change::Set(bio.clone().into()));
    assert!(full_name.is_keep() && goals.is_keep());

    let events = edit(&profile, ProfileEdit { bio: Change::Set(bio), ..ProfileEdit::default() });
    follow(&mut profile, &events);
    let cleared = edit(&profile, ProfileEdit { bio: Change::Set(None), ..ProfileEdit::default() });
    assert!(matches!(&cleared[..], [UserEvent::ProfileChanged { bio, .. }]
        if *bio == Change::Set(Personal::Known(None))));
}

#[test]
fn a_new_handle_frees_the_old_one_in_the_same_step() {
    let wanted =
        ProfileEdit { username: Change::Set(Some(handle("ana_2"))), ..ProfileEdit::default() };
    let events = edit(&profile(), wanted);
    let scope = User::USERNAME;
    assert_eq!(
        User::claims(&events[0]),
        [
            ClaimChange::Release { scope, value: "ana".into() },
            ClaimChange::Take { scope, value: "ana_2".into() },
        ]
    );
    let none =
        edit(&profile(), ProfileEdit { username: Change::Set(None), ..ProfileEdit::default() });
    assert_eq!(User::claims(&none[0]), [ClaimChange::Release { scope, value: "ana".into() }]);
}

#[test]
fn preferences_change_one_by_one() {
    let mut profile = profile();
    for preferences in [
        PreferencesEdit { dm_policy: Some(DmPolicy::Nobody), ..PreferencesEdit::default() },
        PreferencesEdit { discoverable: Some(false), ..PreferencesEdit::default() },
    ] {
        let events = edit(&profile, ProfileEdit { preferences, ..ProfileEdit::default() });
        assert!(matches!(events[..], [UserEvent::PreferencesChanged { .. }]));
        follow(&mut profile, &events);
    }
    let expected =
        Preferences { dm_policy: DmPolicy::Nobody, discoverable: false, ..Preferences::default() };
    assert_eq!(profile.preferences, expected);
}

#[test]
fn people_are_seen_or_not_as_they_said_last() {
    let mut profile = profile();
    let mut choose = |visible| {
        let command = ProfileCommand::ShowPresence { visible, at: at() };
        let events = profile.decide(ANA, &name("Ana").into(), command).unwrap();
        follow(&mut profile, &events);
        events
    };
    let changed =
        |visible| UserEvent::PresenceVisibilityChanged { user_id: ANA, visible, at: at() };
    assert_eq!(choose(true), []);
    assert_eq!(choose(false), [changed(false)]);
    assert_eq!(choose(false), []);
    assert_eq!(choose(true), [changed(true)]);
}

#[test]
fn a_subject_is_on_the_profile_once() {
    let mut profile = profile();
    assert_eq!(set(&mut profile, ALGEBRA, None).len(), 1);
    assert_eq!(set(&mut profile, ALGEBRA, None), []);
    assert_eq!(set(&mut profile, ALGEBRA, Some(StudyLevel::Advanced)).len(), 1);
    // Not saying a level leaves it.
    assert_eq!(set(&mut profile, ALGEBRA, None), []);
    let entry = profile.subject(ALGEBRA).unwrap();
    assert_eq!((entry.level, entry.role), (Some(StudyLevel::Advanced), StudyRole::Learn));
    assert_eq!(profile.subjects().len(), 1);
}

#[test]
fn a_profile_has_so_many_subjects() {
    let mut profile = profile();
    set(&mut profile, ALGEBRA, None);
    let command = ProfileCommand::SetSubject {
        subject_id: PHYSICS,
        level: None,
        role: None,
        most: 1,
        at: at(),
    };
    let refused = profile.decide(ANA, &name("Ana").into(), command.clone());
    assert_eq!(refused, Err(UserError::TooManySubjects { most: 1 }));
    let remove = |subject_id| ProfileCommand::RemoveSubject { subject_id, at: at() };
    let name = name("Ana").into();
    assert_eq!(profile.decide(ANA, &name, remove(PHYSICS)), Ok(vec![]));
    for event in profile.decide(ANA, &name, remove(ALGEBRA)).unwrap() {
        profile.evolve(&event);
    }
    assert!(profile.decide(ANA, &name, command).is_ok());
}

#[test]
fn a_profile_needs_an_account() {
    let slot = TimeSlot {
        day: Day::Monday,
        from: TimeOfDay::parse("08:00").unwrap(),
        to: TimeOfDay::parse("09:00").unwrap(),
    };
    let edit = ProfileEdit { availability: Change::Set(vec![slot]), ..ProfileEdit::default() };
    let command = ProfileCommand::Edit { edit: Box::new(edit), at: at() };
    let refused = User::Absent.decide(UserCommand::Profile(command));
    assert_eq!(refused, Err(UserError::NotFound));
}
