//! Responses with JSON.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use lodestore::core::{Error, Result};
use serde::Serialize;

/// The media type of JSON.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Returns a response with text that is JSON.
pub(crate) fn json_text(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Returns a response with a value as JSON.
///
/// # Errors
/// `Internal` for a value that JSON has no form for.
pub(crate) fn json(body: &impl Serialize) -> Result<Response> {
    let text = serde_json::to_vec(body).map_err(|e| Error::internal("writing an answer as JSON").with_source(e))?;
    Ok(json_text(StatusCode::OK, text))
}
