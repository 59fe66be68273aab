//! `studyhall parked`.
use anyhow::{Error, bail};
use projections::names;

use crate::parts::Settings;

/// Most events that are listed.
const LIMIT: i64 = 1000;

/// Lists parked events and those behind them.
pub(crate) async fn list() -> Result<bool, Error> {
    let settings = Settings::load()?;
    let store = settings.event_store().await?;
    let parked = settings.read_models(&store).await?.parked(LIMIT).await?;
    if parked.is_empty() {
        println!("nothing is parked");
    }
    for event in parked {
        let reason = event.error.as_deref().unwrap_or("waits behind an earlier one");
        let retry = if event.retry_requested { ", to be tried again" } else { "" };
        println!(
            "{} {} position {} since {}: {reason}{retry}",
            event.model,
            event.key,
            event.position,
            event.parked_at.format("%Y-%m-%dT%H:%M:%SZ"),
        );
    }
    Ok(true)
}

/// Asks for another try.
pub(crate) async fn retry(projector: &str, key: &str) -> Result<bool, Error> {
    if names::find(projector).is_none() {
        bail!("there is no read model `{projector}`; there are {}", names::ALL.join(", "));
    }
    let settings = Settings::load()?;
    let store = settings.event_store().await?;
    let waiting = settings.read_models(&store).await?.unpark(projector, key).await?;
    if waiting == 0 {
        bail!("nothing is parked in {projector} under {key}");
    }
    println!("{waiting} events will be tried again by the running projectors");
    Ok(true)
}
