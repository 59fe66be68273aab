//! What handlers take out of a request, checked before they see it.
mod auth_mode;
mod authenticated;
mod fields;
mod header;
mod idempotency;
mod json;
mod path_id;
mod query;
mod user_agent;

pub(crate) use auth_mode::AuthMode;
pub use authenticated::Access;
pub(crate) use authenticated::{Authenticated, authenticate, claimed};
pub(crate) use fields::{
    Fields, FromFields, boolean, id, in_query, integer, list, one_of, search, text,
};
pub(crate) use header::single;
pub(crate) use idempotency::IdempotencyKeyHeader;
pub(crate) use json::{BodyDigest, JsonBody, OptionalJsonBody};
pub(crate) use path_id::{PathId, PathIds};
pub(crate) use query::Query;
pub(crate) use user_agent::UserAgent;
