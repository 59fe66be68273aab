//! Logs, metrics and what happens to a panic, for the whole process.

use std::panic::PanicHookInfo;
use std::sync::{Once, OnceLock};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Upper bounds of histogram buckets of metrics named `…_seconds`, from a quarter of a millisecond
/// to ten seconds.
const SECONDS: [f64; 15] =
    [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Libraries that write what people say and who they are into their log at finer levels, and at the
/// coarsest what any stranger can provoke ten thousand times with one packet each. Before the operator's
/// own filter, so that `debug` for everything does not mean them, and naming them does.
const DISCREET: &str = "socketioxide=off,engineioxide=off,socketioxide_core=off";

/// Sends log lines to standard error and panics to the log. Only the first call has an effect.
pub fn init(log: &Log) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let filter = EnvFilter::builder().parse_lossy(format!("{DISCREET},{}", log.filter));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // Fails if a test installed its own subscriber: that one shall have the lines.
        let _ = match log.format {
            LogFormat::Text => lines.try_init(),
            LogFormat::Json => lines.json().flatten_event(true).try_init(),
        };
        std::panic::set_hook(Box::new(log_panic));
    });
}

/// The metrics of this process. Installs their recorder at the first call.
pub fn metrics_handle() -> Metrics {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    Metrics(HANDLE.get_or_init(install_recorder).clone())
}

/// Everything counted and measured so far.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The metrics in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.run_upkeep(); // Folds what histograms collected since the last time.
        self.0.render()
    }
}

fn install_recorder() -> PrometheusHandle {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .unwrap_or_default();
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another metrics recorder is installed, /metrics stays empty");
    }
    handle
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(
        panic.location = location,
        thread = std::thread::current().name(),
        "panicked at {location}: {message}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_by_every_handle() {
        let first = metrics_handle();
        metrics::counter!("platform_test_total").increment(3);
        metrics::histogram!("platform_test_seconds").record(0.002);
        assert!(first.render().contains("platform_test_total 3"));
        assert!(
            metrics_handle().render().contains("platform_test_seconds_bucket{le=\"0.0025\"} 1")
        );
    }

    #[test]
    fn starting_twice_is_harmless() {
        let log = Log { format: LogFormat::Json, filter: "info".to_owned() };
        init(&log);
        init(&log);
        assert!(std::panic::catch_unwind(|| panic!("logged, not printed twice")).is_err());
    }
}
