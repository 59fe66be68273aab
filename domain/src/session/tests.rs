//! Given what happened, when someone asks, then this happens.
use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;

const ID: SessionId = SessionId(Uuid::nil());
const ANA: UserId = UserId(Uuid::nil());

fn session() -> TestFramework<Session> {
    TestFramework::with(())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn started() -> SessionEvent {
    SessionEvent::SessionStarted {
        session_id: ID,
        user_id: ANA,
        user_agent: Some("test".to_owned()).into(),
        slot: Some(3),
        token_version: Some(0),
        proof: Some(LoginProof::Code),
        expires_at: at(1000),
        at: at(0),
    }
}

fn refreshed(counter: u64) -> SessionEvent {
    SessionEvent::SessionRefreshed { session_id: ID, user_id: ANA, counter, at: at(5) }
}

fn revoked(reason: RevocationReason) -> SessionEvent {
    SessionEvent::SessionRevoked { session_id: ID, user_id: ANA, reason, slot: Some(3), at: at(5) }
}

fn refresh(presented: u64) -> SessionCommand {
    SessionCommand::Refresh { presented, at: at(5) }
}

#[test]
fn the_current_token_rotates() {
    session().given(vec![started()]).when(refresh(0)).then_expect_events(vec![refreshed(1)]);
}

#[test]
fn the_token_before_the_current_one_gets_the_current_pair_again() {
    session().given(vec![started(), refreshed(1)]).when(refresh(0)).then_expect_events(vec![]);
}

#[test]
fn an_older_token_ends_the_session() {
    session()
        .given(vec![started(), refreshed(1), refreshed(2)])
        .when(refresh(0))
        .then_expect_events(vec![
            SessionEvent::RefreshTokenReuseDetected {
                session_id: ID,
                user_id: ANA,
                presented: 0,
                current: 2,
                at: at(5),
            },
            revoked(RevocationReason::TokenReused),
        ]);
}

#[test]
fn nothing_works_after_the_end() {
    let ended = vec![started(), revoked(RevocationReason::LoggedOut)];
    session().given(ended.clone()).when(refresh(0)).then_expect_error(SessionError::Revoked);
    let late = SessionCommand::Refresh { presented: 0, at: at(1000) };
    session().given(vec![started()]).when(late).then_expect_error(SessionError::InvalidToken);
    session().given(vec![started()]).when(refresh(7)).then_expect_error(SessionError::InvalidToken);
}

fn revoke(owner: UserId) -> SessionCommand {
    SessionCommand::Revoke { owner, reason: RevocationReason::LoggedOut, at: at(5) }
}

#[test]
fn a_session_of_somebody_else_is_not_there() {
    let ben = UserId(Uuid::max());
    let ended = vec![started(), revoked(RevocationReason::LoggedOut)];
    for history in [vec![], vec![started()], ended] {
        session().given(history).when(revoke(ben)).then_expect_error(SessionError::NotFound);
    }
}

#[test]
fn a_session_holds_its_place_until_it_ends() {
    let (scope, value) = (Session::SLOT, format!("{ANA}:3"));
    let taken = vec![ClaimChange::Take { scope, value: value.clone() }];
    assert_eq!(Session::claims(&started()), taken);
    let ended = revoked(RevocationReason::TokenReused);
    assert_eq!(Session::claims(&ended), vec![ClaimChange::Release { scope, value }]);
}

#[test]
fn logging_out_twice_records_one_end() {
    let revoke = revoke(ANA);
    session()
        .given(vec![started()])
        .when(revoke.clone())
        .then_expect_events(vec![revoked(RevocationReason::LoggedOut)]);
    session()
        .given(vec![started(), revoked(RevocationReason::LoggedOut)])
        .when(revoke)
        .then_expect_events(vec![]);
}

#[test]
fn a_code_answered_a_moment_ago_shows_who_somebody_is() {
    let begun_by = |means| {
        let mut session = Session::Absent;
        let mut event = started();
        if let SessionEvent::SessionStarted { proof, .. } = &mut event {
            *proof = means;
        }
        session.evolve(&event);
        session
    };
    let age = TimeDelta::seconds(60);
    let session = begun_by(Some(LoginProof::Code));
    assert!(session.is_fresh(LoginProof::Code, age, at(59)));
    assert!(!session.is_fresh(LoginProof::Code, age, at(60)), "too long ago");
    for means in [None, Some(LoginProof::Password), Some(LoginProof::Link)] {
        assert!(!begun_by(means).is_fresh(LoginProof::Code, age, at(1)), "{means:?}");
    }
    assert!(!Session::Absent.is_fresh(LoginProof::Code, age, at(1)));
}
