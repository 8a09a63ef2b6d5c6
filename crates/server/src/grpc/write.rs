//! Push and WriteToOnlineStore: one row each.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use lodestore::FeatureStore;
use lodestore::core::definition::ViewVersion;
use lodestore::core::name::{SourceName, ViewName, ViewRef};
use lodestore::core::types::{FeatureType, can_widen};
use lodestore::core::{Error, Result};

use super::proto::feast::types::Value;
use super::proto::{PushRequest, PushResponse, WriteToOnlineStoreRequest, WriteToOnlineStoreResponse};
use super::{Answer, decode, text};
use crate::state::AppState;

pub(super) async fn push(state: Arc<AppState>, request: PushRequest) -> Result<Answer<PushResponse>> {
    match request.to.as_str() {
        "online" => {}
        "offline" | "online_and_offline" => {
            return Err(Error::unsupported("rows can be pushed online only; the offline store is not written to"));
        }
        other => {
            return Err(Error::invalid(format!(
                "rows can't be pushed to '{other}'; expected 'online', 'offline' or 'online_and_offline'"
            )));
        }
    }
    let source = SourceName::new(&request.stream_feature_view)?;
    let views = state.store.pushed_views(&source).await?;
    let row = row(&views, &request.features, &request.typed_features)?;
    let report = state.writing(|store| async move { store.push(&source, &row).await }).await?;
    state.metrics.rows_written(report.written);
    Ok(Answer::of(PushResponse { status: true }))
}

pub(super) async fn write(
    state: Arc<AppState>,
    request: WriteToOnlineStoreRequest,
) -> Result<Answer<WriteToOnlineStoreResponse>> {
    let name = ViewName::new(&request.feature_view_name)?;
    let view = state.store.feature_view(&ViewRef { name: name.clone(), version: None }).await?;
    let row = row(&[view], &request.features, &request.typed_features)?;
    let write = |store: Arc<FeatureStore>| async move { store.write_to_online_store(&name, &row).await };
    let report = state.writing(write).await?;
    state.metrics.rows_written(report.written);
    Ok(Answer::of(WriteToOnlineStoreResponse { status: true }))
}

/// Returns a row as a batch. Columns that no view has are left out.
fn row(
    views: &[Arc<ViewVersion>],
    texts: &BTreeMap<String, String>,
    values: &BTreeMap<String, Value>,
) -> Result<RecordBatch> {
    if !texts.is_empty() && !values.is_empty() {
        return Err(Error::invalid("the row has both features and typed_features; send it in one of them"));
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (name, ty) in column_types(views) {
        let array = if let Some(value) = values.get(name) {
            decode::array(name, std::slice::from_ref(value), &ty)?
        } else if let Some(text) = texts.get(name) {
            text::array(name, text, &ty)?
        } else {
            continue;
        };
        fields.push(Field::new(name, array.data_type().clone(), true));
        columns.push(array);
    }
    if columns.is_empty() {
        let names: Vec<_> = views.iter().map(|view| format!("'{}'", view.name())).collect();
        return Err(Error::invalid(format!("the row has no column of view {}", names.join(", "))));
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Returns the columns of views with their types; where views differ, the type that fits into the others.
fn column_types(views: &[Arc<ViewVersion>]) -> BTreeMap<&str, FeatureType> {
    let mut types: BTreeMap<&str, FeatureType> = BTreeMap::new();
    for view in views {
        let keys = view.keys.iter().map(|key| (key.name.as_str(), key.key_type.feature_type()));
        let values = view.source_columns().into_iter().map(|(name, ty)| (name, ty.clone()));
        for (name, ty) in keys.chain(values) {
            types
                .entry(name)
                .and_modify(|known| {
                    if can_widen(&ty.to_arrow(), known) {
                        *known = ty.clone();
                    }
                })
                .or_insert(ty);
        }
        let times = view.table.as_ref().map(|table| &table.times);
        let of_table = times.map(|times| {
            [times.event_time_column(), times.created_timestamp_column.as_deref(), times.valid_to.as_deref()]
        });
        for name in of_table.unwrap_or([Some(EVENT_TIME), None, None]).into_iter().flatten() {
            types.insert(name, FeatureType::Timestamp);
        }
    }
    types
}

/// The column of the event time in rows of a view without a table.
const EVENT_TIME: &str = "event_timestamp";
