//! Completes every answer on its way out.
use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{RequestId, headers, observe::Observed, request_id::X_REQUEST_ID};
use crate::problem::{CONTENT_TYPE, Place, Problem};

/// Gives the request an id, and the answer its final form. An error answer that is no problem
/// document, whoever made it, becomes one.
pub(super) async fn finish(
    State(origin): State<Arc<str>>,
    mut request: Request,
    next: Next,
) -> Response {
    let request_id = RequestId::of(&request);
    let observed = Observed::of(&request);
    let path = request.uri().path().to_owned();
    request.extensions_mut().insert(request_id.clone());

    let mut response = next.run(request).await;

    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let place = Place { origin: &origin, path: &path, request_id: request_id.as_str() };
        response = placed(response, &place);
    }
    observed.answered(response.status(), &request_id);
    let headers = response.headers_mut();
    if let Some(id) = request_id.to_header() {
        headers.insert(X_REQUEST_ID, id);
    }
    headers::secure(headers);
    headers::limit_caching(headers);
    response
}

/// The same error answer with a body that tells where it happened.
fn placed(response: Response, place: &Place<'_>) -> Response {
    let (problem, mut parts) = if let Some(problem) = response.extensions().get::<Problem>() {
        (problem.clone(), response.into_parts().0)
    } else {
        let problem = Problem::of_status(response.status());
        let theirs = response.into_parts().0;
        let mut ours = problem.clone().into_response().into_parts().0;
        // What a layer has said in headers (CORS, Allow) stays said; what describes its body not.
        for (name, value) in &theirs.headers {
            if !ours.headers.contains_key(name) {
                ours.headers.append(name, value.clone());
            }
        }
        (problem, ours)
    };
    let body = problem.body(Some(place));
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    Response::from_parts(parts, Body::from(body))
}
