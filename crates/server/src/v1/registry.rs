//! `GET /v1/registry` and `GET /v1/registry/{kind}/{name}`

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use lodestore::core::name::{DatasetName, EntityName, ServiceName, SourceName, ViewName, unknown};
use lodestore::core::registry::Snapshot;
use lodestore::core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::OwnRefusal;
use crate::openapi::ErrorAnswer;
use crate::respond;
use crate::state::AppState;

/// The kinds of objects, as paths call them.
const KINDS: [&str; 5] = ["entities", "data-sources", "feature-views", "feature-services", "saved-datasets"];

/// Lists what is registered, by kind.
#[utoipa::path(
    get,
    path = "/v1/registry",
    tag = "v1",
    responses((status = 200, description = "The names of all objects", body = Value))
)]
pub(crate) async fn list(State(state): State<Arc<AppState>>) -> Result<Response, OwnRefusal> {
    let snapshot = state.store.recent_snapshot().await?;
    let definitions = &snapshot.definitions;
    Ok(respond::json(&json!({
        "project": snapshot.project,
        "revision": snapshot.revision,
        "entities": definitions.entities.keys().collect::<Vec<_>>(),
        "data_sources": definitions.data_sources.keys().collect::<Vec<_>>(),
        "feature_views": definitions.feature_views.keys().collect::<Vec<_>>(),
        "feature_services": definitions.feature_services.keys().collect::<Vec<_>>(),
        "saved_datasets": snapshot.datasets.keys().collect::<Vec<_>>(),
    }))?)
}

/// Describes an object: its definition, and of a view the versions with who reads them.
#[utoipa::path(
    get,
    path = "/v1/registry/{kind}/{name}",
    tag = "v1",
    params(
        ("kind" = String, Path, description = "entities, data-sources, feature-views, feature-services or saved-datasets"),
        ("name" = String, Path, description = "The object's name"),
    ),
    responses(
        (status = 200, description = "The object", body = Value),
        (status = 404, description = "It is not registered", body = ErrorAnswer),
    )
)]
pub(crate) async fn describe(
    State(state): State<Arc<AppState>>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, OwnRefusal> {
    let Path((kind, name)) = path?;
    let snapshot = state.store.recent_snapshot().await?;
    let definitions = &snapshot.definitions;
    let name = name.as_str();
    let described = match kind.as_str() {
        "entities" => {
            let known = definitions.entities.keys().map(EntityName::as_str);
            with(found(definitions.entities.get(name), "entity", name, known)?, [])
        }
        "data-sources" => {
            let known = definitions.data_sources.keys().map(SourceName::as_str);
            with(found(definitions.data_sources.get(name), "data source", name, known)?, [])
        }
        "feature-views" => feature_view(&state, &snapshot, name).await,
        "feature-services" => {
            let known = definitions.feature_services.keys().map(ServiceName::as_str);
            let service = found(definitions.feature_services.get(name), "feature service", name, known)?;
            with(service, [("pins", json!(snapshot.pins.get(name)))])
        }
        "saved-datasets" => {
            let known = snapshot.datasets.keys().map(DatasetName::as_str);
            let dataset = found(snapshot.datasets.get(name), "saved dataset", name, known)?;
            Ok(json!({
                "name": dataset.name,
                "path": dataset.path,
                "created_at": dataset.created_at.to_string(),
                "rows": dataset.rows,
                "features": dataset.features,
                "tags": dataset.tags,
            }))
        }
        other => Err(unknown(format!("kind '{other}'"), other, KINDS)),
    };
    Ok(respond::json(&described?)?)
}

fn found<'a, T>(object: Option<&'a T>, kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Result<&'a T> {
    object.ok_or_else(|| unknown(format!("{kind} '{name}'"), name, known))
}

async fn feature_view(state: &AppState, snapshot: &Snapshot, name: &str) -> Result<Value> {
    let known = snapshot.views.keys().map(ViewName::as_str);
    let history = found(snapshot.views.get(name), "feature view", name, known)?;
    let mut versions = Vec::new();
    for version in history.versions.values() {
        let readers = snapshot.consumers(version.name()).filter(|(_, pinned)| *pinned == version.number);
        let watermark = state.store.watermark(Arc::clone(version)).await?;
        versions.push(json!({
            "version": version.number,
            "current": version.number == history.current,
            "created_at": version.created_at.to_string(),
            "read_by": readers.map(|(service, _)| service).collect::<Vec<_>>(),
            "materialized_until": watermark.event.map(|time| time.to_string()),
            "hash": version.hash()?,
        }));
    }
    let Some(current) = history.versions.get(&history.current) else {
        return Err(Error::corrupt(format!("the registry lacks version {} of view '{name}'", history.current)));
    };
    let more = [
        ("keys", json!(current.keys)),
        ("features", json!(current.features)),
        ("current_version", history.current.into()),
        ("versions", versions.into()),
    ];
    with(&current.definition, more)
}

/// Returns a definition as JSON, with some more about it.
fn with<const N: usize>(definition: &impl Serialize, more: [(&str, Value); N]) -> Result<Value> {
    let value =
        serde_json::to_value(definition).map_err(|e| Error::internal("writing a definition as JSON").with_source(e))?;
    let mut fields = match value {
        Value::Object(fields) => fields,
        other => Map::from_iter([("definition".to_owned(), other)]),
    };
    fields.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Ok(Value::Object(fields))
}
