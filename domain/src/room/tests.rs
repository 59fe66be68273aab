//! Given what happened, when someone asks, then this happens.
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use chrono::{DateTime, Utc};

mod keeping_order;
mod mutes;
mod rooms_change;

use super::*;
use crate::{
    MessageId,
    text::{FullName, MessageBody, RoomDescription, RoomName},
};

const ROOM: RoomId = RoomId(Uuid::from_u128(7));
const ANA: UserId = UserId(Uuid::from_u128(1));
const BEN: UserId = UserId(Uuid::from_u128(2));
const CAI: UserId = UserId(Uuid::from_u128(3));

fn room() -> TestFramework<Room> {
    TestFramework::with(())
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn create(room_type: RoomType, max_participants: u32) -> RoomCommand {
    RoomCommand::Create(NewRoom {
        room_id: ROOM,
        created_by: ANA,
        name: RoomName::parse("Algebra at night").unwrap(),
        description: RoomDescription::parse("").unwrap(),
        subject_id: crate::Subject::id_of("Algebra"),
        room_type,
        max_participants,
        owner_slot: Some(3),
        at: at(),
    })
}

/// A room of Ana's.
fn created(room_type: RoomType, max_participants: u32) -> Vec<RoomEvent> {
    Room::Absent.decide(create(room_type, max_participants)).unwrap()
}

fn public() -> Vec<RoomEvent> {
    created(RoomType::Public, 2)
}

fn joined(user_id: UserId, member_count: u32) -> RoomEvent {
    RoomEvent::MemberJoined {
        room_id: ROOM,
        user_id,
        role: MemberRole::Member,
        member_count,
        invite: None,
        muted_until: None,
        at: at(),
    }
}

fn left(user_id: UserId, member_count: u32) -> RoomEvent {
    RoomEvent::MemberLeft { room_id: ROOM, user_id, member_count, at: at() }
}

fn transferred(from: UserId, to: UserId) -> RoomEvent {
    let (from_slot, to_slot) = (Some(3), Some(5));
    RoomEvent::OwnershipTransferred { room_id: ROOM, from, to, from_slot, to_slot, at: at() }
}

fn archived() -> RoomEvent {
    RoomEvent::RoomArchived {
        room_id: ROOM,
        released: Some(OwnedSlot { owner: ANA, slot: 3 }),
        at: at(),
    }
}

fn join(user_id: UserId) -> RoomCommand {
    RoomCommand::Join { user_id, code_hash: None, at: at() }
}

fn leave(user_id: UserId, transfer_to: Option<UserId>) -> RoomCommand {
    RoomCommand::Leave { user_id, transfer_to, slot: Some(5), at: at() }
}

fn post(author_id: UserId) -> RoomCommand {
    RoomCommand::PostMessage(PostMessage {
        message_id: MessageId(Uuid::from_u128(9)),
        author_id,
        author_name: FullName::parse("Ben").unwrap().into(),
        message_type: MessageType::Text,
        content: MessageBody::parse("exam moved to Friday").unwrap(),
        client_message_id: None,
        reply_to_id: None,
        at: at(),
    })
}

#[test]
fn the_creator_owns_the_room_and_is_in_it() {
    room()
        .given_no_previous_events()
        .when(create(RoomType::Public, 2))
        .then_expect_events(public());
    assert!(matches!(
        public()[1],
        RoomEvent::MemberJoined { user_id: ANA, role: MemberRole::Owner, member_count: 1, .. }
    ));
}

#[test]
fn a_room_has_2_to_500_places() {
    for size in [0, 1, 501] {
        room()
            .given_no_previous_events()
            .when(create(RoomType::Public, size))
            .then_expect_error(RoomError::BadSize { min: 2, max: 500 });
    }
}

#[test]
fn joining_twice_records_one_membership() {
    room().given(public()).when(join(BEN)).then_expect_events(vec![joined(BEN, 2)]);
    room().given(public()).and(vec![joined(BEN, 2)]).when(join(BEN)).then_expect_events(vec![]);
}

#[test]
fn a_full_room_takes_nobody() {
    room()
        .given(public())
        .and(vec![joined(BEN, 2)])
        .when(join(CAI))
        .then_expect_error(RoomError::Full { max: 2 });
}

#[test]
fn a_private_room_hides_itself_and_an_invite_only_one_says_so() {
    room()
        .given(created(RoomType::Private, 5))
        .when(join(BEN))
        .then_expect_error(RoomError::NotFound);
    room()
        .given(created(RoomType::Private, 5))
        .when(post(BEN))
        .then_expect_error(RoomError::NotFound);
    room()
        .given(created(RoomType::InviteOnly, 5))
        .when(join(BEN))
        .then_expect_error(RoomError::InviteRequired);
}

#[test]
fn members_leave_freely_and_twice() {
    let with_ben = [public(), vec![joined(BEN, 2)]].concat();
    room().given(with_ben.clone()).when(leave(BEN, None)).then_expect_events(vec![left(BEN, 1)]);
    room()
        .given(with_ben)
        .and(vec![left(BEN, 1)])
        .when(leave(BEN, None))
        .then_expect_events(vec![]);
}

#[test]
fn an_owner_names_a_successor_or_closes_the_room() {
    let with_ben = [public(), vec![joined(BEN, 2)]].concat();
    room()
        .given(with_ben.clone())
        .when(leave(ANA, None))
        .then_expect_error(RoomError::OwnerMustTransfer);
    room()
        .given(with_ben.clone())
        .when(leave(ANA, Some(CAI)))
        .then_expect_error(RoomError::SuccessorNotAMember);
    room()
        .given(with_ben)
        .when(leave(ANA, Some(BEN)))
        .then_expect_events(vec![transferred(ANA, BEN), left(ANA, 1)]);
    room()
        .given(public())
        .when(leave(ANA, None))
        .then_expect_events(vec![left(ANA, 0), archived()]);
}

#[test]
fn only_members_speak_and_not_in_an_archived_room() {
    room().given(public()).when(post(BEN)).then_expect_error(RoomError::NotAMember);
    room()
        .given(public())
        .and(vec![joined(BEN, 2), left(BEN, 1)])
        .when(post(BEN))
        .then_expect_error(RoomError::NotAMember);
    room()
        .given(public())
        .and(vec![archived()])
        .when(post(ANA))
        .then_expect_error(RoomError::Inactive);
}

#[test]
fn messages_are_counted() {
    let mut state = Room::default();
    let mut history = public();
    for n in 1..=3 {
        for event in &history {
            state.evolve(event);
        }
        history = state.decide(post(ANA)).unwrap();
        assert!(matches!(
            history[..],
            [RoomEvent::MessagePosted { message_count, .. }] if message_count == n
        ));
    }
}
