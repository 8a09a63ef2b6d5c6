//! Delta Lake tables. The Delta kernel reads the log; the files are read as those of any table.

mod engine;

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::Field;
use bytes::Bytes;
use delta_kernel::actions::deletion_vector::{DeletionVectorDescriptor, DeletionVectorStorageType};
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::history_manager::error::{LogHistoryError, NearestTimestamp};
use delta_kernel::history_manager::{HistoryCommitType, get_earliest_commit, latest_version_as_of};
use delta_kernel::scan::state::ScanFile;
use delta_kernel::scan::{Scan, StatsOptions};
use delta_kernel::schema::{ColumnMetadataKey, DataType, MetadataValue, PrimitiveType, StructField};
use delta_kernel::table_features::ColumnMappingMode;
use delta_kernel::{Engine, KernelError, KernelResult, Snapshot, SnapshotRef};
use lodestore_core::definition::TableRef;
use lodestore_core::time::EventTime;
use lodestore_core::{Error, ErrorKind, Result};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use url::Url;

use super::conform::{has_struct, without_metadata};
use super::parquet::{DataFile, ParquetTable, TableColumn};
use super::store::Stores;
use crate::error::from_store;

pub(crate) use engine::{TableEngine, url_of, with_kernel};

/// Opens a Delta table, as of the version or time that the reference names.
///
/// # Errors
/// `NotFound` if there is no table or no such version, `Unsupported` if the table has a feature that is
/// not read, `Corrupt` if its log can't be read.
pub(crate) async fn open(stores: &Stores, reference: &TableRef) -> Result<ParquetTable> {
    let place = stores.place(&reference.path)?;
    let engine = TableEngine::new(Arc::clone(&place.store), place.root.clone());
    let root = url_of(&place.root, &place.path).map_err(|e| from_kernel(&reference.path, e))?;
    let asked = reference.clone();
    let (version, columns, files) = with_kernel(move || {
        let snapshot = snapshot(&engine, &root, &asked)?;
        let (columns, files) = contents(&engine, &snapshot, &asked)?;
        Ok((snapshot.version(), columns, files))
    })
    .await?;
    Ok(ParquetTable::new(place, columns, files, reference, format!("delta version {version}")))
}

/// Returns the rows that a deletion vector lists, ascending. It is given as both Delta's files and
/// Iceberg's Puffin files hold it: its length, a magic number, the bitmap and a checksum.
///
/// # Errors
/// `Corrupt`, naming `what`, if it is none.
pub(crate) async fn deleted_rows(what: &str, vector: &[u8]) -> Result<Vec<u64>> {
    const FRAME_BYTES: usize = 8;
    let wrong = |e| Error::corrupt(format!("reading {what}: {e}"));
    // The kernel reads vectors from files, which begin with the version of their format.
    let file = [&[1], vector].concat();
    let store = InMemory::new();
    store.put(&Path::from("vector"), Bytes::from(file).into()).await.map_err(|e| from_store(what, e))?;
    let root = Url::parse("memory:///").map_err(|e| Error::internal(format!("memory:/// is a URL: {e}")))?;
    let engine = TableEngine::new(Arc::new(store), root.clone());
    let size = i32::try_from(vector.len().saturating_sub(FRAME_BYTES)).unwrap_or(i32::MAX);
    let descriptor = DeletionVectorDescriptor {
        storage_type: DeletionVectorStorageType::PersistedAbsolute,
        path_or_inline_dv: "memory:///vector".to_owned(),
        offset: Some(1),
        size_in_bytes: size,
        cardinality: 0,
    };
    let rows = with_kernel(move || Ok(descriptor.row_indexes(engine.storage_handler(), &root))).await?;
    rows.map_err(wrong)
}

/// Returns an error about `what`, a Delta table, with the kind that the kernel's error calls for.
pub(crate) fn from_kernel(what: &str, error: KernelError) -> Error {
    let kind = match error {
        KernelError::Backtraced { source, .. } => return from_kernel(what, *source),
        KernelError::ObjectStore(error) => return from_store(&format!("'{what}'"), error),
        KernelError::IOError(error) => return Error::io(format!("reading '{what}'"), error),
        KernelError::EmptyLog | KernelError::InvalidTableLocation(_) => {
            return Error::not_found(format!(
                "no delta table is at '{what}': it has no _delta_log with a version in it"
            ));
        }
        KernelError::FileNotFound(_) | KernelError::MissingVersion(_) => ErrorKind::NotFound,
        KernelError::Unsupported(why) => return Error::unsupported(format!("the delta table '{what}': {why}")),
        KernelError::InvalidPartitionValues(_) => ErrorKind::Invalid,
        _ => ErrorKind::Corrupt,
    };
    Error::new(kind, format!("the delta table '{what}': {error}")).with_source(error)
}

fn snapshot(engine: &TableEngine, root: &Url, reference: &TableRef) -> Result<SnapshotRef> {
    let wrong = |e| from_kernel(&reference.path, e);
    let latest = Snapshot::builder_for(root).build(engine).map_err(wrong)?;
    let version = match (reference.version, reference.timestamp) {
        (None, None) => return Ok(latest),
        (Some(version), _) => {
            let log = latest.table_root().join("_delta_log/").map_err(|e| wrong(e.into()))?;
            let first = get_earliest_commit(engine, &log, None, HistoryCommitType::Recreatable).map_err(wrong)?;
            let last = latest.version();
            let there = u64::try_from(version).ok().filter(|version| (first..=last).contains(version));
            there.ok_or_else(|| {
                Error::not_found(format!(
                    "the delta table '{}' has no version {version}; it has versions {first} to {last}",
                    reference.path
                ))
            })?
        }
        (None, Some(time)) => {
            let millis = time.as_micros().div_euclid(1000);
            let found = latest_version_as_of(&latest, engine, millis, HistoryCommitType::Recreatable);
            found.map_err(|e| no_version_at(&reference.path, time, e))?.version
        }
    };
    Snapshot::builder_for(root).at_version(version).build(engine).map_err(wrong)
}

fn no_version_at(path: &str, time: EventTime, error: KernelError) -> Error {
    match error {
        KernelError::LogHistory(history) => match *history {
            LogHistoryError::TimestampOutOfRange { nearest_timestamp: NearestTimestamp::Earliest(millis), .. } => {
                let first = EventTime::from_micros(millis.saturating_mul(1000));
                Error::not_found(format!(
                    "the delta table '{path}' was not there at {time}; its first version is of {first}"
                ))
            }
            other => from_kernel(path, KernelError::LogHistory(Box::new(other))),
        },
        other => from_kernel(path, other),
    }
}

/// Returns the columns of a table and its files.
fn contents(
    engine: &TableEngine,
    snapshot: &SnapshotRef,
    reference: &TableRef,
) -> Result<(Vec<TableColumn>, Vec<DataFile>)> {
    let wrong = |e| from_kernel(&reference.path, e);
    let builder = Arc::clone(snapshot).scan_builder().without_row_transforms().with_stats(StatsOptions::none());
    let scan = builder.build().map_err(wrong)?;
    let columns = columns(&scan).map_err(wrong)?;
    let mut found = Vec::new();
    for files in scan.scan_metadata(engine).map_err(wrong)? {
        found = files.and_then(|files| files.visit_scan_files(found, |found, file| found.push(file))).map_err(wrong)?;
    }
    let data_file = |file: ScanFile| {
        let deleted = file.dv_info.get_row_indexes(engine, snapshot.table_root()).map_err(wrong)?;
        Ok(DataFile {
            location: location(snapshot.table_root(), &file.path, reference)?,
            size: u64::try_from(file.size).unwrap_or_default(),
            constants: columns.iter().filter_map(|column| column.constant(&file).transpose()).collect::<Result<_>>()?,
            deleted: deleted.unwrap_or_default().into(),
        })
    };
    let files = found.into_iter().map(data_file).collect::<Result<_>>()?;
    Ok((columns.into_iter().map(|column| column.column).collect(), files))
}

/// A column of a Delta table.
struct DeltaColumn {
    column: TableColumn,
    /// The type of a partition column, whose values are in the log.
    partition: Option<PrimitiveType>,
}

impl DeltaColumn {
    /// Returns the value that a partition column has in all rows of a file.
    fn constant(&self, file: &ScanFile) -> Result<Option<(String, ArrayRef)>> {
        let Some(partition) = &self.partition else { return Ok(None) };
        let TableColumn { field, name_in_files, .. } = &self.column;
        // The log writes null as an empty text, or leaves it out.
        let text = file.partition_values.get(name_in_files).map_or("", String::as_str);
        let value = partition.parse_scalar(text).and_then(|value| value.to_array(1));
        let value = value.map_err(|e| Error::corrupt(format!("partition column '{}': {e}", field.name())))?;
        Ok(Some((field.name().clone(), value)))
    }
}

fn columns(scan: &Scan) -> KernelResult<Vec<DeltaColumn>> {
    let mapping = scan.snapshot().table_properties().column_mapping_mode.unwrap_or(ColumnMappingMode::None);
    let column = |field: &StructField| {
        let (name, id) = match mapping {
            ColumnMappingMode::None => (field.name().as_str(), None),
            ColumnMappingMode::Name => (physical_name(field), None),
            ColumnMappingMode::Id => {
                (physical_name(field), field.column_mapping_id().and_then(|id| id.try_into().ok()))
            }
        };
        let in_files = scan.physical_schema().contains(name);
        let arrow: Field = field.try_into_arrow()?;
        let ty = without_metadata(arrow.data_type());
        if mapping != ColumnMappingMode::None && has_struct(&ty) {
            return Err(KernelError::unsupported(format!(
                "column '{}' holds structs in a table with column mapping",
                field.name()
            )));
        }
        Ok(DeltaColumn {
            column: TableColumn { field: Field::new(field.name(), ty, true), name_in_files: name.to_owned(), id },
            partition: match field.data_type() {
                DataType::Primitive(primitive) if !in_files => Some(primitive.clone()),
                _ => None,
            },
        })
    };
    scan.logical_schema().fields().map(column).collect()
}

fn physical_name(field: &StructField) -> &str {
    match field.get_config_value(&ColumnMetadataKey::ColumnMappingPhysicalName) {
        Some(MetadataValue::String(name)) => name,
        _ => field.name(),
    }
}

/// Returns where a file is, given as the log gives it: a URL, mostly a relative one.
fn location(root: &Url, path: &str, reference: &TableRef) -> Result<Path> {
    let wrong =
        |why: String| Error::corrupt(format!("the delta table '{}' lists the file {path:?}: {why}", reference.path));
    let url = root.join(path).map_err(|e| wrong(e.to_string()))?;
    if (url.scheme(), url.authority()) != (root.scheme(), root.authority()) {
        return Err(Error::unsupported(format!(
            "the delta table '{}' has files in another store, as {url}; tables are read from one store",
            reference.path
        )));
    }
    Path::from_url_path(url.path()).map_err(|e| wrong(e.to_string()))
}
