//! `/api/users`.
use utoipa::ToSchema;
use uuid::Uuid;

use super::Time;
use crate::openapi::Doc;

/// All that someone may see of their own account.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(super) struct UserSelf {
    id: Uuid,
    email: Option<String>,
    email_verified: bool,
    phone: Option<String>,
    phone_verified: bool,
    full_name: Option<String>,
    username: Option<String>,
    profile_picture_url: Option<String>,
    bio: Option<String>,
    education_level: Option<String>,
    institution: Option<String>,
    is_verified: bool,
    is_premium: bool,
    created_at: Option<Time>,
    updated_at: Option<Time>,
}

pub(in crate::routes) fn me() -> Doc {
    Doc::new("getMe", "Get the caller's own account")
        .answers::<UserSelf>(200, "The account.")
        .etag()
}
