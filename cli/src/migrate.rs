//! `studyhall migrate`.
use anyhow::{Context as _, Error};

use crate::parts::Settings;

/// Migrates the write side, then prepares the read models.
pub(crate) async fn migrate() -> Result<bool, Error> {
    let settings = Settings::load()?;
    let store = settings.event_store().await?;
    migrations::migrate(store.pool()).await.context("the migrations do not apply")?;
    let read_models = settings.read_models(&store).await?;
    read_models.prepare().await.context("the read models cannot be prepared")?;
    println!("everything is up to date");
    Ok(true)
}
