//! Editing, archiving, and who owns how many rooms.
use super::*;

fn edit(by: UserId, expected: Option<u32>, max_participants: Option<u32>) -> RoomCommand {
    RoomCommand::Edit(EditRoom {
        by,
        expected,
        name: None,
        description: None,
        subject_id: None,
        room_type: None,
        max_participants,
        at: at(),
    })
}

fn edited(max_participants: u32, revision: u32) -> RoomEvent {
    RoomEvent::RoomEdited {
        room_id: ROOM,
        name: None,
        description: None,
        subject_id: None,
        room_type: None,
        max_participants: Some(max_participants),
        revision,
        at: at(),
    }
}

fn archive(by: UserId, expected: Option<u32>) -> RoomCommand {
    RoomCommand::Archive { by, expected, at: at() }
}

#[test]
fn an_edit_of_an_older_revision_is_refused() {
    let given = || room().given(created(RoomType::Public, 5)).and(vec![joined(BEN, 2)]);
    given().when(edit(ANA, Some(1), Some(9))).then_expect_events(vec![edited(9, 2)]);
    given().when(edit(ANA, None, Some(9))).then_expect_events(vec![edited(9, 2)]);
    let newer = || given().and(vec![edited(9, 2)]);
    let outdated = RoomError::VersionMismatch { current: 2 };
    newer().when(edit(ANA, Some(1), Some(7))).then_expect_error(outdated);
    let outdated = RoomError::VersionMismatch { current: 2 };
    newer().when(archive(ANA, Some(1))).then_expect_error(outdated);
    newer().when(edit(ANA, Some(2), Some(7))).then_expect_events(vec![edited(7, 3)]);
    // Nobody learns of revisions who could not edit anyway.
    newer().when(edit(BEN, Some(1), Some(7))).then_expect_error(RoomError::Forbidden);
    newer().when(edit(CAI, Some(1), Some(7))).then_expect_error(RoomError::NotAMember);
}

#[test]
fn a_room_has_no_fewer_places_than_members() {
    let given = || {
        let members = vec![joined(BEN, 2), joined(CAI, 3)];
        room().given(created(RoomType::Public, 5)).and(members)
    };
    let refusal = RoomError::BelowMemberCount { members: 3 };
    given().when(edit(ANA, None, Some(2))).then_expect_error(refusal);
    given().when(edit(ANA, None, Some(3))).then_expect_events(vec![edited(3, 2)]);
    let refusal = RoomError::BadSize { min: 2, max: 500 };
    given().when(edit(ANA, None, Some(501))).then_expect_error(refusal);
    given().when(edit(ANA, None, Some(5))).then_expect_events(vec![]);
    given()
        .and(vec![edited(3, 2)])
        .when(join(UserId(Uuid::from_u128(4))))
        .then_expect_error(RoomError::Full { max: 3 });
}

#[test]
fn an_archived_room_is_closed_once_and_for_all() {
    let given = || room().given(created(RoomType::Public, 5)).and(vec![joined(BEN, 2)]);
    given().when(archive(ANA, None)).then_expect_events(vec![archived()]);
    given().when(archive(BEN, None)).then_expect_error(RoomError::Forbidden);
    let closed = || given().and(vec![archived()]);
    closed().when(archive(ANA, Some(9))).then_expect_events(vec![]);
    closed().when(edit(ANA, None, Some(9))).then_expect_error(RoomError::Inactive);
    closed().when(join(CAI)).then_expect_error(RoomError::Inactive);
    closed().when(leave(ANA, None)).then_expect_events(vec![left(ANA, 1)]);
}

#[test]
fn a_room_takes_a_place_of_its_owner_and_gives_it_back() {
    let (scope, value) = (Room::OWNER_SLOT, Room::slot_claim(ANA, 3));
    let taken = ClaimChange::Take { scope, value: value.clone() };
    assert_eq!(Room::claims(&public()[0]), [taken]);
    assert_eq!(Room::claims(&archived()), [ClaimChange::Release { scope, value }]);
    assert_eq!(Room::claim_taken(scope), Some(RoomError::TooManyRooms));
}

#[test]
fn members_choose_what_they_are_told_of() {
    let choose = |user_id, level| RoomCommand::SetNotificationLevel { user_id, level, at: at() };
    let chosen = |level| RoomEvent::NotificationLevelChanged {
        room_id: ROOM,
        user_id: ANA,
        level,
        at: at(),
    };
    let (all, nothing) = (NotificationLevel::All, NotificationLevel::Nothing);
    room().given(public()).when(choose(ANA, nothing)).then_expect_events(vec![chosen(nothing)]);
    room().given(public()).when(choose(ANA, all)).then_expect_events(vec![]);
    room().given(public()).when(choose(BEN, nothing)).then_expect_error(RoomError::NotAMember);
    let mut state = Room::default();
    public().iter().chain([&chosen(nothing)]).for_each(|event| state.evolve(event));
    assert_eq!(state.notification_level_of(ANA), Some(nothing));
    assert_eq!(state.notification_level_of(BEN), None);
}
