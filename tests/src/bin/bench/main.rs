//! `make bench`: how fast it is, each figure beside a yardstick from the same run.
//!
//! `bench [NAME …]` runs the named benchmarks, or all: `create`, `hot`, `drain`, `chat`, `idle`,
//! `reads`, `logins`, `flood`, `hostile`, `jitter`, `restart`.
//! Prints a table and writes `bench-results/<time>.json`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a tool for developers: it fails by panicking"
)]

mod chat;
mod create;
mod crowd;
mod drain;
mod flood;
mod hostile;
mod hot;
mod idle;
mod jitter;
mod load;
mod logins;
mod reads;
mod report;
mod restart;

use report::Report;

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let runs = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let mut report = Report::default();
    if runs("create") {
        create::run(&mut report).await;
    }
    if runs("hot") {
        hot::run(&mut report).await;
    }
    if runs("drain") {
        drain::run(&mut report).await;
    }
    if runs("chat") {
        chat::run(&mut report).await;
    }
    if runs("idle") {
        idle::run(&mut report).await;
    }
    if runs("reads") {
        reads::run(&mut report).await;
    }
    if runs("jitter") {
        jitter::run(&mut report).await;
    }
    if runs("logins") {
        logins::run(&mut report).await;
    }
    if runs("flood") {
        flood::run(&mut report).await;
    }
    if runs("hostile") {
        hostile::run(&mut report).await;
    }
    if runs("restart") {
        restart::run(&mut report).await;
    }
    report.finish();
}
