//! `studyhall status`: how far everything is.
use std::time::Duration;

use anyhow::Error;
use eventstore::{EventStore, Sequencer};
use nats::Nats;
use platform::{Clock as _, SystemClock};
use projections::ModelStatus;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::parts::Settings;

/// How long NATS may take to say where its stream ends.
const NATS_LIMIT: Duration = Duration::from_secs(3);
/// Parked events that are listed.
const PARKED: i64 = 100;
/// E-mails that were given up and are listed.
const DEAD_MAILS: i64 = 100;

/// Prints it, as a table or as JSON.
pub(crate) async fn status(as_json: bool) -> Result<bool, Error> {
    let settings = Settings::load()?;
    let store = settings.event_store().await?;
    let status = collect(&settings, &store).await?;
    if as_json {
        println!("{status:#}");
    } else {
        print_table(&status);
    }
    Ok(true)
}

async fn collect(settings: &Settings, store: &EventStore) -> Result<Value, Error> {
    let models = settings.read_models(store).await?;
    let backlog = Sequencer::open(store.clone()).await?.backlog().await?;
    let mut read_models = Vec::new();
    for model in models.status().await? {
        read_models.push(read_model(store, &model).await?);
    }
    let parked: Vec<Value> = models
        .parked(PARKED)
        .await?
        .into_iter()
        .map(|event| {
            json!({
                "readModel": event.model, "version": event.version, "key": event.key,
                "position": event.position, "eventId": event.event_id, "error": event.error,
                "parkedAt": event.parked_at, "retryRequested": event.retry_requested,
            })
        })
        .collect();
    let mails = mails(store).await?;
    let alarm = Duration::from_millis(settings.config.relay.xmin_alarm_ms);
    let stall = store.stall(alarm).await?.map(|stall| {
        json!({
            "pid": stall.pid, "database": stall.database, "application": stall.application,
            "state": stall.state, "seconds": stall.age.as_secs(),
        })
    });
    Ok(json!({
        "head": store.head().await?,
        "unplaced": backlog.events,
        "oldestUnplaced": backlog.oldest,
        "stream": stream(settings).await,
        "readModels": read_models,
        "parked": parked,
        "mails": mails,
        "stall": stall,
    }))
}

/// E-mails that wait, and those that are not tried any more.
async fn mails(store: &EventStore) -> Result<Value, Error> {
    let status = store.mail_status().await?;
    let dead = store.dead_mails(DEAD_MAILS).await?.into_iter().map(|mail| {
        json!({
            "position": mail.position, "kind": mail.kind, "userId": mail.person_id,
            "attempts": mail.attempts, "reason": mail.reason, "deadAt": mail.dead_at,
        })
    });
    Ok(json!({
        "waiting": status.waiting, "oldest": status.oldest, "dead": status.dead,
        "newestDead": dead.collect::<Vec<_>>(),
    }))
}

/// How far one read model is: in events, and since when its next event waits.
async fn read_model(store: &EventStore, model: &ModelStatus) -> Result<Value, Error> {
    let next = match model.lag_events {
        0 => None,
        _ => store.read_log(model.position, 1).await?.pop(),
    };
    let waiting =
        next.map_or(0, |next| (SystemClock.now() - next.recorded_at).num_seconds().max(0));
    Ok(json!({
        "name": model.model, "version": model.version, "position": model.position,
        "lagEvents": model.lag_events, "lagSeconds": waiting, "updatedAt": model.updated_at,
        "parked": model.parked,
    }))
}

/// Where the stream ends; why nobody can tell, if so.
async fn stream(settings: &Settings) -> Value {
    let head = async {
        let nats = Nats::connect(&settings.config.nats).await?;
        let head = nats.head().await?;
        Ok::<_, nats::NatsError>(json!({
            "name": nats.stream_name(), "position": head.position, "sequence": head.sequence,
            "messages": head.messages,
        }))
    };
    match timeout(NATS_LIMIT, head).await {
        Ok(Ok(head)) => head,
        Ok(Err(error)) => json!({ "error": error.to_string() }),
        Err(_) => json!({ "error": "NATS does not answer" }),
    }
}

fn print_table(status: &Value) {
    println!(
        "log         position {}, {} events wait for their place",
        status["head"], status["unplaced"]
    );
    match status["stream"]["error"].as_str() {
        Some(error) => println!("stream      {error}"),
        None => println!(
            "stream      {} ends at position {} with {} messages",
            text(&status["stream"]["name"]),
            status["stream"]["position"],
            status["stream"]["messages"]
        ),
    }
    println!(
        "\n{:<16} {:>7} {:>12} {:>12} {:>9} {:>7}",
        "read model", "version", "position", "lag events", "seconds", "parked"
    );
    for model in status["readModels"].as_array().into_iter().flatten() {
        println!(
            "{:<16} {:>7} {:>12} {:>12} {:>9} {:>7}",
            text(&model["name"]),
            model["version"].to_string(),
            model["position"].to_string(),
            model["lagEvents"].to_string(),
            model["lagSeconds"].to_string(),
            model["parked"].to_string(),
        );
    }
    let parked = status["parked"].as_array().map_or(0, Vec::len);
    if parked > 0 {
        println!("\n{parked} events are parked: see `studyhall parked list`");
    }
    print_mails(&status["mails"]);
    let stall = &status["stall"];
    if stall.is_object() {
        println!(
            "\nthe log is held back for {} s by a write transaction of session {} in database {}",
            stall["seconds"],
            stall["pid"],
            text(&stall["database"]),
        );
    }
}

fn print_mails(mails: &Value) {
    if mails["waiting"] != 0 {
        println!(
            "\n{} e-mails wait, the oldest since {}",
            mails["waiting"],
            text(&mails["oldest"])
        );
    }
    if mails["dead"] != 0 {
        println!("\n{} e-mails were given up; the newest:", mails["dead"]);
        for mail in mails["newestDead"].as_array().into_iter().flatten().take(10) {
            println!(
                "{} {} {} after {} tries: position {}, user {}",
                text(&mail["deadAt"]),
                text(&mail["kind"]),
                text(&mail["reason"]),
                mail["attempts"],
                mail["position"],
                text(&mail["userId"]),
            );
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
