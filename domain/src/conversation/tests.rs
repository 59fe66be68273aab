//! Given what happened between two people, when one asks, then this happens.
use chrono::TimeDelta;
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::{AnyEvent, MessageFacts, message::Noted};

const ANA: UserId = UserId(Uuid::from_u128(1));
const BEN: UserId = UserId(Uuid::from_u128(2));
const EVE: UserId = UserId(Uuid::from_u128(3));
const MESSAGE: MessageId = MessageId(Uuid::from_u128(9));

fn pair() -> TestFramework<Conversation> {
    TestFramework::with(())
}

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn id() -> ConversationId {
    ConversationId::between(ANA, BEN)
}

fn beginning(number: u32) -> Beginning {
    Beginning { day: at().date_naive(), number }
}

fn send(author_id: UserId, recipient_id: UserId) -> ConversationCommand {
    ConversationCommand::Send(SendDirect {
        message_id: MESSAGE,
        author_id,
        recipient_id,
        reachable: true,
        author_name: FullName::parse("Ana").unwrap().into(),
        message_type: MessageType::Text,
        content: MessageBody::parse("hello").unwrap(),
        client_message_id: None,
        reply_to_id: None,
        beginning: Some(beginning(3)),
        at: at(),
    })
}

fn started() -> ConversationEvent {
    let (conversation_id, beginning) = (id(), Some(beginning(3)));
    let (started_by, with, at) = (ANA, BEN, at());
    ConversationEvent::ConversationStarted { conversation_id, started_by, with, beginning, at }
}

fn sent(author_id: UserId, recipient_id: UserId, message_count: u64) -> ConversationEvent {
    ConversationEvent::DirectMessageSent {
        conversation_id: id(),
        message_id: MESSAGE,
        author_id,
        recipient_id,
        author_name: FullName::parse("Ana").unwrap().into(),
        message_type: MessageType::Text,
        content: MessageBody::parse("hello").unwrap().into(),
        client_message_id: None,
        reply_to_id: None,
        message_count,
        at: at(),
    }
}

fn placed(by: UserId, blocked: UserId) -> ConversationEvent {
    ConversationEvent::BlockPlaced { conversation_id: id(), by, blocked, at: at() }
}

fn lifted(by: UserId, blocked: UserId) -> ConversationEvent {
    ConversationEvent::BlockLifted { conversation_id: id(), by, blocked, at: at() }
}

fn block(by: UserId, blocked: UserId) -> ConversationCommand {
    ConversationCommand::Block { by, blocked, at: at() }
}

fn lift(by: UserId, blocked: UserId) -> ConversationCommand {
    ConversationCommand::LiftBlock { by, blocked, at: at() }
}

fn change(by: UserId, change: MessageChange) -> ConversationCommand {
    let noted = Noted { event: AnyEvent::Conversation(sent(ANA, BEN, 1)), seq: Some(1) };
    let facts = MessageFacts::fold(&[noted], 9).unwrap();
    ConversationCommand::ChangeMessage(Box::new(ChangeMessage { facts, by, change, at: at() }))
}

fn edit() -> MessageChange {
    let content = MessageBody::parse("hello!").unwrap();
    MessageChange::Edit { content, expected_version: None, window: TimeDelta::hours(1), most: 9 }
}

fn delete() -> MessageChange {
    MessageChange::Delete { reason: None, expected_version: None }
}

#[test]
fn whoever_begins_it_is_one_conversation() {
    assert_eq!(ConversationId::between(BEN, ANA), id());
    assert_ne!(ConversationId::between(BEN, EVE), id());
    pair()
        .given_no_previous_events()
        .when(send(ANA, BEN))
        .then_expect_events(vec![started(), sent(ANA, BEN, 1)]);
    pair()
        .given(vec![started(), sent(ANA, BEN, 1)])
        .when(send(BEN, ANA))
        .then_expect_events(vec![sent(BEN, ANA, 2)]);
}

#[test]
fn a_beginning_takes_its_number_of_the_day() {
    let claim = |event| <Conversation as AggregateRoot>::claims(&event).into_iter().next();
    let value = format!("{ANA}:2027-01-15:3");
    assert_eq!(claim(started()), Some(ClaimChange::Take { scope: BEGINNING, value }));
    assert_eq!(claim(sent(ANA, BEN, 1)), None);
}

#[test]
fn after_a_block_no_message_follows_in_either_direction() {
    for given in [vec![placed(BEN, ANA)], vec![started(), sent(ANA, BEN, 1), placed(BEN, ANA)]] {
        for wish in [send(ANA, BEN), send(BEN, ANA)] {
            pair()
                .given(given.clone())
                .when(wish)
                .then_expect_error(ConversationError::RecipientUnavailable);
        }
    }
    pair()
        .given(vec![placed(BEN, ANA), lifted(BEN, ANA)])
        .when(send(ANA, BEN))
        .then_expect_events(vec![started(), sent(ANA, BEN, 1)]);
}

#[test]
fn a_block_is_placed_once_and_lifted_by_who_placed_it() {
    pair().given(vec![]).when(block(BEN, ANA)).then_expect_events(vec![placed(BEN, ANA)]);
    let blocked = vec![placed(BEN, ANA)];
    pair().given(blocked.clone()).when(block(BEN, ANA)).then_expect_events(vec![]);
    pair().given(blocked.clone()).when(lift(ANA, BEN)).then_expect_events(vec![]);
    pair().given(blocked.clone()).when(block(ANA, BEN)).then_expect_events(vec![placed(ANA, BEN)]);
    pair().given(blocked).when(lift(BEN, ANA)).then_expect_events(vec![lifted(BEN, ANA)]);
    pair().given(vec![]).when(lift(BEN, ANA)).then_expect_events(vec![]);
}

#[test]
fn who_lets_nobody_write_is_not_written_to() {
    let ConversationCommand::Send(message) = send(ANA, BEN) else { unreachable!() };
    let wish = ConversationCommand::Send(SendDirect { reachable: false, ..message });
    for given in [vec![], vec![started(), sent(BEN, ANA, 1)]] {
        pair()
            .given(given)
            .when(wish.clone())
            .then_expect_error(ConversationError::RecipientUnavailable);
    }
}

#[test]
fn a_block_before_the_first_word_shows_to_nobody() {
    let state = |events: Vec<ConversationEvent>| {
        let mut state = Conversation::default();
        for event in &events {
            state.evolve(event);
        }
        state
    };
    let silent = state(vec![placed(BEN, ANA)]);
    assert_eq!((silent.partner_of(ANA), silent.partner_of(BEN)), (None, None));
    let talked = state(vec![started(), sent(ANA, BEN, 1), placed(BEN, ANA)]);
    assert_eq!((talked.partner_of(ANA), talked.partner_of(EVE)), (Some(BEN), None));
    assert!(talked.is_blocked_by(BEN) && !talked.is_blocked_by(ANA));
    assert!(!talked.is_open() && state(vec![started(), sent(ANA, BEN, 1)]).is_open());
}

fn set_muted(by: UserId, muted: bool) -> ConversationCommand {
    ConversationCommand::SetMuted { by, muted, at: at() }
}

fn muted(by: UserId, muted_by: Vec<UserId>) -> ConversationEvent {
    let (conversation_id, participants, at) = (id(), [ANA, BEN], at());
    ConversationEvent::ConversationMuted { conversation_id, participants, by, muted_by, at }
}

fn unmuted(by: UserId, muted_by: Vec<UserId>) -> ConversationEvent {
    let (conversation_id, participants, at) = (id(), [ANA, BEN], at());
    ConversationEvent::ConversationUnmuted { conversation_id, participants, by, muted_by, at }
}

#[test]
fn each_mutes_for_themselves_and_once() {
    let talked = vec![started(), sent(ANA, BEN, 1)];
    pair()
        .given(talked.clone())
        .when(set_muted(ANA, true))
        .then_expect_events(vec![muted(ANA, vec![ANA])]);
    pair().given(talked.clone()).when(set_muted(ANA, false)).then_expect_events(vec![]);
    let both = [talked, vec![muted(ANA, vec![ANA]), muted(BEN, vec![ANA, BEN])]].concat();
    pair().given(both.clone()).when(set_muted(BEN, true)).then_expect_events(vec![]);
    pair()
        .given(both)
        .when(set_muted(ANA, false))
        .then_expect_events(vec![unmuted(ANA, vec![BEN])]);
}

#[test]
fn only_a_conversation_of_ones_own_is_muted() {
    for (given, by) in
        [(vec![], ANA), (vec![placed(BEN, ANA)], ANA), (vec![started(), sent(ANA, BEN, 1)], EVE)]
    {
        let not_found = ConversationError::NotFound;
        pair().given(given).when(set_muted(by, true)).then_expect_error(not_found);
    }
}

#[test]
fn a_pair_is_two_people() {
    for wish in [send(ANA, ANA), block(ANA, ANA)] {
        pair().given(vec![]).when(wish).then_expect_error(ConversationError::Yourself);
    }
}

#[test]
fn what_is_not_said_has_no_number() {
    let channel = |event| Conversation::channel("7", &event);
    for silent in [started(), placed(ANA, BEN), lifted(ANA, BEN), muted(ANA, vec![ANA])] {
        assert_eq!(channel(silent), None);
    }
    assert_eq!(channel(sent(ANA, BEN, 1)).as_deref(), Some("conversation:7"));
}

#[test]
fn only_the_two_change_messages_and_each_only_their_own() {
    let given = vec![started(), sent(ANA, BEN, 1)];
    for wish in [edit(), delete()] {
        let not_found = ConversationError::Message(MessageError::NotFound);
        pair().given(given.clone()).when(change(EVE, wish.clone())).then_expect_error(not_found);
        let forbidden = ConversationError::Message(MessageError::NotTheAuthor);
        pair().given(given.clone()).when(change(BEN, wish)).then_expect_error(forbidden);
    }
    let edited = ConversationEvent::MessageEdited {
        conversation_id: id(),
        participants: [ANA, BEN],
        message_id: MESSAGE,
        author_id: ANA,
        content: MessageBody::parse("hello!").unwrap().into(),
        version: 2,
        at: at(),
    };
    pair().given(given).when(change(ANA, edit())).then_expect_events(vec![edited]);
}

#[test]
fn after_a_block_messages_can_only_be_taken_back() {
    let given = vec![started(), sent(ANA, BEN, 1), placed(BEN, ANA)];
    pair()
        .given(given.clone())
        .when(change(ANA, edit()))
        .then_expect_error(ConversationError::RecipientUnavailable);
    let deleted = ConversationEvent::MessageDeleted {
        conversation_id: id(),
        participants: [ANA, BEN],
        message_id: MESSAGE,
        author_id: ANA,
        deleted_by: ANA,
        reason: None.into(),
        version: 2,
        at: at(),
    };
    pair().given(given).when(change(ANA, delete())).then_expect_events(vec![deleted]);
}
