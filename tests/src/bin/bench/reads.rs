//! Reads that may be answered from the cache, with and without it.
use std::sync::Arc;

use tests::TestApp;

use crate::{
    load::closed,
    report::{Report, Target},
};

const CONCURRENT: usize = 16;

pub(crate) async fn run(report: &mut Report) {
    let without = per_second("0").await;
    let with = per_second("60").await;
    for ((what, with), (_, without)) in with.into_iter().zip(without) {
        report.ratio(what, (with, "/s"), ("without the cache", without), Target::AtLeast(1.0));
    }
}

/// Requests per second of a profile and of the catalogue, with answers kept for so many seconds.
async fn per_second(cache_seconds: &str) -> [(&'static str, f64); 2] {
    let app = TestApp::builder().node("all").setting("REDIS__CACHE_SECONDS", cache_seconds);
    let app = app.start().await;
    app.given_a_room(&["ana", "ben"]).await;
    let (ana, ben) = (app.as_user("ana").await, app.as_user("ben").await);
    let reader = Arc::new(ben.client.clone());
    let rate = async |path: String| {
        let (reader, path) = (Arc::clone(&reader), Arc::new(path));
        closed(CONCURRENT, move |_| {
            let (reader, path) = (Arc::clone(&reader), Arc::clone(&path));
            async move {
                reader.get(&path).await.assert_status(200);
            }
        })
        .await
    };
    let profile = rate(format!("/api/users/{}", ana.id)).await;
    let catalogue = rate("/api/subjects".to_owned()).await;
    app.finish().await;
    [("profiles read", profile), ("pages of the catalogue read", catalogue)]
}
