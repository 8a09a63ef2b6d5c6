//! Batches of a scan as rows of a view: keys, stamps, widened features.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::array_value_to_string;
use lodestore_core::definition::{Feature, FileFormat, ViewVersion};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::rows::{RowStamp, TimeColumns, keys_of, stamps_of};
use lodestore_core::time::EventTime;
use lodestore_core::types::{Rounding, widen};
use lodestore_core::{Error, Result};

/// What a scan of a view reads, and how its batches become rows.
#[derive(Debug, Clone)]
pub(crate) struct RowReader {
    view: Arc<ViewVersion>,
    times: TimeColumns,
    features: Vec<usize>,
}

/// The rows of a batch.
pub(crate) struct Rows {
    pub(crate) keys: EntityKeys,
    pub(crate) stamps: Vec<Option<RowStamp>>,
    pub(crate) features: Vec<ArrayRef>,
}

impl RowReader {
    /// Returns a reader of some features, given by their places in the view's order.
    pub(crate) fn new(view: Arc<ViewVersion>, features: Vec<usize>) -> Self {
        let times = TimeColumns::of(&view);
        Self { view, times, features }
    }

    /// Returns what is read, for messages: the table's path.
    pub(crate) fn source(&self) -> String {
        format!("'{}'", self.view.table.as_ref().map_or("a source", |table| table.path.as_str()))
    }

    /// Returns the features that are read, by their places in the view's order, ascending.
    pub(crate) fn features(&self) -> &[usize] {
        &self.features
    }

    /// Returns the names of the columns that a scan must bring, in order, each once.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let keys = self.view.keys.iter().map(|key| key.name.as_str());
        let times = [&self.times.event, &self.times.created, &self.times.valid_to].into_iter().flatten();
        let features = self.features.iter().map(|&feature| self.view.features[feature].name.as_str());
        let mut columns = Vec::new();
        for name in keys.chain(times.map(String::as_str)).chain(features) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// Returns the rows of a batch with the reader's columns.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        let in_view = |error: Error| error.with_context("view", self.view.reference());
        let batch = &rename(batch, &self.columns(), &self.view)?;
        let features = self.features.iter().map(|&feature| {
            let Feature { name, feature_type, .. } = &self.view.features[feature];
            let column = &batch[name.as_str()];
            widen(name.as_str(), column, feature_type, 0).map_err(|error| {
                let fits = |row: usize| widen(name.as_str(), &column.slice(row, 1), feature_type, 0).is_ok();
                (0..column.len()).find(|&row| !fits(row)).map_or(error, |row| self.misfit(batch, row, feature))
            })
        });
        Ok(Rows {
            keys: keys_of(&self.view, batch).map_err(in_view)?,
            stamps: stamps_of(&self.times, batch).map_err(in_view)?,
            features: features.collect::<Result<_>>().map_err(in_view)?,
        })
    }

    /// Returns the error of a value that does not fit (rule V2). The row is named by its key and time:
    /// where it stands in the files is not known, since rows before it may have been pruned.
    fn misfit(&self, batch: &RecordBatch, row: usize, feature: usize) -> Error {
        let Feature { name, feature_type, .. } = &self.view.features[feature];
        let shown = |column: &str| array_value_to_string(&batch[column], row).unwrap_or_default();
        let keys = self.view.keys.iter().map(|key| key.name.as_str());
        let marks = keys.chain(self.times.event.as_deref()).map(|column| format!("{column}={}", shown(column)));
        Error::invalid(format!(
            "the value {} of column '{name}' of type {} does not fit into {feature_type}, in the row with {}",
            shown(name.as_str()),
            batch[name.as_str()].data_type(),
            marks.collect::<Vec<_>>().join(", ")
        ))
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
            FileFormat::Csv | FileFormat::Json if is_time => parse_times(name, array)?,
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
