//! `studyhall reports`.
use anyhow::Error;

use crate::parts::Settings;

/// Lists the newest reports, one line each.
pub(crate) async fn list(limit: u16) -> Result<bool, Error> {
    let settings = Settings::load()?;
    let store = settings.event_store().await?;
    let reports = settings.read_models(&store).await?.reports().newest(limit.into()).await?;
    if reports.is_empty() {
        println!("nothing was reported");
    }
    for report in reports {
        // Nobody's words break a line or speak to the terminal.
        let words = report.text.unwrap_or_default().escape_debug().to_string();
        println!(
            "{} {} {} {} {} by {} {words}",
            report.created_at.format("%Y-%m-%dT%H:%M:%SZ"),
            report.id,
            report.reason.as_str(),
            report.target_type.as_str(),
            report.target_id,
            report.reporter_id,
        );
    }
    Ok(true)
}
