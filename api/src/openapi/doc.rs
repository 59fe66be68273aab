//! What a route says about itself.
use utoipa::ToSchema;

use super::schemas::Shape;
use crate::{extract::FromFields, problems::Kind};

/// The description of one route: `Doc::new("createRoom", "Open a room").body::<Create, CreateRoom>()`.
///
/// Not to be said here, because it follows from the line in the route table or holds everywhere:
/// the parameters of the path, who must be signed in, `X-Min-Position`, `X-Event-Position`,
/// `Idempotency-Key`, rate limits, and the problems that come with all of these.
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
}

pub(super) enum Body {
    None,
    /// One of these; mostly there is one.
    Json(Vec<Shape>),
    /// A page of a list of these.
    Page(Vec<Shape>),
    /// Not JSON.
    #[allow(dead_code, reason = "for the routes that are being added")]
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
        self.answers.push(Answer { status, description, body, has_location: false });
        self
    }

    /// The last answer names the new thing in `Location`.
    pub(crate) fn located(mut self) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.has_location = true;
        }
        self
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
