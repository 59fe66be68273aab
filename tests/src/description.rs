//! Holds every answer against the description of the API (`/api/openapi.json`).
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use reqwest::Method;
use serde_json::Value;
use tokio::sync::Mutex;

/// The description of each listener that was asked; `None` for those that have none.
static KNOWN: LazyLock<Mutex<HashMap<String, Option<Arc<Value>>>>> = LazyLock::new(Mutex::default);

/// An answer, as far as it is described.
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a Value,
}

/// Requires that an answer is one that the listener says it gives.
///
/// # Panics
/// When it is not.
pub(crate) async fn check(http: &reqwest::Client, listener: &str, seen: &Seen<'_>) {
    if seen.path.starts_with("/socket.io") {
        return; // described elsewhere
    }
    let mut known = KNOWN.lock().await;
    if !known.contains_key(listener) {
        let answer = http.get(format!("{listener}/api/openapi.json")).send().await;
        let Ok(answer) = answer else { return }; // it is gone meanwhile
        let document = if answer.status().is_success() { answer.json().await.ok() } else { None };
        known.insert(listener.to_owned(), document.map(Arc::new));
    }
    let Some(document) = known[listener].clone() else { return };
    drop(known);
    if let Err(complaint) = judge(&document, seen) {
        let Seen { method, path, status, body, .. } = seen;
        panic!("{method} {path} answered {status}, not as described: {complaint}\n{body:#}");
    }
}

fn judge(document: &Value, seen: &Seen<'_>) -> Result<(), String> {
    let method = if seen.method == Method::HEAD { &Method::GET } else { seen.method };
    let paths = document["paths"].as_object().ok_or("no paths")?;
    let found = paths.iter().filter(|(template, _)| fits(template, seen.path));
    // `/api/users/me` fits `/api/users/{userId}` too: what is literal goes first.
    let found = found.min_by_key(|(template, _)| template.matches('{').count());
    let Some((_, methods)) = found else {
        let refused = matches!(seen.status, 404 | 429);
        return if refused { Ok(()) } else { Err("there is no such path".into()) };
    };
    let operation = &methods[method.as_str().to_lowercase()];
    if operation.is_null() {
        let refused = matches!(seen.status, 200 | 404 | 405 | 429);
        return if refused { Ok(()) } else { Err("there is no such method".into()) };
    }
    let response = &operation["responses"][seen.status.to_string()];
    if response.is_null() {
        return Err("this status is not described".into());
    }
    let Some(contents) = response["content"].as_object() else {
        return if seen.body.is_null() { Ok(()) } else { Err("there is a body".into()) };
    };
    if seen.method == Method::HEAD {
        return Ok(());
    }
    let kind = seen.content_type.and_then(|it| it.split(';').next()).unwrap_or("");
    let content = contents.get(kind).ok_or(format!("content type `{kind}`"))?;
    if kind.ends_with("json") {
        matches(document, &content["schema"], seen.body, "")
    } else {
        Ok(())
    }
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(wanted, part)| wanted.starts_with('{') || wanted == part)
}

/// The part of JSON Schema that the description uses.
pub(crate) fn matches(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
) -> Result<(), String> {
    let fails = |why: String| Err(format!("{}: {why}", if at.is_empty() { "/" } else { at }));
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        return matches(document, target.ok_or(format!("{reference} leads nowhere"))?, value, at);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        matches(document, part, value, at)?;
    }
    for key in ["anyOf", "oneOf"] {
        let Some(branches) = schema[key].as_array() else { continue };
        let complaints = branches.iter().map(|branch| matches(document, branch, value, at));
        let complaints: Result<Vec<_>, ()> =
            complaints.map(|it| it.err().ok_or(())).collect::<Result<_, _>>();
        if let Ok(complaints) = complaints {
            return fails(complaints.join("; or "));
        }
    }
    if let Some(values) = schema["enum"].as_array()
        && !values.contains(value)
    {
        return fails(format!("{value} is none of {}", schema["enum"]));
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_a(value, kind)) {
        return fails(format!("{value} is no {}", kinds.join(" or ")));
    }
    if let Some(text) = value.as_str() {
        let is_right = match schema["format"].as_str() {
            Some("uuid") => uuid::Uuid::try_parse(text).is_ok(),
            Some("date-time") => text.len() == 24 && text.ends_with('Z'),
            _ => true,
        };
        if !is_right {
            return fails(format!("{text:?} is no {}", schema["format"]));
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        matches(document, &schema["items"], item, &format!("{at}/{index}"))?;
    }
    let Some(object) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !object.contains_key(name) {
            return fails(format!("{name} is missing"));
        }
    }
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    // Anywhere but in the parts of an `allOf`, a field that is not described was forgotten.
    let is_whole = properties.len() > 1 && schema["additionalProperties"].is_null();
    for (name, value) in object {
        match properties.get(name) {
            Some(schema) => matches(document, schema, value, &format!("{at}/{name}"))?,
            None if is_whole => return fails(format!("{name} is not described")),
            None => {}
        }
    }
    Ok(())
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_subset_of_json_schema_is_judged_right() {
        let document = json!({ "shapes": {
            "Room": {
                "type": "object", "required": ["id", "name"],
                "properties": {
                    "id": { "type": "string", "format": "uuid" },
                    "name": { "type": ["string", "null"] },
                    "tags": { "type": "array", "items": { "enum": ["a", "b"] } },
                    "my": { "oneOf": [{ "type": "null" }, { "$ref": "#/shapes/Room" }] },
                },
            },
        } });
        let schema = json!({ "$ref": "#/shapes/Room" });
        let id = "0198a0a0-0000-7000-8000-000000000001";
        let room = json!({ "id": id, "name": null, "tags": ["a"], "my": null });
        assert_eq!(matches(&document, &schema, &room, ""), Ok(()));
        for (field, wrong) in [
            ("id", json!("x")),
            ("name", json!(7)),
            ("tags", json!(["c"])),
            ("my", json!({ "id": id })),
            ("extra", json!(1)),
        ] {
            let mut room = room.clone();
            room[field] = wrong;
            assert!(matches(&document, &schema, &room, "").is_err(), "{field}");
        }
        assert!(matches(&document, &schema, &json!({ "id": id }), "").is_err());
    }

    #[test]
    fn a_literal_path_goes_before_a_parameter() {
        assert!(fits("/api/rooms/{roomId}", "/api/rooms/7") && fits("/a/b", "/a/b"));
        assert!(!fits("/api/rooms/{roomId}", "/api/rooms") && !fits("/a/b", "/a/c"));
    }
}
