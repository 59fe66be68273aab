//! What a route says about itself.
use serde_json::json;
use utoipa::ToSchema;

use super::schemas::{Shape, not_null};
use crate::{
    extract::FromFields,
    problems::{self, Kind},
};

/// The description of one route: `Doc::new("createRoom", "Open a room").body::<Create, CreateRoom>()`.
///
/// Not to be said here, because it follows from the line in the route table or holds everywhere:
/// the parameters of the path, who must be signed in, `X-Min-Position`, `X-Event-Position`,
/// `Idempotency-Key`, rate limits, and the problems that come with all of these.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Doc {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) query: Option<Input>,
    pub(super) body: Option<Input>,
    pub(super) body_required: bool,
    pub(super) answers: Vec<Answer>,
    pub(super) refusals: Vec<&'static Kind>,
    pub(super) has_etag: bool,
    pub(super) heeds_if_match: bool,
    pub(super) has_browser_mode: bool,
}

/// A body or a query: how it is described, and what reads it.
pub(super) struct Input {
    pub(super) shape: Shape,
    /// The fields that the code asks for, with whether they must be there.
    #[cfg(test)]
    pub(super) asked: Vec<(&'static str, bool)>,
}

impl Input {
    fn new<F: FromFields, S: ToSchema>() -> Self {
        Self {
            shape: Shape::of::<S>(),
            #[cfg(test)]
            asked: crate::extract::Fields::asked_by::<F>(),
        }
    }
}

/// An answer that is no problem.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) body: Body,
    pub(super) has_location: bool,
    pub(super) leads: Vec<Lead>,
}

/// What can be asked next: an operation, and what it takes from the answer (or from the request that
/// led to it), as runtime expressions of OpenAPI.
pub(super) struct Lead {
    pub(super) to: &'static str,
    pub(super) parameters: &'static [(&'static str, &'static str)],
    pub(super) body: &'static [(&'static str, &'static str)],
}

pub(super) enum Body {
    None,
    /// One of these; mostly there is one.
    Json(Vec<Shape>),
    /// A page of a list of these.
    Page(Vec<Shape>),
    /// Not JSON.
    Other(&'static str),
}

impl Doc {
    /// `id` names the route in generated clients; `summary` is a short imperative sentence.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            description: "",
            query: None,
            body: None,
            body_required: false,
            answers: Vec::new(),
            refusals: Vec::new(),
            has_etag: false,
            heeds_if_match: false,
            has_browser_mode: false,
        }
    }

    /// What callers should know beyond the summary. Markdown.
    pub(crate) fn text(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// The query: read as `F`, described by `S`.
    pub(crate) fn query<F: FromFields, S: ToSchema>(mut self) -> Self {
        self.query = Some(Input::new::<F, S>());
        self
    }

    /// The JSON body: read as `F`, described by `S`.
    pub(crate) fn body<F: FromFields, S: ToSchema>(mut self) -> Self {
        self.body = Some(Input::new::<F, S>());
        self.body_required = true;
        self
    }

    /// As [`Doc::body`], where no body means `{}`.
    pub(crate) fn optional_body<F: FromFields, S: ToSchema>(mut self) -> Self {
        self.body = Some(Input::new::<F, S>());
        self
    }

    /// Exactly one of these sets of fields is in the body; the fields of the others are absent or null.
    pub(crate) fn either(mut self, sets: &[&[&str]]) -> Self {
        let Some(body) = &mut self.body else { return self };
        let branch = |set: &&[&str]| {
            let all = sets.iter().flat_map(|set| set.iter());
            let properties: serde_json::Map<_, _> = all
                .map(|name| {
                    let given = set.contains(name);
                    let property = body.shape.schema["properties"][*name].clone();
                    let schema = if given { not_null(property) } else { json!({ "type": "null" }) };
                    ((*name).to_owned(), schema)
                })
                .collect();
            json!({ "type": "object", "required": set, "properties": properties })
        };
        let branches: Vec<_> = sets.iter().map(branch).collect();
        body.shape.schema["anyOf"] = json!(branches);
        self
    }

    /// An answer with a JSON body.
    pub(crate) fn answers<S: ToSchema>(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, Body::Json(vec![Shape::of::<S>()]))
    }

    /// An answer with a JSON body of either shape.
    pub(crate) fn answers_either<A: ToSchema, B: ToSchema>(
        self,
        status: u16,
        description: &'static str,
    ) -> Self {
        let shapes = vec![Shape::of::<A>(), Shape::of::<B>()];
        self.answer(status, description, Body::Json(shapes))
    }

    /// A page of a list, with cursors. The query must have `limit` and `cursor`.
    pub(crate) fn answers_page<S: ToSchema>(self, description: &'static str) -> Self {
        self.answer(200, description, Body::Page(vec![Shape::of::<S>()]))
    }

    /// A page of a list whose entries have either shape.
    pub(crate) fn answers_page_of_either<A: ToSchema, B: ToSchema>(
        self,
        description: &'static str,
    ) -> Self {
        let shapes = vec![Shape::of::<A>(), Shape::of::<B>()];
        self.answer(200, description, Body::Page(shapes))
    }

    /// An answer without a body.
    pub(crate) fn answers_nothing(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, Body::None)
    }

    /// An answer that is not JSON.
    #[allow(dead_code, reason = "for the routes that are being added")]
    pub(crate) fn answers_with(
        self,
        status: u16,
        description: &'static str,
        content_type: &'static str,
    ) -> Self {
        self.answer(status, description, Body::Other(content_type))
    }

    fn answer(mut self, status: u16, description: &'static str, body: Body) -> Self {
        self.answers.push(Answer { status, description, body, has_location: false, leads: vec![] });
        self
    }

    /// The last answer names the new thing in `Location`.
    pub(crate) fn located(mut self) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.has_location = true;
        }
        self
    }

    /// The last answer leads to an operation: where its parameters are found. An id, mostly.
    pub(crate) fn leads(
        self,
        to: &'static str,
        parameters: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.leads_with(to, parameters, &[])
    }

    /// As [`Doc::leads`], with where fields of its body are found.
    pub(crate) fn leads_with(
        mut self,
        to: &'static str,
        parameters: &'static [(&'static str, &'static str)],
        body: &'static [(&'static str, &'static str)],
    ) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.leads.push(Lead { to, parameters, body });
        }
        self
    }

    /// Heeds `X-Auth-Mode`, and the cookie that comes of it.
    pub(crate) fn browser_mode(mut self) -> Self {
        self.has_browser_mode = true;
        self.refuses(&[&problems::ORIGIN_NOT_ALLOWED, &problems::INVALID_HEADER])
    }

    /// Answers carry an `ETag`; a read with `If-None-Match` may be answered 304.
    pub(crate) fn etag(mut self) -> Self {
        self.has_etag = true;
        self
    }

    /// `If-Match` is honoured: 412 with the current `ETag` when someone was faster.
    pub(crate) fn if_match(mut self) -> Self {
        self.heeds_if_match = true;
        self
    }

    /// Problems that only this route has. An undocumented one fails the stories.
    pub(crate) fn refuses(mut self, kinds: &[&'static Kind]) -> Self {
        self.refusals.extend_from_slice(kinds);
        self
    }

    /// Every shape that it names itself.
    #[cfg(test)]
    pub(super) fn shapes(&self) -> Vec<&Shape> {
        let inputs = self.body.iter().map(|input| &input.shape);
        let bodies = self.answers.iter().filter_map(|answer| match &answer.body {
            Body::Json(shapes) | Body::Page(shapes) => Some(shapes),
            Body::None | Body::Other(_) => None,
        });
        inputs.chain(bodies.flatten()).collect()
    }
}
