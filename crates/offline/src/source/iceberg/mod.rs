//! Apache Iceberg tables, by the path of their folder or of one of their metadata files. The iceberg
//! crate reads the metadata; the files are read as those of any table.

mod deletes;
mod metadata;
mod types;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::Field;
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{
    DataContentType, DataFileFormat, ManifestEntryRef, ManifestFile, NestedField, PartitionSpec, Schema, SnapshotRef,
    TableMetadata, Transform,
};
use lodestore_core::definition::TableRef;
use lodestore_core::time::EventTime;
use lodestore_core::{Error, ErrorKind, Result};

use self::deletes::Deletes;
use self::metadata::MetadataFiles;
use self::types::{arrow_type, literal_array};
use super::conform::has_struct;
use super::parquet::{DataFile, ParquetTable, TableColumn};
use super::store::Stores;

/// How many manifests are read at a time.
const MANIFESTS_AT_A_TIME: usize = 16;

/// The table property by which files without field ids are read.
const NAME_MAPPING: &str = "schema.name-mapping.default";

/// Opens an Iceberg table, as of the snapshot or time that the reference names.
///
/// # Errors
/// `NotFound` if there is no table or no such snapshot, `Unsupported` if the table holds what is not read,
/// `Corrupt` if its metadata can't be read.
pub(crate) async fn open(stores: &Stores, reference: &TableRef) -> Result<ParquetTable> {
    let files = MetadataFiles::of(stores, reference)?;
    let metadata = files.table().await?;
    let snapshot = snapshot(&metadata, reference)?;
    let is_current = reference.version.is_none() && reference.timestamp.is_none();
    let schema = match &snapshot {
        Some(snapshot) if !is_current => snapshot.schema(&metadata).map_err(|e| from_iceberg(&reference.path, e))?,
        _ => Arc::clone(metadata.current_schema()),
    };
    let columns = columns(&metadata, &schema, reference)?;
    let plan = match &snapshot {
        Some(snapshot) => Plan::read(&files, &metadata, snapshot).await?,
        None => Plan::default(),
    };
    let revision = match &snapshot {
        Some(snapshot) => format!("iceberg snapshot {}", snapshot.snapshot_id()),
        None => "iceberg table without a snapshot".to_owned(),
    };
    let data_files = plan.data_files(&files, &metadata, &columns).await?;
    Ok(ParquetTable::new(files.place, columns, data_files, reference, revision))
}

/// Returns an error about an Iceberg table with the kind that the crate's error calls for.
fn from_iceberg(path: &str, error: iceberg::Error) -> Error {
    let kind = match error.kind() {
        iceberg::ErrorKind::FeatureUnsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Corrupt,
    };
    let message = format!("reading the iceberg table '{path}': {}", error.message());
    Error::new(kind, message).with_source(error)
}

fn unsupported(path: &str, what: &str) -> Error {
    Error::unsupported(format!("the iceberg table '{path}' has {what}, which are not read"))
}

fn snapshot(metadata: &TableMetadata, reference: &TableRef) -> Result<Option<SnapshotRef>> {
    let id = match (reference.version, reference.timestamp) {
        (None, None) => return Ok(metadata.current_snapshot().cloned()),
        (Some(id), _) => id,
        (None, Some(time)) => {
            let was_current = metadata.history().iter().filter(|entry| moment(entry.timestamp_ms) <= time);
            let last = was_current.max_by_key(|entry| entry.timestamp_ms);
            last.map(|entry| entry.snapshot_id).ok_or_else(|| {
                Error::not_found(format!(
                    "the iceberg table '{}' had no snapshot at {time}; {}",
                    reference.path,
                    snapshots_of(metadata)
                ))
            })?
        }
    };
    metadata.snapshot_by_id(id).cloned().map(Some).ok_or_else(|| {
        Error::not_found(format!(
            "the iceberg table '{}' has no snapshot {id}; {}",
            reference.path,
            snapshots_of(metadata)
        ))
    })
}

/// Returns the newest snapshots of a table in words.
fn snapshots_of(metadata: &TableMetadata) -> String {
    const SHOWN: usize = 10;
    let mut snapshots: Vec<_> = metadata.snapshots().collect();
    snapshots.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.timestamp_ms()));
    let show = |snapshot: &&SnapshotRef| format!("{} of {}", snapshot.snapshot_id(), moment(snapshot.timestamp_ms()));
    let shown: Vec<_> = snapshots.iter().copied().take(SHOWN).map(|snapshot| show(&snapshot)).collect();
    match snapshots.len() {
        0 => "it has none".to_owned(),
        count if count <= SHOWN => format!("it has {}", shown.join(", ")),
        count => format!("it has {} and {} older ones", shown.join(", "), count - SHOWN),
    }
}

fn moment(millis: i64) -> EventTime {
    EventTime::from_micros(millis.saturating_mul(1000))
}

/// Returns the columns of a schema, and how they are found in files of every age.
fn columns(metadata: &TableMetadata, schema: &Schema, reference: &TableRef) -> Result<Vec<TableColumn>> {
    let ever = || metadata.schemas_iter().flat_map(|schema| schema.as_struct().fields());
    let column = |field: &NestedField| {
        let unsupported = |what: &str| unsupported(&reference.path, &format!("{what} in column '{}'", field.name));
        let ty = arrow_type(&field.field_type).map_err(|e| from_iceberg(&reference.path, e))?;
        if field.initial_default.is_some() {
            return Err(unsupported("initial defaults"));
        }
        if has_struct(&ty) && ever().any(|other| other.id == field.id && other.field_type != field.field_type) {
            return Err(unsupported("structs whose fields have changed"));
        }
        let name_was_anothers = ever().any(|other| other.name == field.name && other.id != field.id);
        let had_another_name = ever().any(|other| other.name != field.name && other.id == field.id);
        if (name_was_anothers || had_another_name) && metadata.properties().contains_key(NAME_MAPPING) {
            return Err(unsupported("files without field ids and a new name"));
        }
        // Files are asked for the id. What they have under a name that another column had is not this column.
        let name_in_files = if name_was_anothers { String::new() } else { field.name.clone() };
        Ok(TableColumn { field: Field::new(&field.name, ty, true), name_in_files, id: Some(field.id) })
    };
    schema.as_struct().fields().iter().map(|field| column(field)).collect()
}

/// An entry of a manifest and the partition spec that it was written with.
type Entry = (ManifestEntryRef, i32);

/// The files of a snapshot.
#[derive(Default)]
struct Plan {
    data: Vec<Entry>,
    deletes: Vec<Entry>,
}

impl Plan {
    async fn read(files: &MetadataFiles<'_>, metadata: &TableMetadata, snapshot: &SnapshotRef) -> Result<Self> {
        let manifests = files.manifests(metadata, snapshot).await?;
        let reads: Vec<_> = manifests.entries().iter().map(|manifest| live_entries(files, manifest)).collect();
        let entries: Vec<Vec<Entry>> = stream::iter(reads).buffered(MANIFESTS_AT_A_TIME).try_collect().await?;
        let is_data = |(entry, _): &Entry| entry.content_type() == DataContentType::Data;
        let (data, deletes) = entries.into_iter().flatten().partition(is_data);
        Ok(Self { data, deletes })
    }

    async fn data_files(
        &self,
        files: &MetadataFiles<'_>,
        metadata: &TableMetadata,
        columns: &[TableColumn],
    ) -> Result<Vec<DataFile>> {
        let deletes = Deletes::read(files, columns, &self.deletes).await?;
        let mut data_files = Vec::with_capacity(self.data.len());
        for (entry, spec) in &self.data {
            if entry.file_format() != DataFileFormat::Parquet {
                return Err(unsupported(files.path(), &format!("{} files", entry.file_format())));
            }
            let constants = match metadata.partition_spec_by_id(*spec) {
                Some(spec) => constants(entry, spec, columns).map_err(|e| e.with_context("table", files.path()))?,
                None => HashMap::new(),
            };
            let mut file = DataFile {
                location: files.locate(entry.file_path())?,
                size: entry.file_size_in_bytes(),
                constants: constants.into_iter().collect(),
                deleted: Arc::new([]),
            };
            file.deleted = deletes.rows_of(files, &file, entry, *spec).await?.into();
            data_files.push(file);
        }
        Ok(data_files)
    }
}

async fn live_entries(files: &MetadataFiles<'_>, manifest: &ManifestFile) -> Result<Vec<Entry>> {
    let (entries, _) = files.manifest(manifest).await?.into_parts();
    let live = entries.into_iter().filter(|entry| entry.is_alive());
    Ok(live.map(|entry| (entry, manifest.partition_spec_id)).collect())
}

/// Returns the values of the columns that a file is partitioned by as they are. Files that were
/// brought in from Hive do not hold them.
fn constants(
    entry: &ManifestEntryRef,
    spec: &PartitionSpec,
    columns: &[TableColumn],
) -> Result<HashMap<String, ArrayRef>> {
    let mut constants = HashMap::new();
    for (partition, value) in spec.fields().iter().zip(entry.data_file().partition().iter()) {
        let column = columns.iter().find(|column| column.id == Some(partition.source_id));
        if let (Some(column), Transform::Identity) = (column, partition.transform) {
            let ty = column.field.data_type();
            let array = value.map_or_else(|| Ok(new_null_array(ty, 1)), |value| literal_array(value, ty));
            constants.insert(column.field.name().clone(), array?);
        }
    }
    Ok(constants)
}
