//! One Parquet file of a table.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;
use bytes::{Buf, Bytes};
use lodestore_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ParquetMetaDataReader;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{from_parquet, from_store};
use crate::source::Place;

/// A file of a table, and what the table says of it.
#[derive(Debug, Clone)]
pub(crate) struct DataFile {
    /// Where it is in the table's store.
    pub(crate) location: Path,
    /// How long it is, in bytes.
    pub(crate) size: u64,
    /// Values of columns that are not in the file, each of length one: its partition.
    pub(crate) constants: Vec<(String, ArrayRef)>,
    /// Rows of the file that the table no longer has, ascending.
    pub(crate) deleted: Arc<[u64]>,
}

/// A column of a table, and how it is found in the files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableColumn {
    /// The column, called as in the table.
    pub(crate) field: Field,
    /// What it is called in the files; a file without it has nulls.
    pub(crate) name_in_files: String,
    /// The id that it has in the files, where these have ids; it goes before the name.
    pub(crate) id: Option<i32>,
}

impl TableColumn {
    /// Returns a column that is called in the files as in the table.
    pub(crate) fn plain(field: Field) -> Self {
        Self { name_in_files: field.name().clone(), field, id: None }
    }
}

/// Bytes of a file, wherever it is.
#[derive(Debug, Clone)]
pub(crate) enum FileBytes {
    /// Read when they are needed.
    Local { file: Arc<File>, size: u64 },
    /// Read beforehand: the ranges that a row group is decoded from.
    Fetched { ranges: Arc<[(Range<u64>, Bytes)]>, size: u64 },
}

impl FileBytes {
    /// Opens a file of the file system.
    pub(crate) fn open(path: &PathBuf) -> Result<Self> {
        let reading = |e| Error::io(format!("reading '{}'", path.display()), e);
        let file = File::open(path).map_err(reading)?;
        let size = file.metadata().map_err(reading)?.len();
        Ok(Self::Local { file: Arc::new(file), size })
    }

    /// Reads ranges of a file of a store, near ones in one request.
    pub(crate) async fn fetch(store: &dyn ObjectStore, file: &DataFile, ranges: &[Range<u64>]) -> Result<Self> {
        let bytes = store.get_ranges(&file.location, ranges).await;
        let bytes = bytes.map_err(|e| from_store(&format!("'{}'", file.location), e))?;
        Ok(Self::Fetched { ranges: ranges.iter().cloned().zip(bytes).collect(), size: file.size })
    }
}

impl Length for FileBytes {
    fn len(&self) -> u64 {
        match self {
            Self::Local { size, .. } | Self::Fetched { size, .. } => *size,
        }
    }
}

impl ChunkReader for FileBytes {
    type T = FileRead;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        match self {
            Self::Local { file, size } => {
                Ok(FileRead::Local { file: Arc::clone(file), buffer: Bytes::new(), next: start, end: *size })
            }
            Self::Fetched { .. } => Ok(FileRead::Fetched(self.fetched_from(start)?)),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        match self {
            Self::Local { file, .. } => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, start)?;
                Ok(bytes.into())
            }
            Self::Fetched { .. } => {
                let bytes = self.fetched_from(start)?;
                if bytes.len() < length {
                    return Err(ParquetError::EOF(format!("{length} bytes at {start} were not fetched")));
                }
                Ok(bytes.slice(..length))
            }
        }
    }
}

impl FileBytes {
    fn fetched_from(&self, start: u64) -> ParquetResult<Bytes> {
        let Self::Fetched { ranges, .. } = self else { return Ok(Bytes::new()) };
        let (range, bytes) = ranges
            .iter()
            .find(|(range, _)| range.contains(&start))
            .ok_or_else(|| ParquetError::EOF(format!("the bytes at {start} were not fetched")))?;
        Ok(bytes.slice((start - range.start) as usize..))
    }
}

/// Reads a file's bytes one after the other.
#[derive(Debug)]
pub(crate) enum FileRead {
    Local { file: Arc<File>, buffer: Bytes, next: u64, end: u64 },
    Fetched(Bytes),
}

/// Page headers are read through a buffer of this many bytes.
const HEADER_BYTES: u64 = 512;

impl Read for FileRead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let from = match self {
            Self::Fetched(bytes) => bytes,
            Self::Local { file, buffer, next, end } => {
                if buffer.is_empty() {
                    let length = HEADER_BYTES.min(end.saturating_sub(*next));
                    let mut bytes = vec![0; length as usize];
                    file.read_exact_at(&mut bytes, *next)?;
                    *next += length;
                    *buffer = bytes.into();
                }
                buffer
            }
        };
        let length = from.len().min(into.len());
        from.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// How many bytes at the end of a file are read at first; most footers are shorter.
const TAIL_BYTES: u64 = 64 * 1024;

/// The last bytes of a Parquet file: the length of its metadata and the magic.
const FOOTER_BYTES: u64 = 8;

/// Reads a file's metadata from its end.
///
/// # Errors
/// `Corrupt` if it is no Parquet file.
pub(crate) async fn read_metadata(place: &Place, file: &DataFile) -> Result<ArrowReaderMetadata> {
    let what = format!("'/{}'", file.location);
    let wrong = |why: &str| Error::corrupt(format!("reading {what}: it is no Parquet file: {why}"));
    if file.size < FOOTER_BYTES + 4 {
        return Err(wrong("it is too short"));
    }
    let tail_start = file.size.saturating_sub(TAIL_BYTES);
    let tail = read_range(place, file, tail_start..file.size).await?;
    let (metadata_bytes, footer) = tail.split_at(tail.len() - FOOTER_BYTES as usize);
    let (length, magic) = footer.split_at(4);
    if magic != b"PAR1" {
        return Err(wrong("it does not end with PAR1"));
    }
    // The length is checked before it is trusted: a reader would allocate that much.
    let length = length.iter().rev().fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
    if length + FOOTER_BYTES + 4 > file.size {
        return Err(wrong("its metadata would be longer than the file"));
    }
    let start = file.size - FOOTER_BYTES - length;
    let bytes = match start.checked_sub(tail_start) {
        Some(within) => Bytes::copy_from_slice(&metadata_bytes[within as usize..]),
        None => read_range(place, file, start..file.size - FOOTER_BYTES).await?,
    };
    let metadata = ParquetMetaDataReader::decode_metadata(&bytes).map_err(|e| from_parquet(&what, e))?;
    ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new()).map_err(|e| from_parquet(&what, e))
}

async fn read_range(place: &Place, file: &DataFile, range: Range<u64>) -> Result<Bytes> {
    let what = format!("'/{}'", file.location);
    match place.local_file(&file.location) {
        Some(path) => {
            let length = (range.end - range.start) as usize;
            FileBytes::open(&path)?.get_bytes(range.start, length).map_err(|e| from_parquet(&what, e))
        }
        None => place.store.get_range(&file.location, range).await.map_err(|e| from_store(&what, e)),
    }
}
