//! Rows that could not be taken, kept aside with their reasons.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::LineDelimitedWriter;
use lodestore_core::rows::RefusedRow;
use lodestore_core::{Error, Result};

/// The column that tells why a row was refused.
const REASON: &str = "refused_because";

/// Counts refused rows by their reasons and, where a path is given, writes them to a file there, a
/// JSON object a line. The file is made with the first refused row.
#[derive(Debug)]
pub(crate) struct RefusedRows {
    path: Option<PathBuf>,
    writer: Option<LineDelimitedWriter<BufWriter<File>>>,
    pub(crate) reasons: BTreeMap<String, u64>,
    pub(crate) count: u64,
}

impl RefusedRows {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, writer: None, reasons: BTreeMap::new(), count: 0 }
    }

    /// Returns the file with the refused rows, if any was written.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|_| self.writer.is_some())
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch, refused: &[RefusedRow]) -> Result<()> {
        if refused.is_empty() {
            return Ok(());
        }
        self.count += refused.len() as u64;
        for row in refused {
            *self.reasons.entry(without_place(&row.reason)).or_default() += 1;
        }
        let Some(path) = self.path.clone() else { return Ok(()) };
        let in_file = |error| Error::io(format!("writing refused rows to '{}'", path.display()), error);
        if self.writer.is_none() {
            std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(in_file)?;
            self.writer = Some(LineDelimitedWriter::new(BufWriter::new(File::create(&path).map_err(in_file)?)));
        }
        let rows = with_reasons(batch, refused)?;
        match &mut self.writer {
            Some(writer) => Ok(writer.write(&rows)?),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(&mut self) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.finish()?;
        writer.get_mut().flush().map_err(|e| Error::io("writing refused rows", e))
    }
}

/// Returns the reason without the row's number, so that equal reasons are counted together.
fn without_place(reason: &str) -> String {
    match reason.strip_prefix("the value in row ").and_then(|rest| rest.split_once(' ')) {
        Some((_, rest)) => format!("the value {rest}"),
        None => reason.to_owned(),
    }
}

/// Returns the refused rows with their reasons; columns that JSON lines can't hold are left out.
fn with_reasons(batch: &RecordBatch, refused: &[RefusedRow]) -> Result<RecordBatch> {
    let places: UInt32Array = refused.iter().map(|row| row.row as u32).collect::<Vec<_>>().into();
    let rows = take_record_batch(batch, &places)?;
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in rows.schema_ref().fields().iter().zip(rows.columns()) {
        if !matches!(field.data_type(), DataType::Map(..) | DataType::Interval(_) | DataType::Duration(_)) {
            fields.push(Field::clone(field));
            columns.push(Arc::clone(column));
        }
    }
    fields.push(Field::new(REASON, DataType::Utf8, false));
    columns.push(Arc::new(StringArray::from_iter_values(refused.iter().map(|row| &row.reason))));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
