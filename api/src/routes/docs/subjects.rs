//! `/api/subjects`.
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{openapi::Doc, routes::subjects};

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct Subject {
    id: Uuid,
    name: String,
    category: String,
    description: String,
    icon_url: Option<String>,
}

/// Which subjects are wanted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct SubjectFilter {
    /// Text in the name.
    #[schema(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    q: Option<String>,
    #[schema(max_length = 100, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    category: Option<String>,
    #[schema(minimum = 1, maximum = 100, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` or `prevCursor` of a page with the same filters.
    cursor: Option<String>,
}

pub(in crate::routes) fn list() -> Doc {
    Doc::new("listSubjects", "List the subjects in the order of their names")
        .query::<subjects::List, SubjectFilter>()
        .answers_page::<Subject>("A page of subjects.")
        .etag()
}
