//! `/health`: for load balancers.
use axum::{Json, extract::State};
use commands::FieldError;
use serde_json::{Value, json};

use crate::{
    problem::Problem,
    problems,
    readiness::{Check, Readiness},
};

/// `GET /health/live`: this process answers. Restart it when it does not.
pub(crate) async fn live() -> Json<Value> {
    Json(json!({ "status": "live" }))
}

/// `GET /health/ready`: this process can do its work. Send it nobody when it cannot.
pub(crate) async fn ready(State(readiness): State<Readiness>) -> Result<Json<Value>, Problem> {
    report(readiness.check().await)
}

fn report(checks: Vec<Check>) -> Result<Json<Value>, Problem> {
    let failed = checks.iter().filter(|check| check.required).filter_map(|check| {
        let detail = check.outcome.clone().err()?;
        let pointer = format!("/checks/{}", check.name);
        Some(FieldError { pointer, code: "not_ready", detail })
    });
    let failed: Vec<_> = failed.collect();
    if !failed.is_empty() {
        return Err(Problem::new(&problems::DEPENDENCY_UNAVAILABLE)
            .detail("this node is not ready")
            .errors(failed));
    }
    let degraded = checks.iter().any(|check| check.outcome.is_err());
    let checks: serde_json::Map<_, _> = checks
        .into_iter()
        .map(|check| {
            (check.name.to_owned(), json!(check.outcome.err().as_deref().unwrap_or("ready")))
        })
        .collect();
    let status = if degraded { "degraded" } else { "ready" };
    Ok(Json(json!({ "status": status, "checks": checks })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_is_ready_when_all_of_it_is() {
        let readiness = Readiness::new().with("eventStore", async || Ok(()));
        let Json(body) = report(readiness.check().await).unwrap();
        assert_eq!(body, json!({ "status": "ready", "checks": { "eventStore": "ready" } }));

        let degraded = readiness.clone().with_optional("nats", async || Err("away".to_owned()));
        let Json(body) = report(degraded.check().await).unwrap();
        let checks = json!({ "eventStore": "ready", "nats": "away" });
        assert_eq!(body, json!({ "status": "degraded", "checks": checks }));

        let readiness = readiness.with("nats", async || Err("not connected".to_owned()));
        let problem = report(readiness.check().await).unwrap_err();
        let body: Value = serde_json::from_slice(&problem.body(None)).unwrap();
        assert_eq!(body["status"], 503);
        assert_eq!(body["errors"][0]["pointer"], "/checks/nats");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_not_ready() {
        let readiness = Readiness::new().with("mongodb", std::future::pending);
        let checks = readiness.check().await;
        assert_eq!(checks[0].outcome, Err("no answer within 2 s".to_owned()));
    }
}
