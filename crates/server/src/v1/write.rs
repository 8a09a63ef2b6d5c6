//! `POST /v1/push` and `POST /v1/write`

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use lodestore::core::name::{SourceName, ViewName};
use lodestore::core::online::WriteReport;
use lodestore::core::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::ipc;
use crate::error::OwnRefusal;
use crate::feast::write::{pushed, written};
use crate::json::frame::{Unknown, columns};
use crate::json::read::parse;
use crate::openapi::{ErrorAnswer, WriteAnswer};
use crate::respond::json_text;
use crate::state::AppState;

/// Rows, as an object of lists or a list of objects.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Rows {
    Columns(Map<String, Value>),
    Rows(Vec<Map<String, Value>>),
}

impl Rows {
    fn columns(self) -> Map<String, Value> {
        match self {
            Self::Columns(all) => all,
            Self::Rows(rows) => columns(rows),
        }
    }
}

/// Rows for the views that a push source feeds.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PushRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Push {
    /// The push source.
    push_source: String,
    /// For each column its values; or a list of rows, each an object.
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    rows: Rows,
}

/// Rows for one view.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WriteRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Write {
    /// The view.
    feature_view: String,
    /// For each column its values; or a list of rows, each an object.
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    rows: Rows,
}

/// What an Arrow stream is for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PushTarget {
    /// The push source; only where the body is an Arrow stream.
    push_source: Option<String>,
}

/// What an Arrow stream is for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WriteTarget {
    /// The view; only where the body is an Arrow stream.
    feature_view: Option<String>,
}

/// Writes rows to all views of a push source: all of them or none.
///
/// The body is JSON, or an Arrow IPC stream of the rows; then the parameter says what they are for.
#[utoipa::path(
    post,
    path = "/v1/push",
    tag = "v1",
    params(PushTarget),
    request_body = Push,
    responses(
        (status = 200, description = "The rows are written", body = WriteAnswer),
        (status = 400, description = "The rows can't be written; nothing was", body = ErrorAnswer),
        (status = 404, description = "The push source is not registered", body = ErrorAnswer),
        (status = 413, description = "The body is too large", body = ErrorAnswer),
        (status = 422, description = "The body is not what is expected", body = ErrorAnswer),
    )
)]
pub(crate) async fn push(
    State(state): State<Arc<AppState>>,
    target: Result<Query<PushTarget>, QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OwnRefusal> {
    let Query(target) = target?;
    if !ipc::is_sent(&headers) {
        let mut quoted = Vec::new();
        let request: Push = parse(&body, &mut quoted)?;
        return Ok(told(pushed(&state, &request.push_source, request.rows.columns(), Unknown::Refused).await?));
    }
    let source: SourceName = target.push_source.ok_or_else(|| missing("push_source"))?.parse()?;
    let rows = ipc::read(&body)?;
    state.check_entities(rows.num_rows())?;
    let report = state.writing(|store| async move { store.push(&source, &rows).await }).await?;
    state.metrics.rows_written(report.written);
    Ok(told(report))
}

/// Writes rows to a view: all of them or none.
///
/// The body is JSON, or an Arrow IPC stream of the rows; then the parameter says what they are for.
#[utoipa::path(
    post,
    path = "/v1/write",
    tag = "v1",
    params(WriteTarget),
    request_body = Write,
    responses(
        (status = 200, description = "The rows are written", body = WriteAnswer),
        (status = 400, description = "The rows can't be written; nothing was", body = ErrorAnswer),
        (status = 404, description = "The view is not registered", body = ErrorAnswer),
        (status = 413, description = "The body is too large", body = ErrorAnswer),
        (status = 422, description = "The body is not what is expected", body = ErrorAnswer),
    )
)]
pub(crate) async fn write(
    State(state): State<Arc<AppState>>,
    target: Result<Query<WriteTarget>, QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OwnRefusal> {
    let Query(target) = target?;
    if !ipc::is_sent(&headers) {
        let mut quoted = Vec::new();
        let request: Write = parse(&body, &mut quoted)?;
        return Ok(told(written(&state, &request.feature_view, request.rows.columns(), Unknown::Refused).await?));
    }
    let view: ViewName = target.feature_view.ok_or_else(|| missing("feature_view"))?.parse()?;
    let rows = ipc::read(&body)?;
    state.check_entities(rows.num_rows())?;
    let report = state.writing(|store| async move { store.write_to_online_store(&view, &rows).await }).await?;
    state.metrics.rows_written(report.written);
    Ok(told(report))
}

fn missing(parameter: &str) -> Error {
    Error::invalid(format!("an Arrow stream needs the parameter '{parameter}', as in ?{parameter}=name"))
}

fn told(report: WriteReport) -> Response {
    let body = json!({"written": report.written, "skipped": report.skipped});
    json_text(StatusCode::OK, body.to_string())
}
