//! The description of the API (OpenAPI 3.1): made of the route table and of what each route says
//! about itself.
//!
//! A route says what only it knows ([`Doc`]). What follows from its line in the table (who may call
//! it, what it reads and writes, the parameters of its path) and what all routes have in common
//! (problem documents, headers, cursors) is added in `operation`.
mod common;
mod doc;
mod operation;
mod schemas;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::Endpoint;

pub(crate) use doc::Doc;

/// The areas of the API, in the order of the reference page.
const TAGS: [(&str, &str); 7] = [
    ("auth", "Accounts, sessions and tokens."),
    ("users", "People: profiles, search, blocks, reports."),
    ("rooms", "Study rooms and who belongs to them."),
    ("messages", "What is said in rooms and between two people."),
    ("subjects", "The catalogue of subjects."),
    ("problems", "The registry of error codes."),
    ("meta", "Health, and descriptions of the API itself."),
];

const DESCRIPTION: &str = "\
Everything is JSON in camelCase; times are RFC 3339, UTC, with milliseconds. Every error is a problem \
document (RFC 9457) whose `code` is stable; `/api/problems` lists all codes. Bodies and queries with \
unknown fields are refused. Ids are UUIDs; a path with a malformed id names nothing (404).

Answers to writes carry `X-Event-Position`. A read that sends it back as `X-Min-Position` waits until \
it shows that write. What happens live is described at `/api/asyncapi.json`.";

/// What the operator sets, seconds.
pub(crate) struct Longest {
    /// How long an invite may work.
    pub(crate) invite: u32,
    /// How long a member may be muted.
    pub(crate) mute: u32,
}

/// The whole document. `origin` is where browsers reach the server.
pub(crate) fn document(routes: &[Endpoint], origin: &str, longest: &Longest) -> Value {
    let mut schemas = schemas::Schemas::with_the_common_ones();
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in routes {
        let Some(doc) = endpoint.doc else { continue };
        let operation = operation::describe(endpoint, &doc(), &mut schemas);
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.as_str().to_lowercase()] = operation;
    }
    let mut schemas = schemas.finish();
    for (name, longest) in [("NewInvite", longest.invite), ("NewMute", longest.mute)] {
        if let Some(schema) = schemas.get_mut(name) {
            schema["properties"]["expiresIn"]["maximum"] = json!(longest);
        }
    }
    let tags: Vec<_> = TAGS
        .iter()
        .map(|(name, description)| json!({ "name": name, "description": description }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Studyhall",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": origin }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": common::headers(),
            "parameters": common::parameters(),
            "securitySchemes": {
                "accessToken": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "The `accessToken` of a session.",
                },
            },
        },
    })
}
