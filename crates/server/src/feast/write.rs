//! `POST /push` and `POST /write-to-online-store`

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use lodestore::FeatureStore;
use lodestore::core::name::{SourceName, ViewName, ViewRef};
use lodestore::core::online::WriteReport;
use lodestore::core::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::error::{FeastRefusal, Refusal};
use crate::json::frame::{Frame, Unknown};
use crate::json::read::parse;
use crate::openapi::Detail;
use crate::respond::json_text;
use crate::state::AppState;

/// Rows for the views that a push source feeds.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PushFeaturesRequest)]
pub(crate) struct Push {
    /// The push source.
    push_source_name: String,
    /// For each column its values.
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    df: Map<String, Value>,
    /// Where to; only `online`.
    #[serde(default = "online")]
    to: String,
    /// Ignored: the registry's state is never older than a second.
    #[serde(default, rename = "allow_registry_cache")]
    #[schema(value_type = Option<bool>)]
    _allow_registry_cache: Option<bool>,
    /// Ignored: no view has a transformation.
    #[serde(default, rename = "transform_on_write")]
    #[schema(value_type = Option<bool>)]
    _transform_on_write: Option<bool>,
}

fn online() -> String {
    "online".to_owned()
}

/// Rows for one view.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = WriteToFeatureStoreRequest)]
pub(crate) struct Write {
    /// The view.
    feature_view_name: String,
    /// For each column its values.
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    df: Map<String, Value>,
    /// Ignored: the registry's state is never older than a second.
    #[serde(default, rename = "allow_registry_cache")]
    #[schema(value_type = Option<bool>)]
    _allow_registry_cache: Option<bool>,
    /// Ignored: no view has a transformation.
    #[serde(default, rename = "transform_on_write")]
    #[schema(value_type = Option<bool>)]
    _transform_on_write: Option<bool>,
}

/// Writes rows to all views of a push source, in Feast's form.
#[utoipa::path(
    post,
    path = "/push",
    tag = "feast",
    request_body = Push,
    responses(
        (status = 200, description = "The rows are written; the body is empty"),
        (status = 400, description = "The rows can't be written; nothing was", body = String),
        (status = 404, description = "The push source is not registered", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 422, description = "The body is not what is expected", body = Detail),
    )
)]
pub(crate) async fn push(State(state): State<Arc<AppState>>, body: Bytes) -> Result<Response, FeastRefusal> {
    let mut quoted = Vec::new();
    let request: Push = parse(&body, &mut quoted)?;
    match request.to.as_str() {
        "online" => {}
        "offline" | "online_and_offline" => {
            let what = format!("pushing to {:?} is not possible yet; push to \"online\"", request.to);
            return Err(Error::unsupported(what).into());
        }
        other => {
            let what = format!("{other:?} is nowhere to push to; expected \"online\"");
            return Err(Error::invalid(what).into());
        }
    }
    pushed(&state, &request.push_source_name, request.df, Unknown::Ignored).await?;
    Ok(Response::new(Body::empty()))
}

/// Writes rows to a view, in Feast's form.
#[utoipa::path(
    post,
    path = "/write-to-online-store",
    tag = "feast",
    request_body = Write,
    responses(
        (status = 200, description = "The rows are written; the body is null"),
        (status = 400, description = "The rows can't be written; nothing was", body = String),
        (status = 404, description = "The view is not registered", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 422, description = "The body is not what is expected", body = Detail),
    )
)]
pub(crate) async fn write_to_online_store(
    State(state): State<Arc<AppState>>,
    body: Bytes,
) -> Result<Response, FeastRefusal> {
    let mut quoted = Vec::new();
    let request: Write = parse(&body, &mut quoted)?;
    written(&state, &request.feature_view_name, request.df, Unknown::Ignored).await?;
    Ok(null())
}

/// Returns the answer that Feast gives when all went well.
pub(crate) fn null() -> Response {
    json_text(StatusCode::OK, "null")
}

/// Writes rows to all views of a push source.
pub(crate) async fn pushed(
    state: &AppState,
    source: &str,
    rows: Map<String, Value>,
    others: Unknown,
) -> Result<WriteReport, Refusal> {
    let source: SourceName = source.parse()?;
    let views = state.store.pushed_views(&source).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Refusal::from(error).with_class("PushSourceNotFoundException"),
        _ => Refusal::from(error),
    })?;
    check_rows(state, &rows)?;
    let batch = Frame::of(&views).to_batch(rows, others)?;
    let report = state.writing(|store| async move { store.push(&source, &batch).await }).await?;
    state.metrics.rows_written(report.written);
    Ok(report)
}

/// Writes rows to a view.
pub(crate) async fn written(
    state: &AppState,
    view: &str,
    rows: Map<String, Value>,
    others: Unknown,
) -> Result<WriteReport, Refusal> {
    let name: ViewName = view.parse()?;
    let reference = ViewRef { name, version: None };
    let version = state.store.feature_view(&reference).await?;
    check_rows(state, &rows)?;
    let batch = Frame::of([&version]).to_batch(rows, others)?;
    let write = |store: Arc<FeatureStore>| async move { store.write_to_online_store(&reference.name, &batch).await };
    let report = state.writing(write).await?;
    state.metrics.rows_written(report.written);
    Ok(report)
}

fn check_rows(state: &AppState, columns: &Map<String, Value>) -> Result<()> {
    let rows = columns.values().filter_map(|values| Some(values.as_array()?.len())).max();
    state.check_entities(rows.unwrap_or(0))
}
