//! Rows that a table no longer has, although its files do: by their places in files (position deletes and
//! deletion vectors), and by the values of columns (equality deletes).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use futures::{StreamExt, TryStreamExt, stream};
use iceberg::spec::{DataContentType, DataFileFormat, ManifestEntryRef};
use lodestore_core::{Error, Result};

use super::metadata::MetadataFiles;
use super::{Entry, unsupported};
use crate::source::parquet::{DataFile, ParquetTable, TableColumn};
use crate::source::{Bounds, Table, delta};

/// The ids of the columns of a file of position deletes.
const FILE_PATH_ID: i32 = 2_147_483_546;
const POSITION_ID: i32 = 2_147_483_545;

/// What a table's delete files say.
#[derive(Default)]
pub(super) struct Deletes {
    /// Rows by the file that they are in, each list with the sequence number of its delete file.
    positions: HashMap<String, Vec<(i64, Vec<u64>)>>,
    equality: Vec<EqualityDelete>,
}

/// Rows with these values are deleted.
struct EqualityDelete {
    entry: ManifestEntryRef,
    spec: i32,
    /// The columns that are compared.
    columns: Vec<TableColumn>,
    values: HashSet<OwnedRow>,
}

impl Deletes {
    /// Reads delete files.
    pub(super) async fn read(files: &MetadataFiles<'_>, columns: &[TableColumn], entries: &[Entry]) -> Result<Self> {
        let mut deletes = Self::default();
        for (entry, spec) in entries {
            match (entry.content_type(), entry.file_format()) {
                (DataContentType::PositionDeletes, DataFileFormat::Parquet) => {
                    deletes.add_positions(files, entry).await?;
                }
                (DataContentType::PositionDeletes, DataFileFormat::Puffin) => deletes.add_vector(files, entry).await?,
                (DataContentType::EqualityDeletes, DataFileFormat::Parquet) => {
                    deletes.equality.push(EqualityDelete::read(files, columns, entry, *spec).await?);
                }
                (_, format) => return Err(unsupported(files.path(), &format!("delete files in {format}"))),
            }
        }
        Ok(deletes)
    }

    /// Returns the rows of a data file that are deleted, ascending.
    pub(super) async fn rows_of(
        &self,
        files: &MetadataFiles<'_>,
        file: &DataFile,
        entry: &ManifestEntryRef,
        spec: i32,
    ) -> Result<Vec<u64>> {
        let sequence = sequence_of(entry);
        let by_place = self.positions.get(entry.file_path()).into_iter().flatten();
        let by_place = by_place.filter(|(deleted_at, _)| *deleted_at >= sequence);
        let mut deleted: BTreeSet<u64> = by_place.flat_map(|(_, rows)| rows.iter().copied()).collect();
        for delete in &self.equality {
            if delete.is_about(entry, spec) {
                deleted.extend(delete.rows_of(files, file).await?);
            }
        }
        Ok(deleted.into_iter().collect())
    }

    async fn add_positions(&mut self, files: &MetadataFiles<'_>, entry: &ManifestEntryRef) -> Result<()> {
        let column =
            |name: &str, ty, id| TableColumn { id: Some(id), ..TableColumn::plain(Field::new(name, ty, true)) };
        let columns = [column("file_path", DataType::Utf8, FILE_PATH_ID), column("pos", DataType::Int64, POSITION_ID)];
        let rows = read_columns(files, file_of(files, entry)?, &columns).await?;
        let sequence = sequence_of(entry);
        for batch in rows {
            let (paths, positions) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
            for (path, position) in paths.iter().zip(positions) {
                let (Some(path), Some(Ok(position))) = (path, position.map(u64::try_from)) else {
                    return Err(Error::corrupt(format!("'{}' has a row that deletes nothing", entry.file_path())));
                };
                match self.positions.get_mut(path) {
                    None => drop(self.positions.insert(path.to_owned(), vec![(sequence, vec![position])])),
                    Some(lists) => match lists.iter_mut().find(|(other, _)| *other == sequence) {
                        Some((_, rows)) => rows.push(position),
                        None => lists.push((sequence, vec![position])),
                    },
                }
            }
        }
        Ok(())
    }

    async fn add_vector(&mut self, files: &MetadataFiles<'_>, entry: &ManifestEntryRef) -> Result<()> {
        let data = entry.data_file();
        let what = format!("'{}'", entry.file_path());
        let range = data.content_offset().zip(data.content_size_in_bytes());
        let range = range.and_then(|(start, size)| Some((u64::try_from(start).ok()?, u64::try_from(size).ok()?)));
        let (Some((start, size)), Some(file)) = (range, data.referenced_data_file()) else {
            return Err(Error::corrupt(format!(
                "{what} holds a deletion vector, but no file and place are given for it"
            )));
        };
        let vector = files.read_range(&files.locate(entry.file_path())?, start..start + size).await?;
        let rows = delta::deleted_rows(&what, &vector).await?;
        self.positions.entry(file).or_default().push((sequence_of(entry), rows));
        Ok(())
    }
}

impl EqualityDelete {
    async fn read(
        files: &MetadataFiles<'_>,
        columns: &[TableColumn],
        entry: &ManifestEntryRef,
        spec: i32,
    ) -> Result<Self> {
        let ids = entry.data_file().equality_ids().unwrap_or_default();
        let column = |id: &i32| columns.iter().find(|column| column.id == Some(*id)).cloned();
        let columns: Option<Vec<TableColumn>> = ids.iter().map(column).collect();
        let columns = columns.filter(|columns| !columns.is_empty());
        let columns = columns.ok_or_else(|| unsupported(files.path(), "rows deleted by nested or removed columns"))?;
        let converter = converter(&columns)?;
        let mut values = HashSet::new();
        for batch in read_columns(files, file_of(files, entry)?, &columns).await? {
            let rows = converter.convert_columns(batch.columns())?;
            values.extend(rows.iter().map(|row| row.owned()));
        }
        Ok(Self { entry: entry.clone(), spec, columns, values })
    }

    /// Returns whether rows of a data file are deleted where they have these values: files that are older,
    /// in the same partition. A delete file without a partition is about every file.
    fn is_about(&self, entry: &ManifestEntryRef, spec: i32) -> bool {
        let partition = self.entry.data_file().partition();
        let everywhere = partition.fields().is_empty();
        let same = self.spec == spec && partition == entry.data_file().partition();
        sequence_of(entry) < sequence_of(&self.entry) && (everywhere || same)
    }

    async fn rows_of(&self, files: &MetadataFiles<'_>, file: &DataFile) -> Result<Vec<u64>> {
        let converter = converter(&self.columns)?;
        let mut deleted = Vec::new();
        let mut first = 0;
        for batch in read_columns(files, file.clone(), &self.columns).await? {
            let rows = converter.convert_columns(batch.columns())?;
            let is_deleted = |(_, row): &(u64, OwnedRow)| self.values.contains(row);
            let numbered = (first..).zip(rows.iter().map(|row| row.owned()));
            deleted.extend(numbered.filter(is_deleted).map(|(row, _)| row));
            first += batch.num_rows() as u64;
        }
        Ok(deleted)
    }
}

/// Version 1 tables have no sequence numbers; their files are older than all others.
fn sequence_of(entry: &ManifestEntryRef) -> i64 {
    entry.sequence_number().unwrap_or_default()
}

fn converter(columns: &[TableColumn]) -> Result<RowConverter> {
    let sort_field = |column: &TableColumn| SortField::new(column.field.data_type().clone());
    Ok(RowConverter::new(columns.iter().map(sort_field).collect())?)
}

/// Reads columns of a file, its rows in their order.
async fn read_columns(files: &MetadataFiles<'_>, file: DataFile, columns: &[TableColumn]) -> Result<Vec<RecordBatch>> {
    let table = ParquetTable::new(files.place.clone(), columns.to_vec(), vec![file], &files.unmapped(), String::new());
    let names: Vec<&str> = columns.iter().map(|column| column.field.name().as_str()).collect();
    let scan = Arc::new(table).scan(&names, &Bounds::default(), 1).await?;
    stream::iter(scan.streams).flatten().try_collect().await
}

fn file_of(files: &MetadataFiles<'_>, entry: &ManifestEntryRef) -> Result<DataFile> {
    Ok(DataFile {
        location: files.locate(entry.file_path())?,
        size: entry.file_size_in_bytes(),
        constants: Vec::new(),
        deleted: Arc::new([]),
    })
}
