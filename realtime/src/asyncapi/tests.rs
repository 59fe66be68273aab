//! The description and the code name the same events.
use std::{collections::BTreeSet, fs, path::Path};

use super::*;

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            let source = fs::read_to_string(path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            found.push(code.to_owned());
        }
    }
}

/// The literals that are sent as names of events: the first one in a call that emits, the name of a
/// change, and the first of a pair whose other half is a body.
fn emitted(source: &str) -> BTreeSet<String> {
    let is_name = |text: &str| {
        text.contains('_') && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let parts: Vec<&str> = source.split('"').collect();
    let mut names = BTreeSet::new();
    for (index, literal) in parts.iter().enumerate().skip(1).step_by(2) {
        if !is_name(literal) {
            continue;
        }
        let statement = parts[index - 1].rsplit([';', '{', '}']).next().unwrap_or_default();
        let before = parts[index - 1].trim_end();
        let calls =
            ["emit(", "emit_first(", "emit_last(", "emit_volatile(", "emit_to_others(", "dismiss("];
        let marks = ["name:", "event =", "=> (", "Some(("];
        if calls.iter().any(|call| statement.contains(call))
            || marks.iter().any(|end| before.ends_with(end))
        {
            names.insert((*literal).to_owned());
        }
    }
    names
}

#[test]
fn every_event_that_is_sent_is_described() {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let sent: BTreeSet<_> = found.iter().flat_map(|source| emitted(source)).collect();
    for sure in ["session_ready", "user_typing", "token_expired", "user_joined", "room_updated"] {
        assert!(sent.contains(sure), "{sure} is not found: {sent:?}");
    }
    let described: BTreeSet<_> = OUTBOUND.iter().map(|event| event.name.to_owned()).collect();
    let forgotten: Vec<_> = sent.difference(&described).collect();
    assert!(forgotten.is_empty(), "describe them in asyncapi/outbound.rs: {forgotten:?}");
}

#[test]
fn every_event_has_one_message_and_one_operation() {
    let document = document("https://study.example");
    let channel = document["channels"]["socket"]["messages"].as_object().unwrap();
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!(channel.len(), messages.len());
    assert_eq!(messages.len(), Inbound::ALL.len() * 2 + OUTBOUND.len(), "a name is used twice");
    let operations = document["operations"].as_object().unwrap();
    assert_eq!(operations.len(), Inbound::ALL.len() + OUTBOUND.len());
    assert_eq!(document["servers"]["studyhall"]["protocol"], "wss");
}

fn walk(value: &Value, seen: &mut usize) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Object(properties)) = object.get("properties") {
                for name in properties.keys() {
                    let camel = name.starts_with(|c: char| c.is_ascii_lowercase())
                        && name.chars().all(|c| c.is_ascii_alphanumeric());
                    assert!(camel, "{name}");
                    *seen += 1;
                }
            }
            object.values().for_each(|value| walk(value, seen));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, seen)),
        _ => {}
    }
}

#[test]
fn every_property_is_in_camel_case() {
    let mut seen = 0;
    walk(&document("https://study.example"), &mut seen);
    assert!(seen > 50, "{seen} properties");
}
