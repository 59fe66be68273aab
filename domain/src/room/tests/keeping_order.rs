//! Roles, removals, bans and invites.
use chrono::TimeDelta;

use super::*;

const DAN: UserId = UserId(Uuid::from_u128(4));
const INVITE: InviteId = InviteId(Uuid::from_u128(8));

/// A room of Ana's with Ben and Cai in it, of whom Ben moderates.
fn moderated(room_type: RoomType) -> Vec<RoomEvent> {
    let mut events = created(room_type, 9);
    events.extend([joined(BEN, 2), joined(CAI, 3), made(ANA, BEN, MemberRole::Moderator)]);
    events
}

fn made(by: UserId, user_id: UserId, role: MemberRole) -> RoomEvent {
    RoomEvent::MemberRoleChanged { room_id: ROOM, user_id, by, role, at: at() }
}

fn make(by: UserId, user_id: UserId, role: MemberRole) -> RoomCommand {
    RoomCommand::ChangeRole { by, user_id, role, slot: Some(5), at: at() }
}

fn kick(by: UserId, user_id: UserId) -> RoomCommand {
    RoomCommand::Remove { by, user_id, at: at() }
}

fn ban(by: UserId, user_id: UserId) -> RoomCommand {
    RoomCommand::Ban { by, user_id, at: at() }
}

fn banned(by: UserId, user_id: UserId) -> RoomEvent {
    RoomEvent::MemberBanned { room_id: ROOM, user_id, by, at: at() }
}

fn removed(by: UserId, user_id: UserId, reason: RemovalReason) -> RoomEvent {
    RoomEvent::MemberRemoved { room_id: ROOM, user_id, by, reason, member_count: 2, at: at() }
}

fn invite(max_uses: Option<u32>) -> RoomCommand {
    RoomCommand::CreateInvite(NewInvite {
        invite_id: INVITE,
        by: BEN,
        code_hash: "hash".to_owned(),
        max_uses,
        expires_at: at() + TimeDelta::hours(1),
        most: 1,
        at: at(),
    })
}

fn invited(max_uses: Option<u32>) -> RoomEvent {
    RoomEvent::InviteCreated {
        room_id: ROOM,
        invite_id: INVITE,
        by: BEN,
        code_hash: "hash".to_owned(),
        max_uses,
        expires_at: at() + TimeDelta::hours(1),
        at: at(),
    }
}

fn join_with(user_id: UserId, code_hash: &str, hours: i64) -> RoomCommand {
    let at = at() + TimeDelta::hours(hours);
    RoomCommand::Join { user_id, code_hash: Some(code_hash.to_owned()), at }
}

fn joined_by_invite(user_id: UserId, member_count: u32, uses: u32) -> RoomEvent {
    RoomEvent::MemberJoined {
        room_id: ROOM,
        user_id,
        role: MemberRole::Member,
        member_count,
        invite: Some(InviteUse { invite_id: INVITE, uses }),
        muted_until: None,
        at: at(),
    }
}

#[test]
fn the_owner_appoints_and_dismisses_moderators_and_nobody_else_does() {
    let given = || room().given(moderated(RoomType::Public));
    let moderator = MemberRole::Moderator;
    given().when(make(ANA, CAI, moderator)).then_expect_events(vec![made(ANA, CAI, moderator)]);
    given().when(make(ANA, BEN, moderator)).then_expect_events(vec![]);
    given().when(make(ANA, BEN, MemberRole::Member)).then_expect_events(vec![made(
        ANA,
        BEN,
        MemberRole::Member,
    )]);
    given().when(make(BEN, CAI, moderator)).then_expect_error(RoomError::Forbidden);
    given().when(make(BEN, ANA, MemberRole::Member)).then_expect_error(RoomError::Forbidden);
    given().when(make(CAI, CAI, moderator)).then_expect_error(RoomError::Forbidden);
    given().when(make(ANA, DAN, moderator)).then_expect_error(RoomError::MemberNotFound);
    given().when(make(DAN, BEN, moderator)).then_expect_error(RoomError::NotAMember);
}

#[test]
fn a_moderator_may_step_down_and_the_owner_may_not() {
    let given = || room().given(moderated(RoomType::Public));
    let member = MemberRole::Member;
    given().when(make(BEN, BEN, member)).then_expect_events(vec![made(BEN, BEN, member)]);
    given().when(make(ANA, ANA, member)).then_expect_error(RoomError::OwnerMustTransfer);
}

#[test]
fn making_a_member_owner_hands_the_room_over_with_its_place() {
    let given = || room().given(moderated(RoomType::Public));
    given().when(make(ANA, CAI, MemberRole::Owner)).then_expect_events(vec![transferred(ANA, CAI)]);
    given().when(make(BEN, CAI, MemberRole::Owner)).then_expect_error(RoomError::Forbidden);
    let claims = Room::claims(&transferred(ANA, CAI));
    let (scope, value) = (Room::OWNER_SLOT, Room::slot_claim);
    assert_eq!(
        claims,
        [
            ClaimChange::Release { scope, value: value(ANA, 3) },
            ClaimChange::Take { scope, value: value(CAI, 5) },
        ]
    );
}

#[test]
fn moderators_remove_members_but_neither_each_other_nor_the_owner_nor_themselves() {
    let given = || room().given(moderated(RoomType::Public));
    for (by, user_id) in [(ANA, CAI), (BEN, CAI), (ANA, BEN)] {
        given().when(kick(by, user_id)).then_expect_events(vec![removed(
            by,
            user_id,
            RemovalReason::Kicked,
        )]);
    }
    for (by, user_id) in [(BEN, ANA), (CAI, BEN), (CAI, CAI), (BEN, BEN), (ANA, ANA), (CAI, DAN)] {
        given().when(kick(by, user_id)).then_expect_error(RoomError::Forbidden);
    }
    given().when(kick(DAN, CAI)).then_expect_error(RoomError::NotAMember);
    given().when(kick(ANA, DAN)).then_expect_events(vec![]);
    given()
        .and(vec![made(ANA, CAI, MemberRole::Moderator)])
        .when(kick(BEN, CAI))
        .then_expect_error(RoomError::Forbidden);
}

#[test]
fn who_was_removed_speaks_no_more_but_may_come_back() {
    let given = || {
        let gone = removed(BEN, CAI, RemovalReason::Kicked);
        room().given(moderated(RoomType::Public)).and(vec![gone])
    };
    given().when(post(CAI)).then_expect_error(RoomError::NotAMember);
    given().when(join(CAI)).then_expect_events(vec![joined(CAI, 3)]);
}

#[test]
fn who_is_banned_goes_and_stays_away_until_the_ban_is_lifted() {
    let given = || room().given(moderated(RoomType::Public));
    let gone = || vec![removed(BEN, CAI, RemovalReason::Banned), banned(BEN, CAI)];
    given().when(ban(BEN, CAI)).then_expect_events(gone());
    given().and(gone()).when(ban(ANA, CAI)).then_expect_events(vec![]);
    given().and(gone()).when(join(CAI)).then_expect_error(RoomError::Banned);
    given().and(gone()).when(post(CAI)).then_expect_error(RoomError::Forbidden);
    // Strangers can be banned beforehand.
    given().when(ban(BEN, DAN)).then_expect_events(vec![banned(BEN, DAN)]);
    given().when(ban(CAI, DAN)).then_expect_error(RoomError::Forbidden);
    given().when(ban(BEN, ANA)).then_expect_error(RoomError::Forbidden);

    let lifted = RoomEvent::BanLifted { room_id: ROOM, user_id: CAI, by: ANA, at: at() };
    let lift = |by| RoomCommand::LiftBan { by, user_id: CAI, at: at() };
    given().and(gone()).when(lift(ANA)).then_expect_events(vec![lifted.clone()]);
    given().when(lift(ANA)).then_expect_events(vec![]);
    given().and(gone()).when(lift(DAN)).then_expect_error(RoomError::NotAMember);
    given().and(gone()).and(vec![lifted]).when(join(CAI)).then_expect_events(vec![joined(CAI, 3)]);
}

#[test]
fn a_private_room_does_not_even_tell_whom_it_bans() {
    room()
        .given(moderated(RoomType::Private))
        .and(vec![banned(BEN, DAN)])
        .when(join(DAN))
        .then_expect_error(RoomError::NotFound);
}

#[test]
fn an_invite_lets_people_in_where_they_could_not_come() {
    for room_type in [RoomType::Private, RoomType::InviteOnly] {
        let given = || room().given(moderated(room_type)).and(vec![invited(None)]);
        given()
            .when(join_with(DAN, "hash", 0))
            .then_expect_events(vec![joined_by_invite(DAN, 4, 1)]);
        let refusal = || match room_type {
            RoomType::Private => RoomError::NotFound,
            _ => RoomError::InviteInvalid,
        };
        given().when(join_with(DAN, "guess", 0)).then_expect_error(refusal());
        given().when(join_with(DAN, "hash", 1)).then_expect_error(refusal());
        given()
            .and(vec![RoomEvent::InviteRevoked {
                room_id: ROOM,
                invite_id: INVITE,
                by: ANA,
                at: at(),
            }])
            .when(join_with(DAN, "hash", 0))
            .then_expect_error(refusal());
        given()
            .and(vec![banned(BEN, DAN)])
            .when(join_with(DAN, "hash", 0))
            .then_expect_error(RoomError::Banned);
    }
}

#[test]
fn an_invite_is_used_up() {
    let given = |uses: u32| {
        let used = (0..uses).map(|n| {
            let person = UserId(Uuid::from_u128(u128::from(100 + n)));
            joined_by_invite(person, 4 + n, n + 1)
        });
        room()
            .given(moderated(RoomType::InviteOnly))
            .and(vec![invited(Some(2))])
            .and(used.collect())
    };
    given(1).when(join_with(DAN, "hash", 0)).then_expect_events(vec![joined_by_invite(DAN, 5, 2)]);
    given(2).when(join_with(DAN, "hash", 0)).then_expect_error(RoomError::InviteInvalid);
    // Members use nothing up.
    given(1).when(join_with(CAI, "hash", 0)).then_expect_events(vec![]);
}

#[test]
fn a_public_room_uses_no_invites_up() {
    room()
        .given(moderated(RoomType::Public))
        .and(vec![invited(Some(1))])
        .when(join_with(DAN, "hash", 0))
        .then_expect_events(vec![joined(DAN, 4)]);
}

#[test]
fn moderators_make_so_many_invites_and_see_those_that_work() {
    let given = || room().given(moderated(RoomType::InviteOnly));
    given().when(invite(None)).then_expect_events(vec![invited(None)]);
    given()
        .and(vec![invited(None)])
        .when(invite(None))
        .then_expect_error(RoomError::TooMany { most: 1 });
    given()
        .and(vec![made(ANA, BEN, MemberRole::Member)])
        .when(invite(None))
        .then_expect_error(RoomError::Forbidden);

    let mut state = Room::default();
    let history = [moderated(RoomType::InviteOnly), vec![invited(Some(7))]].concat();
    for event in &history {
        state.evolve(event);
    }
    assert_eq!(state.invites(BEN, at()).unwrap().len(), 1);
    assert_eq!(state.invites(BEN, at() + TimeDelta::hours(1)).unwrap(), []);
    assert_eq!(state.invites(CAI, at()), Err(RoomError::Forbidden));
    assert_eq!(state.bans(CAI), Err(RoomError::Forbidden));
}
