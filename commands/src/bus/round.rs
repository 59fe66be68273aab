//! One round of a lane: decide what waits, append it in one go, answer.
use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use cqrs_es::event_sink::EventSink;
use domain::AggregateRoot;
use eventstore::{AppendOutcome, AppendRequest, Loaded, Receipt, Seen, StoreError};
use metrics::counter;
use platform::{Backoff, Clock as _, SystemClock};
use serde_json::Value;

use super::{
    Executed, RequestKey, Shared,
    lane::{Job, Lanes},
};
use crate::CommandError;

/// Commands of one aggregate on their way through decision and append.
pub(super) struct Round<'a, A: AggregateRoot> {
    shared: &'a Shared,
    lanes: &'a Lanes<A>,
    id: &'a str,
    waiting: Vec<Job<A>>,
    /// Decide one at a time: something in the group was refused as a whole.
    alone: bool,
}

/// Why nothing is recorded.
enum Refusal<A: AggregateRoot> {
    /// The rules say no.
    Rule(A::Error),
    /// The caller knows another version than this one.
    Version(i64),
}

/// A command with its decision.
struct Decided<A: AggregateRoot> {
    job: Job<A>,
    decision: Result<Vec<A::Event>, Refusal<A>>,
    state: A,
    /// The sequence of the last event in `state`.
    version: i64,
    answer: Option<Value>,
    /// Hashes of the idempotency keys, in their order.
    keys: Vec<Vec<u8>>,
}

impl<'a, A: AggregateRoot> Round<'a, A> {
    pub(super) fn new(
        shared: &'a Shared,
        lanes: &'a Lanes<A>,
        id: &'a str,
        waiting: Vec<Job<A>>,
    ) -> Self {
        Self { shared, lanes, id, waiting, alone: false }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(2), Duration::from_millis(50));
        let mut lost = 0;
        // `None`: to be loaded. The flag tells whether the state was checked against the store.
        let mut known = self.start();
        while !self.waiting.is_empty() {
            let (loaded, checked) = match known.take() {
                Some(known) => known,
                None => match self.shared.store.load_stream(self.id).await {
                    Ok(loaded) => (loaded, true),
                    Err(error) => return self.fail(error),
                },
            };
            match self.once(loaded, checked).await {
                Ok(Step::Done(loaded)) => {
                    lost = 0;
                    known = Some((loaded, true));
                }
                Ok(Step::Again { base, checked }) => known = Some((base, checked)),
                Ok(Step::Lost(mut loaded)) => {
                    counter!("command_conflicts_total", "aggregate" => A::TYPE).increment(1);
                    lost += 1;
                    if lost > self.shared.retries {
                        return self.give_up();
                    }
                    if lost > 1 {
                        tokio::time::sleep(backoff.next_delay()).await;
                    }
                    if let Err(error) = self.shared.store.catch_up(self.id, &mut loaded).await {
                        return self.fail(error);
                    }
                    known = Some((loaded, true));
                }
                Err(error) => return self.fail(error),
            }
        }
    }

    fn start(&self) -> Option<(Loaded<A>, bool)> {
        let fresh = self.waiting.first().is_some_and(|job| job.context.creates);
        let fresh = || fresh.then(Loaded::default);
        self.lanes.cached(self.id).or_else(fresh).map(|loaded| (loaded, false))
    }

    /// Decides and appends once.
    async fn once(&mut self, base: Loaded<A>, checked: bool) -> Result<Step<A>, StoreError> {
        let group = self.decide(&base).await;
        let mut group = self.answer_repeats(group).await?;
        if group.is_empty() {
            return Ok(Step::Again { base, checked });
        }
        let events: usize = group.iter().map(|d| d.decision.as_ref().map_or(0, Vec::len)).sum();
        if events == 0 && group.iter().all(|decided| decided.answer.is_none()) {
            // A refusal, or "this holds already", from a state that may be old is checked first.
            let mut current = base;
            if !checked && self.shared.store.catch_up(self.id, &mut current).await? {
                self.put_back(group);
                return Ok(Step::Again { base: current, checked: true });
            }
            self.lanes.keep(self.id, current.clone());
            for decided in group {
                decided.answer(None);
            }
            return Ok(Step::Done(current));
        }
        let request = match self.prepare(&base, &mut group).await {
            Ok(request) => request,
            Err(error) => return self.isolate(group, base, error),
        };
        match self.shared.store.append(request).await {
            Ok(AppendOutcome::Stored(receipts)) => {
                Ok(Step::Done(self.stored(base, group, &receipts)))
            }
            Ok(AppendOutcome::Conflict) | Err(StoreError::Conflict) => {
                self.put_back(group);
                Ok(Step::Lost(base))
            }
            Ok(AppendOutcome::Seen(seen)) => {
                let mut rest = Vec::with_capacity(group.len());
                for decided in group {
                    match decided.keys.iter().position(|key| *key == seen.key) {
                        Some(number) => self.replay(decided, number, &seen).await,
                        None => rest.push(decided),
                    }
                }
                self.put_back(rest);
                Ok(Step::Again { base, checked: false })
            }
            Ok(AppendOutcome::ClaimTaken { scope, .. }) if group.len() == 1 => {
                for decided in group {
                    let taken = A::claim_taken(&scope).map_or_else(
                        || CommandError::unavailable(format!("unknown claim scope `{scope}`")),
                        |refusal| CommandError::rejected(&refusal),
                    );
                    decided.job.caller.send(Err(taken)).ok();
                }
                Ok(Step::Again { base, checked: false })
            }
            Ok(AppendOutcome::ClaimTaken { .. }) => {
                self.alone = true;
                self.put_back(group);
                Ok(Step::Again { base, checked: false })
            }
            Err(error) => self.isolate(group, base, error),
        }
    }

    /// Lets every command see the events of those before it.
    async fn decide(&mut self, base: &Loaded<A>) -> Vec<Decided<A>> {
        let mut keys = HashSet::new();
        let (mut state, mut sequence) = (base.state.clone(), base.sequence);
        let (mut group, mut later) = (Vec::new(), Vec::new());
        for job in std::mem::take(&mut self.waiting) {
            // The second command with a key is decided when the first is stored.
            let own = job.context.idempotency.iter().flat_map(|i| &i.keys);
            let repeats = own.filter(|own| !keys.insert(own.key.clone())).count() > 0;
            if repeats || (self.alone && !group.is_empty()) {
                later.push(job);
                continue;
            }
            let outdated = job.context.if_version.is_some_and(|version| version != sequence);
            let before = outdated.then(|| state.clone());
            let sink = EventSink::default();
            let decision = match (state.handle(job.command.clone(), &(), &sink).await, before) {
                (Ok(()), None) => Ok(sink.collect().await),
                // Only who may do it learns that somebody else was faster.
                (Ok(()), Some(before)) => {
                    state = before;
                    Err(Refusal::Version(sequence))
                }
                (Err(refusal), _) => Err(Refusal::Rule(refusal)),
            };
            let events = decision.as_ref().map_or(0, Vec::len);
            sequence += i64::try_from(events).unwrap_or(i64::MAX);
            let answer = match (&job.context.idempotency, &decision) {
                // Without any event there is nothing that an answer could be kept beside.
                (Some(i), Ok(events)) if sequence > 0 => Some((i.answer)(events, &state)),
                _ => None,
            };
            let (state, version) = (state.clone(), sequence);
            group.push(Decided { job, decision, state, version, answer, keys: vec![] });
        }
        self.waiting = later;
        group
    }

    async fn prepare(
        &self,
        base: &Loaded<A>,
        group: &mut [Decided<A>],
    ) -> Result<AppendRequest, StoreError> {
        let store = &self.shared.store;
        let mut staged = Vec::new();
        let mut keys = Vec::new();
        let mut sequence = base.sequence;
        for decided in group {
            let Ok(events) = &decided.decision else { continue };
            let metadata = serde_json::to_value(&decided.job.context.metadata)
                .map_err(|error| StoreError::Unreadable(error.to_string()))?;
            staged.extend(events.iter().map(|event| (event.clone(), metadata.clone())));
            sequence += i64::try_from(events.len()).unwrap_or(i64::MAX);
            let (Some(i), Some(answer)) = (&decided.job.context.idempotency, &decided.answer)
            else {
                continue;
            };
            for RequestKey { key, request_hash, keep } in &i.keys {
                let keep = TimeDelta::from_std(*keep).unwrap_or(TimeDelta::days(1));
                let (expires_at, subject) = (SystemClock.now() + keep, i.subject.0);
                let record = store
                    .key_record(key, request_hash, subject, answer, expires_at, sequence)
                    .await?;
                decided.keys.push(record.key.clone());
                keys.push(record);
            }
        }
        let mut request = store.prepare::<A>(self.id, base.sequence, &staged).await?;
        request.keys = keys;
        Ok(request)
    }

    fn stored(&self, base: Loaded<A>, group: Vec<Decided<A>>, receipts: &[Receipt]) -> Loaded<A> {
        let before = base.sequence;
        let sequence = before + i64::try_from(receipts.len()).unwrap_or(i64::MAX);
        let state = group.last().map_or(base.state, |last| last.state.clone());
        let loaded = Loaded { state, sequence };
        self.lanes.keep(self.id, loaded.clone());
        if A::SNAPSHOTS
            && before / self.shared.snapshot_every != sequence / self.shared.snapshot_every
        {
            self.save_snapshot(loaded.clone());
        }
        let mut receipts = receipts.iter();
        for decided in group {
            let events = decided.decision.as_ref().map_or(0, Vec::len);
            let receipt = receipts.by_ref().take(events).last().copied();
            decided.answer(receipt);
        }
        loaded
    }

    fn save_snapshot(&self, loaded: Loaded<A>) {
        let (store, id) = (self.shared.store.clone(), self.id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = store.save_snapshot(&id, &loaded).await {
                tracing::warn!(aggregate.type = A::TYPE, aggregate.id = id, %error, "snapshot failed");
            }
        });
    }

    /// A repeat may be refused today although it did its work the first time: the first answer counts,
    /// not today's state. Of those that are appended, the append tells.
    async fn answer_repeats(
        &mut self,
        group: Vec<Decided<A>>,
    ) -> Result<Vec<Decided<A>>, StoreError> {
        let mut rest = Vec::with_capacity(group.len());
        let mut group = group.into_iter();
        while let Some(decided) = group.next() {
            if decided.answer.is_some() {
                rest.push(decided);
                continue;
            }
            match self.seen(&decided).await {
                Ok(Some((number, seen))) => self.replay(decided, number, &seen).await,
                Ok(None) => rest.push(decided),
                Err(error) => {
                    rest.push(decided);
                    self.put_back(rest.into_iter().chain(group));
                    return Err(error);
                }
            }
        }
        Ok(rest)
    }

    /// The first of the command's keys that was used before, and what for.
    async fn seen(&self, decided: &Decided<A>) -> Result<Option<(usize, Seen)>, StoreError> {
        let keys = decided.job.context.idempotency.iter().flat_map(|i| &i.keys);
        for (number, key) in keys.enumerate() {
            if let Some(seen) = self.shared.store.seen(&key.key).await? {
                return Ok(Some((number, seen)));
            }
        }
        Ok(None)
    }

    /// Answers what the first command with this key, by its number, was answered.
    async fn replay(&self, decided: Decided<A>, number: usize, seen: &Seen) {
        let keys = decided.job.context.idempotency.as_ref().map(|i| i.keys.as_slice());
        let asked = keys.and_then(|keys| keys.get(number));
        let outcome = if asked.is_some_and(|key| key.request_hash.as_slice() == seen.request_hash) {
            let answer = self.shared.store.open_answer(seen).await;
            answer.map_err(CommandError::from).map(|answer| Executed {
                events: Vec::new(),
                state: decided.state,
                version: decided.version,
                receipt: Some(seen.receipt),
                answer,
                replayed: true,
            })
        } else {
            Err(CommandError::IdempotencyKeyReused)
        };
        decided.job.caller.send(outcome).ok();
    }

    /// One command's fault must not fail its neighbours: they are decided one at a time.
    fn isolate(
        &mut self,
        group: Vec<Decided<A>>,
        base: Loaded<A>,
        error: StoreError,
    ) -> Result<Step<A>, StoreError> {
        if error.is_transient() || (group.len() == 1 && self.waiting.is_empty()) {
            self.put_back(group);
            return Err(error);
        }
        if group.len() == 1 {
            let mut error = Some(error);
            for decided in group {
                let own = error.take().map_or(CommandError::Conflict, CommandError::from);
                decided.job.caller.send(Err(own)).ok();
            }
        } else {
            self.alone = true;
            self.put_back(group);
        }
        Ok(Step::Again { base, checked: false })
    }

    fn put_back(&mut self, group: impl IntoIterator<Item = Decided<A>>) {
        let later = std::mem::take(&mut self.waiting);
        self.waiting = group.into_iter().map(|decided| decided.job).chain(later).collect();
    }

    /// Nothing is known about what the store did: the kept state is not trusted any more.
    fn fail(self, error: StoreError) {
        self.lanes.forget(self.id);
        let mut error = Some(error);
        for job in self.waiting {
            let own = error.take().map_or_else(
                || CommandError::unavailable("the event store failed with the command before"),
                CommandError::from,
            );
            job.caller.send(Err(own)).ok();
        }
    }

    fn give_up(self) {
        self.lanes.forget(self.id);
        for job in self.waiting {
            job.caller.send(Err(CommandError::Conflict)).ok();
        }
    }
}

enum Step<A> {
    /// The group was answered.
    Done(Loaded<A>),
    /// Decide what is left again, on this state.
    Again {
        /// The state.
        base: Loaded<A>,
        /// Whether it was compared with the store.
        checked: bool,
    },
    /// Another process was faster.
    Lost(Loaded<A>),
}

impl<A: AggregateRoot> Decided<A> {
    fn answer(self, receipt: Option<Receipt>) {
        let outcome = match self.decision {
            Ok(events) => Ok(Executed {
                events,
                state: self.state,
                version: self.version,
                receipt,
                answer: self.answer,
                replayed: false,
            }),
            Err(Refusal::Rule(refusal)) => Err(CommandError::rejected(&refusal)),
            Err(Refusal::Version(current)) => Err(CommandError::VersionMismatch { current }),
        };
        // The caller may be gone: nobody left to tell.
        self.job.caller.send(outcome).ok();
    }
}
