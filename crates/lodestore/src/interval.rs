//! Questions without an entity frame: the keys and times of the views themselves (rule P9).

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use futures::StreamExt;
use lodestore_core::offline::{OfflineEngine, ScanColumns, ScanPlan};
use lodestore_core::request::{FeatureRequest, RequestedView};
use lodestore_core::rows::{TimeColumns, keys_of, stamps_of};
use lodestore_core::time::EventTime;
use lodestore_core::types::{KeyType, timestamp_type, widen};
use lodestore_core::{Error, Result};

/// The name of the questions' time column.
const TIME: &str = "event_timestamp";

/// Returns the distinct pairs of key and time of the views' rows with an event time in (start, end],
/// by time and key. A row is asked for at the moment from which it is visible: its event time plus
/// the availability delay. A view that lacks one of the key columns has null there.
pub(crate) async fn questions(
    engine: &dyn OfflineEngine,
    request: &FeatureRequest,
    start: Option<EventTime>,
    end: EventTime,
) -> Result<RecordBatch> {
    if let Some(start) = start.filter(|start| *start >= end) {
        return Err(Error::invalid(format!("start_date {start} is not before end_date {end}")));
    }
    if request.views.iter().all(|view| view.version.is_timeless()) {
        return Err(Error::invalid(
            "all views asked for are timeless: their rows give no times to ask at; give an entity frame",
        ));
    }
    let keys = key_columns(request)?;
    let mut fields = vec![Field::new(TIME, timestamp_type(), false)];
    fields.extend(keys.iter().map(|(name, ty)| Field::new(name, ty.feature_type().to_arrow(), true)));
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for view in request.views.iter().filter(|view| !view.version.is_timeless()) {
        let scan = ScanPlan {
            view: Arc::clone(&view.version),
            after: start,
            until: Some(end),
            created_since: None,
            columns: ScanColumns::KeysAndTimes,
        };
        let mut rows = engine.scan(&scan).await?.batches;
        while let Some(batch) = rows.next().await {
            let pairs = pairs(view, &batch?, &keys, &schema)?;
            batches.push(distinct(&pairs)?);
        }
    }
    distinct(&concat_batches(&schema, &batches)?)
}

fn key_columns(request: &FeatureRequest) -> Result<BTreeMap<String, KeyType>> {
    let mut columns: BTreeMap<String, KeyType> = BTreeMap::new();
    for view in &request.views {
        for (key, column) in view.version.keys.iter().zip(&view.key_columns) {
            let other = columns.insert(column.clone(), key.key_type);
            if let Some(other) = other.filter(|other| *other != key.key_type) {
                return Err(Error::invalid(format!(
                    "key column '{column}' is {other} in one view and {} in view '{}'; give an entity frame",
                    key.key_type,
                    view.version.reference()
                )));
            }
        }
    }
    Ok(columns)
}

/// Returns the keys and times of a view's rows; rows with a null in their key ask nothing.
fn pairs(
    view: &RequestedView,
    batch: &RecordBatch,
    keys: &BTreeMap<String, KeyType>,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let version = &view.version;
    let stamps = stamps_of(&TimeColumns::of(version), batch)?;
    let encoded = keys_of(version, batch)?;
    let rows: Vec<u32> = (0..batch.num_rows() as u32).filter(|&row| encoded.get(row as usize).is_some()).collect();
    let times = rows.iter().filter_map(|&row| stamps[row as usize]);
    let times = times.map(|stamp| stamp.event.plus(version.availability_delay()).as_micros());
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
    let batch = take_record_batch(batch, &UInt32Array::from(rows))?;
    let mut columns = vec![times];
    for (name, ty) in keys {
        let key = version.keys.iter().zip(&view.key_columns).find(|(_, column)| *column == name);
        columns.push(match key {
            Some((key, _)) => widen(name, &batch[key.name.as_str()], &ty.feature_type(), 0)?,
            None => new_null_array(&ty.feature_type().to_arrow(), batch.num_rows()),
        });
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Returns the rows sorted, each once.
fn distinct(batch: &RecordBatch) -> Result<RecordBatch> {
    let fields = batch.schema_ref().fields().iter().map(|field| SortField::new(field.data_type().clone()));
    let rows = RowConverter::new(fields.collect())?.convert_columns(batch.columns())?;
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_unstable_by_key(|&row| rows.row(row as usize));
    order.dedup_by_key(|row| rows.row(*row as usize));
    Ok(take_record_batch(batch, &UInt32Array::from(order))?)
}
