//! Stored events stay readable: one file per event type and version, never edited once merged.
use std::{collections::BTreeSet, fs, path::PathBuf};

use cqrs_es::DomainEvent;
use domain::AnyEvent;
use serde::Serialize;
use tests::samples;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// `room/MessagePosted@1.0.json`, and the event as it is serialised before sealing.
fn golden(event: &AnyEvent) -> (String, String) {
    fn both<E: DomainEvent + Serialize>(aggregate: &str, event: &E) -> (String, String) {
        let file = format!("{aggregate}/{}@{}.json", event.event_type(), event.event_version());
        (file, serde_json::to_string_pretty(event).unwrap() + "\n")
    }
    let aggregate = event.aggregate_type();
    match event {
        AnyEvent::User(event) => both(aggregate, event),
        AnyEvent::Session(event) => both(aggregate, event),
        AnyEvent::Room(event) => both(aggregate, event),
        AnyEvent::Attendance(event) => both(aggregate, event),
        AnyEvent::Conversation(event) => both(aggregate, event),
        AnyEvent::ReadMarker(event) => both(aggregate, event),
        AnyEvent::Subject(event) => both(aggregate, event),
        AnyEvent::Reports(event) => both(aggregate, event),
    }
}

/// To write the file of a new event: `cargo test -p tests --test it -- --ignored write_new_golden`.
#[test]
#[ignore = "writes the files of new events, and no others"]
fn write_new_golden_files() {
    for event in samples::all() {
        let (file, text) = golden(&event);
        let path = folder().join(file);
        if !path.exists() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
}

#[test]
fn every_event_is_written_as_its_golden_file_says() {
    for event in samples::all() {
        let (file, text) = golden(&event);
        let stored = fs::read_to_string(folder().join(&file));
        assert_eq!(stored.unwrap_or_else(|error| panic!("{file}: {error}")), text, "{file}");
    }
}

#[test]
fn every_current_golden_file_reads_as_its_event() {
    for event in samples::all() {
        let (file, text) = golden(&event);
        let payload = serde_json::from_str(&text).unwrap();
        let read = AnyEvent::decode(event.aggregate_type(), payload).unwrap();
        assert_eq!(read, event, "{file}");
    }
}

#[test]
fn every_event_type_has_a_golden_file() {
    let samples: BTreeSet<_> = samples::all().iter().map(|event| golden(event).0).collect();
    for (aggregate, name, version) in AnyEvent::types() {
        let file = format!("{aggregate}/{name}@{version}.json");
        assert!(samples.contains(&file), "there is no sample for {file}");
    }
    assert_eq!(samples.len(), AnyEvent::types().len(), "one sample each");
}

#[test]
fn no_golden_file_is_of_an_unknown_event() {
    let known: BTreeSet<_> =
        AnyEvent::types().into_iter().map(|(aggregate, name, _)| (aggregate, name)).collect();
    for (aggregate, name, _, _) in stored() {
        assert!(known.contains(&(aggregate.as_str(), name.as_str())), "{aggregate}/{name}");
    }
}

/// Every file: aggregate, event, version, text.
pub(crate) fn stored() -> Vec<(String, String, String, String)> {
    let mut all = Vec::new();
    for aggregate in fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()) {
        let aggregate_type = aggregate.file_name().unwrap().to_str().unwrap().to_owned();
        for file in fs::read_dir(&aggregate).unwrap().map(|entry| entry.unwrap().path()) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let (name, version) = stem.split_once('@').expect("Name@version.json");
            let text = fs::read_to_string(&file).unwrap();
            all.push((aggregate_type.clone(), name.to_owned(), version.to_owned(), text));
        }
    }
    assert!(!all.is_empty());
    all
}
