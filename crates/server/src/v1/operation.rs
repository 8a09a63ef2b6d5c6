//! Routes for whoever runs the server: health, metrics and the API's description.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use lodestore::core::{Error, Result};
use serde_json::json;
use utoipa::openapi::OpenApi;

use crate::error::{FeastRefusal, OwnRefusal};
use crate::openapi::ErrorAnswer;
use crate::respond;
use crate::state::AppState;

/// The media type of the metrics' text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Tells whether requests are answered, in Feast's form: an empty body.
#[utoipa::path(
    get,
    path = "/health",
    tag = "feast",
    responses(
        (status = 200, description = "Requests are answered"),
        (status = 503, description = "The server stops, or can't read its registry", body = String),
    )
)]
pub(crate) async fn health(State(state): State<Arc<AppState>>) -> Result<StatusCode, FeastRefusal> {
    check(&state).await?;
    Ok(StatusCode::OK)
}

/// Tells that the process lives.
#[utoipa::path(
    get,
    path = "/v1/health/live",
    tag = "operation",
    responses((status = 200, description = "The process lives", body = Value))
)]
pub(crate) async fn live() -> Result<Response, OwnRefusal> {
    Ok(respond::json(&json!({"status": "live"}))?)
}

/// Tells whether requests are answered.
#[utoipa::path(
    get,
    path = "/v1/health/ready",
    tag = "operation",
    responses(
        (status = 200, description = "Requests are answered", body = Value),
        (status = 503, description = "The server stops, or can't read its registry", body = ErrorAnswer),
    )
)]
pub(crate) async fn ready(State(state): State<Arc<AppState>>) -> Result<Response, OwnRefusal> {
    check(&state).await?;
    Ok(respond::json(&json!({"status": "ready"}))?)
}

async fn check(state: &AppState) -> Result<()> {
    if state.is_draining() {
        return Err(Error::unavailable("the server is about to stop"));
    }
    state.store.recent_snapshot().await.map(|_| ())
}

/// Tells what was counted and measured, in the text form of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text"))
)]
pub(crate) async fn metrics(State(state): State<Arc<AppState>>) -> Result<Response, OwnRefusal> {
    let text = state.metrics.encode(state.in_flight());
    let text = text.map_err(|error| Error::internal("writing metrics as text").with_source(error))?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
    Ok(response)
}

/// Describes the API.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operation",
    responses((status = 200, description = "This document", body = Value))
)]
pub(crate) async fn openapi() -> Result<Response, OwnRefusal> {
    static DOCUMENT: OnceLock<OpenApi> = OnceLock::new();
    Ok(respond::json(DOCUMENT.get_or_init(crate::routes::document))?)
}
