//! The data files of a write: one or more for each partition, in the folders that the table has for them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder, StructArray,
    UInt32Array, new_null_array,
};
use arrow::compute::{cast, take_record_batch};
use arrow::datatypes::Schema;
use arrow::row::{OwnedRow, RowConverter, SortField};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::engine::arrow_conversion::scalar::extract_primitive_scalar;
use delta_kernel::engine::arrow_data::{ArrowEngineData, EngineDataArrowExt};
use delta_kernel::transaction::BoundWriteContext;
use delta_kernel::{Engine, ExpressionEvaluator, KernelResult};
use lodestore_core::{Error, Result};
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::async_writer::AsyncArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tokio::runtime::Handle;

use super::{Layout, draft};
use crate::error::{from_parquet, from_store};
use crate::source::Place;
use crate::source::delta::from_kernel;

/// How many files are open at a time, at the most.
const OPEN_FILES: usize = 64;

/// How many bytes of rows are held for open files, at the most.
const HELD_BYTES: usize = 256 * 1024 * 1024;

/// A file that was written.
pub(super) struct AddedFile {
    /// Its path as the log has it.
    path: String,
    partition: HashMap<String, Option<String>>,
    size: u64,
    modified_millis: i64,
    pub(super) rows: u64,
}

impl AddedFile {
    /// Returns files in the form in which the kernel takes them.
    pub(super) fn batch(files: &[Self]) -> KernelResult<RecordBatch> {
        let names = MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
        let mut partitions = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
        for file in files {
            for (name, value) in &file.partition {
                partitions.keys().append_value(name);
                partitions.values().append_option(value.as_ref());
            }
            partitions.append(true)?;
        }
        let numbers = |number: fn(&Self) -> u64| -> ArrayRef {
            let signed = files.iter().map(|file| i64::try_from(number(file)).unwrap_or(i64::MAX));
            Arc::new(Int64Array::from_iter_values(signed))
        };
        let modified = files.iter().map(|file| file.modified_millis);
        let stats = RecordBatch::try_from_iter([("numRecords", numbers(|file| file.rows))])?;
        Ok(RecordBatch::try_from_iter([
            ("path", Arc::new(StringArray::from_iter_values(files.iter().map(|file| &file.path))) as ArrayRef),
            ("partitionValues", Arc::new(partitions.finish())),
            ("size", numbers(|file| file.size)),
            ("modificationTime", Arc::new(Int64Array::from_iter_values(modified))),
            ("stats", Arc::new(StructArray::from(stats))),
        ])?)
    }
}

/// Returns a name that no other file has.
pub(super) fn random_name() -> Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Error::unavailable(format!("no random name could be made: {e}")))?;
    let hex = u128::from_be_bytes(bytes);
    let hex = format!("{hex:032x}");
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// Writes rows to the data files of a table.
pub(super) struct DataFiles {
    place: Place,
    layout: Layout,
    /// The files that were begun, to be removed unless they are kept.
    begun: Vec<Path>,
    runtime: Handle,
    /// Compares rows by the columns that they are partitioned by.
    converter: RowConverter,
    /// By their partitions; a table without partitions has one.
    open: HashMap<Option<OwnedRow>, OpenFile>,
    added: Vec<AddedFile>,
}

struct OpenFile {
    context: BoundWriteContext,
    /// From the rows of the table, without its partition columns, to what files hold.
    evaluator: Arc<dyn ExpressionEvaluator>,
    writer: AsyncArrowWriter<BufWriter>,
    location: Path,
    path: String,
    rows: u64,
}

impl DataFiles {
    pub(super) fn new(place: Place, layout: Layout) -> Result<Self> {
        let partition = |name: &String| layout.columns.iter().find(|field| field.name() == name);
        let fields = layout.partition_by.iter().filter_map(partition);
        let converter = RowConverter::new(fields.map(|field| SortField::new(field.data_type().clone())).collect())?;
        let (begun, open, added) = (Vec::new(), HashMap::new(), Vec::new());
        Ok(Self { place, layout, begun, runtime: Handle::current(), converter, open, added })
    }

    /// Writes rows, each to the file of its partition.
    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.as_in_table(batch)?;
        for (partition, rows) in self.by_partition(&rows)? {
            if !self.open.contains_key(&partition) {
                let file = self.create(&rows)?;
                self.open.insert(partition.clone(), file);
            }
            if let Some(file) = self.open.get_mut(&partition) {
                file.write(&rows, &self.layout).await?;
            }
            if self.open.len() > OPEN_FILES {
                self.close().await?;
            }
        }
        let held: usize = self.open.values().map(|file| file.writer.in_progress_size()).sum();
        if held > HELD_BYTES { self.close().await } else { Ok(()) }
    }

    /// Completes all files, and returns them.
    pub(super) async fn finish(&mut self) -> Result<Vec<AddedFile>> {
        self.close().await?;
        Ok(std::mem::take(&mut self.added))
    }

    /// Leaves the files where they are when this is dropped.
    pub(super) fn keep(mut self) {
        self.begun.clear();
    }

    /// Puts the columns of an answer into the order and types of the table.
    fn as_in_table(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.layout.columns.iter().map(|field| match batch.column_by_name(field.name()) {
            Some(array) => {
                let plain = draft::delta_type(array.data_type()).unwrap_or_else(|| array.data_type().clone());
                Ok(cast(&cast(array, &plain)?, field.data_type())?)
            }
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
        });
        let schema = Schema::new(self.layout.columns.clone());
        Ok(RecordBatch::try_new(Arc::new(schema), columns.collect::<Result<_>>()?)?)
    }

    fn by_partition(&self, rows: &RecordBatch) -> Result<Vec<(Option<OwnedRow>, RecordBatch)>> {
        let columns: Vec<ArrayRef> =
            self.layout.partition_by.iter().filter_map(|name| rows.column_by_name(name)).cloned().collect();
        if columns.is_empty() {
            return Ok(vec![(None, rows.clone())]);
        }
        let values = self.converter.convert_columns(&columns)?;
        let mut places: HashMap<OwnedRow, Vec<u32>> = HashMap::new();
        for (place, value) in (0_u32..).zip(values.iter()) {
            places.entry(value.owned()).or_default().push(place);
        }
        let part = |(value, places): (OwnedRow, Vec<u32>)| {
            Ok((Some(value), take_record_batch(rows, &UInt32Array::from(places))?))
        };
        places.into_iter().map(part).collect()
    }

    /// Begins the file that rows of one partition go to.
    fn create(&mut self, rows: &RecordBatch) -> Result<OpenFile> {
        let wrong = |e| from_kernel(&self.layout.path, e);
        let builder = self.layout.state.write_context_builder();
        let builder = if self.layout.partition_by.is_empty() {
            builder
        } else {
            let value = |name: &String| {
                let column =
                    rows.column_by_name(name).ok_or_else(|| Error::internal("a partition column was checked"))?;
                Ok((name.clone(), extract_primitive_scalar(column.as_ref(), 0).map_err(wrong)?))
            };
            builder.with_partition_values(self.layout.partition_by.iter().map(value).collect::<Result<_>>()?)
        };
        let context = builder.build().map_err(wrong)?;
        let physical = context.physical_data_schema();
        let evaluator = self.layout.engine.evaluation_handler().new_expression_evaluator(
            Arc::clone(context.logical_data_schema()),
            context.logical_to_physical(),
            Arc::clone(physical).into(),
        );
        let evaluator = evaluator.map_err(wrong)?;
        let url = context.write_dir().join(&format!("part-{}.parquet", random_name()?)).map_err(|e| wrong(e.into()))?;
        let path = context.resolve_file_path(&url).map_err(wrong)?;
        let below = Path::from_url_path(&path).map_err(|e| wrong(e.into()))?;
        let location: Path = self.place.path.parts().chain(below.parts()).collect();
        let schema: Schema = physical.as_ref().try_into_arrow()?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(Default::default())).build();
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        self.begun.push(location.clone());
        let sink = BufWriter::new(Arc::clone(&self.place.store), location.clone());
        let writer = AsyncArrowWriter::try_new_with_options(sink, Arc::new(schema), options);
        let writer = writer.map_err(|e| from_parquet(&format!("'{path}'"), e))?;
        Ok(OpenFile { context, evaluator, writer, location, path, rows: 0 })
    }

    async fn close(&mut self) -> Result<()> {
        for (_, mut file) in self.open.drain() {
            file.writer.finish().await.map_err(|e| from_parquet(&format!("'{}'", file.path), e))?;
            let head = self.place.store.head(&file.location).await;
            let head = head.map_err(|e| from_store(&format!("'{}'", file.path), e))?;
            self.added.push(AddedFile {
                path: file.path,
                partition: file.context.physical_partition_values().clone(),
                size: head.size,
                modified_millis: head.last_modified.timestamp_millis(),
                rows: file.rows,
            });
        }
        Ok(())
    }
}

impl OpenFile {
    async fn write(&mut self, rows: &RecordBatch, layout: &Layout) -> Result<()> {
        let wrong = |e| from_kernel(&layout.path, e);
        let is_data = |name: &str| !layout.partition_by.iter().any(|partition| partition == name);
        let data: Vec<usize> =
            (0..rows.num_columns()).filter(|&place| is_data(rows.schema_ref().field(place).name())).collect();
        let data = ArrowEngineData::new(rows.project(&data)?);
        let physical = self.evaluator.evaluate(&data).try_into_record_batch().map_err(wrong)?;
        self.rows += rows.num_rows() as u64;
        self.writer.write(&physical).await.map_err(|e| from_parquet(&format!("'{}'", self.path), e))
    }
}

impl Drop for DataFiles {
    /// Removes the files, unless they were kept. One that can't be removed is an orphan, which no reader sees.
    fn drop(&mut self) {
        let (begun, open) = (std::mem::take(&mut self.begun), std::mem::take(&mut self.open));
        if begun.is_empty() {
            return;
        }
        if self.place.local.is_some() {
            drop(open);
            begun
                .iter()
                .filter_map(|path| self.place.local_file(path))
                .for_each(|file| drop(std::fs::remove_file(file)));
            return;
        }
        let store = Arc::clone(&self.place.store);
        self.runtime.spawn(async move {
            for file in open.into_values() {
                drop(file.writer.into_inner().abort().await);
            }
            for path in begun {
                drop(store.delete(&path).await);
            }
        });
    }
}
