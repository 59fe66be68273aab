//! Reports to the moderators.
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    RejectionKind, ReportId, Reports, ReportsCommand,
    report::{Report, ReportReason, ReportTarget},
    text::ReportText,
};
use platform::ids::new_id;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    Caller, CommandError, Commands, IdempotencyKey, Written,
    bus::Context,
    metadata,
    requests::{Timer, replay},
};

/// What someone reports.
#[derive(Clone, Debug)]
pub struct FileReport {
    /// What kind of thing.
    pub target_type: ReportTarget,
    /// Which one.
    pub target_id: Uuid,
    /// What is wrong with it.
    pub reason: ReportReason,
    /// In the reporter's words.
    pub text: Option<ReportText>,
}

/// A report that was taken down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filed {
    /// Which one.
    pub report_id: ReportId,
    /// When.
    pub at: DateTime<Utc>,
}

impl Commands {
    /// Takes down a report. Whether there is such a thing, and whether the reporter may know of it,
    /// makes no difference: the answer must not tell, and who was thrown out may report, too.
    ///
    /// # Errors
    /// [`CommandError::Limited`] after too many within a day;
    /// [`CommandError::IdempotencyKeyReused`].
    #[tracing::instrument(skip_all, fields(
        request.id = %caller.request_id, user.id = %caller.user_id,
    ))]
    pub async fn file_report(
        &self,
        caller: &Caller,
        request: FileReport,
        key: Option<IdempotencyKey>,
    ) -> Result<Written<Filed>, CommandError> {
        let _timer = Timer::start("file_report");
        let at = self.now();
        let report = Box::new(Report {
            report_id: ReportId(new_id()),
            reporter_id: caller.user_id,
            target_type: request.target_type,
            target_id: request.target_id,
            reason: request.reason,
            text: request.text,
        });
        let filed = Filed { report_id: report.report_id, at };
        let most_a_day = usize::from(self.inner.users.reports_per_day);
        let command = ReportsCommand::File { report, most_a_day, at };
        let context = Context::new(metadata(Some(caller.user_id), &caller.request_id))
            .with_idempotency(self.keep_answer(key, caller, move |_, _: &Reports| filed));
        let id = caller.user_id.to_string();
        match self.inner.bus.execute::<Reports>(&id, command, context).await {
            Ok(executed) => {
                let value = if executed.replayed { replay(executed.answer)? } else { filed };
                Ok(Written { value, receipt: executed.receipt, replayed: executed.replayed })
            }
            Err(CommandError::Rejected { kind: RejectionKind::RateLimited, .. }) => {
                let reports = self.inner.bus.state::<Reports>(&id).await?;
                let wait = reports.free_at(most_a_day, at) - at;
                let retry_after = wait.to_std().unwrap_or(Duration::ZERO);
                let message = "you made enough reports for a day";
                Err(CommandError::Limited { code: "rate_limited", message, retry_after })
            }
            Err(error) => Err(error),
        }
    }
}
