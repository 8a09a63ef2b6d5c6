//! Batches of a scan as rows of a view: keys, stamps, widened features.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use lodestore_core::definition::{Feature, Key, TableFormat, ViewVersion};
use lodestore_core::entity_key::KeyColumn;
use lodestore_core::rows::{RowStamp, TimeColumns};
use lodestore_core::time::EventTime;
use lodestore_core::types::{FeatureType, Rounding, event_times, widen};
use lodestore_core::{Error, Result};

/// What a scan of a view reads, and how its batches become rows.
#[derive(Debug, Clone)]
pub(crate) struct RowReader {
    view: Arc<ViewVersion>,
    times: TimeColumns,
    /// The columns that the values are made of, with their types.
    values: Vec<(String, FeatureType)>,
    /// The column of event ids, if they are read.
    event_id: Option<String>,
}

/// The times of the rows of a batch.
#[derive(Debug)]
pub(crate) struct Stamps {
    pub(crate) event: Option<Int64Array>,
    pub(crate) created: Option<Int64Array>,
    valid_to: Option<Int64Array>,
}

impl Stamps {
    /// Returns a row's times; `None` where it has no event time though the table has such.
    #[inline]
    pub(crate) fn at(&self, row: usize) -> Option<RowStamp> {
        let at = |times: &Option<Int64Array>| {
            times.as_ref().filter(|times| times.is_valid(row)).map(|times| EventTime::from_micros(times.value(row)))
        };
        let event = if self.event.is_some() { at(&self.event)? } else { EventTime::MIN };
        let created = at(&self.created).unwrap_or(EventTime::MIN);
        Some(RowStamp { event, created, valid_to: at(&self.valid_to).unwrap_or(EventTime::MAX) })
    }
}

impl RowReader {
    /// Returns a reader of some features, given by their places in the view's order.
    pub(crate) fn new(view: Arc<ViewVersion>, features: impl IntoIterator<Item = usize>) -> Self {
        let times = TimeColumns::of(&view);
        let value = |feature: usize| {
            let Feature { name, feature_type, .. } = &view.features[feature];
            (name.to_string(), feature_type.clone())
        };
        let values = features.into_iter().map(value).collect();
        Self { view, times, values, event_id: None }
    }

    /// Returns a reader of events: of some inputs of a view's aggregations, and of the events' ids.
    pub(crate) fn of_events(view: Arc<ViewVersion>, inputs: &[(String, FeatureType)]) -> Self {
        let (times, event_id) = (TimeColumns::of(&view), view.event_id.clone());
        Self { view, times, values: inputs.to_vec(), event_id }
    }

    /// Returns the reader without the created times, which then count as unknown; `None` where they are all that
    /// orders the rows, or there are none, or they are read as a feature too.
    pub(crate) fn without_created(&self) -> Option<Self> {
        let created = self.created_column()?;
        let is_feature = self.view.features.iter().any(|feature| feature.name.as_str() == created);
        let times = TimeColumns { created: None, ..self.times.clone() };
        (self.times.event.is_some() && !is_feature).then(|| Self { times, ..self.clone() })
    }

    /// Returns the name of the column of created times, if it is read.
    pub(crate) fn created_column(&self) -> Option<&str> {
        self.times.created.as_deref()
    }

    /// Returns what is read, for messages: the table's path.
    pub(crate) fn source(&self) -> String {
        format!("'{}'", self.view.table.as_ref().map_or("a source", |table| table.path.as_str()))
    }

    /// Returns the names of the columns that a scan must bring, in order, each once.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let keys = self.view.keys.iter().map(|key| key.name.as_str());
        let times = [&self.times.event, &self.times.created, &self.times.valid_to].into_iter().flatten();
        let values = self.values.iter().map(|(name, _)| name.as_str());
        let mut columns = Vec::new();
        for name in keys.chain(times.map(String::as_str)).chain(values).chain(self.event_id.as_deref()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// Returns the name of the column of event ids, if they are read.
    pub(crate) fn event_id(&self) -> Option<&str> {
        self.event_id.as_deref()
    }

    /// Returns the column of event ids of a batch with the reader's columns, and its name.
    pub(crate) fn event_ids<'a>(&'a self, batch: &'a RecordBatch) -> Option<(&'a str, &'a ArrayRef)> {
        let name = self.event_id.as_deref()?;
        let place = self.columns().iter().position(|column| *column == name)?;
        Some((name, batch.column(place)))
    }

    /// Returns the names of the features that are read.
    pub(crate) fn feature_names(&self) -> Vec<&str> {
        self.values.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Returns the types of the features that are read.
    pub(crate) fn feature_types(&self) -> Vec<DataType> {
        self.values.iter().map(|(_, ty)| ty.to_arrow()).collect()
    }

    /// Returns the key columns and the times of the rows of a batch with the reader's columns.
    pub(crate) fn keys_and_stamps(&self, batch: &RecordBatch) -> Result<(Vec<KeyColumn>, Stamps)> {
        let batch = rename(batch, &self.columns(), &self.view)?;
        let read = || {
            let key = |key: &Key| KeyColumn::new(key.name.as_str(), &batch[key.name.as_str()], key.key_type);
            let keys = self.view.keys.iter().map(key).collect::<Result<_>>()?;
            let times = |name: &Option<String>| -> Result<Option<Int64Array>> {
                name.as_deref().map(|name| event_times(name, &batch[name], Rounding::Up)).transpose()
            };
            let TimeColumns { event, created, valid_to } = &self.times;
            Ok((keys, Stamps { event: times(event)?, created: times(created)?, valid_to: times(valid_to)? }))
        };
        read().map_err(|error: Error| error.with_context("view", self.view.reference()))
    }

    /// Returns the features of a batch with the reader's columns, of the types of the view.
    pub(crate) fn features_of(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.widened(&self.values_of(batch)).map_err(|error| self.named(error, batch))
    }

    /// Returns the features of some rows of a batch with the reader's columns. A value that does not fit is an error
    /// in these, and in no other.
    pub(crate) fn features_of_rows(&self, batch: &RecordBatch, rows: &UInt32Array) -> Result<Vec<ArrayRef>> {
        let values = self.values_of(batch);
        let values = values.iter().map(|value| Ok(take(value, rows, None)?)).collect::<Result<Vec<_>>>()?;
        self.widened(&values).map_err(|error| match take_record_batch(batch, rows) {
            Ok(taken) => self.named(error, &taken),
            Err(_) => error,
        })
    }

    fn values_of(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        let columns = self.columns();
        let place = |name: &str| columns.iter().position(|column| *column == name);
        let found = self.feature_names().into_iter().filter_map(place);
        found.map(|place| Arc::clone(batch.column(place))).collect()
    }

    /// Returns an error that names the row of a value that does not fit, in place of one that can't.
    fn named(&self, error: Error, batch: &RecordBatch) -> Error {
        match self.misfit(batch) {
            Ok(Some(named)) => named,
            _ => error,
        }
    }

    /// Returns whether the columns of the reader's features are of the types of the view as they are.
    pub(crate) fn is_widened(&self, columns: &[ArrayRef]) -> bool {
        self.feature_types().iter().zip(columns).all(|(ty, column)| ty == column.data_type())
    }

    /// Returns the columns of the reader's features, of the types of the view.
    pub(crate) fn widened(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let widened = self.values.iter().zip(columns).map(|((name, ty), column)| widen(name, column, ty, 0));
        widened.collect::<Result<_>>().map_err(|error| error.with_context("view", self.view.reference()))
    }

    /// Returns the error of the first value that does not fit (rule V2), in a batch with the reader's
    /// columns. The row is named by its key and time: where it stands in the files is not known, since
    /// rows before it may have been left out.
    pub(crate) fn misfit(&self, batch: &RecordBatch) -> Result<Option<Error>> {
        let batch = rename(batch, &self.columns(), &self.view)?;
        for (name, ty) in &self.values {
            let column = &batch[name.as_str()];
            let fits = |row: usize| widen(name, &column.slice(row, 1), ty, 0).is_ok();
            let Some(row) = (0..column.len()).find(|&row| !fits(row)) else { continue };
            let shown = |column: &str| array_value_to_string(&batch[column], row).unwrap_or_default();
            let keys = self.view.keys.iter().map(|key| key.name.as_str());
            let marks = keys.chain(self.times.event.as_deref()).map(|column| format!("{column}={}", shown(column)));
            let error = Error::invalid(format!(
                "the value {} of column '{name}' of type {} does not fit into {ty}, in the row with {}",
                shown(name),
                column.data_type(),
                marks.collect::<Vec<_>>().join(", ")
            ));
            return Ok(Some(error.with_context("view", self.view.reference())));
        }
        Ok(None)
    }
}

/// Returns the batch with its columns called as in the view, and the times of text formats parsed.
pub(crate) fn rename(batch: &RecordBatch, columns: &[&str], view: &ViewVersion) -> Result<RecordBatch> {
    let table = view.table.as_ref().ok_or_else(|| Error::internal("a scanned view has a table"))?;
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays = Vec::with_capacity(columns.len());
    for (name, array) in columns.iter().zip(batch.columns()) {
        let is_time = table.times.columns().any(|time| time == *name);
        let array = match table.format {
            TableFormat::Csv | TableFormat::Json if is_time => parse_times(name, array)?,
            _ => Arc::clone(array),
        };
        fields.push(Field::new(*name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}

/// Parses the times of a source that has them as text. A finer time rounds up (rule T2).
fn parse_times(column: &str, array: &ArrayRef) -> Result<ArrayRef> {
    if *array.data_type() != DataType::Utf8 {
        return Ok(Arc::clone(array));
    }
    let parse = |(row, text): (usize, Option<&str>)| match text {
        None => Ok(None),
        Some(text) => EventTime::parse_rounded(text, Rounding::Up)
            .map(|time| Some(time.as_micros()))
            .map_err(|e| Error::invalid(format!("row {row} of time column '{column}': {}", e.message()))),
    };
    let micros = array.as_string::<i32>().iter().enumerate().map(parse);
    let micros = micros.collect::<Result<TimestampMicrosecondArray>>()?;
    Ok(Arc::new(micros.with_timezone("UTC")))
}
