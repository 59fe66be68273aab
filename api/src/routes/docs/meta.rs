//! Health, problems, and descriptions of the API itself.
use std::collections::HashMap;

use serde_json::Value;
use utoipa::ToSchema;

use crate::{openapi::Doc, problems};

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ProblemKind {
    code: String,
    status: u16,
    title: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct FieldProblem {
    code: String,
    title: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ProblemKinds {
    /// The codes of answers.
    data: Vec<ProblemKind>,
    /// What can be wrong with one field: the codes in `errors`, beside those of answers.
    fields: Vec<FieldProblem>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Liveness {
    status: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct ReadinessReport {
    /// `ready`, or `degraded` when something is away that the node can do without.
    status: String,
    /// Part → `ready`, or why it is not.
    checks: HashMap<String, String>,
}

/// A description, in the form that its name says.
#[derive(ToSchema)]
#[schema(value_type = HashMap<String, Value>)]
struct Description(HashMap<String, Value>);

pub(in crate::routes) fn problem_list() -> Doc {
    Doc::new("listProblems", "List every code an error can have")
        .answers::<ProblemKinds>(200, "All codes.")
}

pub(in crate::routes) fn problem_show() -> Doc {
    Doc::new("getProblem", "Get what one code means").answers::<ProblemKind>(200, "The code.")
}

pub(in crate::routes) fn live() -> Doc {
    Doc::new("getLiveness", "Tell whether the process answers").answers::<Liveness>(200, "It does.")
}

pub(in crate::routes) fn ready() -> Doc {
    Doc::new("getReadiness", "Tell whether the process can do its work")
        .answers::<ReadinessReport>(200, "It can.")
        .refuses(&[&problems::DEPENDENCY_UNAVAILABLE])
}

pub(in crate::routes) fn openapi() -> Doc {
    Doc::new("getOpenapi", "Get this description")
        .answers::<Description>(200, "The description of the API.")
        .etag()
}

pub(in crate::routes) fn asyncapi() -> Doc {
    Doc::new("getAsyncapi", "Get the description of the socket events")
        .answers::<Description>(200, "An AsyncAPI 3.0 document.")
        .etag()
}

pub(in crate::routes) fn docs() -> Doc {
    Doc::new("getReferencePage", "Read this description as a page").answers_with(
        200,
        "The page.",
        "text/html",
    )
}

pub(in crate::routes) fn script() -> Doc {
    Doc::new("getReferenceScript", "Get the script of the reference page")
        .answers_with(200, "The script.", "text/javascript")
        .etag()
}
