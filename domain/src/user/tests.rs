//! Given what happened, when someone asks, then this happens.
use chrono::{DateTime, Utc};
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::text::{Email, Phone, Username};

fn user() -> TestFramework<User> {
    TestFramework::with(())
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn registration() -> Registration {
    Registration {
        email: Email::parse("Ana@Example.org").unwrap(),
        password_hash: "$argon2id$x".into(),
        full_name: FullName::parse("Ana López").unwrap(),
        username: Some(Username::parse("ana").unwrap()),
        phone: Some(Phone::parse("+4930123456").unwrap()),
        education_level: Some(EducationLevel::Graduate),
        institution: None,
    }
}

fn register() -> UserCommand {
    let registration = Box::new(registration());
    let verification = LinkRequest { request_id: Uuid::nil(), expires_at: at(), at: at() };
    UserCommand::Register { user_id: UserId(Uuid::nil()), registration, verification, at: at() }
}

fn registered() -> UserEvent {
    User::Absent.decide(register()).unwrap().remove(0)
}

#[test]
fn an_account_gives_up_its_address_for_another() {
    let email = |text: &str| Personal::from(Email::parse(text).unwrap());
    let changed = UserEvent::EmailChanged {
        user_id: UserId(Uuid::nil()),
        email: email("ana@new.example"),
        previous: email("Ana@Example.org"),
        at: at(),
    };
    let (scope, release, take) = ("email", "ana@example.org", "ana@new.example");
    assert_eq!(
        User::claims(&changed),
        vec![
            ClaimChange::Release { scope, value: release.into() },
            ClaimChange::Take { scope, value: take.into() },
        ]
    );
}

#[test]
fn registering_opens_an_account_whose_address_is_to_be_proven() {
    let proof = UserEvent::EmailVerificationRequested {
        user_id: UserId(Uuid::nil()),
        request_id: Uuid::nil(),
        email: registration().email.into(),
        expires_at: at(),
        at: at(),
    };
    let events = vec![registered(), proof];
    user().given_no_previous_events().when(register()).then_expect_events(events);
}

#[test]
fn an_account_opens_once() {
    user()
        .given(vec![registered()])
        .when(register())
        .then_expect_error(UserError::AlreadyRegistered);
}

#[test]
fn rehashing_needs_an_account() {
    let rehash = UserCommand::RehashPassword { password_hash: "new".into(), at: at() };
    user().given_no_previous_events().when(rehash.clone()).then_expect_error(UserError::NotFound);
    user().given(vec![registered()]).when(rehash).then_expect_events(vec![
        UserEvent::PasswordRehashed {
            user_id: UserId(Uuid::nil()),
            password_hash: "new".to_owned().into(),
            at: at(),
        },
    ]);
}

#[test]
fn registering_claims_the_canonical_address_the_handle_and_the_number() {
    let take = |scope, value: &str| ClaimChange::Take { scope, value: value.into() };
    assert_eq!(
        User::claims(&registered()),
        vec![
            take("email", "ana@example.org"),
            take("username", "ana"),
            take("phone", "+4930123456")
        ]
    );
}

#[test]
fn what_somebody_had_to_themselves_is_anybodys_once_they_are_forgotten() {
    let user_id = UserId(Uuid::nil());
    let leave = CredentialsCommand::RequestDeletion { due_at: at(), at: at() };
    let given = vec![
        registered(),
        UserEvent::AccountDeletionRequested { user_id, token_version: 1, due_at: at(), at: at() },
    ];
    let erased = UserEvent::AccountErased {
        user_id,
        email: Some(Email::parse("Ana@Example.org").unwrap()).into(),
        username: Some(Username::parse("ana").unwrap()).into(),
        phone: Some(Phone::parse("+4930123456").unwrap()).into(),
        at: at(),
    };
    let released: Vec<_> = User::claims(&erased)
        .into_iter()
        .map(|change| match change {
            ClaimChange::Release { scope, value } => (scope, value),
            ClaimChange::Take { .. } => panic!("nothing is taken"),
        })
        .collect();
    let expected = [("email", "ana@example.org"), ("username", "ana"), ("phone", "+4930123456")];
    assert_eq!(released, expected.map(|(scope, value)| (scope, value.to_owned())));
    user()
        .given(given.clone())
        .when(UserCommand::Erase { at: at() })
        .then_expect_events(vec![erased.clone()]);
    // Nothing can happen to who is not there any more.
    let gone = || user().given(given.clone()).and(vec![erased.clone()]);
    gone().when(UserCommand::Erase { at: at() }).then_expect_events(vec![]);
    gone().when(UserCommand::Credentials(leave.clone())).then_expect_events(vec![]);
    let phone = Phone::parse("+4930123456").unwrap();
    let prove = CredentialsCommand::ProvePhone { phone, sent_at: at(), at: at() };
    for command in [
        UserCommand::Credentials(prove),
        UserCommand::RehashPassword { password_hash: "x".into(), at: at() },
    ] {
        gone().when(command).then_expect_error(UserError::NotFound);
    }
    user()
        .given(vec![registered()])
        .when(UserCommand::Erase { at: at() })
        .then_expect_events(vec![]);
    user()
        .given_no_previous_events()
        .when(UserCommand::Credentials(leave))
        .then_expect_error(UserError::NotFound);
}
