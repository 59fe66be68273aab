//! The message and the sign in the path of a reaction.
use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use commands::FieldError;
use domain::{Emoji, MessageId};

use crate::{problem::Problem, problems};

/// `{messageId}` and `{emoji}`. What is no id names nothing; what is no emoji is a wrong value.
pub(crate) struct ReactionPath {
    pub(super) message_id: MessageId,
    pub(super) emoji: Emoji,
}

impl<S: Send + Sync> FromRequestParts<S> for ReactionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_found = || Problem::new(&problems::NOT_FOUND).detail("there is nothing of this id");
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        let of = |wanted: &str| {
            params.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned())
        };
        let message_id = of("messageId").and_then(|id| id.parse().ok()).ok_or_else(not_found)?;
        let emoji = Emoji::parse(&of("emoji").unwrap_or_default()).map_err(|violation| {
            Problem::new(&problems::VALIDATION_FAILED).errors(vec![FieldError {
                pointer: "/emoji".to_owned(),
                code: violation.code,
                detail: violation.detail,
            }])
        })?;
        Ok(Self { message_id, emoji })
    }
}
