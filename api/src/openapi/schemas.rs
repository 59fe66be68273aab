//! The named shapes of the document.
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::{ToSchema, openapi};

use crate::problems;

/// A shape, and those it refers to.
pub(super) struct Shape {
    pub(super) name: String,
    pub(super) schema: Value,
    pub(super) parts: Vec<(String, Value)>,
}

impl Shape {
    pub(super) fn of<S: ToSchema>() -> Self {
        let mut parts = Vec::new();
        S::schemas(&mut parts);
        let parts = parts.into_iter().map(|(name, schema)| (name, plain(&schema))).collect();
        Self { name: S::name().into_owned(), schema: plain(&S::schema()), parts }
    }
}

fn plain(schema: &openapi::RefOr<openapi::schema::Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default() // plain data: cannot fail
}

/// Which way a shape travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Clients send it: nothing else may stand in it, and what may be null may be absent.
    In,
    /// We send it: fields may come, and what may be null is there all the same.
    Out,
}

/// Collects shapes by name.
pub(super) struct Schemas(BTreeMap<String, Value>);

impl Schemas {
    pub(super) fn with_the_common_ones() -> Self {
        let codes: Vec<_> = problems::ALL.iter().map(|kind| kind.code).collect();
        let nullable_cursor =
            |description: &str| json!({ "type": ["string", "null"], "description": description });
        let common = [
            (
                "ProblemCode",
                json!({
                    "type": "string", "enum": codes,
                    "description": "The stable name of a problem. New ones may come.",
                }),
            ),
            (
                "FieldError",
                json!({
                    "type": "object", "required": ["pointer", "code", "detail"],
                    "description": "What is wrong with one field.",
                    "properties": {
                        "pointer": { "type": "string", "description": "JSON pointer (RFC 6901)." },
                        "code": { "type": "string" },
                        "detail": { "type": "string" },
                    },
                }),
            ),
            (
                "Problem",
                json!({
                    "type": "object", "description": "An error (RFC 9457).",
                    "required": ["type", "title", "status", "code", "instance", "requestId"],
                    "properties": {
                        "type": { "type": "string", "format": "uri", "description": "A page about the code." },
                        "title": { "type": "string", "description": "The same for every occurrence." },
                        "status": { "type": "integer", "minimum": 400, "maximum": 599 },
                        "detail": { "type": "string", "description": "What happened here; may change." },
                        "instance": { "type": "string", "description": "The path of the request." },
                        "code": { "$ref": "#/components/schemas/ProblemCode" },
                        "requestId": { "type": "string" },
                        "currentVersion": {
                            "type": "integer", "minimum": 0,
                            "description": "The version that the thing has, where another one was expected.",
                        },
                        "errors": {
                            "type": "array",
                            "items": { "$ref": "#/components/schemas/FieldError" },
                        },
                    },
                }),
            ),
            (
                "PageInfo",
                json!({
                    "type": "object", "description": "Where a page stands in its list.",
                    "required": ["nextCursor", "prevCursor", "hasMore"],
                    "properties": {
                        "nextCursor": nullable_cursor("The `cursor` of the next page."),
                        "prevCursor": nullable_cursor("The `cursor` of the page before."),
                        "hasMore": { "type": "boolean", "description": "Whether there is a next page." },
                    },
                }),
            ),
        ];
        Self(common.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect())
    }

    /// Adds a shape with all it refers to; returns the reference to it.
    pub(super) fn add(&mut self, shape: &Shape, direction: Direction) -> Value {
        let parts = shape.parts.iter().map(|(name, schema)| (name, schema));
        for (name, schema) in parts.chain([(&shape.name, &shape.schema)]) {
            // What travels both ways is settled both ways.
            let known = self.0.entry(name.clone()).or_insert_with(|| schema.clone());
            settle(known, direction);
        }
        json!({ "$ref": format!("#/components/schemas/{}", shape.name) })
    }

    pub(super) fn finish(self) -> Map<String, Value> {
        self.0.into_iter().collect()
    }
}

/// Adds what a derived schema cannot know: which way it travels.
fn settle(schema: &mut Value, direction: Direction) {
    if direction == Direction::In {
        if schema["type"] == "object" {
            schema["additionalProperties"] = json!(false);
        }
        return;
    }
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let Some(properties) = properties else { return };
    let mut nullable = Vec::new();
    for (name, property) in properties {
        settle(property, direction);
        if is_nullable(property) {
            nullable.push(json!(name));
        }
    }
    if nullable.is_empty() {
        return;
    }
    let mut required = schema["required"].as_array().cloned().unwrap_or_default();
    nullable.retain(|name| !required.contains(name));
    required.extend(nullable);
    schema["required"] = json!(required);
}

/// The same without null.
pub(super) fn not_null(mut schema: Value) -> Value {
    if is_nullable(&schema)
        && let Some(kinds) = schema["type"].as_array()
    {
        let rest: Vec<_> = kinds.iter().filter(|kind| *kind != "null").cloned().collect();
        schema["type"] = if let [one] = &rest[..] { one.clone() } else { json!(rest) };
    }
    schema
}

/// Whether `null` is among the values.
pub(super) fn is_nullable(schema: &Value) -> bool {
    let has_null = |kinds: &Value| {
        kinds.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null"))
    };
    let branch = |kind: &Value| kind["type"] == "null";
    has_null(&schema["type"])
        || ["oneOf", "anyOf"]
            .iter()
            .filter_map(|key| schema[*key].as_array())
            .any(|branches| branches.iter().any(branch))
}
