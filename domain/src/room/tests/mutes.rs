//! Who may not speak for a while.
use chrono::TimeDelta;

use super::*;

fn minutes(minutes: i64) -> DateTime<Utc> {
    at() + TimeDelta::minutes(minutes)
}

/// A room of Ana's with Ben and Cai in it, of whom Ben moderates.
fn moderated() -> Vec<RoomEvent> {
    let mut events = created(RoomType::Public, 9);
    let role = MemberRole::Moderator;
    events.extend([
        joined(BEN, 2),
        joined(CAI, 3),
        RoomEvent::MemberRoleChanged { room_id: ROOM, user_id: BEN, by: ANA, role, at: at() },
    ]);
    events
}

fn mute(by: UserId, user_id: UserId) -> RoomCommand {
    RoomCommand::Mute { by, user_id, until: minutes(10), at: at() }
}

fn lift(by: UserId, user_id: UserId) -> RoomCommand {
    RoomCommand::LiftMute { by, user_id, at: at() }
}

fn muted(by: UserId, user_id: UserId, until: DateTime<Utc>) -> RoomEvent {
    RoomEvent::MemberMuted { room_id: ROOM, user_id, by, until, at: at() }
}

fn post_at(author_id: UserId, time: DateTime<Utc>) -> RoomCommand {
    let RoomCommand::PostMessage(message) = post(author_id) else { unreachable!() };
    RoomCommand::PostMessage(PostMessage { at: time, ..message })
}

#[test]
fn who_is_muted_speaks_again_when_the_time_has_come() {
    let given = || room().given(moderated()).and(vec![muted(BEN, CAI, minutes(10))]);
    let refusal = || RoomError::Muted { until: minutes(10) };
    given().when(post_at(CAI, at())).then_expect_error(refusal());
    given().when(post_at(CAI, minutes(9))).then_expect_error(refusal());
    assert!(given().when(post_at(CAI, minutes(10))).inspect_result().is_ok());
    assert!(given().when(post_at(BEN, at())).inspect_result().is_ok());
}

#[test]
fn members_are_muted_by_those_who_may_remove_them() {
    let given = || room().given(moderated());
    let dan = UserId(Uuid::from_u128(4));
    for (by, user_id) in [(ANA, CAI), (BEN, CAI), (ANA, BEN)] {
        given().when(mute(by, user_id)).then_expect_events(vec![muted(by, user_id, minutes(10))]);
    }
    for (by, user_id) in [(BEN, ANA), (CAI, BEN), (CAI, CAI), (BEN, BEN), (ANA, ANA)] {
        given().when(mute(by, user_id)).then_expect_error(RoomError::Forbidden);
        given().when(lift(by, user_id)).then_expect_error(RoomError::Forbidden);
    }
    given().when(mute(dan, CAI)).then_expect_error(RoomError::NotAMember);
    given().when(mute(BEN, dan)).then_expect_error(RoomError::MemberNotFound);
    given().and(vec![archived()]).when(mute(BEN, CAI)).then_expect_error(RoomError::Inactive);
}

#[test]
fn a_mute_is_changed_by_another_and_ends_by_being_lifted() {
    let given = || room().given(moderated()).and(vec![muted(BEN, CAI, minutes(10))]);
    given().when(mute(ANA, CAI)).then_expect_events(vec![]);
    let longer = RoomCommand::Mute { by: ANA, user_id: CAI, until: minutes(20), at: at() };
    given().when(longer).then_expect_events(vec![muted(ANA, CAI, minutes(20))]);

    let lifted = RoomEvent::MuteLifted { room_id: ROOM, user_id: CAI, by: ANA, at: at() };
    given().when(lift(ANA, CAI)).then_expect_events(vec![lifted.clone()]);
    room().given(moderated()).when(lift(ANA, CAI)).then_expect_events(vec![]);
    let over = RoomCommand::LiftMute { by: ANA, user_id: CAI, at: minutes(10) };
    given().when(over).then_expect_events(vec![]);
    assert!(given().and(vec![lifted]).when(post(CAI)).inspect_result().is_ok());
}

#[test]
fn a_mute_outlives_a_membership_and_ends_with_ownership() {
    let gone = vec![muted(BEN, CAI, minutes(10)), left(CAI, 2)];
    let RoomEvent::MemberJoined { room_id, user_id, role, member_count, invite, at, .. } =
        joined(CAI, 3)
    else {
        unreachable!()
    };
    let muted_until = Some(minutes(10));
    let back =
        RoomEvent::MemberJoined { room_id, user_id, role, member_count, invite, muted_until, at };
    room().given(moderated()).and(gone.clone()).when(join(CAI)).then_expect_events(vec![back]);
    let again = [gone, vec![joined(CAI, 3)]].concat();
    room()
        .given(moderated())
        .and(again.clone())
        .when(post(CAI))
        .then_expect_error(RoomError::Muted { until: minutes(10) });
    let owner = [again, vec![transferred(ANA, CAI)]].concat();
    assert!(room().given(moderated()).and(owner).when(post(CAI)).inspect_result().is_ok());
}

#[test]
fn mutes_that_are_over_take_no_place() {
    let mut state = Room::default();
    for event in moderated() {
        state.evolve(&event);
    }
    let person = |n: u32| UserId(Uuid::from_u128(u128::from(100 + n)));
    for n in 0..Room::MAX_MUTES {
        state.evolve(&muted(BEN, person(n), minutes(10)));
    }
    let most = Room::MAX_MUTES;
    assert_eq!(state.decide(mute(BEN, CAI)), Err(RoomError::TooMany { most }));
    assert_eq!(state.mutes(BEN, at()).unwrap().len(), most as usize);
    assert_eq!(state.mutes(BEN, minutes(10)).unwrap(), []);
    assert_eq!(state.mutes(CAI, at()), Err(RoomError::Forbidden));
    let (until, now) = (minutes(30), minutes(11));
    let late = RoomCommand::Mute { by: BEN, user_id: CAI, until, at: now };
    for event in state.decide(late).unwrap() {
        state.evolve(&event);
    }
    assert_eq!(state.mutes(BEN, now).unwrap().len(), 1);
    let Room::Created(room) = &state else { unreachable!() };
    assert_eq!(room.muted.len(), 1, "those that are over are forgotten");
}
