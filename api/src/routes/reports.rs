//! `/api/reports`: what people want moderators to look at.
use axum::{Extension, Json, extract::State, http::StatusCode, response::IntoResponse};
use commands::FileReport;
use domain::text::ReportText;
use serde_json::json;

use crate::{
    ApiState, Endpoint,
    extract::{
        Authenticated, Fields, FromFields, IdempotencyKeyHeader, JsonBody, id, one_of, text,
    },
    problem::Problem,
    views,
    writes::Settled,
};

/// Body of `POST /api/reports`.
pub(super) struct Report(FileReport);

impl FromFields for Report {
    fn from_fields(fields: &mut Fields) -> Option<Self> {
        let target_type = fields.required("targetType", one_of("user, room, message"));
        let target_id = fields.required("targetId", id);
        let reason = fields.required(
            "reason",
            one_of("spam, harassment, hate, sexual, impersonation, cheating, other"),
        );
        let text = fields.optional("text", text(ReportText::parse));
        Some(Self(FileReport {
            target_type: target_type?,
            target_id: target_id?,
            reason: reason?,
            text: text?,
        }))
    }
}

/// `POST /api/reports`: takes down a report. 202 for whatever it is about: the answer does not tell
/// whether there is such a thing.
pub(super) async fn file(
    State(state): State<ApiState>,
    Extension(endpoint): Extension<&'static Endpoint>,
    Authenticated(caller): Authenticated,
    key: IdempotencyKeyHeader,
    JsonBody { value: Report(request), digest }: JsonBody<Report>,
) -> Result<impl IntoResponse, Problem> {
    let written = state.commands().file_report(&caller, request, key.with_body(digest)).await?;
    let settled = Settled::of(&state, endpoint, &written).await;
    let body = json!({
        "id": written.value.report_id,
        "status": "received",
        "createdAt": views::time(written.value.at),
    });
    Ok((StatusCode::ACCEPTED, settled, Json(body)))
}
