//! What the description of the API says about each route: one function a route, named like its
//! handler, and the shapes it speaks of. CONTRIBUTING.md tells how to add one.
//!
//! Every answer that a story of the tests sees is checked against these shapes.
#![allow(
    dead_code,
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "shapes are described, never built; their fields are named for clients"
)]

pub(super) mod auth;
pub(super) mod leaving;
pub(super) mod messages;
pub(super) mod meta;
pub(super) mod moderation;
pub(super) mod mutes;
pub(super) mod rooms;
pub(super) mod subjects;
pub(super) mod users;

use utoipa::ToSchema;
use uuid::Uuid;

/// RFC 3339, UTC, with milliseconds.
#[derive(ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2027-01-15T08:00:00.000Z")]
struct Time(String);

/// What others see of a person beside something else. Of one who was erased there is the id only.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
struct UserShort {
    id: Uuid,
    full_name: Option<String>,
    username: Option<String>,
    profile_picture_url: Option<String>,
}
