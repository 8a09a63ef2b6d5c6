//! `POST /get-online-features`

use std::sync::Arc;

use arrow::array::Array;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use lodestore::core::name::FeatureRef;
use lodestore::core::request::ColumnNames;
use lodestore::core::{Error, ErrorKind, Result};
use lodestore::{AskedFeatures, Defaults, OnlineAnswer};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::{FeastRefusal, Refusal};
use crate::gate::AskedService;
use crate::json::column::{BYTES_OF_VALUE, ColumnWriter, EPOCH, NoTime, repeat};
use crate::json::keys::Columns;
use crate::json::read::{Text, parse};
use crate::json::write::{Moments, int, item, separator, text, texts};
use crate::metrics::Found;
use crate::openapi::OnlineFeaturesResponse;
use crate::respond::json_text;
use crate::state::AppState;

/// Which features are asked for, and of which entities.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = GetOnlineFeaturesRequest)]
pub(crate) struct Request<'a> {
    /// For each join key its values, one for each row.
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>, example = json!({"driver_id": [1001, 1002]}))]
    entities: Columns<'a>,
    /// A feature service; it goes before `features`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    feature_service: Option<Text<'a>>,
    /// Features, as `view:feature` or `view@3:feature`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["driver_stats:conv_rate"]))]
    features: Option<Vec<Text<'a>>>,
    /// Whether columns are called `view__feature`.
    #[serde(default)]
    full_feature_names: Option<bool>,
    /// Whether the answer tells the versions of the views.
    #[serde(default)]
    include_feature_view_version_metadata: Option<bool>,
}

/// Reads features online, in Feast's form.
#[utoipa::path(
    post,
    path = "/get-online-features",
    tag = "feast",
    request_body = Request,
    responses(
        (status = 200, description = "A value, status and event time for each feature and row", body = OnlineFeaturesResponse),
        (status = 400, description = "The request can't be answered; the text holds JSON of class and message", body = String),
        (status = 404, description = "A view, feature or service is not registered", body = String),
        (status = 413, description = "The body is too large", body = String),
        (status = 422, description = "The body is not what is expected", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn get_online_features(
    State(state): State<Arc<AppState>>,
    body: Bytes,
) -> Result<Response, FeastRefusal> {
    let mut quoted = Vec::new();
    let request: Request<'_> = parse(&body, &mut quoted)?;
    let refs: Vec<&str> = request.features.iter().flatten().map(AsRef::as_ref).collect();
    let asked = match &request.feature_service {
        Some(service) => AskedFeatures::Service(service.as_ref()),
        None => AskedFeatures::Refs(&refs),
    };
    let names = match request.full_feature_names {
        Some(true) => ColumnNames::ViewAndFeature,
        _ => ColumnNames::Feature,
    };
    let plan = match state.store.online_plan(asked, names).await {
        Ok(plan) => plan,
        Err(error) => return Err(refusal(&state, asked, error).await.into()),
    };
    let rows = request.entities.rows()?;
    state.check_entities(rows)?;
    let keys = request.entities.to_batch(&plan, rows)?;
    let versions = request.include_feature_view_version_metadata.unwrap_or_default();
    let versions = if versions { Versions::Told } else { Versions::Untold };
    let write = move |state: &AppState, answer: &OnlineAnswer| written(state, answer, versions);
    let mut response = json_text(StatusCode::OK, state.answer(&plan, keys, Defaults::None, write).await?);
    if let Some(Text(service)) = request.feature_service {
        response.extensions_mut().insert(AskedService(service.into_owned()));
    }
    Ok(response)
}

/// Whether an answer tells the versions of its views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Versions {
    Told,
    Untold,
}

/// Returns the refusal of features that can't be read, with the class that Feast has for it.
async fn refusal(state: &AppState, asked: AskedFeatures<'_>, error: Error) -> Refusal {
    let class = match (error.kind(), asked) {
        (ErrorKind::NotFound, AskedFeatures::Service(name)) => match state.store.recent_snapshot().await {
            Ok(snapshot) if !snapshot.definitions.feature_services.contains_key(name) => {
                Some("FeatureServiceNotFoundException")
            }
            _ => None,
        },
        (ErrorKind::NotFound, AskedFeatures::Refs(refs)) => match state.store.recent_snapshot().await {
            Ok(snapshot) => {
                let mut views = refs.iter().filter_map(|text| Some(text.parse::<FeatureRef>().ok()?.view.name));
                views.any(|view| !snapshot.views.contains_key(&view)).then_some("FeatureViewNotFoundException")
            }
            Err(_) => None,
        },
        (ErrorKind::Invalid, _) if error.message().starts_with("two answer columns") => {
            Some("FeatureNameCollisionError")
        }
        _ => None,
    };
    let refusal = Refusal::from(error);
    match class {
        Some(class) => refusal.with_class(class),
        None => refusal,
    }
}

/// Returns the answer as JSON: keys first, then features in the order asked.
fn written(state: &AppState, answer: &OnlineAnswer, versions: Versions) -> Result<Vec<u8>> {
    let (plan, rows, keys) = (answer.plan(), answer.len(), answer.rows());
    let columns = plan.columns();
    let mut out = Vec::with_capacity(256 + (columns.len() + keys.num_columns()) * (64 + rows * BYTES_OF_VALUE));
    out.extend_from_slice(b"{\"results\":[");
    for (place, key) in keys.columns().iter().enumerate() {
        separator(&mut out, place);
        write_key(&mut out, key.as_ref())?;
    }
    let mut found = vec![Found::default(); plan.request().views.len()];
    let mut writer = ColumnWriter::new(answer, Moments::Seconds, NoTime::Epoch);
    for (place, column) in columns.iter().enumerate() {
        separator(&mut out, place + keys.num_columns());
        out.push(b'{');
        writer.feature(&mut out, place, &mut found[column.view])?;
        out.push(b'}');
    }
    out.extend_from_slice(b"],\"metadata\":{\"feature_names\":");
    let schema = keys.schema_ref();
    let key_names = schema.fields().iter().map(|field| field.name().as_str());
    texts(&mut out, key_names.chain(columns.iter().map(|column| column.name.as_str())));
    let views = &plan.request().views;
    if versions == Versions::Told {
        out.extend_from_slice(b",\"feature_view_metadata\":[");
        for (place, view) in views.iter().enumerate() {
            separator(&mut out, place);
            out.extend_from_slice(b"{\"name\":");
            text(&mut out, view.version.name().as_str());
            out.extend_from_slice(b",\"version\":");
            int(&mut out, i64::from(view.version.number));
            out.push(b'}');
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
    state.metrics.found_in_views(plan.request(), &found);
    Ok(out)
}

/// Writes a key column.
fn write_key(out: &mut Vec<u8>, key: &dyn Array) -> Result<()> {
    out.extend_from_slice(b"{\"values\":[");
    for row in 0..key.len() {
        separator(out, row);
        item(out, key, row, Moments::Seconds)?;
    }
    out.extend_from_slice(b"],\"statuses\":[");
    for row in 0..key.len() {
        separator(out, row);
        out.extend_from_slice(if key.is_null(row) { b"\"NULL_VALUE\"" } else { b"\"PRESENT\"" });
    }
    out.extend_from_slice(b"],\"event_timestamps\":[");
    // Feast gives keys the epoch.
    repeat(out, EPOCH, key.len());
    out.extend_from_slice(b"]}");
    Ok(())
}
