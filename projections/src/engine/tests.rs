//! What becomes of events: done, passed by, or put aside.
use domain::{AnyEvent, MemberRole, RoomId};
use eventstore::partition_of;
use uuid::Uuid;

use super::*;
use crate::changes::RowChange;
use crate::samples::{
    ANA, BEN, ROOM, created, in_room, joined, left, opened, recorded, unreadable,
};

/// One change per event; panics where somebody leaves.
struct Fragile;

impl Projector for Fragile {
    type Change = RowChange;
    const NAME: &'static str = "fragile";
    const VERSION: u32 = 1;
    const READS: &'static [&'static str] = &["room"];

    fn project(&self, recorded: &domain::Recorded) -> Vec<RowChange> {
        if let AnyEvent::Room(domain::RoomEvent::MemberLeft { .. }) = recorded.event {
            panic!("on purpose");
        }
        vec![RowChange::Put { row: serde_json::Map::new() }]
    }
}

fn held(position: i64) -> Held {
    let place = Place { reached: position, written: position, mirror: position };
    let places = (0..eventstore::PARTITIONS).map(|partition| (partition, place)).collect();
    Held { places, parked: HashSet::new() }
}

fn planned(held: &Held, events: &[Opened]) -> (Vec<i64>, Vec<(i64, Option<String>)>) {
    let plan = plan(&Fragile, held, events.iter());
    let park = plan.park.into_iter().map(|parked| (parked.position, parked.error)).collect();
    (plan.changes.into_iter().map(|(position, _)| position).collect(), park)
}

fn member(sequence: i64) -> Opened {
    opened(in_room(sequence, joined(BEN, MemberRole::Member, 2)))
}

#[test]
fn events_that_are_done_or_held_by_others_pass_by() {
    let events = [member(1), member(2), member(3)];
    assert_eq!(planned(&held(1002), &events), (vec![1003], vec![]));

    let mut others = held(0);
    others.places.remove(&partition_of(&ROOM.to_string()));
    assert_eq!(planned(&others, &events), (vec![], vec![]));
}

#[test]
fn an_event_that_cannot_be_projected_waits_and_what_follows_of_it_waits_behind() {
    let elsewhere = RoomId(Uuid::from_u128(0x41));
    let other = opened(recorded(&elsewhere, 9, AnyEvent::Room(created())));
    let events = [member(1), opened(in_room(2, left(ANA, 1))), member(3), other];
    let panicked = Some("the projector panicked".to_owned());
    assert_eq!(
        planned(&held(0), &events),
        (vec![1001, 1009], vec![(1002, panicked), (1003, None)])
    );
}

#[test]
fn an_unreadable_event_is_put_aside_only_where_its_kind_is_read() {
    let mut foreign = unreadable(in_room(2, created()));
    foreign.aggregate_type = "subject".into();
    let events = [unreadable(in_room(1, created())), foreign];
    let reason = Some("unreadable: no such event".to_owned());
    assert_eq!(planned(&held(0), &events), (vec![], vec![(1001, reason)]));
}

#[test]
fn what_waits_is_remembered() {
    let mut held = held(0);
    held.parked.insert(ROOM.to_string());
    assert_eq!(planned(&held, &[member(1)]), (vec![], vec![(1001, None)]));
}

#[test]
fn partitions_that_are_further_stay_there() {
    let mut held = held(10);
    held.places.insert(3, Place { reached: 30, written: 30, mirror: 31 });
    let moves = held.moves_of(|_, _| true, 20);
    let ahead = Move { partition: 3, from: 30, mirror: 31, to: 30 };
    let behind = Move { partition: 4, from: 10, mirror: 10, to: 20 };
    assert_eq!(moves[3..=4], [ahead, behind]);

    held.reach(20);
    assert_eq!(held.reached(), 20);
    assert!(held.is_dirty());
    held.took(&Step { moves: held.moves(), ..Step::default() });
    assert!(!held.is_dirty());
    assert_eq!(held.places[&3], Place { reached: 30, written: 30, mirror: 30 });
}
