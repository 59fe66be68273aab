//! What a client knows of its room, from the events it heard.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text;

/// The state of a room, folded by the rule for clients: the next number is applied, an earlier one
/// dropped, a later one means that something is missing.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) last_seq: i64,
    messages: BTreeMap<String, Value>,
    /// Events that came before one that they follow.
    pub(crate) gaps: usize,
}

impl Known {
    /// Takes one event. Volatile ones have no number.
    pub(crate) fn apply(&mut self, event: &str, payload: &Value) {
        let Some(seq) = payload["seq"].as_i64() else { return };
        if seq <= self.last_seq {
            return;
        }
        if seq != self.last_seq + 1 {
            self.gaps += 1;
        }
        self.last_seq = seq;
        match (event, text(payload, "kind")) {
            ("new_message", _) | ("message_updated", "edited" | "deleted") => {
                self.see(&payload["message"]);
            }
            ("message_updated", "reactions") => self.react(payload),
            _ => {}
        }
    }

    fn react(&mut self, payload: &Value) {
        let Some(known) = self.messages.get_mut(text(payload, "messageId")) else { return };
        known["reactions"] = reactions(&payload["reactions"]);
        known["version"] = payload["version"].clone();
    }

    /// Takes a message as it is now.
    pub(crate) fn see(&mut self, message: &Value) {
        let known = json!({
            "content": message["content"],
            "isEdited": message["isEdited"],
            "isDeleted": message["isDeleted"],
            "version": message["version"],
            "reactions": reactions(&message["reactions"]),
        });
        self.messages.insert(text(message, "id").to_owned(), known);
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.messages.contains_key(id)
    }

    /// Any message that is not deleted, chosen by a number.
    pub(crate) fn any(&self, choice: usize) -> Option<&String> {
        let live = self.messages.iter().filter(|(_, message)| message["isDeleted"] != true);
        let live: Vec<&String> = live.map(|(id, _)| id).collect();
        live.get(choice % live.len().max(1)).copied()
    }

    /// Messages in which two views of one room differ.
    pub(crate) fn differences(&self, other: &Self) -> usize {
        let one_way = |a: &Self, b: &Self| {
            a.messages.iter().filter(|(id, message)| b.messages.get(*id) != Some(message)).count()
        };
        one_way(self, other).max(one_way(other, self))
    }
}

/// What and how often; who and "me" differ between viewers.
fn reactions(list: &Value) -> Value {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut counts: Vec<Value> = list.iter().map(|r| json!([r["emoji"], r["count"]])).collect();
    counts.sort_by_key(ToString::to_string);
    Value::Array(counts)
}
