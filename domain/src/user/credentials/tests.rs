//! What is recorded of the way into an account, and what then counts.
use chrono::TimeDelta;

use super::*;

const ANA: UserId = UserId(Uuid::nil());
const HERE: SessionId = SessionId(Uuid::from_u128(1));
const THERE: SessionId = SessionId(Uuid::from_u128(2));
const GAP: TimeDelta = TimeDelta::seconds(60);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn link(number: u128, seconds: i64) -> LinkRequest {
    let request_id = Uuid::from_u128(number);
    LinkRequest { request_id, expires_at: at(seconds + 1000), at: at(seconds) }
}

fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

fn ana() -> Credentials {
    let phone = Some(Phone::parse("+4930123456").unwrap());
    Credentials::new(email("ana@old.example").into(), phone.into())
}

/// Carries a command out and names what it recorded.
fn does(
    credentials: &mut Credentials,
    command: CredentialsCommand,
) -> Result<Vec<String>, UserError> {
    use cqrs_es::DomainEvent as _;
    let events = credentials.decide(ANA, command)?;
    for event in &events {
        credentials.evolve(event);
    }
    Ok(events.iter().map(UserEvent::event_type).collect())
}

fn verify(number: u128, seconds: i64) -> CredentialsCommand {
    CredentialsCommand::VerifyEmail { request_id: Uuid::from_u128(number), at: at(seconds) }
}

fn confirm(side: Side) -> CredentialsCommand {
    let request_id = Uuid::from_u128(7);
    CredentialsCommand::ConfirmEmailChange { request_id, side, at: at(10) }
}

fn reset(number: u128, seconds: i64) -> CredentialsCommand {
    let request_id = Uuid::from_u128(number);
    CredentialsCommand::ResetPassword { request_id, password_hash: "x".into(), at: at(seconds) }
}

use CredentialsCommand as C;

#[test]
fn after_a_change_of_the_password_only_the_session_of_the_change_goes_on() {
    let mut credentials = ana();
    assert!(credentials.accepts(HERE, 0) && credentials.accepts(THERE, 0));
    let change = C::ChangePassword { password_hash: "new".into(), keep: HERE, at: at(0) };
    assert_eq!(does(&mut credentials, change).unwrap(), ["PasswordChanged"]);
    assert!(credentials.accepts(HERE, 0));
    assert!(!credentials.accepts(THERE, 0));
    assert!(credentials.accepts(THERE, 1), "a login with the new password");
}

#[test]
fn an_address_is_proven_once_by_the_newest_link_in_time() {
    let mut ana = ana();
    does(&mut ana, C::RequestEmailVerification(link(1, 0))).unwrap();
    does(&mut ana, C::RequestEmailVerification(link(2, 5))).unwrap();
    assert_eq!(does(&mut ana, verify(1, 10)), Err(UserError::LinkInvalid), "replaced");
    assert_eq!(does(&mut ana, verify(2, 1005)), Err(UserError::LinkInvalid), "too late");
    assert_eq!(does(&mut ana, verify(2, 10)).unwrap(), ["EmailVerified"]);
    assert_eq!(does(&mut ana, verify(2, 10)), Err(UserError::LinkInvalid), "used");
    assert!(does(&mut ana, C::RequestEmailVerification(link(3, 20))).unwrap().is_empty());
}

#[test]
fn a_reset_ends_all_sessions_and_every_other_link() {
    let mut ana = ana();
    does(&mut ana, C::RequestEmailVerification(link(1, 0))).unwrap();
    let request = |number, seconds| C::RequestPasswordReset {
        link: link(number, seconds),
        gap: GAP,
        per_hour: 9,
    };
    assert_eq!(does(&mut ana, request(2, 0)).unwrap(), ["PasswordResetRequested"]);
    assert!(does(&mut ana, request(3, 59)).unwrap().is_empty(), "not so often");
    assert_eq!(does(&mut ana, reset(3, 10)), Err(UserError::LinkInvalid));
    let events = does(&mut ana, reset(2, 10)).unwrap();
    assert_eq!(events, ["PasswordReset", "EmailVerified"]);
    assert!(!ana.accepts(HERE, 0));
    assert_eq!(does(&mut ana, reset(2, 11)), Err(UserError::LinkInvalid), "used");
    assert_eq!(does(&mut ana, verify(1, 10)), Err(UserError::LinkInvalid));
}

#[test]
fn a_proven_address_changes_when_both_agree() {
    for (first, second) in [(Side::Old, Side::New), (Side::New, Side::Old)] {
        let mut ana = Credentials { email_verified: true, ..ana() };
        let to = email("ana@new.example");
        let request = C::RequestEmailChange { link: link(7, 0), email: to.clone() };
        does(&mut ana, request).unwrap();
        assert_eq!(does(&mut ana, confirm(first)).unwrap(), ["EmailChangeConfirmed"]);
        assert_eq!(does(&mut ana, confirm(first)), Err(UserError::LinkInvalid), "twice");
        assert_eq!(ana.email.known(), Some(&email("ana@old.example")));
        let events = does(&mut ana, confirm(second)).unwrap();
        assert_eq!(events, ["EmailChangeConfirmed", "EmailChanged"]);
        assert_eq!(ana.email.known(), Some(&to));
    }
}

#[test]
fn an_address_that_was_never_proven_has_no_say_in_its_change() {
    let mut ana = ana();
    let same = C::RequestEmailChange { link: link(7, 0), email: email("Ana@old.example") };
    assert_eq!(does(&mut ana, same), Err(UserError::EmailUnchanged));
    let request = C::RequestEmailChange { link: link(7, 0), email: email("ana@new.example") };
    does(&mut ana, request).unwrap();
    let events = does(&mut ana, confirm(Side::New)).unwrap();
    assert_eq!(events, ["EmailChangeConfirmed", "EmailChanged"]);
}

#[test]
fn a_closed_account_accepts_no_session_and_an_opened_one_no_earlier_one() {
    let mut ana = ana();
    let change = |standing| C::ChangeStanding { standing, at: at(0) };
    let suspend = || change(Standing::Suspended);
    assert_eq!(does(&mut ana, suspend()).unwrap(), ["AccountSuspended"]);
    assert!(does(&mut ana, suspend()).unwrap().is_empty());
    assert!(!ana.accepts(HERE, 0) && !ana.accepts(HERE, 1));
    assert_eq!(does(&mut ana, change(Standing::Open)).unwrap(), ["AccountReinstated"]);
    assert!(!ana.accepts(HERE, 0) && ana.accepts(HERE, 1));
    let gone = change(Standing::Deactivated);
    assert_eq!(does(&mut ana, gone).unwrap(), ["AccountDeactivated"]);
}

fn leave(due: i64) -> CredentialsCommand {
    C::RequestDeletion { due_at: at(due), at: at(0) }
}

#[test]
fn who_wants_to_be_forgotten_may_come_back_until_then() {
    let mut ana = ana();
    assert_eq!(does(&mut ana, leave(100)).unwrap(), ["AccountDeletionRequested"]);
    assert!(!ana.accepts(HERE, 0) && !ana.accepts(HERE, 1));
    // Asked again, only a sooner day is another one.
    assert!(does(&mut ana, leave(100)).unwrap().is_empty());
    assert!(does(&mut ana, C::Return { at: at(100) }).unwrap().is_empty());
    assert_eq!(does(&mut ana, C::Return { at: at(99) }).unwrap(), ["AccountReinstated"]);
    assert!(!ana.accepts(HERE, 0) && ana.accepts(HERE, 1));
    assert!(ana.erase(ANA, &None.into(), at(1000)).is_empty());
}

#[test]
fn who_was_shut_out_does_not_come_back_by_going() {
    let mut ana = ana();
    does(&mut ana, C::ChangeStanding { standing: Standing::Suspended, at: at(0) }).unwrap();
    assert_eq!(does(&mut ana, leave(100)).unwrap(), ["AccountDeletionRequested"]);
    assert!(!ana.returns(at(1)) && does(&mut ana, C::Return { at: at(1) }).unwrap().is_empty());
}

#[test]
fn who_is_shut_out_while_going_does_not_come_back() {
    let mut ana = ana();
    does(&mut ana, leave(100)).unwrap();
    let suspend = C::ChangeStanding { standing: Standing::Suspended, at: at(1) };
    assert_eq!(does(&mut ana, suspend).unwrap(), ["AccountDeactivated"]);
    assert_eq!(does(&mut ana, leave(50)).unwrap(), ["AccountDeletionRequested"]);
    assert!(!ana.returns(at(2)));
}

#[test]
fn who_is_forgotten_is_so_once_and_nothing_opens_the_account_again() {
    let mut ana = ana();
    does(&mut ana, leave(100)).unwrap();
    // Closing it in another way does not keep anybody.
    does(&mut ana, C::ChangeStanding { standing: Standing::Suspended, at: at(1) }).unwrap();
    assert!(ana.erase(ANA, &None.into(), at(99)).is_empty());
    let events = ana.erase(ANA, &None.into(), at(100));
    let [UserEvent::AccountErased { email, phone, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(email.known().is_some() && phone.known().is_some());
    ana.evolve(&events[0]);
    assert!(ana.erase(ANA, &None.into(), at(200)).is_empty());
    assert_eq!((&ana.email, &ana.phone), (&Personal::Erased, &Personal::Erased));
    for command in [leave(300), C::ChangeStanding { standing: Standing::Open, at: at(200) }] {
        assert!(does(&mut ana, command).unwrap().is_empty());
    }
}

#[test]
fn only_the_newest_link_to_a_copy_works_and_not_for_ever() {
    let mut ana = ana();
    let ids = [1, 2].map(Uuid::from_u128);
    for number in [1, 2] {
        does(&mut ana, C::RequestExport(link(number, 0))).unwrap();
    }
    assert_eq!(ids.map(|id| ana.exports(id, at(999))), [false, true]);
    assert!(!ana.exports(ids[1], at(1000)));
    does(&mut ana, leave(100)).unwrap();
    assert!(!ana.exports(ids[1], at(1)));
}

#[test]
fn a_role_changes_when_it_is_another_one() {
    let mut ana = ana();
    let role = |role| C::ChangeRole { role, at: at(0) };
    assert!(does(&mut ana, role(Role::Student)).unwrap().is_empty());
    assert_eq!(does(&mut ana, role(Role::Admin)).unwrap(), ["RoleChanged"]);
}

#[test]
fn a_number_is_proven_once_and_may_change() {
    let mut ana = ana();
    assert_eq!(does(&mut ana, prove("+4930123456", 0)).unwrap(), ["PhoneVerified"]);
    assert!(does(&mut ana, prove("+4930123456", 0)).unwrap().is_empty());
    assert_eq!(does(&mut ana, prove("+4930999999", 0)).unwrap(), ["PhoneChanged"]);
    assert!(ana.phone_verified);
}

/// Answers a code that was sent then.
fn prove(number: &str, sent: i64) -> CredentialsCommand {
    C::ProvePhone { phone: Phone::parse(number).unwrap(), sent_at: at(sent), at: at(1000) }
}

#[test]
fn codes_from_before_another_password_or_a_closing_are_void() {
    let closed = |standing| C::ChangeStanding { standing, at: at(50) };
    let ends = [
        vec![C::ChangePassword { password_hash: "new".into(), keep: HERE, at: at(50) }],
        vec![C::RequestPasswordReset { link: link(2, 0), gap: GAP, per_hour: 9 }, reset(2, 50)],
        vec![closed(Standing::Suspended), closed(Standing::Open)],
        vec![closed(Standing::Deactivated), closed(Standing::Open)],
    ];
    for commands in ends {
        let mut ana = Credentials { email_verified: true, phone_verified: true, ..ana() };
        assert!(does(&mut ana, prove("+4930123456", 40)).unwrap().is_empty());
        for command in commands {
            does(&mut ana, command).unwrap();
        }
        for number in ["+4930123456", "+4930999999"] {
            assert_eq!(does(&mut ana, prove(number, 40)), Err(UserError::CodeInvalid));
            assert_eq!(does(&mut ana, prove(number, 50)), Err(UserError::CodeInvalid));
        }
        assert!(does(&mut ana, prove("+4930123456", 51)).unwrap().is_empty());
    }
}

#[test]
fn a_reset_is_asked_for_so_often_in_an_hour() {
    let mut ana = ana();
    let ask = |number, seconds| C::RequestPasswordReset {
        link: link(number, seconds),
        gap: GAP,
        per_hour: 3,
    };
    for n in 0..3 {
        assert_eq!(does(&mut ana, ask(1, n * 100)).unwrap(), ["PasswordResetRequested"]);
    }
    assert!(does(&mut ana, ask(2, 300)).unwrap().is_empty());
    // A link that was used is no way around it.
    does(&mut ana, reset(1, 300)).unwrap();
    assert!(does(&mut ana, ask(3, 3599)).unwrap().is_empty());
    assert_eq!(does(&mut ana, ask(4, 3600)).unwrap(), ["PasswordResetRequested"]);
    assert!(does(&mut ana, ask(5, 3699)).unwrap().is_empty());
}

#[test]
fn who_opened_an_account_with_a_foreign_address_keeps_no_way_in_after_its_reset() {
    let ask = || C::RequestPasswordReset { link: link(2, 0), gap: GAP, per_hour: 9 };
    let mut seized = Credentials { phone_verified: true, ..ana() };
    does(&mut seized, ask()).unwrap();
    let events = does(&mut seized, reset(2, 10)).unwrap();
    assert_eq!(events, ["PasswordReset", "EmailVerified", "PhoneGivenUp"]);
    assert!(!seized.phone_verified && seized.phone.known() == Some(&None));
    // Who has proven the address before keeps the number.
    let mut own = Credentials { phone_verified: true, email_verified: true, ..ana() };
    does(&mut own, ask()).unwrap();
    assert_eq!(does(&mut own, reset(2, 10)).unwrap(), ["PasswordReset"]);
}

#[test]
fn a_number_that_was_never_proven_goes_to_who_proves_it() {
    let mut ana = ana();
    let give_up = || C::GiveUpPhone { phone: Phone::parse("+4930123456").unwrap(), at: at(0) };
    assert_eq!(does(&mut ana, give_up()).unwrap(), ["PhoneGivenUp"]);
    assert_eq!(does(&mut ana, give_up()), Err(UserError::PhoneTaken), "it is not hers");
    let mut proven = Credentials { phone_verified: true, ..self::ana() };
    assert_eq!(does(&mut proven, give_up()), Err(UserError::PhoneTaken));
}

#[test]
fn a_registration_with_a_known_address_is_noted_now_and_then() {
    let mut ana = ana();
    let note = |seconds| C::NoteRegistration { gap: GAP, at: at(seconds) };
    assert_eq!(does(&mut ana, note(0)).unwrap(), ["RegistrationRepeated"]);
    assert!(does(&mut ana, note(59)).unwrap().is_empty());
    assert_eq!(does(&mut ana, note(60)).unwrap(), ["RegistrationRepeated"]);
}
