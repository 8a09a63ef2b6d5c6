//! What the Delta kernel asks of whoever uses it: files of a store, JSON and Parquet as Arrow.

use std::fmt;
use std::future::Future;
use std::io::Cursor;
use std::iter;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StructArray,
    new_null_array,
};
use arrow::compute::{cast, nullif};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::error::ArrowError;
use arrow::json::writer::LineDelimited;
use arrow::json::{ReaderBuilder, WriterBuilder};
use bytes::Bytes;
use delta_kernel::engine::arrow_conversion::{TryFromArrow, TryIntoArrow};
use delta_kernel::engine::arrow_data::{ArrowEngineData, EngineDataArrowExt};
use delta_kernel::engine::arrow_expression::ArrowEvaluationHandler;
use delta_kernel::schema::{MetadataColumnSpec, SchemaRef, StructField, StructType};
use delta_kernel::{
    Engine, EngineData, EvaluationHandler, FileDataReadResultIterator, FileMeta, FileSlice, FilteredEngineData,
    JsonHandler, KernelError, KernelResult, KernelResultIterator, KernelResultIteratorStatic, ParquetFooter,
    ParquetHandler, PredicateRef, StorageHandler,
};
use futures::TryStreamExt;
use lodestore_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use url::Url;

use crate::source::conform::{conform, find};

/// Runs work of the kernel, which waits for files, where waiting holds nobody up.
///
/// # Errors
/// Those of the work.
pub(crate) async fn with_kernel<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|e| Error::internal(format!("the reading of a delta log ended early: {e}")))?
}

/// The kernel's engine over one store. Its calls wait, so they are made in [`with_kernel`].
#[derive(Debug, Clone)]
pub(crate) struct TableEngine(Arc<LogFiles>);

impl TableEngine {
    /// Returns an engine over a store that is known by the URL `root`, on the runtime of the caller.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, root: Url) -> Self {
        Self(Arc::new(LogFiles { store, root, runtime: Handle::current() }))
    }
}

impl Engine for TableEngine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        Arc::new(ArrowEvaluationHandler)
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        Arc::clone(&self.0) as _
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        Arc::clone(&self.0) as _
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        Arc::clone(&self.0) as _
    }
}

/// Returns the URL of a path in the store that is known by the URL `root`.
pub(crate) fn url_of(root: &Url, path: &Path) -> KernelResult<Url> {
    let mut url = root.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.clear().extend(path.parts().map(|part| part.as_ref().to_owned())),
        Err(()) => return Err(KernelError::invalid_table_location(root)),
    };
    Ok(url)
}

#[derive(Clone)]
struct LogFiles {
    store: Arc<dyn ObjectStore>,
    root: Url,
    runtime: Handle,
}

impl fmt::Debug for LogFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFiles").field("root", &self.root.as_str()).finish_non_exhaustive()
    }
}

impl LogFiles {
    fn wait<T>(&self, work: impl Future<Output = object_store::Result<T>>) -> KernelResult<T> {
        Ok(self.runtime.block_on(work)?)
    }

    fn read(&self, url: &Url) -> KernelResult<Bytes> {
        let path = Path::from_url_path(url.path())?;
        self.wait(async { self.store.get(&path).await?.bytes().await })
    }

    fn meta(&self, file: &ObjectMeta) -> KernelResult<FileMeta> {
        let modified = file.last_modified.timestamp_millis();
        Ok(FileMeta::new(url_of(&self.root, &file.location)?, modified, file.size))
    }

    fn footer(&self, file: &FileMeta) -> KernelResult<(Bytes, ArrowReaderMetadata)> {
        let bytes = self.read(&file.location)?;
        // The types of a log are those of Delta, whatever its writer had in mind.
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = ArrowReaderMetadata::load(&bytes, options)?;
        Ok((bytes, metadata))
    }
}

impl StorageHandler for LogFiles {
    fn list_from(&self, path: &Url) -> KernelResult<KernelResultIteratorStatic<FileMeta>> {
        let offset = Path::from_url_path(path.path())?;
        let parts: Vec<_> = offset.parts().collect();
        let folders = if path.path().ends_with('/') { parts.len() } else { parts.len().saturating_sub(1) };
        let folder: Path = parts.iter().take(folders).cloned().collect();
        let listed = self.store.list_with_offset(Some(&folder), &offset);
        let mut files: Vec<ObjectMeta> = self.wait(listed.try_collect())?;
        files.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        let files: Vec<_> = files.iter().map(|file| self.meta(file)).collect();
        Ok(Box::new(files.into_iter()))
    }

    fn read_files(&self, files: Vec<FileSlice>) -> KernelResult<KernelResultIteratorStatic<Bytes>> {
        let read = |(url, range): FileSlice| match range {
            None => self.read(&url),
            Some(range) => {
                let path = Path::from_url_path(url.path())?;
                self.wait(self.store.get_range(&path, range))
            }
        };
        let bytes: Vec<_> = files.into_iter().map(read).collect();
        Ok(Box::new(bytes.into_iter()))
    }

    fn copy_atomic(&self, from: &Url, to: &Url) -> KernelResult<()> {
        self.put(to, self.read(from)?, false)
    }

    fn put(&self, url: &Url, data: Bytes, overwrite: bool) -> KernelResult<()> {
        let path = Path::from_url_path(url.path())?;
        let mode = if overwrite { PutMode::Overwrite } else { PutMode::Create };
        let put = self.runtime.block_on(self.store.put_opts(&path, data.into(), mode.into()));
        match put {
            Err(object_store::Error::AlreadyExists { .. }) => Err(KernelError::FileAlreadyExists(url.to_string())),
            put => Ok(put.map(drop)?),
        }
    }

    fn head(&self, url: &Url) -> KernelResult<FileMeta> {
        let path = Path::from_url_path(url.path())?;
        self.meta(&self.wait(self.store.head(&path))?)
    }

    fn delete(&self, url: &Url) -> KernelResult<()> {
        let path = Path::from_url_path(url.path())?;
        match self.runtime.block_on(self.store.delete(&path)) {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            deleted => Ok(deleted?),
        }
    }
}

impl JsonHandler for LogFiles {
    fn parse_json(&self, texts: Box<dyn EngineData>, schema: SchemaRef) -> KernelResult<Box<dyn EngineData>> {
        let texts = texts.try_into_record_batch()?;
        let column = cast(texts.column(0), &DataType::Utf8)?;
        let schema: Arc<Schema> = Arc::new(schema.as_ref().try_into_arrow()?);
        let reader = ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(texts.num_rows().max(1));
        let mut decoder = reader.with_coerce_primitive(true).build_decoder()?;
        for text in column.as_string::<i32>() {
            decoder.decode(text.unwrap_or("{}").as_bytes())?;
        }
        let rows = decoder.flush()?.unwrap_or_else(|| RecordBatch::new_empty(schema));
        if rows.num_rows() != texts.num_rows() {
            return Err(KernelError::generic("a JSON text in the log does not hold exactly one object"));
        }
        Ok(data(rows))
    }

    fn read_json_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        let (log, asked) = (self.clone(), Asked::of(&schema)?);
        Ok(one_after_the_other(files, move |file| {
            let bytes = log.read(&file.location)?;
            let reader = ReaderBuilder::new(asked.in_files()).with_coerce_primitive(true);
            Ok(asked.rows_of(file, reader.build(Cursor::new(bytes))?))
        }))
    }

    fn write_json_file(
        &self,
        url: &Url,
        rows: KernelResultIterator<'_, FilteredEngineData>,
        overwrite: bool,
    ) -> KernelResult<u64> {
        // The null of a partition must be written; nulls elsewhere may be.
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
        for rows in rows {
            writer.write(&rows?.apply_selection_vector()?.try_into_record_batch()?)?;
        }
        writer.finish()?;
        let bytes = writer.into_inner();
        let size = bytes.len() as u64;
        self.put(url, bytes.into(), overwrite)?;
        Ok(size)
    }
}

impl ParquetHandler for LogFiles {
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        schema: SchemaRef,
        _: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        let (log, asked) = (self.clone(), Asked::of(&schema)?);
        Ok(one_after_the_other(files, move |file| {
            let (bytes, metadata) = log.footer(file)?;
            let in_files = asked.in_files();
            let roots = in_files.fields().iter().filter_map(|field| find(metadata.schema().fields(), field));
            let mask = ProjectionMask::roots(metadata.parquet_schema(), roots.collect::<Vec<_>>());
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, metadata).with_projection(mask);
            Ok(asked.rows_of(file, reader.build()?))
        }))
    }

    fn write_parquet_file(&self, url: Url, _: KernelResultIteratorStatic<Box<dyn EngineData>>) -> KernelResult<u64> {
        Err(KernelError::unsupported(format!("the kernel writes no Parquet files here, so not {url}")))
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> KernelResult<ParquetFooter> {
        let (_, metadata) = self.footer(file)?;
        Ok(ParquetFooter { schema: Arc::new(StructType::try_from_arrow(metadata.schema().as_ref())?) })
    }
}

/// The columns that the kernel asks for: those of files, and some that tell where a row is.
#[derive(Clone)]
struct Asked(Vec<(FieldRef, Option<MetadataColumnSpec>)>);

impl Asked {
    fn of(schema: &StructType) -> KernelResult<Self> {
        let field = |field: &StructField| {
            let arrow: Field = field.try_into_arrow()?;
            Ok((Arc::new(arrow), field.get_metadata_column_spec()))
        };
        Ok(Self(schema.fields().map(field).collect::<KernelResult<_>>()?))
    }

    fn in_files(&self) -> Arc<Schema> {
        let fields = self.0.iter().filter(|(_, tells)| tells.is_none()).map(|(field, _)| Arc::clone(field));
        Arc::new(Schema::new(fields.collect::<Fields>()))
    }

    fn rows_of(
        &self,
        file: &FileMeta,
        batches: impl Iterator<Item = Result<RecordBatch, ArrowError>> + Send + 'static,
    ) -> FileDataReadResultIterator {
        let (asked, url) = (self.clone(), file.location.to_string());
        let mut row: i64 = 0;
        Box::new(batches.map(move |batch| {
            let rows = mask_children(&StructArray::from(batch?))?;
            let count = rows.len();
            let columns = asked.0.iter().map(|(field, tells)| -> KernelResult<ArrayRef> {
                Ok(match (tells, find(rows.fields(), field)) {
                    (Some(MetadataColumnSpec::FilePath), _) => Arc::new(StringArray::from(vec![url.as_str(); count])),
                    (Some(MetadataColumnSpec::RowIndex), _) => {
                        Arc::new(Int64Array::from_iter_values((row..).take(count)))
                    }
                    (None, Some(place)) => conform(rows.column(place), field)?,
                    _ => new_null_array(field.data_type(), count),
                })
            });
            let columns = columns.collect::<KernelResult<Vec<_>>>()?;
            row += i64::try_from(count).unwrap_or(i64::MAX);
            let schema = Schema::new(asked.0.iter().map(|(field, _)| Arc::clone(field)).collect::<Fields>());
            let options = RecordBatchOptions::new().with_row_count(Some(count));
            Ok(data(RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)?))
        }))
    }
}

/// Returns the rows of files in their order; each is read when the one before it has ended.
fn one_after_the_other(
    files: &[FileMeta],
    read: impl Fn(&FileMeta) -> KernelResult<FileDataReadResultIterator> + Send + 'static,
) -> FileDataReadResultIterator {
    let rows = move |file: FileMeta| read(&file).unwrap_or_else(|error| Box::new(iter::once(Err(error))));
    let files = files.to_vec();
    Box::new(files.into_iter().flat_map(rows))
}

/// Makes the fields of structs null where the structs are. The kernel looks at them alone, and readers of
/// Parquet leave there what they like.
fn mask_children(rows: &StructArray) -> Result<StructArray, ArrowError> {
    let is_null = rows.nulls().map(|nulls| BooleanArray::from(!nulls.inner()));
    let columns = rows.columns().iter().map(|column| {
        let masked = is_null.as_ref().map_or_else(|| Ok(Arc::clone(column)), |is_null| nullif(column, is_null))?;
        Ok(match masked.as_struct_opt() {
            Some(nested) => Arc::new(mask_children(nested)?),
            None => masked,
        })
    });
    let columns = columns.collect::<Result<_, ArrowError>>()?;
    StructArray::try_new_with_length(rows.fields().clone(), columns, rows.nulls().cloned(), rows.len())
}

fn data(rows: RecordBatch) -> Box<dyn EngineData> {
    Box::new(ArrowEngineData::new(rows))
}
