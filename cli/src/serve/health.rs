//! Whether this process can do its work, for nodes without the API as well.
use api::Readiness;
use axum::{Json, Router, http::StatusCode, routing::get};
use eventstore::EventStore;
use nats::Nats;
use projections::ReadModels;
use serde_json::{Value, json};

/// Events that a read model may be behind while clients are still sent here.
const MOST_LAG: i64 = 10_000;

/// What must hold for clients to be sent here.
pub(super) fn readiness(store: &EventStore, nats: &Nats, read_models: &ReadModels) -> Readiness {
    let (store, nats, read_models) = (store.clone(), nats.clone(), read_models.clone());
    Readiness::new()
        .with("eventStore", move || {
            let store = store.clone();
            async move {
                store
                    .head()
                    .await
                    .map(drop)
                    .map_err(|_| "the event store is unavailable".to_owned())
            }
        })
        .with("nats", move || {
            let connected = nats.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected".to_owned()) } }
        })
        .with("projections", move || {
            let read_models = read_models.clone();
            async move { lag(&read_models).await }
        })
}

async fn lag(read_models: &ReadModels) -> Result<(), String> {
    let status =
        read_models.status().await.map_err(|_| "the positions are unavailable".to_owned())?;
    let behind = status.iter().max_by_key(|model| model.lag_events);
    match behind.filter(|model| model.lag_events > MOST_LAG) {
        Some(model) => Err(format!("{} is {} events behind", model.model, model.lag_events)),
        None => Ok(()),
    }
}

/// `GET /health/live` and `GET /health/ready`, where the API does not have them.
pub(super) fn routes(readiness: &Readiness) -> Router {
    let readiness = readiness.clone();
    let ready = async move || {
        let checks = readiness.check().await;
        let fine = checks.iter().all(|check| check.outcome.is_ok());
        let said = |outcome: &Result<(), String>| match outcome {
            Ok(()) => "ready".to_owned(),
            Err(reason) => reason.clone(),
        };
        let shown: serde_json::Map<String, Value> = checks
            .iter()
            .map(|check| (check.name.to_owned(), said(&check.outcome).into()))
            .collect();
        let status = if fine { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let word = if fine { "ready" } else { "not_ready" };
        (status, Json(json!({ "status": word, "checks": shown })))
    };
    Router::new()
        .route("/health/live", get(async || Json(json!({ "status": "live" }))))
        .route("/health/ready", get(ready))
}
