//! Rows as the bytes of a file, which are taken as they come to be.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::csv::WriterBuilder;
use arrow::datatypes::SchemaRef;
use lodestore_core::offline::WriteFormat;
use lodestore_core::{Error, ErrorKind, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// Encodes the rows of one file.
pub(super) enum Encoder {
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Csv { schema: SchemaRef, has_header: bool, bytes: Vec<u8> },
}

impl Encoder {
    pub(super) fn new(format: WriteFormat, schema: &SchemaRef) -> Result<Self> {
        let schema = Arc::clone(schema);
        if format == WriteFormat::Csv {
            return Ok(Self::Csv { schema, has_header: false, bytes: Vec::new() });
        }
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(from_parquet)?;
        Ok(Self::Parquet(Box::new(writer)))
    }

    /// Encodes rows.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.write(rows).map_err(from_parquet),
            Self::Csv { has_header, bytes, .. } => {
                let header = !std::mem::replace(has_header, true);
                Ok(WriterBuilder::new().with_header(header).build(bytes).write(rows)?)
            }
        }
    }

    /// Ends the row group, so that nothing of it is held here any more.
    pub(super) fn flush(&mut self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.flush().map_err(from_parquet),
            Self::Csv { .. } => Ok(()),
        }
    }

    /// Ends the file.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self {
            Self::Parquet(writer) => writer.finish().map(drop).map_err(from_parquet),
            Self::Csv { has_header: true, .. } => Ok(()),
            Self::Csv { schema, .. } => {
                let nothing = RecordBatch::new_empty(Arc::clone(schema));
                self.write(&nothing)
            }
        }
    }

    /// Takes the bytes that came to be since they were last taken.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Parquet(writer) => std::mem::take(writer.inner_mut()),
            Self::Csv { bytes, .. } => std::mem::take(bytes),
        }
    }

    /// Returns how many bytes of memory the rows take that are not bytes of the file yet.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Parquet(writer) => writer.memory_size(),
            Self::Csv { .. } => 0,
        }
    }
}

fn from_parquet(error: parquet::errors::ParquetError) -> Error {
    Error::new(ErrorKind::Invalid, format!("encoding Parquet: {error}")).with_source(error)
}
