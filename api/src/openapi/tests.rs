//! The description and the code say the same.
use std::collections::{BTreeMap, BTreeSet};

use super::{doc::Input, *};
use crate::routes::ROUTES;

fn whole() -> Value {
    document(ROUTES, "https://study.example", &Longest { invite: 86_400, mute: 7_200 })
}

/// Calls `look` with every object of the document.
fn walk(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|value| walk(value, look));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, look)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_and_nothing_else_is() {
    let undocumented: Vec<_> = ROUTES
        .iter()
        .filter(|endpoint| endpoint.doc.is_none())
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    assert!(undocumented.is_empty(), "without .doc(…) in the route table: {undocumented:?}");

    let table: BTreeSet<_> = ROUTES
        .iter()
        .map(|endpoint| (endpoint.path.to_owned(), endpoint.method.as_str().to_lowercase()))
        .collect();
    let document = whole();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<_> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    assert_eq!(described, table);
}

#[test]
fn every_property_and_parameter_is_in_camel_case() {
    let is_camel = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric())
    };
    let mut seen = 0;
    walk(&whole(), &mut |object| {
        if let Some(Value::Object(properties)) = object.get("properties") {
            for name in properties.keys() {
                assert!(is_camel(name), "{name}");
                seen += 1;
            }
        }
        if matches!(object.get("in"), Some(Value::String(place)) if place != "header") {
            let name = object["name"].as_str().unwrap();
            assert!(is_camel(name), "{name}");
        }
    });
    assert!(seen > 50, "{seen} properties");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = whole();
    walk(&document, &mut |object| {
        let Some(reference) = object.get("$ref").and_then(Value::as_str) else { return };
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    });
}

#[test]
fn every_operation_has_a_name_of_its_own_an_answer_and_a_tag() {
    let mut names = BTreeSet::new();
    for endpoint in ROUTES {
        let Some(doc) = endpoint.doc else { continue };
        let doc = doc();
        assert!(names.insert(doc.id), "{} is used twice", doc.id);
        assert!(!doc.answers.is_empty(), "{} has no answer", doc.id);
        assert!(!doc.summary.ends_with('.'), "{}: a summary has no full stop", doc.id);
    }
}

#[test]
fn every_link_leads_to_an_operation_and_to_what_it_takes() {
    let document = whole();
    let mut operations = BTreeMap::new();
    walk(&document["paths"], &mut |object| {
        if let Some(Value::String(id)) = object.get("operationId")
            && object.contains_key("responses")
        {
            operations.insert(id.clone(), object.clone());
        }
    });
    let mut seen = 0;
    walk(&document["paths"], &mut |object| {
        let Some(Value::Object(links)) = object.get("links") else { return };
        for (name, link) in links {
            let operation = operations.get(name).unwrap_or_else(|| panic!("no operation {name}"));
            let takes: BTreeSet<_> = operation["parameters"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            for parameter in link["parameters"].as_object().unwrap().keys() {
                assert!(takes.contains(parameter.as_str()), "{name} has no {parameter}");
            }
            seen += 1;
        }
    });
    assert!(seen > 20, "{seen} links");
}

#[test]
fn one_of_several_fields_excludes_the_others() {
    let credentials = &whole()["components"]["schemas"]["Credentials"];
    let branches = credentials["anyOf"].as_array().unwrap();
    assert_eq!(branches.len(), 2);
    assert_eq!(branches[0]["required"], json!(["email"]));
    assert_eq!(branches[0]["properties"]["email"]["type"], "string");
    assert_eq!(branches[0]["properties"]["phone"], json!({ "type": "null" }));
}

#[test]
fn bounds_that_the_operator_sets_are_described_as_they_are_set() {
    let schemas = &whole()["components"]["schemas"];
    assert_eq!(schemas["NewInvite"]["properties"]["expiresIn"]["maximum"], 86_400);
    assert_eq!(schemas["NewMute"]["properties"]["expiresIn"]["maximum"], 7_200);
}

/// Field → whether it must be there, of a schema.
fn told(input: &Input) -> BTreeMap<String, bool> {
    let schema = &input.shape.schema;
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    properties
        .into_iter()
        .map(|(name, _)| (name.clone(), required.contains(&json!(name))))
        .collect()
}

#[test]
fn bodies_and_queries_are_described_as_they_are_read() {
    for endpoint in ROUTES {
        let Some(doc) = endpoint.doc else { continue };
        let doc = doc();
        for input in doc.query.iter().chain(&doc.body) {
            let read: BTreeMap<_, _> =
                input.asked.iter().map(|(name, must)| ((*name).to_owned(), *must)).collect();
            assert_eq!(told(input), read, "{}: described, and read by the code", doc.id);
        }
    }
}

#[test]
fn what_takes_cursors_answers_pages() {
    for endpoint in ROUTES {
        let Some(doc) = endpoint.doc else { continue };
        let doc = doc();
        let is_page = doc.answers.iter().any(|it| matches!(it.body, doc::Body::Page(_)));
        assert!(is_page || !common::pages(&doc), "{}", doc.id);
    }
}

/// What has the same name is the same: the document keeps one of them.
#[test]
fn no_two_shapes_share_a_name() {
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    for endpoint in ROUTES {
        let Some(doc) = endpoint.doc else { continue };
        for shape in doc().shapes() {
            let parts = shape.parts.iter().map(|(name, schema)| (name, schema));
            for (name, schema) in parts.chain([(&shape.name, &shape.schema)]) {
                let earlier = known.entry(name.clone()).or_insert_with(|| schema.clone());
                assert_eq!(earlier, schema, "{name} has two meanings");
            }
        }
    }
}
