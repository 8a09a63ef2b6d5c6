//! Decoding: a run of rows of a row group, as batches with the addresses of their rows.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::{Schema, SchemaRef};
use lodestore_core::Result;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector};

use super::file::{DataFile, FileBytes, TableColumn};
use super::numbers::RowNumbers;
use super::table::{Chunk, Unit};
use crate::error::from_arrow;
use crate::source::conform::conform;

/// How a file's rows become rows of the table: which columns are decoded and where they go.
pub(crate) struct FileReader<'a> {
    file: &'a DataFile,
    metadata: &'a ArrowReaderMetadata,
    /// The columns of the table that are read, in order, and where each comes from.
    columns: Vec<(&'a TableColumn, ColumnSource)>,
    /// What is decoded: top-level columns of the file, ascending.
    decoded: Vec<usize>,
    schema: SchemaRef,
}

#[derive(Debug, Clone)]
enum ColumnSource {
    /// A decoded column, by its place among these.
    File(usize),
    /// One value for every row.
    Constant(ArrayRef),
}

impl<'a> FileReader<'a> {
    pub(crate) fn new(file: &'a DataFile, metadata: &'a ArrowReaderMetadata, columns: &[&'a TableColumn]) -> Self {
        let constant = |column: &TableColumn| {
            let constants = file.constants.iter().find(|(name, _)| name == column.field.name());
            constants.map(|(_, value)| Arc::clone(value))
        };
        let places: Vec<Option<usize>> = columns
            .iter()
            .map(|column| if constant(column).is_some() { None } else { place_in_file(column, metadata) })
            .collect();
        let mut decoded: Vec<usize> = places.iter().copied().flatten().collect();
        decoded.sort_unstable();
        decoded.dedup();
        let source = |(column, place): (&&'a TableColumn, Option<usize>)| {
            let source = match place {
                Some(place) => ColumnSource::File(decoded.partition_point(|other| *other < place)),
                None => {
                    let null = || new_null_array(column.field.data_type(), 1);
                    ColumnSource::Constant(constant(column).unwrap_or_else(null))
                }
            };
            (*column, source)
        };
        let columns: Vec<_> = columns.iter().zip(places).map(source).collect();
        let fields = columns.iter().map(|(column, _)| column.field.clone()).collect::<Vec<_>>();
        Self { file, metadata, columns, decoded, schema: Arc::new(Schema::new(fields)) }
    }

    fn mask(&self) -> ProjectionMask {
        ProjectionMask::roots(self.metadata.parquet_schema(), self.decoded.iter().copied())
    }

    /// Returns the ranges of the file that a row group's decoded columns are in.
    pub(crate) fn byte_ranges(&self, group: usize) -> Vec<Range<u64>> {
        let mask = self.mask();
        let columns = self.metadata.metadata().row_group(group).columns().iter().enumerate();
        let included = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
        included.map(|(_, column)| column.byte_range()).map(|(start, length)| start..start + length).collect()
    }

    /// Returns how many compressed bytes a row group's decoded columns have.
    pub(crate) fn bytes(&self, group: usize) -> u64 {
        self.byte_ranges(group).iter().map(|range| range.end - range.start).sum()
    }

    /// Decodes the rows of a unit.
    pub(crate) fn read(
        &'a self,
        bytes: FileBytes,
        unit: &Unit,
        batch_rows: usize,
    ) -> Result<impl Iterator<Item = Result<Chunk>> + use<'a>> {
        let in_file = |error| from_arrow(&format!("'/{}'", self.file.location), error);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, self.metadata.clone())
            .with_row_groups(vec![unit.group])
            .with_projection(self.mask())
            .with_batch_size(batch_rows);
        let runs = &unit.runs;
        let is_whole = matches!(runs.as_slice(), [run] if *run == (0..unit.group_rows));
        let builder = if is_whole { builder } else { builder.with_row_selection(selection(runs, unit.group_rows)) };
        let reader = builder.build().map_err(|e| in_file(e.into()))?;
        let mut left = RunWalk { runs: runs.clone().into_iter(), current: 0..0 };
        let &Unit { group_start, file_start, block, .. } = unit;
        Ok(reader.map(move |batch| {
            let batch = self.as_in_table(&batch.map_err(in_file)?).map_err(in_file)?;
            let rows = left.take(batch.num_rows() as u64).after(group_start);
            let (batch, rows) = self.without_deleted(batch, rows)?;
            Ok(Chunk { batch, rows: rows.after(file_start), block })
        }))
    }

    /// Puts decoded columns into the table's order and types.
    fn as_in_table(&self, batch: &RecordBatch) -> Result<RecordBatch, arrow::error::ArrowError> {
        let rows = batch.num_rows();
        let columns = self.columns.iter().map(|(column, source)| match source {
            ColumnSource::File(place) => {
                let array = batch.column(*place);
                conform(array, &column.field)
            }
            ColumnSource::Constant(value) => take(value, &UInt32Array::from(vec![0; rows]), None),
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }

    /// Leaves out the rows that the table no longer has; rows are counted from the file's start.
    fn without_deleted(&self, batch: RecordBatch, rows: RowNumbers) -> Result<(RecordBatch, RowNumbers)> {
        let is_kept = |row: u64| self.file.deleted.binary_search(&row).is_err();
        if self.file.deleted.is_empty() || rows.iter().all(is_kept) {
            return Ok((batch, rows));
        }
        let kept: BooleanArray = rows.iter().map(|row| Some(is_kept(row))).collect();
        let rows = RowNumbers::Each(rows.iter().filter(|row| is_kept(*row)).collect());
        Ok((filter_record_batch(&batch, &kept)?, rows))
    }
}

/// Walks over runs of rows as batches of them come.
struct RunWalk {
    runs: std::vec::IntoIter<Range<u64>>,
    current: Range<u64>,
}

impl RunWalk {
    fn take(&mut self, mut count: u64) -> RowNumbers {
        if self.current.is_empty() {
            self.current = self.runs.next().unwrap_or_default();
        }
        if count <= self.current.end - self.current.start {
            let first = self.current.start;
            self.current.start += count;
            return RowNumbers::From(first, count);
        }
        let mut rows = Vec::with_capacity(count as usize);
        while count > 0 {
            let taken = count.min(self.current.end - self.current.start);
            rows.extend(self.current.start..self.current.start + taken);
            self.current.start += taken;
            count -= taken;
            if count > 0 {
                match self.runs.next() {
                    Some(run) => self.current = run,
                    None => break,
                }
            }
        }
        RowNumbers::Each(rows)
    }
}

fn selection(runs: &[Range<u64>], rows: u64) -> RowSelection {
    let mut selectors = Vec::with_capacity(2 * runs.len() + 1);
    let mut next = 0;
    for run in runs {
        selectors.push(RowSelector::skip((run.start - next) as usize));
        selectors.push(RowSelector::select((run.end - run.start) as usize));
        next = run.end;
    }
    selectors.push(RowSelector::skip((rows - next) as usize));
    selectors.into()
}

/// Returns where in a file a column of the table is, among the file's top-level columns.
fn place_in_file(column: &TableColumn, metadata: &ArrowReaderMetadata) -> Option<usize> {
    let fields = metadata.parquet_schema().root_schema().get_fields();
    let by_id = || {
        let id = column.id?;
        fields.iter().position(|field| field.get_basic_info().has_id() && field.get_basic_info().id() == id)
    };
    by_id().or_else(|| fields.iter().position(|field| field.name() == column.name_in_files))
}
