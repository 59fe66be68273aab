//! Whether this process can do its work.
use api::Readiness;
use eventstore::EventStore;
use nats::Nats;
use projections::ReadModels;

/// Events that a read model may be behind before it is shown.
const MOST_LAG: i64 = 10_000;

/// What must hold for clients to be sent here, and what is shown beside it: without NATS the log
/// goes on, only slower, and a lagging read model lags on every node.
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
        .with_optional("nats", move || {
            let connected = nats.is_connected();
            async move { if connected { Ok(()) } else { Err("not connected".to_owned()) } }
        })
        .with_optional("projections", move || {
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
