//! Who may depend on whom. The README draws the same picture.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::{collections::BTreeMap, process::Command};

/// Crate → workspace crates it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("platform", &[]),
    ("migrations", &[]),
    ("eventstore", &["domain", "platform"]),
    ("nats", &["domain", "eventstore", "platform"]),
    ("commands", &["domain", "eventstore", "platform"]),
    ("projections", &["domain", "eventstore", "nats", "platform"]),
    ("realtime", &["domain", "commands", "projections", "nats", "platform"]),
    ("api", &["domain", "commands", "projections", "platform"]),
];
/// Composition roots: may import everything.
const ROOTS: &[&str] = &["cli", "tests"];

#[test]
fn every_dependency_points_inwards() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let members: Vec<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();

    for package in packages {
        let name = package["name"].as_str().unwrap();
        if ROOTS.contains(&name) {
            continue;
        }
        let may =
            allowed.get(name).unwrap_or_else(|| panic!("`{name}` is not in the layering table"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            let internal = members.contains(&on) && dependency["kind"] != "dev";
            assert!(!internal || may.contains(&on), "`{name}` must not depend on `{on}`");
        }
    }
}
