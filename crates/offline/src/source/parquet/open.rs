//! Opens folders, globs and single files of Parquet as tables.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use futures::{StreamExt, TryStreamExt, stream};
use lodestore_core::definition::{TableRef, ViewVersion};
use lodestore_core::{Error, Result};

use super::file::{DataFile, TableColumn, read_metadata};
use super::table::{FILES_AT_A_TIME, ParquetTable};
use crate::source::files::{Files, partition_array, partition_field};
use crate::source::store::Stores;
use crate::source::text::declared_type;

/// Opens the Parquet files at a table's path. The table has the columns of all of them together, and
/// those of their Hive partitions, whose values have the types that `view` declares.
pub(crate) async fn open_files(
    stores: &Stores,
    reference: &TableRef,
    view: Option<&ViewVersion>,
) -> Result<ParquetTable> {
    let found = Files::find(stores, reference, ".parquet").await?;
    let declared = |name: &String| {
        let in_view = reference.field_mapping.get(name).unwrap_or(name);
        partition_field(name, view.and_then(|view| declared_type(view, reference, in_view)))
    };
    let partitions: Vec<Field> = found.partitions.iter().map(declared).collect();
    let filled = found.files.iter().filter(|file| file.size > 0);
    let files = filled.map(|file| {
        let values = found.partition_values(file);
        let constants = partitions
            .iter()
            .zip(values)
            .map(|(column, value)| Ok((column.name().clone(), partition_array(column, value.as_deref())?)));
        Ok(DataFile {
            location: file.location.clone(),
            size: file.size,
            constants: constants.collect::<Result<_>>()?,
            deleted: Arc::new([]),
        })
    });
    let files: Vec<DataFile> = files.collect::<Result<_>>()?;
    let place = &found.place;
    let reads: Vec<_> = files.iter().map(|file| read_metadata(place, file)).collect();
    let metadata: Vec<_> = stream::iter(reads).buffered(FILES_AT_A_TIME).try_collect().await?;
    let schemas = metadata.iter().map(|metadata| metadata.schema().as_ref().clone().with_metadata([].into()));
    let merged = Schema::try_merge(schemas)
        .map_err(|e| Error::invalid(format!("the files of '{}' do not go together: {e}", reference.path)))?;
    let in_path = |field: &Field| partitions.iter().any(|partition| partition.name() == field.name());
    let in_files = merged.fields().iter().filter(|field| !in_path(field)).map(|field| field.as_ref().clone());
    let columns = in_files.chain(partitions.iter().cloned()).map(|field| TableColumn::plain(field.with_nullable(true)));
    let table = ParquetTable::new(found.place.clone(), columns.collect(), files, reference, found.fingerprint());
    let table = table.with_metadata(metadata);
    Ok(if partitions.is_empty() { table } else { table.with_declared_types() })
}
