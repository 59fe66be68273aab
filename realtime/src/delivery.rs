//! What one subscriber of a room has, and what comes next: pure, one state per subscriber.
//!
//! A subscriber gets every number once and in order, whatever the sources do. While it replays,
//! live events wait in a bounded buffer; what does not fit is read from the log later.
use std::collections::BTreeMap;

/// Where a subscriber stands.
#[derive(Debug)]
pub(crate) struct Delivery<T> {
    phase: Phase,
    /// The last number delivered; `None` until it is known where to begin.
    last: Option<i64>,
    /// The highest number offered so far.
    seen: i64,
    /// Live events that wait for the replay, by number.
    waiting: BTreeMap<i64, T>,
    capacity: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Replaying,
    Live,
    Closed,
}

/// What to do with a live event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is the next one: emit it, then [`Delivery::advance`].
    Emit,
    /// Nothing: delivered before, waiting for the replay, or nobody is there.
    Nothing,
    /// Something before it is missing: a replay has to begin. It is not running yet.
    Behind,
}

/// What to do with an event read from the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// It is the next one: emit it, then [`Delivery::advance`].
    Emit,
    /// It was delivered before.
    Duplicate,
    /// The log has nothing readable at this number, which comes first.
    Missing(i64),
    /// The subscription has ended.
    Closed,
}

/// What to do when the log has no more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Drain<T> {
    /// This one waited and is next: emit it, then [`Delivery::advance`].
    Emit(i64, T),
    /// Everything seen is delivered; the subscriber is live from here.
    Live,
    /// Numbers before the next waiting event are missing: read the log again.
    Behind,
    /// The subscription has ended.
    Closed,
}

impl<T: Clone> Delivery<T> {
    /// A subscriber that replays, keeping at most `capacity` live events meanwhile.
    pub(crate) fn new(capacity: usize) -> Self {
        let (last, seen, waiting) = (None, 0, BTreeMap::new());
        Self { phase: Phase::Replaying, last, seen, waiting, capacity }
    }

    /// Sets the number after which delivery begins.
    pub(crate) fn start_after(&mut self, last: i64) {
        self.last = Some(last);
        self.waiting.retain(|seq, _| *seq > last);
    }

    /// The last number delivered; `None` until it is known where to begin, and once the
    /// subscription has ended.
    pub(crate) fn open_at(&self) -> Option<i64> {
        self.last.filter(|_| !self.is_closed())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Nothing is delivered any more.
    pub(crate) fn close(&mut self) {
        self.phase = Phase::Closed;
        self.waiting.clear();
    }

    /// A live event with its number.
    pub(crate) fn offer(&mut self, seq: i64, item: &T) -> Offer {
        self.seen = self.seen.max(seq);
        match (self.phase, self.last) {
            (Phase::Closed, _) => Offer::Nothing,
            (_, Some(last)) if seq <= last => Offer::Nothing,
            (Phase::Live, Some(last)) if seq == last + 1 => Offer::Emit,
            (Phase::Live, _) => {
                self.phase = Phase::Replaying;
                self.wait(seq, item);
                Offer::Behind
            }
            (Phase::Replaying, _) => {
                self.wait(seq, item);
                Offer::Nothing
            }
        }
    }

    /// An event of the log with this number.
    pub(crate) fn expect(&self, seq: i64) -> Expect {
        match (self.phase, self.last) {
            (Phase::Closed, _) => Expect::Closed,
            (_, None) => Expect::Duplicate,
            (_, Some(last)) if seq <= last => Expect::Duplicate,
            (_, Some(last)) if seq == last + 1 => Expect::Emit,
            (_, Some(last)) => Expect::Missing(last + 1),
        }
    }

    /// The log has no more after the last delivered number. `exhausted` says that it had nothing
    /// at all: then what is missing before a waiting event is not readable, and
    /// [`Delivery::first_missing`] tells it.
    pub(crate) fn drain(&mut self) -> Drain<T> {
        let (Phase::Replaying | Phase::Live, Some(last)) = (self.phase, self.last) else {
            return if self.is_closed() { Drain::Closed } else { Drain::Behind };
        };
        while let Some(entry) = self.waiting.first_entry() {
            let seq = *entry.key();
            if seq > last {
                break;
            }
            entry.remove();
        }
        match self.waiting.first_key_value() {
            Some((seq, item)) if *seq == last + 1 => Drain::Emit(*seq, item.clone()),
            Some(_) => Drain::Behind,
            None if self.seen > last => Drain::Behind,
            None => {
                self.phase = Phase::Live;
                Drain::Live
            }
        }
    }

    /// The number before the next waiting event that nobody can read, once the log had nothing.
    pub(crate) fn first_missing(&self) -> Option<i64> {
        let next = self.last? + 1;
        self.waiting.first_key_value().filter(|(seq, _)| **seq > next).map(|_| next)
    }

    /// This number was emitted.
    pub(crate) fn advance(&mut self, seq: i64) {
        self.last = Some(seq);
        self.seen = self.seen.max(seq);
        self.waiting.remove(&seq);
    }

    fn wait(&mut self, seq: i64, item: &T) {
        if self.waiting.len() < self.capacity {
            self.waiting.insert(seq, item.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client got, and the rule it applies.
    #[derive(Default)]
    struct Client(Vec<i64>);

    fn live(delivery: &mut Delivery<i64>, client: &mut Client, seq: i64) {
        if delivery.offer(seq, &seq) == Offer::Emit {
            client.0.push(seq);
            delivery.advance(seq);
        }
    }

    /// One page of at most `limit` events of a log that ends at `head`, skipping `holes`.
    fn page(
        delivery: &mut Delivery<i64>,
        client: &mut Client,
        head: i64,
        limit: usize,
        holes: &[i64],
    ) {
        let after = delivery.open_at().unwrap();
        let events: Vec<i64> =
            (after + 1..=head).filter(|seq| !holes.contains(seq)).take(limit).collect();
        for seq in &events {
            loop {
                match delivery.expect(*seq) {
                    Expect::Emit => {
                        client.0.push(*seq);
                        delivery.advance(*seq);
                    }
                    Expect::Missing(hole) => {
                        client.0.push(hole);
                        delivery.advance(hole);
                        continue;
                    }
                    Expect::Duplicate | Expect::Closed => {}
                }
                break;
            }
        }
        if events.len() < limit {
            loop {
                match delivery.drain() {
                    Drain::Emit(seq, item) => {
                        assert_eq!(seq, item);
                        client.0.push(seq);
                        delivery.advance(seq);
                    }
                    Drain::Behind if events.is_empty() => match delivery.first_missing() {
                        Some(hole) => {
                            client.0.push(hole);
                            delivery.advance(hole);
                        }
                        None => break,
                    },
                    Drain::Behind | Drain::Live | Drain::Closed => break,
                }
            }
        }
    }

    #[test]
    fn the_first_live_event_is_the_one_after_where_it_began() {
        let (mut delivery, mut client) = (Delivery::new(4), Client::default());
        delivery.start_after(7);
        assert_eq!(delivery.drain(), Drain::Live);
        for seq in [6, 7, 8, 8, 9] {
            live(&mut delivery, &mut client, seq);
        }
        assert_eq!(client.0, [8, 9]);
    }

    #[test]
    fn live_events_wait_until_the_past_is_delivered() {
        let (mut delivery, mut client) = (Delivery::new(4), Client::default());
        live(&mut delivery, &mut client, 4);
        delivery.start_after(1);
        live(&mut delivery, &mut client, 5);
        assert!(client.0.is_empty());
        page(&mut delivery, &mut client, 4, 10, &[]);
        assert_eq!(client.0, [2, 3, 4, 5]);
        live(&mut delivery, &mut client, 6);
        assert_eq!(client.0.last(), Some(&6));
    }

    #[test]
    fn a_gap_sends_a_live_subscriber_back_to_the_log() {
        let (mut delivery, mut client) = (Delivery::new(4), Client::default());
        delivery.start_after(0);
        assert_eq!(delivery.drain(), Drain::Live);
        assert_eq!(delivery.offer(3, &3), Offer::Behind);
        assert_eq!(delivery.offer(4, &4), Offer::Nothing, "the replay is running already");
        page(&mut delivery, &mut client, 4, 10, &[]);
        assert_eq!(client.0, [1, 2, 3, 4]);
    }

    #[test]
    fn an_ended_subscription_gets_nothing() {
        let mut delivery = Delivery::new(4);
        delivery.start_after(0);
        delivery.close();
        assert_eq!(delivery.offer(1, &1), Offer::Nothing);
        assert_eq!(delivery.expect(1), Expect::Closed);
        assert_eq!(delivery.drain(), Drain::Closed);
    }

    proptest! {
        /// Whatever is repeated, reordered or lost on the way, and however the pages fall, the
        /// client gets every number after where it began, once and in order.
        #[test]
        fn every_number_arrives_once_and_in_order(
            after in 0_i64..20,
            head in 1_i64..40,
            offers in prop::collection::vec(0_i64..60, 0..120),
            limit in 1_usize..8,
            capacity in 0_usize..6,
            holes in prop::collection::vec(1_i64..60, 0..6),
            turns in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let after = after.min(head);
            let (mut delivery, mut client) = (Delivery::new(capacity), Client::default());
            let (mut head, mut offers) = (head, offers.into_iter());
            delivery.start_after(after);
            for read_the_log in turns {
                if read_the_log {
                    page(&mut delivery, &mut client, head, limit, &holes);
                } else if let Some(seq) = offers.next().filter(|seq| !holes.contains(seq) && *seq > 0) {
                    // The feed never hears of an event before the log has it.
                    head = head.max(seq);
                    live(&mut delivery, &mut client, seq);
                }
            }
            // One more event, so that a hole at the very end is noticed.
            head = head.max(60) + 1;
            live(&mut delivery, &mut client, head);
            for _ in 0..200 {
                page(&mut delivery, &mut client, head, limit, &holes);
            }
            prop_assert_eq!(client.0, (after + 1..=head).collect::<Vec<_>>());
        }
    }
}
