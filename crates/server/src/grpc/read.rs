//! GetOnlineFeatures: a message to a request, and an answer to a message.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use lodestore::core::online::FeatureStatus;
use lodestore::core::request::ColumnNames;
use lodestore::core::time::EventTime;
use lodestore::core::{Error, Result};
use lodestore::{AskedFeatures, Defaults, OnlineAnswer, OnlinePlan};
use prost_types::Timestamp;

use super::proto::feast::serving::get_online_features_request::Kind;
use super::proto::feast::serving::get_online_features_response::FeatureVector;
use super::proto::feast::serving::{
    FeatureList, FeatureViewMetadata, FieldStatus, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse,
    GetOnlineFeaturesResponseMetadata,
};
use super::{Answer, decode, encode};
use crate::metrics::Found;
use crate::state::AppState;

pub(super) async fn online_features(
    state: Arc<AppState>,
    request: GetOnlineFeaturesRequest,
) -> Result<Answer<GetOnlineFeaturesResponse>> {
    let plan = plan(&state, &request).await?;
    let rows = rows(&state, &plan, &request)?;
    let mut message = state.answer(&plan, rows, Defaults::None, to_message).await?;
    if request.include_feature_view_version_metadata
        && let Some(metadata) = &mut message.metadata
    {
        metadata.feature_view_metadata = versions(&plan);
    }
    let service = match request.kind {
        Some(Kind::FeatureService(name)) => name,
        _ => String::new(),
    };
    Ok(Answer { message, service })
}

async fn plan(state: &AppState, request: &GetOnlineFeaturesRequest) -> Result<Arc<OnlinePlan>> {
    let names = if request.full_feature_names { ColumnNames::ViewAndFeature } else { ColumnNames::Feature };
    match &request.kind {
        Some(Kind::FeatureService(name)) => state.store.online_plan(AskedFeatures::Service(name), names).await,
        Some(Kind::Features(list)) => {
            let refs: Vec<&str> = list.val.iter().map(String::as_str).collect();
            state.store.online_plan(AskedFeatures::Refs(&refs), names).await
        }
        None => Err(Error::invalid(
            "no features were asked for; name some as 'view:feature' in features, or a feature_service",
        )),
    }
}

/// Returns the rows of keys. Columns that are no key of the features are left out, as are the values of the
/// request's context: no feature is computed of them.
fn rows(state: &AppState, plan: &OnlinePlan, request: &GetOnlineFeaturesRequest) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    let mut first: Option<(&str, usize)> = None;
    for key in plan.key_columns() {
        // A missing column is told by the store, which knows the views that need it.
        let Some(values) = request.entities.get(&key.name) else { continue };
        let (other, rows) = *first.get_or_insert((&key.name, values.val.len()));
        if rows != values.val.len() {
            return Err(Error::invalid(format!(
                "join key '{}' has {} values, but '{other}' has {rows}; each row needs a value of every key",
                key.name,
                values.val.len()
            )));
        }
        state.check_entities(rows)?;
        let array = decode::array(&key.name, &values.val, &key.key_type.feature_type())?;
        fields.push(Field::new(&key.name, array.data_type().clone(), true));
        columns.push(array);
    }
    // Views without entities answer one row without keys.
    let options = RecordBatchOptions::new().with_row_count(Some(first.map_or(1, |(_, rows)| rows)));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

/// Returns keys first, then the features in the order asked.
fn to_message(state: &AppState, answer: &OnlineAnswer) -> Result<GetOnlineFeaturesResponse> {
    let plan = answer.plan();
    let (mut names, mut results) = (Vec::new(), Vec::new());
    for key in plan.key_columns() {
        let Some(column) = answer.rows().column_by_name(&key.name) else { continue };
        let status = |row| if column.is_null(row) { FieldStatus::NullValue } else { FieldStatus::Present };
        names.push(key.name.clone());
        results.push(FeatureVector {
            values: encode::values(column.as_ref(), &key.key_type.feature_type())?,
            statuses: (0..column.len()).map(|row| status(row).into()).collect(),
            event_timestamps: vec![Timestamp::default(); column.len()],
        });
    }
    let mut found = vec![Found::default(); plan.request().views.len()];
    let mut cells = Vec::with_capacity(answer.len());
    for (place, column) in plan.columns().iter().enumerate() {
        let rows = answer.len();
        let (mut values, mut statuses) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut event_timestamps = Vec::with_capacity(rows);
        answer.cells(place, &mut cells)?;
        for cell in cells.drain(..) {
            found[column.view].add(cell.status, cell.event_time);
            statuses.push(field_status(cell.status).into());
            event_timestamps.push(cell.event_time.map_or_else(Timestamp::default, timestamp));
            values.push(encode::value(cell.value, &column.feature_type)?);
        }
        names.push(column.name.clone());
        results.push(FeatureVector { values, statuses, event_timestamps });
    }
    state.metrics.found_in_views(plan.request(), &found);
    let metadata = GetOnlineFeaturesResponseMetadata {
        feature_names: Some(FeatureList { val: names }),
        feature_view_metadata: Vec::new(),
    };
    Ok(GetOnlineFeaturesResponse { metadata: Some(metadata), results, status: true })
}

/// Returns the versions that answer, each once.
fn versions(plan: &OnlinePlan) -> Vec<FeatureViewMetadata> {
    let of_views = plan.request().views.iter().map(|view| FeatureViewMetadata {
        name: view.version.name().to_string(),
        version: i32::try_from(view.version.number).unwrap_or(i32::MAX),
    });
    let mut all: Vec<FeatureViewMetadata> = Vec::new();
    for metadata in of_views {
        if !all.contains(&metadata) {
            all.push(metadata);
        }
    }
    all
}

fn field_status(status: FeatureStatus) -> FieldStatus {
    match status {
        FeatureStatus::Present => FieldStatus::Present,
        FeatureStatus::NullValue => FieldStatus::NullValue,
        FeatureStatus::NotFound => FieldStatus::NotFound,
        FeatureStatus::OutsideMaxAge => FieldStatus::OutsideMaxAge,
    }
}

fn timestamp(time: EventTime) -> Timestamp {
    const MICROS: i64 = 1_000_000;
    let micros = time.as_micros();
    // Less than a million microseconds, so their nanoseconds fit.
    Timestamp { seconds: micros.div_euclid(MICROS), nanos: (micros.rem_euclid(MICROS) * 1_000) as i32 }
}
