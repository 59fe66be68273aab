//! `X-Min-Position`: reading what was written, across nodes.
use std::time::Duration;

use axum::http::HeaderMap;
use domain::LogPosition;

use crate::{ApiState, problem::Problem, problems};

const HEADER: &str = "x-min-position";
/// More events than there will ever be.
const MOST_DIGITS: usize = 18;

/// Waits until the read models show everything up to the position that the client names.
///
/// # Errors
/// `invalid_header`, or `projection_lagging` when they do not get there in time.
pub(crate) async fn wait(
    state: &ApiState,
    models: &[&'static str],
    headers: &HeaderMap,
) -> Result<(), Problem> {
    let Some(position) = sent(headers)? else { return Ok(()) };
    if models.is_empty() {
        return Ok(());
    }
    let limit = Duration::from_millis(state.config().projections.read_wait_ms);
    Ok(state.read_models().wait(models, position, limit).await?)
}

/// The header's value, if there is one.
fn sent(headers: &HeaderMap) -> Result<Option<LogPosition>, Problem> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let is_plain = |text: &&str| {
        (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    let digits = value.to_str().ok().filter(is_plain);
    let position = digits.and_then(|digits| digits.parse().ok()).map(LogPosition);
    position.map(Some).ok_or_else(|| {
        Problem::new(&problems::INVALID_HEADER)
            .detail("X-Min-Position must be a number as X-Event-Position answers it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_whole_number() {
        let read = |value: &str| {
            let headers = HeaderMap::from_iter([(
                axum::http::HeaderName::from_static(HEADER),
                value.parse().unwrap(),
            )]);
            sent(&headers).map_err(|problem| problem.code())
        };
        assert_eq!(read("42"), Ok(Some(LogPosition(42))));
        for bad in ["", "-1", "+1", "x", "1.5", "1234567890123456789"] {
            assert_eq!(read(bad), Err("invalid_header"), "{bad:?}");
        }
    }
}
