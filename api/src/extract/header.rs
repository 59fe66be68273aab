//! Headers of ours that have one value.
use axum::http::HeaderMap;

use crate::{problem::Problem, problems};

/// The value of a header, if the client sent it; `rule` tells whoever got it wrong.
///
/// # Errors
/// `invalid_header` where it was sent twice, is no visible ASCII, or is not as `fits` wants it.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &str,
    rule: &'static str,
    fits: impl FnOnce(&str) -> bool,
) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| fits(text) && values.next().is_none());
    text.map(Some).ok_or_else(|| Problem::new(&problems::INVALID_HEADER).detail(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_one_value_that_fits_or_none() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-some", value.parse().unwrap());
            }
            single(&headers, "x-some", "", |text| text == "a")
                .map(|value| value.map(str::to_owned))
                .map_err(|problem| problem.code())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["a"]), Ok(Some("a".to_owned())));
        for bad in [&["b"][..], &["a", "a"], &["é"]] {
            assert_eq!(read(bad), Err("invalid_header"), "{bad:?}");
        }
    }
}
