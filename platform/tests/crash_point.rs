//! A crash point kills the process, and only when it is armed. Needs the feature `failpoints`.
#![cfg(feature = "failpoints")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};

const SIGABRT: i32 = 6;

/// What the child processes run.
#[test]
#[ignore = "run by the other tests in a process of its own"]
fn pass_three_times() {
    platform::failpoint::init();
    for _ in 0..3 {
        platform::crash_point!("platform.test");
    }
}

fn child(failpoints: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pass_three_times", "--ignored"])
        .env("FAILPOINTS", failpoints)
        .status()
        .unwrap()
}

#[test]
fn an_armed_crash_point_aborts_at_the_passing_it_names() {
    assert_eq!(child("platform.test=2*off->return").signal(), Some(SIGABRT));
}

#[test]
fn a_crash_point_that_is_not_reached_changes_nothing() {
    assert!(child("platform.test=3*off->return").success());
    assert!(child("another=return").success());
}
