//! Events into a read model: project, write with the checkpoint, put aside what cannot be taken.
use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use domain::{AnyEvent, UserEvent, UserId};
use eventstore::{EventStore, Opened, StoredRecord};

use crate::checkpoints::{Checkpoints, Move, Parked, Step};
use crate::projector::Projector;
use crate::sinks::{Sink, WriteError};

#[cfg(test)]
mod tests;

/// One version of a read model, and how events get into it.
pub(crate) struct Engine<P, S> {
    pub(crate) projector: P,
    pub(crate) sink: S,
    pub(crate) checkpoints: Checkpoints,
    pub(crate) store: EventStore,
}

/// One partition that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Everything up to here is in the read model.
    pub(crate) reached: i64,
    /// Where PostgreSQL has the checkpoint. It may be behind: passing by events that change nothing
    /// is not written at once.
    written: i64,
    /// Where the read model's own store has it.
    mirror: i64,
}

impl Place {
    fn is_dirty(&self) -> bool {
        self.reached > self.written
    }
}

/// The partitions that are held, as they were left.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    places: BTreeMap<u16, Place>,
    /// Keys whose events wait.
    parked: HashSet<String>,
}

impl Held {
    /// The partition that is least far decides where to read from.
    pub(crate) fn reached(&self) -> i64 {
        self.places.values().map(|place| place.reached).min().unwrap_or(0)
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = (u16, i64)> + '_ {
        self.places.iter().map(|(partition, place)| (*partition, place.reached))
    }

    pub(crate) fn partitions(&self) -> Vec<u16> {
        self.places.keys().copied().collect()
    }

    /// The partitions in which no key waits.
    pub(crate) fn complete_partitions(&self) -> Vec<u16> {
        let waiting: HashSet<u16> =
            self.parked.iter().map(|key| eventstore::partition_of(key)).collect();
        self.places.keys().copied().filter(|partition| !waiting.contains(partition)).collect()
    }

    /// Whether checkpoints are behind what was reached.
    pub(crate) fn is_dirty(&self) -> bool {
        self.places.values().any(Place::is_dirty)
    }

    /// All events up to `position` are done; partitions that were further stay there.
    pub(crate) fn reach(&mut self, position: i64) {
        for place in self.places.values_mut() {
            place.reached = place.reached.max(position);
        }
    }

    /// The moves of all partitions, as far as each is.
    fn moves(&self) -> Vec<Move> {
        self.moves_of(|_, _| true, 0)
    }

    /// The moves to `position`, or as far as each partition is.
    fn moves_of(&self, which: impl Fn(u16, &Place) -> bool, position: i64) -> Vec<Move> {
        let to_move = |(partition, place): (&u16, &Place)| Move {
            partition: *partition,
            from: place.written,
            mirror: place.mirror,
            to: place.reached.max(position),
        };
        self.places.iter().filter(|(p, place)| which(**p, place)).map(to_move).collect()
    }

    /// The step was taken.
    fn took(&mut self, step: &Step) {
        for moved in &step.moves {
            let place = Place { reached: moved.to, written: moved.to, mirror: moved.to };
            self.places.insert(moved.partition, place);
        }
        self.parked.extend(step.park.iter().map(|parked| parked.key.clone()));
    }
}

/// What becomes of some events.
struct Plan<C> {
    changes: Vec<(i64, C)>,
    park: Vec<Parked>,
    /// People who are forgotten.
    erase: Vec<UserId>,
}

impl<P, S> Engine<P, S>
where
    P: Projector,
    S: Sink<P::Change>,
{
    /// Takes over partitions where their checkpoints are. If the read model's own store is behind,
    /// because it was emptied or restored, PostgreSQL's checkpoint goes back to it.
    pub(crate) async fn load(&self, partitions: &[u16]) -> Result<Held, WriteError> {
        let held = self.take_over(partitions).await?;
        self.sink.prepare_for_readers().await?;
        Ok(held)
    }

    /// [`Engine::load`] without what only readers need.
    pub(crate) async fn take_over(&self, partitions: &[u16]) -> Result<Held, WriteError> {
        self.sink.prepare().await?;
        let written = self.checkpoints.load(partitions).await?;
        let mirror = self.sink.mirror(partitions).await?.unwrap_or_else(|| written.clone());
        let mut held = Held::default();
        for (partition, written) in written {
            let mirror = mirror.get(&partition).copied().unwrap_or(0);
            let place = Place { reached: written.min(mirror), written, mirror };
            held.places.insert(partition, place);
        }
        let behind: Vec<Move> =
            held.moves().into_iter().filter(|moved| moved.to < moved.from).collect();
        if !behind.is_empty() {
            self.checkpoints.rewind(&behind).await?;
            for place in held.places.values_mut() {
                place.written = place.reached;
            }
            tracing::warn!(
                projector = P::NAME,
                version = self.checkpoints.version,
                partitions = behind.len(),
                from = held.reached(),
                "the store of {} has lost events, reading them again",
                P::NAME
            );
        }
        self.warn_of_the_future(&held).await?;
        held.parked = self.checkpoints.parked_keys(partitions).await?;
        Ok(held)
    }

    /// A store that knows of positions the log does not have holds another history: the log was
    /// restored from a backup, or is a new one. What it holds beyond does not go away by itself.
    async fn warn_of_the_future(&self, held: &Held) -> Result<(), WriteError> {
        let Some(furthest) = held.places.values().map(|place| place.mirror).max() else {
            return Ok(());
        };
        if held.places.values().all(|place| place.mirror <= place.written) {
            return Ok(());
        }
        let log_end = self.store.head().await.map_err(WriteError::failed)?;
        if furthest > log_end.0 {
            tracing::error!(
                projector = P::NAME,
                position = furthest,
                log_end = log_end.0,
                "the store of {} is ahead of the event log: empty it, it comes back by itself",
                P::NAME
            );
        }
        Ok(())
    }

    /// Whether everything still is as we left it: nobody emptied a store or moved a checkpoint.
    pub(crate) async fn is_intact(&self, held: &Held) -> Result<bool, WriteError> {
        self.sink.prepare().await?;
        let partitions = held.partitions();
        let written = self.checkpoints.read(&partitions).await?;
        let mirror = self.sink.mirror(&partitions).await?;
        Ok(held.places.iter().all(|(partition, place)| {
            written.get(partition) == Some(&place.written)
                && mirror.as_ref().is_none_or(|m| m.get(partition) == Some(&place.mirror))
        }))
    }

    /// Takes events that follow each other in the log without a gap.
    pub(crate) async fn apply(
        &self,
        held: &mut Held,
        events: &[impl Borrow<Opened> + Sync],
    ) -> Result<(), WriteError> {
        let mut slices = vec![events];
        while let Some(slice) = slices.pop() {
            let Some(last) = slice.last().map(|event| event.borrow().position.0) else { continue };
            let plan = plan(&self.projector, held, slice.iter().map(Borrow::borrow));
            if plan.changes.is_empty() && plan.park.is_empty() && plan.erase.is_empty() {
                held.reach(last);
                continue;
            }
            // The others pass by: they are written down with the next flush. Somebody who is forgotten
            // is so everywhere.
            let touched = partitions(slice.iter().map(Borrow::borrow));
            let all = !plan.erase.is_empty();
            let moves = held.moves_of(|partition, _| all || touched.contains(&partition), last);
            let (park, erase) = (plan.park, plan.erase);
            let step = Step { moves: moves.clone(), park, erase: erase.clone(), ..Step::default() };
            match self.take(held, plan.changes, step).await {
                // One of them is to blame: find it by halves.
                Err(WriteError::Refused(_)) if slice.len() > 1 => {
                    let (left, right) = slice.split_at(slice.len() / 2);
                    slices.push(right);
                    slices.push(left);
                    continue;
                }
                Err(WriteError::Refused(reason)) => {
                    let park = slice.iter().map(|e| parked(e.borrow(), Some(reason.clone())));
                    let step = Step { moves, park: park.collect(), erase, ..Step::default() };
                    self.take(held, vec![], step).await?;
                }
                other => other?,
            }
            held.reach(last);
        }
        Ok(())
    }

    /// Writes down how far we are, if that is not so yet.
    pub(crate) async fn flush(&self, held: &mut Held) -> Result<(), WriteError> {
        if !held.is_dirty() {
            return Ok(());
        }
        let step = Step { moves: held.moves_of(|_, place| place.is_dirty(), 0), ..Step::default() };
        self.take(held, vec![], step).await
    }

    async fn take(
        &self,
        held: &mut Held,
        changes: Vec<(i64, P::Change)>,
        step: Step,
    ) -> Result<(), WriteError> {
        if !changes.is_empty() {
            platform::crash_point!("projection.before_write");
        }
        let wrote = !changes.is_empty();
        self.sink.write(changes, &step).await?;
        if wrote {
            platform::crash_point!("projection.after_checkpoint");
        }
        for parked in &step.park {
            let Some(error) = &parked.error else { continue };
            tracing::error!(
                projector = P::NAME,
                position = parked.position,
                event.id = %parked.event_id,
                aggregate.id = parked.key,
                error,
                "parked an event that {} cannot take, and what follows of the same aggregate",
                P::NAME
            );
        }
        held.took(&step);
        Ok(())
    }

    /// Tries parked events again, key by key, where somebody asked for it.
    pub(crate) async fn retry_parked(&self, held: &mut Held) -> Result<(), WriteError> {
        let keys = self.checkpoints.requested_keys(&held.partitions()).await?;
        for key in keys {
            if self.retry_key(held, &key).await? {
                held.parked.remove(&key);
                tracing::info!(
                    projector = P::NAME,
                    aggregate.id = key,
                    "all parked events of {key} are in {}",
                    P::NAME
                );
            }
        }
        Ok(())
    }

    /// Tries the first parked events of a key. Whether nothing waits under it any more.
    async fn retry_key(&self, held: &mut Held, key: &str) -> Result<bool, WriteError> {
        let mut limit = 200;
        loop {
            let positions = self.checkpoints.parked_positions(key, limit).await?;
            if positions.is_empty() {
                return Ok(true);
            }
            let more = i64::try_from(positions.len()).is_ok_and(|count| count == limit);
            let mut changes = Vec::new();
            let mut done = Vec::new();
            let mut failed = None;
            for position in positions {
                match self
                    .read_again(position)
                    .await?
                    .and_then(|event| project(&self.projector, &event))
                {
                    Ok(projected) => {
                        changes.extend(projected.into_iter().map(|change| (position, change)));
                        done.push(position);
                    }
                    Err(reason) => {
                        failed = Some((position, reason));
                        break;
                    }
                }
            }
            let count = done.len();
            if let Some(first) = done.first().copied() {
                let step = Step { moves: held.moves(), settle: done, ..Step::default() };
                match self.take(held, changes, step).await {
                    Err(WriteError::Refused(_)) if count > 1 => {
                        limit = 1;
                        continue;
                    }
                    Err(WriteError::Refused(reason)) => failed = Some((first, reason)),
                    other => other?,
                }
            }
            if let Some((position, reason)) = failed {
                self.checkpoints.park_again(key, position, &reason).await?;
                tracing::error!(
                    projector = P::NAME,
                    position,
                    aggregate.id = key,
                    error = reason,
                    "a parked event failed again"
                );
                return Ok(false);
            }
            // The next look takes the next ones: the other keys, and the leases, do not wait.
            if more && limit > 1 {
                return Ok(false);
            }
        }
    }

    /// Reads one event; the inner error says why it cannot be read.
    async fn read_again(&self, position: i64) -> Result<Result<Opened, String>, WriteError> {
        let before = domain::LogPosition(position - 1);
        let records = self.store.read_log(before, 1).await.map_err(WriteError::failed)?;
        let mut opened = self.store.open(records).await.map_err(WriteError::failed)?;
        Ok(match opened.pop() {
            Some(event) if event.position.0 == position => Ok(event),
            _ => Err("not in the log".to_owned()),
        })
    }
}

fn partitions<'a>(events: impl Iterator<Item = &'a Opened>) -> BTreeSet<u16> {
    events.map(|event| event.partition).collect()
}

/// What becomes of the events that are still to be done.
fn plan<'a, P: Projector>(
    projector: &P,
    held: &Held,
    events: impl Iterator<Item = &'a Opened>,
) -> Plan<P::Change> {
    let mut plan = Plan { changes: Vec::new(), park: Vec::new(), erase: Vec::new() };
    let mut waiting: HashSet<&str> = HashSet::new();
    for event in events {
        // Each partition forgets a person in its own turn: what it still has to write of them comes
        // before that, however much further the others are.
        if let Some(person) = forgotten(event)
            && held.places.values().any(|place| place.reached < event.position.0)
        {
            plan.erase.push(person);
        }
        let Some(place) = held.places.get(&event.partition) else { continue };
        if event.position.0 <= place.reached || !P::READS.contains(&event.aggregate_type.as_str()) {
            continue;
        }
        let key = event.aggregate_id.as_str();
        if waiting.contains(key) || held.parked.contains(key) {
            plan.park.push(parked(event, None));
            continue;
        }
        match project(projector, event) {
            Ok(changes) => {
                plan.changes.extend(changes.into_iter().map(|c| (event.position.0, c)));
            }
            Err(reason) => {
                waiting.insert(key);
                plan.park.push(parked(event, Some(reason)));
            }
        }
    }
    plan
}

/// Who is forgotten with this event, which concerns every read model.
fn forgotten(event: &Opened) -> Option<UserId> {
    match &event.outcome.as_ref().ok()?.event {
        AnyEvent::User(UserEvent::AccountErased { user_id, .. }) => Some(*user_id),
        _ => None,
    }
}

/// Whether an event concerns every read model, whatever it reads.
pub(crate) fn concerns_all(record: &StoredRecord) -> bool {
    record.aggregate_type == "user" && record.event_type == "AccountErased"
}

fn project<P: Projector>(projector: &P, event: &Opened) -> Result<Vec<P::Change>, String> {
    let recorded =
        event.outcome.as_ref().map_err(|unreadable| format!("unreadable: {unreadable}"))?;
    // A panic is a fault of one event; its message may quote the event.
    catch_unwind(AssertUnwindSafe(|| projector.project(recorded)))
        .map_err(|_| "the projector panicked".to_owned())
}

fn parked(event: &Opened, error: Option<String>) -> Parked {
    Parked {
        partition: event.partition,
        key: event.aggregate_id.clone(),
        position: event.position.0,
        event_id: event.event_id,
        error,
    }
}
