//! Given what happened in a room, when someone changes a message, then this happens.
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{
    AnyEvent, MessageId, Personal, Room, RoomError, RoomEvent, RoomId,
    room::{MemberRole, MessageType, NewRoom, RoomCommand, RoomType},
    text::{FullName, RoomDescription, RoomName},
};

const ROOM: RoomId = RoomId(Uuid::from_u128(7));
const MESSAGE: MessageId = MessageId(Uuid::from_u128(9));
const ANA: UserId = UserId(Uuid::from_u128(1));
const BEN: UserId = UserId(Uuid::from_u128(2));
const EVE: UserId = UserId(Uuid::from_u128(3));
const LIMITS: ReactionLimits = ReactionLimits { kinds: 3, of_one: 6 };
const WORDINGS: u64 = 4;

fn room() -> TestFramework<Room> {
    TestFramework::with(())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn decided(given: &[RoomEvent], command: RoomCommand) -> Vec<RoomEvent> {
    room().given(given.to_vec()).when(command).inspect_result().unwrap()
}

fn body(text: &str) -> MessageBody {
    MessageBody::parse(text).unwrap()
}

/// A room of Ana's in which Ben said "hello".
fn said() -> Vec<RoomEvent> {
    let mut events = decided(
        &[],
        RoomCommand::Create(NewRoom {
            room_id: ROOM,
            created_by: ANA,
            name: RoomName::parse("Algebra at night").unwrap(),
            description: RoomDescription::parse("").unwrap(),
            subject_id: crate::Subject::id_of("Algebra"),
            room_type: RoomType::Public,
            max_participants: 9,
            owner_slot: None,
            at: at(0),
        }),
    );
    events.push(RoomEvent::MemberJoined {
        room_id: ROOM,
        user_id: BEN,
        role: MemberRole::Member,
        member_count: 2,
        invite: None,
        muted_until: None,
        at: at(0),
    });
    events.push(RoomEvent::MessagePosted {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: BEN,
        author_name: FullName::parse("Ben").unwrap().into(),
        message_type: MessageType::Text,
        content: body("hello").into(),
        client_message_id: None,
        reply_to_id: None,
        message_count: 1,
        at: at(0),
    });
    events
}

/// The message's facts after these events of the room.
fn facts(events: &[RoomEvent]) -> MessageFacts {
    let noted = (1..).zip(events).filter_map(|(seq, event)| {
        let about = !matches!(
            event,
            RoomEvent::RoomCreated { .. }
                | RoomEvent::MemberJoined { .. }
                | RoomEvent::MemberMuted { .. }
        );
        about.then(|| Noted { event: AnyEvent::Room(event.clone()), seq: Some(seq) })
    });
    let noted: Vec<_> = noted.collect();
    MessageFacts::fold(&noted, i64::try_from(events.len()).unwrap()).unwrap()
}

fn wish(facts: &MessageFacts, by: UserId, change: MessageChange, seconds: i64) -> RoomCommand {
    let facts = facts.clone();
    RoomCommand::ChangeMessage(Box::new(ChangeMessage { facts, by, change, at: at(seconds) }))
}

fn edit(text: &str) -> MessageChange {
    let window = TimeDelta::hours(24);
    MessageChange::Edit { content: body(text), expected_version: None, window, most: WORDINGS }
}

fn delete() -> MessageChange {
    MessageChange::Delete { reason: None, expected_version: None }
}

fn react(emoji: &str) -> MessageChange {
    let emoji = Emoji::parse(emoji).unwrap();
    MessageChange::AddReaction { emoji, expected_version: None, limits: LIMITS }
}

fn unreact(emoji: &str) -> MessageChange {
    MessageChange::RemoveReaction { emoji: Emoji::parse(emoji).unwrap(), expected_version: None }
}

fn edited(text: &str, version: u64) -> RoomEvent {
    RoomEvent::MessageEdited {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: BEN,
        content: body(text).into(),
        version,
        at: at(1),
    }
}

fn deleted(deleted_by: UserId, version: u64) -> RoomEvent {
    RoomEvent::MessageDeleted {
        room_id: ROOM,
        message_id: MESSAGE,
        author_id: BEN,
        deleted_by,
        reason: None.into(),
        version,
        at: at(1),
    }
}

fn reacted(user_id: UserId, emoji: &str, all: &[(&str, &[UserId])], version: u64) -> RoomEvent {
    let emoji = Emoji::parse(emoji).unwrap();
    let (room_id, message_id, reactions, at) = (ROOM, MESSAGE, kinds(all), at(1));
    RoomEvent::ReactionAdded { room_id, message_id, user_id, emoji, reactions, version, at }
}

fn unreacted(user_id: UserId, emoji: &str, all: &[(&str, &[UserId])], version: u64) -> RoomEvent {
    let emoji = Emoji::parse(emoji).unwrap();
    let (room_id, message_id, reactions, at) = (ROOM, MESSAGE, kinds(all), at(1));
    RoomEvent::ReactionRemoved { room_id, message_id, user_id, emoji, reactions, version, at }
}

fn kinds(all: &[(&str, &[UserId])]) -> Vec<ReactionKind> {
    let kind = |(emoji, people): &(&str, &[UserId])| ReactionKind {
        emoji: Emoji::parse(emoji).unwrap(),
        count: u32::try_from(people.len()).unwrap(),
        user_ids: people.to_vec(),
    };
    all.iter().map(kind).collect()
}

/// These events happened, and everything about the message is known.
#[track_caller]
fn then(given: &[RoomEvent], by: UserId, change: MessageChange, events: Vec<RoomEvent>) {
    let wish = wish(&facts(given), by, change, 1);
    room().given(given.to_vec()).when(wish).then_expect_events(events);
}

#[track_caller]
fn refused(given: &[RoomEvent], by: UserId, change: MessageChange, error: impl Into<RoomError>) {
    let wish = wish(&facts(given), by, change, 1);
    room().given(given.to_vec()).when(wish).then_expect_error(error.into());
}

fn and(mut events: Vec<RoomEvent>, event: RoomEvent) -> Vec<RoomEvent> {
    events.push(event);
    events
}

#[test]
fn its_author_edits_a_message() {
    then(&said(), BEN, edit("hello!"), vec![edited("hello!", 2)]);
    let facts = facts(&and(said(), edited("hello!", 2)));
    assert_eq!((facts.version, facts.edited_at), (2, Some(at(1))));
    assert_eq!(facts.content, body("hello!").into());
}

#[test]
fn nobody_else_edits_a_message_not_even_the_owner() {
    refused(&said(), ANA, edit("hello!"), MessageError::NotTheAuthor);
}

#[test]
fn the_same_words_are_no_edit() {
    then(&said(), BEN, edit("hello"), vec![]);
}

#[test]
fn a_message_is_edited_for_a_day() {
    let (given, day) = (said(), 24 * 3600);
    let late = wish(&facts(&given), BEN, edit("hello!"), day + 1);
    room().given(given.clone()).when(late).then_expect_error(MessageError::WindowClosed.into());
    assert_eq!(decided(&given, wish(&facts(&given), BEN, edit("hello!"), day)).len(), 1);
}

#[test]
fn who_expects_another_version_is_told_the_current_one() {
    let expecting = |expected_version| match edit("hello?") {
        MessageChange::Edit { content, window, most, .. } => {
            MessageChange::Edit { content, window, most, expected_version }
        }
        other => other,
    };
    let given = and(said(), edited("hello!", 2));
    refused(&given, BEN, expecting(Some(1)), MessageError::VersionConflict { current: 2 });
    then(&given, BEN, expecting(Some(2)), vec![edited("hello?", 3)]);
    let delete = MessageChange::Delete { reason: None, expected_version: Some(1) };
    refused(&given, BEN, delete, MessageError::VersionConflict { current: 2 });
}

#[test]
fn its_author_and_who_keeps_order_take_a_message_back() {
    then(&said(), BEN, delete(), vec![deleted(BEN, 2)]);
    then(&said(), ANA, delete(), vec![deleted(ANA, 2)]);
    let given = and(
        said(),
        RoomEvent::MemberJoined {
            room_id: ROOM,
            user_id: EVE,
            role: MemberRole::Member,
            member_count: 3,
            invite: None,
            muted_until: None,
            at: at(0),
        },
    );
    refused(&given, EVE, delete(), MessageError::NotTheAuthor);
}

#[test]
fn who_is_muted_takes_back_and_says_nothing_else() {
    let until = at(600);
    let muted = RoomEvent::MemberMuted { room_id: ROOM, user_id: BEN, by: ANA, until, at: at(0) };
    let given = and(and(said(), reacted(BEN, "👍", &[("👍", &[BEN])], 2)), muted);
    let decide = |change, seconds| {
        let command = wish(&facts(&given), BEN, change, seconds);
        room().given(given.clone()).when(command).inspect_result()
    };
    for said in [edit("hello!"), react("🎉")] {
        assert_eq!(decide(said.clone(), 1), Err(RoomError::Muted { until }));
        assert_eq!(decide(said, 600).map(|events| events.len()), Ok(1));
    }
    for taken_back in [unreact("👍"), delete()] {
        assert_eq!(decide(taken_back, 1).map(|events| events.len()), Ok(1));
    }
}

#[test]
fn a_deleted_message_stays_deleted() {
    let given = and(said(), deleted(ANA, 2));
    then(&given, BEN, delete(), vec![]);
    refused(&given, BEN, edit("hello!"), MessageError::Gone);
    refused(&given, ANA, react("👍"), MessageError::Gone);
    refused(&given, ANA, unreact("👍"), MessageError::Gone);
    assert_eq!(facts(&given).content, Personal::Erased, "facts do not know what it said");
}

#[test]
fn a_sign_is_set_once() {
    let first = reacted(ANA, "👍", &[("👍", &[ANA])], 2);
    then(&said(), ANA, react("👍"), vec![first.clone()]);
    let given = and(said(), first);
    then(&given, ANA, react(":+1:"), vec![]);
    then(&given, BEN, react("👍"), vec![reacted(BEN, "👍", &[("👍", &[ANA, BEN])], 3)]);
    then(&given, BEN, react("🎉"), vec![reacted(BEN, "🎉", &[("👍", &[ANA]), ("🎉", &[BEN])], 3)]);
}

#[test]
fn a_sign_that_is_not_set_is_taken_back_already() {
    then(&said(), ANA, unreact("👍"), vec![]);
    let given = and(said(), reacted(ANA, "👍", &[("👍", &[ANA])], 2));
    then(&given, BEN, unreact("👍"), vec![]);
    let (room_id, message_id, user_id, at) = (ROOM, MESSAGE, ANA, at(1));
    let (emoji, reactions, version) = (Emoji::parse("👍").unwrap(), vec![], 3);
    let removed =
        RoomEvent::ReactionRemoved { room_id, message_id, user_id, emoji, reactions, version, at };
    then(&given, ANA, unreact("👍"), vec![removed.clone()]);
    assert_eq!(facts(&and(given, removed)).reactions, Reactions::default());
}

#[test]
fn a_message_takes_so_many_kinds_of_signs() {
    let all: &[(&str, &[UserId])] = &[("👍", &[ANA]), ("🎉", &[ANA]), ("❤️", &[ANA])];
    let mut given = said();
    for (n, (emoji, _)) in (1_u64..).zip(all) {
        let so_far = &all[..usize::try_from(n).unwrap()];
        given.push(reacted(ANA, emoji, so_far, n + 1));
    }
    refused(&given, BEN, react("🚀"), MessageError::TooManyReactions);
    let more: &[(&str, &[UserId])] = &[("👍", &[ANA, BEN]), ("🎉", &[ANA]), ("❤️", &[ANA])];
    then(&given, BEN, react("👍"), vec![reacted(BEN, "👍", more, 5)]);
}

#[test]
fn a_message_has_so_many_wordings() {
    let mut given = said();
    for version in 2..=WORDINGS {
        given.push(edited(&version.to_string(), version));
    }
    refused(&given, BEN, edit("once more"), MessageError::TooManyEdits);
    then(&given, BEN, edit("4"), vec![]);
    then(&given, BEN, delete(), vec![deleted(BEN, 5)]);
}

#[test]
fn nobody_uses_up_the_reactions_of_others() {
    let mut given = said();
    for version in 2..2 + LIMITS.of_one {
        given.push(if version % 2 == 0 {
            reacted(ANA, "👍", &[("👍", &[ANA])], version)
        } else {
            unreacted(ANA, "👍", &[], version)
        });
    }
    let version = 2 + LIMITS.of_one;
    refused(&given, ANA, react("👍"), MessageError::TooManyChanges);
    then(&given, BEN, react("👍"), vec![reacted(BEN, "👍", &[("👍", &[BEN])], version)]);
    then(&given, BEN, edit("hello!"), vec![edited("hello!", version)]);
}

#[test]
fn edits_use_up_no_reactions_and_reactions_no_edits() {
    let mut given = said();
    for version in 2..=WORDINGS {
        given.push(edited(&version.to_string(), version));
    }
    then(&given, ANA, react("👍"), vec![reacted(ANA, "👍", &[("👍", &[ANA])], WORDINGS + 1)]);
}

#[test]
fn what_was_set_can_always_be_taken_back() {
    let limits = ReactionLimits { of_one: 1, ..LIMITS };
    let emoji = Emoji::parse("🎉").unwrap();
    let once_more = MessageChange::AddReaction { emoji, expected_version: None, limits };
    let given = and(said(), reacted(ANA, "👍", &[("👍", &[ANA])], 2));
    refused(&given, ANA, once_more, MessageError::TooManyChanges);
    then(&given, ANA, unreact("👍"), vec![unreacted(ANA, "👍", &[], 3)]);
}

#[test]
fn a_reaction_may_depend_on_the_version_as_well() {
    let emoji = Emoji::parse("👍").unwrap();
    let add = |expected_version| MessageChange::AddReaction {
        emoji: emoji.clone(),
        expected_version,
        limits: LIMITS,
    };
    let conflict = || MessageError::VersionConflict { current: 2 };
    let given = and(said(), edited("hello!", 2));
    refused(&given, ANA, add(Some(1)), conflict());
    then(&given, ANA, add(Some(2)), vec![reacted(ANA, "👍", &[("👍", &[ANA])], 3)]);
    let given = and(said(), reacted(ANA, "👍", &[("👍", &[ANA])], 2));
    let emoji = emoji.clone();
    refused(
        &given,
        ANA,
        MessageChange::RemoveReaction { emoji, expected_version: Some(1) },
        conflict(),
    );
    then(&given, ANA, add(Some(1)), vec![]);
}

#[test]
fn for_strangers_the_message_does_not_exist() {
    for change in [edit("x"), delete(), react("👍"), unreact("👍")] {
        refused(&said(), EVE, change, MessageError::NotFound);
    }
}

#[test]
fn in_an_archived_room_messages_can_only_be_taken_back() {
    let given = and(said(), RoomEvent::RoomArchived { room_id: ROOM, released: None, at: at(0) });
    refused(&given, BEN, edit("hello!"), RoomError::Inactive);
    refused(&given, BEN, react("👍"), RoomError::Inactive);
    then(&given, BEN, delete(), vec![deleted(BEN, 2)]);
}

#[test]
fn facts_that_are_out_of_date_decide_nothing() {
    let old = facts(&said());
    let given = and(said(), deleted(ANA, 2));
    for change in [edit("hello!"), delete(), react("👍")] {
        let wish = wish(&old, BEN, change, 1);
        room().given(given.clone()).when(wish).then_expect_error(MessageError::Stale.into());
    }
}

#[test]
fn what_happened_to_other_messages_does_not_make_facts_old() {
    let mut other = deleted(ANA, 2);
    if let RoomEvent::MessageDeleted { message_id, .. } = &mut other {
        *message_id = MessageId(Uuid::from_u128(10));
    }
    let wish = wish(&facts(&said()), BEN, edit("hello!"), 1);
    room().given(and(said(), other)).when(wish).then_expect_events(vec![edited("hello!", 2)]);
}

#[test]
fn what_nobody_remembers_counts_as_changed() {
    let mut touched = Touched::default();
    let message = |n: u128| MessageId(Uuid::from_u128(n));
    for n in 1..=300 {
        touched.note(message(n), i64::try_from(n).unwrap());
    }
    let unchanged = |n, as_of| touched.require_unchanged(message(n), as_of);
    assert_eq!(unchanged(300, 300), Ok(()));
    assert_eq!(unchanged(300, 299), Err(MessageError::Stale));
    assert_eq!(unchanged(100, 99), Err(MessageError::Stale));
    assert_eq!(unchanged(999, 44), Ok(()), "300 - 256 is forgotten");
    assert_eq!(unchanged(999, 43), Err(MessageError::Stale));
}
