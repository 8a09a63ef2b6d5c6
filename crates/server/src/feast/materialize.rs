//! `POST /materialize` and `POST /materialize-incremental`

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use lodestore::Interval;
use lodestore::core::definition::ViewVersion;
use lodestore::core::name::ViewRef;
use lodestore::core::time::EventTime;
use lodestore::core::{Error, Result};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::write::null;
use crate::error::FeastRefusal;
use crate::jobs::{self, Claim};
use crate::json::read::parse;
use crate::openapi::{Detail, Started};
use crate::respond::json_text;
use crate::state::AppState;

/// How a job is started.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Start {
    /// Answer at once; the job goes on.
    #[serde(default, rename = "async")]
    in_background: bool,
    /// Start it even if another job has the same views.
    #[serde(default)]
    force: bool,
}

/// Which rows to bring into the online store.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MaterializeRequest)]
pub(crate) struct Between {
    /// Only rows after this time.
    start_ts: Option<String>,
    /// Only rows up to this time; not in the future.
    end_ts: Option<String>,
    /// Only these views; all that are served online where it is left out.
    feature_views: Option<Vec<String>>,
    /// Not possible: a source without event times is declared without a timestamp_field.
    disable_event_timestamp: Option<bool>,
    /// The version of the one view.
    version: Option<String>,
}

/// Up to when to bring rows into the online store that have arrived since the last time.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MaterializeIncrementalRequest)]
pub(crate) struct Since {
    /// Only rows up to this time; not in the future.
    end_ts: String,
    /// Only these views; all that are served online where it is left out.
    feature_views: Option<Vec<String>>,
    /// The version of the one view.
    version: Option<String>,
}

/// Brings the rows of an interval into the online store, in Feast's form.
#[utoipa::path(
    post,
    path = "/materialize",
    tag = "feast",
    params(Start),
    request_body = Between,
    responses(
        (status = 200, description = "It is done; the body is null"),
        (status = 202, description = "It is started", body = Started),
        (status = 400, description = "It can't be done", body = String),
        (status = 404, description = "A view is not registered", body = String),
        (status = 409, description = "Another job has one of the views"),
        (status = 422, description = "The body is not what is expected", body = Detail),
    )
)]
pub(crate) async fn materialize(
    State(state): State<Arc<AppState>>,
    start: Result<Query<Start>, QueryRejection>,
    body: Bytes,
) -> Result<Response, FeastRefusal> {
    let Query(start) = start?;
    let mut quoted = Vec::new();
    let request: Between = parse(&body, &mut quoted)?;
    if request.disable_event_timestamp == Some(true) {
        let what = "disable_event_timestamp is not possible; declare the source without a timestamp_field";
        return Err(Error::unsupported(what).into());
    }
    let (Some(after), Some(until)) = (&request.start_ts, &request.end_ts) else {
        return Err(Error::invalid("start_ts and end_ts are needed").into());
    };
    let interval = Interval::Between { start: time(after, "start_ts")?, until: time(until, "end_ts")? };
    if let Interval::Between { start, until } = interval
        && start >= until
    {
        return Err(Error::invalid(format!("start_ts {start} is not before end_ts {until}")).into());
    }
    let views = views(&state, request.feature_views, request.version.as_deref()).await?;
    run(&state, views, interval, start).await
}

/// Brings what has arrived since the last time into the online store, in Feast's form.
#[utoipa::path(
    post,
    path = "/materialize-incremental",
    tag = "feast",
    params(Start),
    request_body = Since,
    responses(
        (status = 200, description = "It is done; the body is null"),
        (status = 202, description = "It is started", body = Started),
        (status = 400, description = "It can't be done", body = String),
        (status = 404, description = "A view is not registered", body = String),
        (status = 409, description = "Another job has one of the views"),
        (status = 422, description = "The body is not what is expected", body = Detail),
    )
)]
pub(crate) async fn materialize_incremental(
    State(state): State<Arc<AppState>>,
    start: Result<Query<Start>, QueryRejection>,
    body: Bytes,
) -> Result<Response, FeastRefusal> {
    let Query(start) = start?;
    let mut quoted = Vec::new();
    let request: Since = parse(&body, &mut quoted)?;
    let interval = Interval::Since { until: time(&request.end_ts, "end_ts")? };
    let views = views(&state, request.feature_views, request.version.as_deref()).await?;
    run(&state, views, interval, start).await
}

fn time(text: &str, what: &str) -> Result<EventTime> {
    EventTime::parse(text).map_err(|error| Error::invalid(format!("{what}: {}", error.message())))
}

async fn views(
    state: &AppState,
    named: Option<Vec<String>>,
    version: Option<&str>,
) -> Result<Vec<Arc<ViewVersion>>, FeastRefusal> {
    let named = named.unwrap_or_default();
    let refs = match (version, named.as_slice()) {
        (None, all) => all.iter().map(|name| name.parse()).collect::<Result<Vec<ViewRef>>>()?,
        (Some(version), [name]) => vec![format!("{name}@{version}").parse()?],
        (Some(_), _) => return Err(Error::invalid("version needs feature_views with exactly one view").into()),
    };
    Ok(state.store.materializable(&refs).await?)
}

async fn run(
    state: &Arc<AppState>,
    views: Vec<Arc<ViewVersion>>,
    interval: Interval,
    start: Start,
) -> Result<Response, FeastRefusal> {
    if !start.in_background {
        let done = jobs::start(state, views, interval, None)?;
        let outcome = done.await.map_err(|_| Error::internal("a job ended without an outcome"))?;
        outcome?;
        return Ok(null());
    }
    let names: Vec<_> = views.iter().map(|view| view.name().to_string()).collect();
    let claim = match Claim::new(state, &views) {
        Ok(claim) => Some(claim),
        Err(_) if start.force => None,
        Err(busy) => {
            let what = format!("the feature views {busy:?} are materialized already; ?force=true starts all the same");
            return Ok(json_text(StatusCode::CONFLICT, json!({"error": what, "feature_views": busy}).to_string()));
        }
    };
    jobs::start(state, views, interval, claim)?;
    Ok(json_text(StatusCode::ACCEPTED, json!({"status": "accepted", "feature_views": names}).to_string()))
}
