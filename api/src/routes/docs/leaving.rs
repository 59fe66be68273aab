//! `DELETE /api/users/me`, `/api/users/me/export`, `/api/exports`.
use utoipa::ToSchema;
use uuid::Uuid;

use super::Time;
use crate::{openapi::Doc, problems, routes::auth::bodies};

/// Who asks is who they say.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct KnownPassword {
    /// Who has none says none.
    #[schema(format = Password, max_length = 1024)]
    current_password: Option<String>,
}

/// The account is closed.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct DeletionScheduled {
    status: DeletionStatus,
    /// From then on everything that is kept of the person is unreadable. Logging in before that opens the
    /// account again.
    deletion_due_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum DeletionStatus {
    Scheduled,
}

/// A copy of what is kept of the caller.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Export {
    export_id: Uuid,
    status: ExportStatus,
    /// Whoever has it gets the copy.
    url: String,
    /// The link works until then.
    expires_at: Time,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum ExportStatus {
    Ready,
}

pub(in crate::routes) fn delete_account() -> Doc {
    Doc::new("deleteAccount", "Close the account, and be forgotten later")
        .text(
            "Ends all sessions; to others there is no such account any more. Who logs in before the time has \
             come keeps everything. After it rooms go to who keeps order there, and nothing that was sealed \
             for the person can be read by anybody.",
        )
        .body::<bodies::KnownPassword, KnownPassword>()
        .answers::<DeletionScheduled>(202, "The account is closed.")
        .if_match()
        .refuses(&[&problems::RATE_LIMITED, &problems::FRESH_LOGIN_REQUIRED])
}

pub(in crate::routes) fn export() -> Doc {
    Doc::new("exportAccount", "Get a link to a copy of what is kept of the caller")
        .text("A new link makes the one before useless.")
        .body::<bodies::KnownPassword, KnownPassword>()
        .answers::<Export>(202, "The copy can be fetched.")
        .refuses(&[&problems::RATE_LIMITED, &problems::FRESH_LOGIN_REQUIRED])
}

pub(in crate::routes) fn fetch_export() -> Doc {
    Doc::new("fetchExport", "Fetch a copy of what is kept of somebody")
        .text("A ZIP archive with JSON files. The link is all it takes, while it works.")
        .answers_with(200, "The copy.", "application/zip")
}
