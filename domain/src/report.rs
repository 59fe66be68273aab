//! What one person reported to the moderators: one stream for each reporter, so that how often
//! somebody reports is one decision.
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    AggregateRoot, Personal, ReportId, UserId,
    macros::{aggregate, domain_event, rejection},
    text::ReportText,
};

/// What kind of thing is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportTarget {
    /// A person.
    User,
    /// A room.
    Room,
    /// A message.
    Message,
}

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// Advertising or repetition.
    Spam,
    /// Somebody is hurt or threatened.
    Harassment,
    /// Hate or violence.
    Hate,
    /// Sexual content.
    Sexual,
    /// Somebody passes for somebody else.
    Impersonation,
    /// Cheating.
    Cheating,
    /// Anything else.
    Other,
}

impl ReportTarget {
    /// The name it is stored and shown under.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Room => "room",
            Self::Message => "message",
        }
    }
}

impl ReportReason {
    /// The name it is stored and shown under.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spam => "spam",
            Self::Harassment => "harassment",
            Self::Hate => "hate",
            Self::Sexual => "sexual",
            Self::Impersonation => "impersonation",
            Self::Cheating => "cheating",
            Self::Other => "other",
        }
    }
}

/// A report as it is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// A fresh id.
    pub report_id: ReportId,
    /// Who reports.
    pub reporter_id: UserId,
    /// What kind of thing.
    pub target_type: ReportTarget,
    /// Which one. Whether there is one, and what it is, is for moderators to see.
    pub target_id: Uuid,
    /// What is wrong.
    pub reason: ReportReason,
    /// In the reporter's words.
    pub text: Option<ReportText>,
}

/// What someone asks of the moderators' desk. Imperative; never persisted.
#[derive(Clone, Debug)]
pub enum ReportsCommand {
    /// Look at this.
    File {
        /// What.
        report: Box<Report>,
        /// Reports that one person may make within 24 hours.
        most_a_day: usize,
        /// When.
        at: DateTime<Utc>,
    },
}

/// What happened to someone's reports. Past tense; persisted for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum ReportsEvent {
    /// The moderators have something to look at.
    ReportFiled {
        /// Which report.
        report_id: ReportId,
        /// Who reports.
        reporter_id: UserId,
        /// What kind of thing.
        target_type: ReportTarget,
        /// Which one.
        target_id: Uuid,
        /// What is wrong.
        reason: ReportReason,
        /// In the reporter's words.
        text: Personal<Option<ReportText>>,
        /// When.
        at: DateTime<Utc>,
    },
}

domain_event!(ReportsEvent { ReportFiled => "1.0" seals "reporterId": ["text"] });

/// Why a report was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportsError {
    /// The person has reported enough for a day.
    #[error("you may make {most} reports a day")]
    TooMany {
        /// How many.
        most: usize,
    },
}

rejection!(ReportsError { TooMany => RateLimited, "rate_limited"; });

/// What a decision about a report needs to know, and no more.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Reports {
    /// When the reports of the last day were made, oldest first.
    recent: Vec<DateTime<Utc>>,
}

aggregate!(Reports = "reports", ReportsCommand -> ReportsEvent | ReportsError);

impl AggregateRoot for Reports {
    const STATE_VERSION: u32 = 1;
}

/// How long a report counts.
const DAY: TimeDelta = TimeDelta::hours(24);

impl Reports {
    /// The rules: state and command in, facts or a refusal out.
    fn decide(&self, command: ReportsCommand) -> Result<Vec<ReportsEvent>, ReportsError> {
        let ReportsCommand::File { report, most_a_day, at } = command;
        if self.free_at(most_a_day, at) > at {
            return Err(ReportsError::TooMany { most: most_a_day });
        }
        let r = *report;
        Ok(vec![ReportsEvent::ReportFiled {
            report_id: r.report_id,
            reporter_id: r.reporter_id,
            target_type: r.target_type,
            target_id: r.target_id,
            reason: r.reason,
            text: r.text.into(),
            at,
        }])
    }

    /// From when on the person may report again.
    #[must_use]
    pub fn free_at(&self, most_a_day: usize, now: DateTime<Utc>) -> DateTime<Utc> {
        let counting: Vec<_> = self.recent.iter().filter(|at| **at + DAY > now).collect();
        match counting.len().checked_sub(most_a_day) {
            Some(over) => counting.get(over).map_or(now, |at| **at + DAY),
            None => now,
        }
    }

    /// Folds one recorded fact into the state. Facts cannot be refused.
    fn evolve(&mut self, event: &ReportsEvent) {
        let ReportsEvent::ReportFiled { at, .. } = event;
        self.recent.retain(|earlier| *earlier + DAY > *at);
        self.recent.push(*at);
    }
}

#[cfg(test)]
mod tests {
    use cqrs_es::test::TestFramework;

    use super::*;

    fn file(hours: i64) -> ReportsCommand {
        let report = Report {
            report_id: ReportId(Uuid::from_u128(1)),
            reporter_id: UserId(Uuid::nil()),
            target_type: ReportTarget::Message,
            target_id: Uuid::from_u128(2),
            reason: ReportReason::Spam,
            text: Some(ReportText::parse("again and again").unwrap()),
        };
        ReportsCommand::File { report: Box::new(report), most_a_day: 2, at: at(hours) }
    }

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::hours(hours)
    }

    fn filed(hours: i64) -> ReportsEvent {
        Reports::default().decide(file(hours)).unwrap().remove(0)
    }

    #[test]
    fn a_report_is_taken_down() {
        TestFramework::<Reports>::with(())
            .given_no_previous_events()
            .when(file(0))
            .then_expect_events(vec![filed(0)]);
    }

    #[test]
    fn a_day_has_so_many_reports_and_the_next_one_as_many() {
        let given = || TestFramework::<Reports>::with(()).given(vec![filed(0), filed(10)]);
        given().when(file(23)).then_expect_error(ReportsError::TooMany { most: 2 });
        given().when(file(24)).then_expect_events(vec![filed(24)]);
    }

    #[test]
    fn who_reported_enough_is_told_when_to_come_back() {
        let mut reports = Reports::default();
        assert_eq!(reports.free_at(2, at(0)), at(0));
        reports.evolve(&filed(0));
        reports.evolve(&filed(10));
        assert_eq!(reports.free_at(2, at(11)), at(24));
        assert_eq!(reports.free_at(1, at(11)), at(34), "under a lower limit");
        assert_eq!(reports.free_at(2, at(24)), at(24));
    }

    #[test]
    fn the_state_does_not_grow() {
        let mut reports = Reports::default();
        for day in 0..100 {
            reports.evolve(&filed(day * 24));
        }
        assert_eq!(reports.recent.len(), 1);
    }
}
