//! Brings noted e-mails to the mail server: those of one person in order, those of several at once.
use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use domain::LogPosition;
use eventstore::OutgoingMail;
use platform::config;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    super::{Process as _, Trouble},
    MailProcess, Writer,
};
use crate::{
    Commands,
    mail::{Mailer, Sent},
};

/// E-mails that are on their way at the same time.
const AT_ONCE: usize = 8;

pub(in crate::processes) struct Postman {
    commands: Commands,
    mailer: Mailer,
    writer: Writer,
    settings: config::Mail,
}

impl Postman {
    pub(in crate::processes) fn new(
        commands: Commands,
        mailer: Mailer,
        writer: Writer,
        settings: config::Mail,
    ) -> Self {
        Self { commands, mailer, writer, settings }
    }

    /// Works until `term`.
    pub(in crate::processes) async fn run(
        self: Arc<Self>,
        poll: Duration,
        term: CancellationToken,
    ) {
        let mut under_way = JoinSet::new();
        let mut healthy = true;
        loop {
            let room = AT_ONCE - under_way.len();
            let taken = self.take(room).await;
            match &taken {
                Ok(_) => healthy = true,
                Err(error) if std::mem::replace(&mut healthy, false) => tracing::warn!(
                    error = error as &dyn std::error::Error,
                    "e-mails are held up; they go on when they can"
                ),
                Err(_) => {}
            }
            for mail in taken.unwrap_or_default() {
                under_way.spawn(Arc::clone(&self).deliver(mail));
            }
            tokio::select! {
                // One more may go when one has gone.
                Some(_) = under_way.join_next() => {}
                () = sleep(poll) => {}
                () = term.cancelled() => break,
            }
        }
        // What is under way comes to its end: else it would be sent once more.
        while under_way.join_next().await.is_some() {}
    }

    async fn take(&self, room: usize) -> Result<Vec<OutgoingMail>, Trouble> {
        if room == 0 {
            return Ok(Vec::new());
        }
        let at = self.commands.now();
        // Longer than any try takes, so that nobody else tries meanwhile.
        let until = at + milliseconds(self.settings.timeout_ms.saturating_mul(3));
        let most = i64::try_from(room).unwrap_or(1);
        Ok(self.commands.store().take_mails(MailProcess::NAME, most, at, until).await?)
    }

    async fn deliver(self: Arc<Self>, mail: OutgoingMail) {
        let outcome = match self.send(&mail).await {
            Ok(outcome) => outcome,
            Err(error) => {
                metrics::counter!("process_failures_total", "process" => MailProcess::NAME)
                    .increment(1);
                tracing::info!(
                    log.position = %mail.position, mail.kind = mail.kind, mail.attempts,
                    error = &error as &dyn std::error::Error,
                    "an e-mail was not taken"
                );
                self.after_failure(&mail, self.commands.now())
            }
        };
        let store = self.commands.store();
        let noted = match outcome {
            Outcome::Done => store.remove_mail(&mail).await,
            Outcome::Again(at) => store.delay_mail(&mail, at).await,
            Outcome::Dead(reason) => {
                metrics::counter!("mails_given_up_total", "reason" => reason).increment(1);
                tracing::warn!(
                    log.position = %mail.position, mail.kind = mail.kind, reason,
                    "an e-mail is not tried any more"
                );
                store.bury_mail(&mail, reason, self.commands.now()).await
            }
        };
        if let Err(error) = noted {
            // It is taken again once its time is over.
            tracing::warn!(%error, "what became of an e-mail could not be noted");
        }
    }

    async fn send(&self, mail: &OutgoingMail) -> Result<Outcome, Trouble> {
        platform::crash_point!("mail.after_take");
        let store = self.commands.store();
        let before = LogPosition(mail.position.0 - 1);
        let records = store.read_log(before, 1).await?;
        let Some(opened) = store.open(records).await?.pop() else {
            return Ok(Outcome::Dead("no_event"));
        };
        let Ok(recorded) = opened.outcome else { return Ok(Outcome::Dead("unreadable")) };
        let written = self.writer.write(&recorded.event, &mail.kind).await?;
        let Some((to, letter)) = written else { return Ok(Outcome::Done) };
        let name = format!("{}.{}", recorded.event_id, mail.kind);
        let sent = self.mailer.send(&to, &name, &letter).await.map_err(Trouble::Mail)?;
        platform::crash_point!("mail.after_send");
        Ok(match sent {
            Sent::Taken => {
                metrics::counter!("mails_sent_total", "kind" => mail.kind.clone()).increment(1);
                tracing::info!(
                    event.id = %recorded.event_id, mail.kind = mail.kind, "sent an e-mail"
                );
                Outcome::Done
            }
            Sent::Off => {
                tracing::info!(
                    event.id = %recorded.event_id, mail.kind = mail.kind,
                    "e-mail is off: not sent"
                );
                Outcome::Done
            }
            Sent::Refused => Outcome::Dead("refused"),
        })
    }

    fn after_failure(&self, mail: &OutgoingMail, now: DateTime<Utc>) -> Outcome {
        let give_up = TimeDelta::seconds(i64::from(self.settings.give_up_seconds));
        if now >= mail.created_at + give_up {
            return Outcome::Dead("given_up");
        }
        Outcome::Again(now + pause(mail.attempts, &self.settings))
    }
}

/// What becomes of an e-mail.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It was sent, or needs not be.
    Done,
    /// It is tried again then.
    Again(DateTime<Utc>),
    /// It is not tried any more.
    Dead(&'static str),
}

/// How long an e-mail rests that was tried so often.
fn pause(attempts: i32, settings: &config::Mail) -> TimeDelta {
    let doubled = u32::try_from(attempts.saturating_sub(1)).unwrap_or_default();
    let times = 1_u64.checked_shl(doubled).unwrap_or(u64::MAX);
    milliseconds(settings.retry_ms.saturating_mul(times).min(settings.max_retry_ms))
}

fn milliseconds(count: u64) -> TimeDelta {
    TimeDelta::milliseconds(i64::try_from(count).unwrap_or(i64::MAX / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_rests_longer_after_every_failure_up_to_a_limit() {
        let settings = config::Mail {
            url: "".into(),
            from: String::new(),
            link_origin: String::new(),
            timeout_ms: 1,
            retry_ms: 100,
            max_retry_ms: 1000,
            give_up_seconds: 1,
            keep_dead_days: 1,
        };
        let rests: Vec<_> =
            (1..=6).map(|tried| pause(tried, &settings).num_milliseconds()).collect();
        assert_eq!(rests, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(pause(i32::MAX, &settings).num_milliseconds(), 1000);
    }
}
