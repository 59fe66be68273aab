//! One route as an OpenAPI operation.
use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{
    common::{self, header, parameter},
    doc::{Answer, Body, Doc, Input, Lead},
    schemas::{Direction, Schemas, Shape, not_null},
};
use crate::{
    Endpoint,
    extract::Access,
    problem,
    problems::{self, Kind},
};

pub(super) fn describe(endpoint: &Endpoint, doc: &Doc, schemas: &mut Schemas) -> Value {
    let mut operation = json!({
        "operationId": doc.id,
        "summary": doc.summary,
        "tags": [tag(endpoint.path)],
        "parameters": parameters(endpoint, doc),
        "responses": responses(endpoint, doc, schemas),
        "security": match endpoint.access {
            Access::Public => json!([]),
            Access::SignedIn | Access::OnceSignedIn => json!([{ "accessToken": [] }]),
        },
    });
    if !doc.description.is_empty() {
        operation["description"] = json!(doc.description);
    }
    if let Some(body) = &doc.body {
        operation["requestBody"] = json!({
            "required": doc.body_required,
            "content": { "application/json": { "schema": schemas.add(&body.shape, Direction::In) } },
        });
    }
    operation
}

/// The area: the first part of the path behind `/api`.
fn tag(path: &str) -> &str {
    let area = path.strip_prefix("/api/").and_then(|path| path.split('/').next());
    // Reports are about people, mostly.
    let area = area.map(|area| if area == "reports" { "users" } else { area });
    area.filter(|area| super::TAGS.iter().any(|(tag, _)| tag == area)).unwrap_or("meta")
}

fn parameters(endpoint: &Endpoint, doc: &Doc) -> Vec<Value> {
    let mut parameters: Vec<_> = path_parameters(endpoint.path).collect();
    parameters.extend(doc.query.iter().flat_map(query_parameters));
    if !endpoint.reads.is_empty() {
        parameters.push(parameter("MinPosition"));
    }
    if doc.has_etag && endpoint.method == Method::GET {
        parameters.push(parameter("IfNoneMatch"));
    }
    if doc.heeds_if_match {
        parameters.push(parameter("IfMatch"));
    }
    if doc.has_browser_mode {
        parameters.push(parameter("AuthMode"));
    }
    if common::takes_idempotency_key(endpoint) {
        parameters.push(parameter("IdempotencyKey"));
    }
    parameters
}

fn path_parameters(path: &str) -> impl Iterator<Item = Value> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(|name| {
        let schema = if name.to_lowercase().ends_with("id") {
            json!({ "type": "string", "format": "uuid" })
        } else {
            json!({ "type": "string", "minLength": 1 })
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    })
}

fn query_parameters(query: &Input) -> impl Iterator<Item = Value> {
    let schema = &query.shape.schema;
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties.into_iter().map(move |(name, mut schema)| {
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        let required = required.contains(&json!(name));
        let mut parameter = json!({
            // A query has no null: what is not wanted is left out.
            "name": name, "in": "query", "required": required, "schema": not_null(schema),
        });
        if let Some(description) = description {
            parameter["description"] = description;
        }
        parameter
    })
}

fn responses(endpoint: &Endpoint, doc: &Doc, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    for answer in &doc.answers {
        responses.insert(answer.status.to_string(), described(endpoint, doc, answer, schemas));
    }
    if doc.has_etag && endpoint.method == Method::GET {
        let headers = headers(&["X-Request-Id", "ETag", "RateLimit-Policy", "RateLimit"]);
        let description = "It is what `If-None-Match` says.";
        responses.insert("304".into(), json!({ "description": description, "headers": headers }));
    }
    let mut by_status: BTreeMap<u16, Vec<&Kind>> = BTreeMap::new();
    for kind in common::problems_of(endpoint, doc) {
        by_status.entry(kind.status.as_u16()).or_default().push(kind);
    }
    for (status, kinds) in by_status {
        responses.insert(status.to_string(), refused(status, &kinds));
    }
    Value::Object(responses)
}

fn described(endpoint: &Endpoint, doc: &Doc, answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut names = vec!["X-Request-Id", "RateLimit-Policy", "RateLimit"];
    if !endpoint.writes.is_empty() {
        names.push("X-Event-Position");
    }
    if doc.has_browser_mode {
        names.push("Set-Cookie");
    }
    if common::takes_idempotency_key(endpoint) {
        names.push("Idempotency-Replayed");
    }
    if doc.has_etag {
        names.push("ETag");
    }
    if answer.has_location {
        names.push("Location");
    }
    let mut response = json!({ "description": answer.description, "headers": headers(&names) });
    if !answer.leads.is_empty() {
        response["links"] = answer.leads.iter().map(link).collect();
    }
    let mut refer = |shapes: &[Shape]| {
        let mut references: Vec<_> =
            shapes.iter().map(|shape| schemas.add(shape, Direction::Out)).collect();
        match references.len() {
            1 => references.remove(0),
            _ => json!({ "anyOf": references }),
        }
    };
    let json_body = |schema: &Value| json!({ "application/json": { "schema": schema } });
    match &answer.body {
        Body::None => {}
        Body::Json(shapes) => response["content"] = json_body(&refer(shapes)),
        Body::Page(shapes) => {
            response["content"] = json_body(&json!({
                "type": "object",
                "required": ["data", "page"],
                "properties": {
                    "data": { "type": "array", "items": refer(shapes) },
                    "page": { "$ref": "#/components/schemas/PageInfo" },
                },
            }));
        }
        Body::Other(kind) => {
            response["content"] = json!({ *kind: { "schema": { "type": "string" } } });
        }
    }
    response
}

/// Named like the operation that it leads to.
fn link(lead: &Lead) -> (String, Value) {
    let fields = |fields: &[(&str, &str)]| -> Value {
        fields.iter().map(|(name, place)| ((*name).to_owned(), json!(place))).collect()
    };
    let mut link = json!({ "operationId": lead.to, "parameters": fields(lead.parameters) });
    if !lead.body.is_empty() {
        link["requestBody"] = fields(lead.body);
    }
    (lead.to.to_owned(), link)
}

/// All problems of one status.
fn refused(status: u16, kinds: &[&Kind]) -> Value {
    let mut names = vec!["X-Request-Id"];
    if status == problems::UNAUTHENTICATED.status.as_u16() {
        names.push("WWW-Authenticate");
    }
    if [problems::RATE_LIMITED.status, problems::OVERLOADED.status]
        .iter()
        .any(|told_to_wait| told_to_wait.as_u16() == status)
    {
        names.push("Retry-After");
    }
    if status == problems::VERSION_MISMATCH.status.as_u16() {
        names.push("ETag");
    }
    let lines: Vec<_> =
        kinds.iter().map(|kind| format!("- `{}`: {}.", kind.code, kind.title)).collect();
    let codes: Vec<_> = kinds.iter().map(|kind| kind.code).collect();
    json!({
        "description": lines.join("\n"),
        "headers": headers(&names),
        "content": { problem::CONTENT_TYPE: { "schema": {
            "allOf": [
                { "$ref": "#/components/schemas/Problem" },
                { "type": "object", "properties": { "code": { "enum": codes } } },
            ],
        } } },
    })
}

fn headers(names: &[&str]) -> Value {
    let headers: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), header(name))).collect();
    Value::Object(headers)
}
