//! Frames in files: entity frames that are read, answers that are written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Seek;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use lodestore_core::offline::{BatchStream, WriteTarget};
use lodestore_core::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::sink;
use crate::source::Stores;

/// Rows that were read from a file.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The schema of the batches.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// Reads a frame from a Parquet or CSV file, told apart by the ending. `declared` gives the types of
/// columns of a CSV file; those of other columns are inferred.
///
/// # Errors
/// `NotFound`, `PermissionDenied` or `Corrupt` where the file can't be read, `Invalid` for another
/// ending or a value of the wrong type.
pub fn read_frame(path: &Path, declared: &BTreeMap<String, DataType>) -> Result<Frame> {
    let reading = || format!("reading '{}'", path.display());
    let file = File::open(path).map_err(|e| Error::io(reading(), e))?;
    match ending(path).as_deref() {
        Some("parquet" | "pq") => read_parquet(file).map_err(|e| Error::corrupt(format!("{}: {e}", reading()))),
        Some("csv") => {
            read_csv(file, declared).map_err(|e| Error::new(e.kind(), format!("{}: {}", reading(), e.message())))
        }
        _ => Err(unknown_ending(path)),
    }
}

/// Writes a stream to a Parquet or CSV file, told apart by the ending; returns the number of rows.
/// The file is there wholly or not at all.
///
/// # Errors
/// `Invalid` for another ending, what the stream says, or what the file system says.
pub async fn write_frame(stream: BatchStream, path: &Path) -> Result<u64> {
    let target = WriteTarget::by_ending(path.to_string_lossy())?;
    if target.is_folder() {
        return Err(unknown_ending(path));
    }
    let here = Stores::new(PathBuf::new(), BTreeMap::new());
    Ok(sink::write(&here, stream, &target).await?.rows)
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase())
}

fn unknown_ending(path: &Path) -> Error {
    Error::invalid(format!("the ending of '{}' tells no format; expected .parquet or .csv", path.display()))
}

/// How many rows of a frame are in a batch: many, since an answer's batches are no larger.
const ROWS_OF_A_FRAME: usize = 64 * 1024;

fn read_parquet(file: File) -> Result<Frame, parquet::errors::ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(ROWS_OF_A_FRAME).build()?;
    let schema = arrow::array::RecordBatchReader::schema(&reader);
    Ok(Frame { schema, batches: reader.collect::<Result<_, _>>()? })
}

fn read_csv(mut file: File, declared: &BTreeMap<String, DataType>) -> Result<Frame> {
    let (inferred, _) = Format::default().with_header(true).infer_schema(&mut file, None)?;
    file.rewind().map_err(|e| Error::io("reading the start of the file again", e))?;
    let fields = inferred.fields().iter().map(|field| {
        let ty = declared.get(field.name()).unwrap_or(field.data_type());
        Field::new(field.name(), ty.clone(), true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let reader = ReaderBuilder::new(Arc::clone(&schema)).with_header(true).build(file)?;
    Ok(Frame { schema, batches: reader.collect::<Result<_, _>>()? })
}
