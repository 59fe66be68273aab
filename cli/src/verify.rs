//! `studyhall verify`: the read models are what the log says, and the log is what was recorded.
use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Error, bail};
use domain::LogPosition;
use projections::{ReadModels, Rebuilder, names};
use serde_json::Value;

use crate::parts::Settings;

/// Versions of read models count up from 1: nobody gets here.
const SPARE: u32 = 1_000_000;
/// How long a live read model may take to arrive where the rebuilt one is.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often both may be brought to the same position while people go on writing.
const ATTEMPTS: u32 = 50;
/// Keys that are named.
const SHOWN: usize = 10;

/// Compares every read model with a rebuilt one, then checks the chain.
pub(crate) async fn verify() -> Result<bool, Error> {
    let settings = Settings::load()?;
    let store = settings.event_store().await?;
    let models = settings.read_models(&store).await?;
    let rebuilder = Rebuilder::new(models.clone(), store.clone());
    let mut fine = true;
    for name in names::ALL {
        let compared = compare(&models, &rebuilder, name).await;
        // Whatever happened, the spare version goes.
        let dropped = rebuilder.drop_version(name, SPARE).await;
        let differing = compared.with_context(|| format!("{name} cannot be compared"))?;
        dropped.with_context(|| format!("the spare version of {name} cannot be dropped"))?;
        fine &= report(name, &differing);
    }
    let chain = store.verify_chain().await?;
    if let Some(position) = chain.broken_at {
        println!("chain: broken at position {position}");
        return Ok(false);
    }
    println!("chain: {} positions verified", chain.checked);
    Ok(fine)
}

/// The keys whose values differ. Both sides are at the same position, which takes a moment on a
/// system that people use.
async fn compare(
    models: &ReadModels,
    rebuilder: &Rebuilder,
    name: &'static str,
) -> Result<Differing, Error> {
    let live = rebuilder.active_version(name).await?;
    let mut target = rebuilder.shadow(name, SPARE).await?;
    for _ in 0..ATTEMPTS {
        let reached = models.wait(&[name], target, PATIENCE).await;
        reached.map_err(|lag| {
            Error::msg(format!(
                "it is at {} of {target}, {} events behind",
                lag.position_reached, lag.lag_events
            ))
        })?;
        let before = rebuilder.position(name, live).await?;
        if before == target {
            let (shown, expected) =
                (rebuilder.dump(name, live).await?, rebuilder.dump(name, SPARE).await?);
            // Nothing moved while both were read.
            if rebuilder.position(name, live).await? == target {
                return Ok(difference(target, &shown, &expected));
            }
        }
        target = rebuilder.catch_up(name, SPARE).await?;
    }
    bail!("it moved every time; try again at a calmer time")
}

/// How two dumps differ.
struct Differing {
    at: LogPosition,
    entries: usize,
    keys: Vec<(String, &'static str)>,
}

fn difference(
    at: LogPosition,
    shown: &BTreeMap<String, Value>,
    expected: &BTreeMap<String, Value>,
) -> Differing {
    let mut keys = Vec::new();
    for (key, value) in expected {
        match shown.get(key) {
            None => keys.push((key.clone(), "is missing")),
            Some(other) if other != value => keys.push((key.clone(), "differs")),
            Some(_) => {}
        }
    }
    let surplus = shown.keys().filter(|key| !expected.contains_key(*key));
    keys.extend(surplus.map(|key| (key.clone(), "should not be there")));
    Differing { at, entries: expected.len(), keys }
}

/// Keys only: what stands under them may be personal.
fn report(name: &str, differing: &Differing) -> bool {
    let Differing { at, entries, keys } = differing;
    if keys.is_empty() {
        println!("{name}: {entries} entries at position {at} as rebuilt");
        return true;
    }
    println!("{name}: {} of {entries} entries at position {at} are wrong", keys.len());
    for (key, what) in keys.iter().take(SHOWN) {
        println!("  {key} {what}");
    }
    if keys.len() > SHOWN {
        println!("  and {} more", keys.len() - SHOWN);
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_difference_is_named() {
        let shown = BTreeMap::from([
            ("same".to_owned(), json!(1)),
            ("other".to_owned(), json!(1)),
            ("surplus".to_owned(), json!(1)),
        ]);
        let expected = BTreeMap::from([
            ("same".to_owned(), json!(1)),
            ("other".to_owned(), json!(2)),
            ("gone".to_owned(), json!(1)),
        ]);
        let found = difference(LogPosition(7), &shown, &expected);
        let named = |key: &str, what| (key.to_owned(), what);
        assert_eq!(
            found.keys,
            [
                named("gone", "is missing"),
                named("other", "differs"),
                named("surplus", "should not be there")
            ]
        );
        assert!(!report("users", &found));
        assert!(report("users", &difference(LogPosition(7), &shown, &shown)));
    }
}
