//! Processes: from a recorded event to an effect outside the log, or to another command.
//!
//! A process has a position of its own, which no rebuild touches: what it did is never done again
//! because a read model is filled anew. Positions move after the effect, so a crash in between does
//! the last effect twice at most; effects are such that this does no harm.
mod departures;
mod mail;
mod session_guard;

use std::{sync::Arc, time::Duration};

use domain::{LogPosition, Recorded};
use eventstore::{Opened, StoreError};
use platform::{Backoff, config};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::{BoxError, CommandError, Commands, mail::Mailer};

/// Events read in one step.
const BATCH: i64 = 200;
/// How often a process takes note of how far it is while nothing follows from what it passes.
const NOTED_EVERY: Duration = Duration::from_secs(1);
/// Longest pause of a process whose effects fail.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why an effect did not happen: it is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the mail server does not take e-mails")]
    Mail(#[source] BoxError),
}

/// From events to effects.
trait Process: Send + Sync + 'static {
    /// Its name, for ever: its position is kept under it.
    const NAME: &'static str;
    /// The aggregate types from whose events something follows. All others pass unread.
    const READS: &'static [&'static str];

    /// Does what follows from an event.
    fn handle(&self, recorded: &Recorded) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// Starts every process. They end with `term`; whoever calls sees to it that one node has them.
pub fn start(
    commands: &Commands,
    mailer: Mailer,
    settings: &config::Config,
    term: &CancellationToken,
) {
    let links = settings.mail.pages(&settings.server).to_owned();
    let poll = Duration::from_millis(settings.projections.poll_ms);
    let mail = mail::MailProcess::new(commands.clone());
    tokio::spawn(run(commands.clone(), Arc::new(mail), poll, term.clone()));
    let writer = mail::Writer::new(commands.clone(), links);
    let postman = mail::Postman::new(commands.clone(), mailer, writer, settings.mail.clone());
    tokio::spawn(Arc::new(postman).run(poll, term.clone()));
    let departures = Arc::new(departures::Departures::new(commands.clone()));
    tokio::spawn(Arc::clone(&departures).watch(term.clone()));
    tokio::spawn(run(commands.clone(), departures, poll, term.clone()));
    let guard = session_guard::SessionGuard::new(commands.clone());
    tokio::spawn(run(commands.clone(), Arc::new(guard), poll, term.clone()));
}

async fn run<P: Process>(
    commands: Commands,
    process: Arc<P>,
    poll: Duration,
    term: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
    let mut healthy = true;
    let mut appended = commands.store().appended();
    let mut passed = Passed::default();
    while !term.is_cancelled() {
        let pause = match step(&commands, &*process, &mut passed, &term).await {
            Ok(Step::More) => {
                healthy = true;
                backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
                continue;
            }
            Ok(Step::End) => {
                healthy = true;
                backoff = Backoff::new(Duration::from_millis(100), LONGEST_PAUSE);
                // Positions are given a moment after the append; the poll finds what is missed here.
                let _ = term.run_until_cancelled(timeout(poll, appended.changed())).await;
                Duration::from_millis(20)
            }
            Err(error) => {
                if std::mem::replace(&mut healthy, false) {
                    tracing::warn!(
                        process = P::NAME,
                        error = &error as &dyn std::error::Error,
                        "a process is held up; it goes on when it can"
                    );
                }
                metrics::counter!("process_failures_total", "process" => P::NAME).increment(1);
                backoff.next_delay()
            }
        };
        let _ = term.run_until_cancelled(sleep(pause)).await;
    }
}

/// How far a process has looked beyond its position: at events from which nothing follows. Of those it
/// takes note once in a while only, because each note is a commit.
struct Passed {
    position: LogPosition,
    up_to: LogPosition,
    noted: Instant,
}

impl Default for Passed {
    fn default() -> Self {
        Self { position: LogPosition(0), up_to: LogPosition(0), noted: Instant::now() }
    }
}

impl Passed {
    fn begin(&mut self, position: LogPosition) {
        *self = Self { position, up_to: position, noted: Instant::now() };
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There may be more to do at once.
    More,
    /// This was the end of the log.
    End,
}

/// Takes the next events, one after the other.
async fn step<P: Process>(
    commands: &Commands,
    process: &P,
    passed: &mut Passed,
    term: &CancellationToken,
) -> Result<Step, Trouble> {
    let store = commands.store();
    let position = store.process_position(P::NAME).await?;
    if position != passed.position {
        // Another node worked, or we were told to begin elsewhere.
        passed.begin(position);
    }
    let mut records = store.read_log(passed.up_to, BATCH).await?;
    let (count, last) = (records.len(), records.last().map(|record| record.position));
    records.retain(|record| P::READS.contains(&record.aggregate_type.as_str()));
    for opened in store.open(records).await? {
        if term.is_cancelled() {
            return Ok(Step::End);
        }
        let position = opened.position;
        handle(process, opened).await?;
        if !store.advance_process(P::NAME, passed.position, position).await? {
            return Ok(Step::More);
        }
        passed.begin(position);
    }
    passed.up_to = last.unwrap_or(passed.up_to).max(passed.up_to);
    let is_end = count < usize::try_from(BATCH).unwrap_or(usize::MAX);
    let is_due = count == 0 || passed.noted.elapsed() >= NOTED_EVERY;
    if passed.up_to > passed.position && is_due {
        let up_to = passed.up_to;
        if store.advance_process(P::NAME, passed.position, up_to).await? {
            passed.begin(up_to);
        }
    }
    Ok(if is_end { Step::End } else { Step::More })
}

async fn handle<P: Process>(process: &P, opened: Opened) -> Result<(), Trouble> {
    let Ok(recorded) = opened.outcome else {
        // What cannot be read has no effect; read models say so, with an alarm.
        tracing::warn!(
            process = P::NAME,
            event.id = %opened.event_id,
            log.position = %opened.position,
            "a process passes over an event that it cannot read"
        );
        return Ok(());
    };
    process.handle(&recorded).await
}
