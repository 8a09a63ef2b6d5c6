//! `POST /v1/online-features`

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use lodestore::core::Result;
use lodestore::core::online::FeatureStatus;
use lodestore::core::request::ColumnNames;
use lodestore::core::time::EventTime;
use lodestore::{AskedFeatures, Defaults, OnlineAnswer, OnlinePlan};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::ipc;
use crate::error::OwnRefusal;
use crate::gate::AskedService;
use crate::json::column::{BYTES_OF_VALUE, ColumnWriter, NoTime};
use crate::json::keys::Columns;
use crate::json::read::{Text, parse};
use crate::json::write::{Moments, item, separator, text};
use crate::metrics::Found;
use crate::openapi::{ErrorAnswer, OnlineFeaturesAnswer};
use crate::respond::json_text;
use crate::state::AppState;

/// Which features are asked for, and of which entities.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = OnlineFeaturesRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request<'a> {
    /// For each join key its values, one for each row; or a list of rows, each an object.
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>, example = json!({"driver_id": [1001, 1002]}))]
    entities: Columns<'a>,
    /// A feature service, or …
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    feature_service: Option<Text<'a>>,
    /// … features, as `view:feature` or `view@3:feature`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["driver_stats:conv_rate"]))]
    features: Option<Vec<Text<'a>>>,
    /// Whether columns are called `view__feature`.
    #[serde(default)]
    full_feature_names: bool,
    /// Whether the default that a feature declares stands in place of a missing value.
    #[serde(default)]
    use_defaults: bool,
}

/// What is asked for where the body is an Arrow stream of keys.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Features, separated by commas; only where the body is an Arrow stream.
    features: Option<String>,
    /// A feature service; only where the body is an Arrow stream.
    feature_service: Option<String>,
    /// Whether columns are called `view__feature`; only where the body is an Arrow stream.
    #[serde(default)]
    full_feature_names: bool,
    /// Whether defaults stand for missing values; only where the body is an Arrow stream.
    #[serde(default)]
    use_defaults: bool,
    /// Whether an Arrow answer has a status and event time beside each feature.
    #[serde(default)]
    statuses: bool,
}

/// Reads features online.
///
/// The body is JSON, or an Arrow IPC stream of the key columns; then the parameters say what is asked for. The
/// answer is an Arrow IPC stream if `Accept` names `application/vnd.apache.arrow.stream`: the columns that were sent,
/// and the features beside them.
#[utoipa::path(
    post,
    path = "/v1/online-features",
    tag = "v1",
    params(Asked),
    request_body = Request,
    responses(
        (status = 200, description = "A value, status and event time for each feature and row", body = OnlineFeaturesAnswer),
        (status = 400, description = "The request can't be answered", body = ErrorAnswer),
        (status = 404, description = "A view, feature or service is not registered", body = ErrorAnswer),
        (status = 413, description = "The body is too large", body = ErrorAnswer),
        (status = 422, description = "The body is not what is expected", body = ErrorAnswer),
    )
)]
pub(crate) async fn online_features(
    State(state): State<Arc<AppState>>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OwnRefusal> {
    let Query(asked) = asked?;
    let form = match ipc::is_wanted(&headers) {
        false => Form::Json,
        true if asked.statuses => Form::ArrowWithStatuses,
        true => Form::Arrow,
    };
    let (mut response, service) = match ipc::is_sent(&headers) {
        true => answer_to_rows(&state, &asked, &body, form).await?,
        false => answer_to_json(&state, &body, form).await?,
    };
    if let Some(service) = service {
        response.extensions_mut().insert(AskedService(service));
    }
    Ok(response)
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Arrow,
    ArrowWithStatuses,
}

impl Form {
    fn respond(self, state: &AppState, answer: &OnlineAnswer) -> Result<Response> {
        if self == Self::Json {
            return Ok(json_text(StatusCode::OK, written(state, answer)?));
        }
        count(state, answer)?;
        ipc::respond(&if self == Self::ArrowWithStatuses { with_statuses(answer)? } else { answer.to_batch()? })
    }
}

async fn answer_to_json(
    state: &Arc<AppState>,
    body: &[u8],
    form: Form,
) -> Result<(Response, Option<String>), OwnRefusal> {
    let mut quoted = Vec::new();
    let request: Request<'_> = parse(body, &mut quoted)?;
    let refs: Vec<&str> = request.features.iter().flatten().map(AsRef::as_ref).collect();
    let service = request.feature_service.as_ref().map(AsRef::as_ref);
    let plan = plan(state, service, &refs, names(request.full_feature_names)).await?;
    let rows = request.entities.rows()?;
    state.check_entities(rows)?;
    let keys = request.entities.to_batch(&plan, rows)?;
    let respond = move |state: &AppState, answer: &OnlineAnswer| form.respond(state, answer);
    let response = state.answer(&plan, keys, defaults(request.use_defaults), respond).await?;
    Ok((response, service.map(str::to_owned)))
}

async fn answer_to_rows(
    state: &Arc<AppState>,
    asked: &Asked,
    body: &[u8],
    form: Form,
) -> Result<(Response, Option<String>), OwnRefusal> {
    let rows = ipc::read(body)?;
    state.check_entities(rows.num_rows())?;
    let refs: Vec<&str> =
        asked.features.iter().flat_map(|all| all.split(',')).map(str::trim).filter(|text| !text.is_empty()).collect();
    let service = asked.feature_service.as_deref();
    let plan = plan(state, service, &refs, names(asked.full_feature_names)).await?;
    let respond = move |state: &AppState, answer: &OnlineAnswer| form.respond(state, answer);
    let response = state.answer(&plan, rows, defaults(asked.use_defaults), respond).await?;
    Ok((response, service.map(str::to_owned)))
}

async fn plan(state: &AppState, service: Option<&str>, refs: &[&str], names: ColumnNames) -> Result<Arc<OnlinePlan>> {
    match service {
        Some(_) if !refs.is_empty() => {
            Err(lodestore::core::Error::invalid("give features or a feature_service, not both"))
        }
        Some(name) => state.store.online_plan(AskedFeatures::Service(name), names).await,
        None => state.store.online_plan(AskedFeatures::Refs(refs), names).await,
    }
}

fn names(are_full: bool) -> ColumnNames {
    if are_full { ColumnNames::ViewAndFeature } else { ColumnNames::Feature }
}

fn defaults(are_used: bool) -> Defaults {
    if are_used { Defaults::ForMissing } else { Defaults::None }
}

fn count(state: &AppState, answer: &OnlineAnswer) -> Result<()> {
    let plan = answer.plan();
    let mut found = vec![Found::default(); plan.request().views.len()];
    let mut cells = Vec::with_capacity(answer.len());
    for (place, column) in plan.columns().iter().enumerate() {
        cells.clear();
        answer.cells(place, &mut cells)?;
        cells.iter().for_each(|cell| found[column.view].add(cell.status, cell.event_time));
    }
    state.metrics.found_in_views(plan.request(), &found);
    Ok(())
}

fn written(state: &AppState, answer: &OnlineAnswer) -> Result<Vec<u8>> {
    let (columns, keys, rows) = (answer.plan().columns(), answer.rows(), answer.len());
    let mut out = Vec::with_capacity(256 + columns.len() * (96 + rows * BYTES_OF_VALUE));
    out.extend_from_slice(b"{\"entities\":{");
    for (place, (field, key)) in keys.schema_ref().fields().iter().zip(keys.columns()).enumerate() {
        // Columns that came as Arrow and are no keys may be of types that no feature has.
        if answer.plan().key_columns().iter().all(|key| key.name != *field.name()) {
            continue;
        }
        if out.last() != Some(&b'{') {
            separator(&mut out, place);
        }
        text(&mut out, field.name());
        out.extend_from_slice(b":[");
        for row in 0..rows {
            separator(&mut out, row);
            item(&mut out, key.as_ref(), row, Moments::Text)?;
        }
        out.push(b']');
    }
    out.extend_from_slice(b"},\"features\":[");
    let mut writer = ColumnWriter::new(answer, Moments::Text, NoTime::Null);
    let request = answer.plan().request();
    let mut found = vec![Found::default(); request.views.len()];
    for (place, column) in columns.iter().enumerate() {
        separator(&mut out, place);
        out.extend_from_slice(b"{\"name\":");
        text(&mut out, &column.name);
        out.extend_from_slice(b",\"type\":");
        text(&mut out, &column.feature_type.to_string());
        out.push(b',');
        writer.feature(&mut out, place, &mut found[column.view])?;
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    state.metrics.found_in_views(request, &found);
    Ok(out)
}

/// Returns the answer with two columns more for each feature: `<feature>__status` and `<feature>__event_timestamp`.
fn with_statuses(answer: &OnlineAnswer) -> Result<RecordBatch> {
    let mut fields: Vec<_> = answer.rows().schema_ref().fields().iter().map(|field| Field::clone(field)).collect();
    let mut arrays = answer.rows().columns().to_vec();
    for (place, planned) in answer.plan().columns().iter().enumerate() {
        let column = answer.column(place)?;
        let statuses = StringArray::from_iter_values(column.statuses.iter().copied().map(FeatureStatus::as_str));
        let times = column.event_times.iter().map(|time| time.map(EventTime::as_micros));
        let times = times.collect::<TimestampMicrosecondArray>().with_timezone("UTC");
        let more: [(String, ArrayRef); 3] = [
            (planned.name.clone(), column.values),
            (format!("{}__status", planned.name), Arc::new(statuses)),
            (format!("{}__event_timestamp", planned.name), Arc::new(times)),
        ];
        for (name, array) in more {
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(answer.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}
