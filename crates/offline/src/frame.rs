//! Frames in files: entity frames that are read, answers that are written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::reader::Format;
use arrow::csv::{ReaderBuilder, WriterBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use lodestore_core::offline::BatchStream;
use lodestore_core::{Error, ErrorKind, Result};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

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
pub async fn write_frame(mut stream: BatchStream, path: &Path) -> Result<u64> {
    let to_csv = match ending(path).as_deref() {
        Some("parquet" | "pq") => false,
        Some("csv") => true,
        _ => return Err(unknown_ending(path)),
    };
    let writing = |e| Error::io(format!("writing '{}'", path.display()), e);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(writing)?;
    let unfinished = Unfinished::create(path).map_err(writing)?;
    let mut writer = FrameWriter::new(unfinished.file.try_clone().map_err(writing)?, &stream.schema, to_csv)?;
    let mut rows = 0;
    while let Some(batch) = stream.batches.next().await {
        let batch = batch?;
        writer
            .write(&batch)
            .map_err(|e| Error::new(e.kind(), format!("writing '{}': {}", path.display(), e.message())))?;
        rows += batch.num_rows() as u64;
    }
    writer.finish()?;
    unfinished.persist(path).map_err(writing)?;
    Ok(rows)
}

fn ending(path: &Path) -> Option<String> {
    path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase())
}

fn unknown_ending(path: &Path) -> Error {
    Error::invalid(format!("the ending of '{}' tells no format; expected .parquet or .csv", path.display()))
}

fn read_parquet(file: File) -> Result<Frame, parquet::errors::ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.build()?;
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

enum FrameWriter {
    Parquet(Box<ArrowWriter<File>>),
    Csv(Box<arrow::csv::Writer<File>>),
}

impl FrameWriter {
    fn new(file: File, schema: &SchemaRef, to_csv: bool) -> Result<Self> {
        if to_csv {
            return Ok(Self::Csv(Box::new(WriterBuilder::new().with_header(true).build(file))));
        }
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(file, Arc::clone(schema), Some(properties)).map_err(parquet_error)?;
        Ok(Self::Parquet(Box::new(writer)))
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(batch).map_err(parquet_error),
            Self::Csv(writer) => Ok(writer.write(batch)?),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.close().map(|_| ()).map_err(parquet_error),
            Self::Csv(_) => Ok(()),
        }
    }
}

fn parquet_error(error: parquet::errors::ParquetError) -> Error {
    match error {
        parquet::errors::ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => Error::io("writing Parquet", *io),
            Err(other) => Error::new(ErrorKind::Invalid, format!("writing Parquet: {other}")),
        },
        other => Error::new(ErrorKind::Invalid, format!("writing Parquet: {other}")).with_source(other),
    }
}

/// A file that is still being written, beside the place it will have. Dropped, it is gone.
struct Unfinished {
    file: File,
    path: PathBuf,
}

impl Unfinished {
    fn create(target: &Path) -> std::io::Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{}.unfinished", std::process::id()));
        Ok(Self { file: File::create(&path)?, path })
    }

    fn persist(mut self, target: &Path) -> std::io::Result<()> {
        self.file.flush()?;
        self.file.sync_all()?;
        std::fs::rename(&self.path, target)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After a rename there is nothing of this name left to remove.
        let _ = std::fs::remove_file(&self.path);
    }
}
