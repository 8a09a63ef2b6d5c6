//! A table of Parquet files: what is pruned, and rows read by many threads at once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future, stream};
use lodestore_core::definition::TableRef;
use lodestore_core::{Error, Result};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, mpsc};
use tokio::task::spawn_blocking;

use super::file::{DataFile, FileBytes, TableColumn, read_metadata};
use super::numbers::RowNumbers;
use super::prune::{column_bounds, row_groups};
use super::read::FileReader;
use crate::source::store::Place;
use crate::source::{Bounds, Scan, Table, as_in_views, projection};

/// How many files' metadata is read at a time.
pub(super) const FILES_AT_A_TIME: usize = 16;

/// How many rows a batch has at the most.
pub(crate) const BATCH_ROWS: usize = 16 * 1024;

/// Row groups are split between threads down to this many rows.
const LEAST_ROWS: u64 = 128 * 1024;

/// How many batches a stream may be ahead of its reader.
const BATCHES_AHEAD: usize = 2;

/// Rows of a table, with their addresses.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The rows' columns.
    pub(crate) batch: RecordBatch,
    /// The address of each row.
    pub(crate) rows: RowNumbers,
    /// Which block of columns it has.
    pub(crate) block: usize,
}

/// What was found before a scan: how much there is to read, and how much was ruled out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Found {
    pub(crate) files_read: u64,
    pub(crate) files_pruned: u64,
    pub(crate) row_groups_read: u64,
    pub(crate) row_groups_pruned: u64,
    /// How many rows will be read, if that is known.
    pub(crate) rows: Option<u64>,
    /// Compressed bytes of what is read.
    pub(crate) bytes: u64,
}

/// Rows of one row group that one thread decodes.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    /// The file, by its place in the table.
    pub(crate) file: usize,
    /// The row group, by its place in the file.
    pub(crate) group: usize,
    /// How many rows the group has.
    pub(crate) group_rows: u64,
    /// Where the group starts, in rows of the file.
    pub(crate) group_start: u64,
    /// Where the file starts, in rows of the table.
    pub(crate) file_start: u64,
    /// The unit's rows, ascending runs counted from the group's start.
    pub(crate) runs: Vec<Range<u64>>,
    /// The block of columns that is read of them.
    pub(crate) block: usize,
}

/// A table of Parquet files.
pub(crate) struct ParquetTable {
    place: Place,
    columns: Vec<TableColumn>,
    files: Vec<DataFile>,
    metadata: Vec<OnceCell<ArrowReaderMetadata>>,
    reference: TableRef,
    revision: String,
    has_declared_types: bool,
}

impl fmt::Debug for ParquetTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParquetTable").field("path", &self.reference.path).finish_non_exhaustive()
    }
}

impl ParquetTable {
    /// Returns a table of these files. `revision` tells what is read: it changes when the files do.
    pub(crate) fn new(
        place: Place,
        columns: Vec<TableColumn>,
        files: Vec<DataFile>,
        reference: &TableRef,
        revision: String,
    ) -> Self {
        let metadata = files.iter().map(|_| OnceCell::new()).collect();
        Self { place, columns, files, metadata, reference: reference.clone(), revision, has_declared_types: false }
    }

    /// Returns the table with its files' metadata, which need not be read again.
    pub(crate) fn with_metadata(self, metadata: Vec<ArrowReaderMetadata>) -> Self {
        Self { metadata: metadata.into_iter().map(|metadata| OnceCell::new_with(Some(metadata))).collect(), ..self }
    }

    /// Returns the table, some of whose columns have types that a view may declare.
    pub(crate) fn with_declared_types(self) -> Self {
        Self { has_declared_types: true, ..self }
    }

    /// Returns how many rows the files have, deleted ones included.
    ///
    /// # Errors
    /// `Corrupt` for a file that is no Parquet file.
    pub(crate) async fn rows(&self) -> Result<u64> {
        let metadata = self.all_metadata().await?;
        Ok(metadata.into_iter().map(|metadata| metadata.metadata().file_metadata().num_rows() as u64).sum())
    }

    async fn all_metadata(&self) -> Result<Vec<&ArrowReaderMetadata>> {
        let files = stream::iter((0..self.files.len()).map(|file| self.metadata(file)));
        files.buffered(FILES_AT_A_TIME).try_collect().await
    }

    async fn metadata(&self, file: usize) -> Result<&ArrowReaderMetadata> {
        self.metadata[file].get_or_try_init(|| read_metadata(&self.place, &self.files[file])).await
    }

    fn column(&self, name: &str) -> Option<&TableColumn> {
        let in_table = self.reference.file_column(name);
        self.columns.iter().find(|column| column.field.name() == in_table)
    }

    /// Returns the columns, called as in the table.
    fn table_schema(&self) -> Schema {
        Schema::new(self.columns.iter().map(|column| column.field.clone()).collect::<Vec<_>>())
    }

    /// Returns the units that the rows within bounds are in, about `threads` times as many as there are
    /// threads at the least, and what was ruled out.
    ///
    /// # Errors
    /// `Invalid` for a column that the table does not have.
    pub(crate) async fn plan(self: &Arc<Self>, columns: &[&str], bounds: &Bounds, threads: usize) -> Result<TableScan> {
        let columns = projection(&self.reference, &self.table_schema(), columns)?;
        let metadata = self.all_metadata().await?;
        let bounds = column_bounds(bounds, |name| self.column(name));
        let wanted: Vec<&TableColumn> = columns.iter().map(|&column| &self.columns[column]).collect();
        let mut found = Found { rows: Some(0), ..Found::default() };
        let mut units = Vec::new();
        let mut file_start = 0;
        for (file, metadata) in metadata.into_iter().enumerate() {
            let kept = row_groups(&self.files[file], metadata, &bounds);
            let reader = FileReader::new(&self.files[file], metadata, &wanted);
            let mut group_start = 0;
            for (group, kept) in kept.iter().copied().enumerate() {
                let group_rows = metadata.metadata().row_group(group).num_rows() as u64;
                if kept {
                    let runs = std::iter::once(0..group_rows).collect();
                    units.push(Unit { file, group, group_rows, group_start, file_start, runs, block: 0 });
                    found.bytes += reader.bytes(group);
                    found.rows = found.rows.map(|rows| rows + group_rows);
                }
                group_start += group_rows;
            }
            let read = kept.iter().filter(|kept| **kept).count() as u64;
            found.row_groups_read += read;
            found.row_groups_pruned += kept.len() as u64 - read;
            if read > 0 {
                found.files_read += 1;
            } else {
                found.files_pruned += 1;
            }
            file_start += group_start;
        }
        let units = split(units, found.rows.unwrap_or(0), threads).into();
        Ok(TableScan { table: Arc::clone(self), blocks: Arc::new([columns]), units, found })
    }
}

/// Splits units so that threads have about the same to do.
fn split(units: Vec<Unit>, rows: u64, threads: usize) -> Vec<Unit> {
    let most = (rows / (4 * threads.max(1) as u64)).max(LEAST_ROWS);
    let pieces = |unit: Unit| -> Vec<Unit> {
        let count = unit.group_rows.div_ceil(most).max(1);
        let piece = unit.group_rows.div_ceil(count);
        let runs = (0..count).map(|i| i * piece..((i + 1) * piece).min(unit.group_rows));
        runs.map(|run| Unit { runs: vec![run], ..unit.clone() }).collect()
    };
    if threads <= 1 { units } else { units.into_iter().flat_map(pieces).collect() }
}

/// Units of a table that are to be read, and which columns.
#[derive(Debug, Clone)]
pub(crate) struct TableScan {
    table: Arc<ParquetTable>,
    /// The columns that are read, by their places in the table: all in one block, unless it was split.
    blocks: Arc<[Vec<usize>]>,
    units: Arc<[Unit]>,
    pub(crate) found: Found,
}

/// Tells work to stop when whoever waits for it is gone.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl TableScan {
    /// Returns a scan of some of the rows: `runs` is given a run of addresses and returns those runs within
    /// it that are to be decoded, ascending.
    pub(crate) fn selecting(&self, runs: impl Fn(Range<u64>) -> Vec<Range<u64>>) -> Self {
        let selected = |unit: &Unit| {
            let start = unit.file_start + unit.group_start;
            let all = unit.runs.iter().flat_map(|run| runs(start + run.start..start + run.end));
            let runs: Vec<_> = all.map(|run| run.start - start..run.end - start).collect();
            (!runs.is_empty()).then(|| Unit { runs, ..unit.clone() })
        };
        let units: Arc<[Unit]> = self.units.iter().filter_map(selected).collect();
        let mut groups: Vec<_> = units.iter().map(|unit| (unit.file, unit.group, unit.block)).collect();
        groups.dedup();
        let bytes = groups.into_iter().filter_map(|(file, group, block)| {
            let metadata = self.table.metadata[file].get()?;
            Some(FileReader::new(&self.table.files[file], metadata, &self.wanted(block)).bytes(group))
        });
        let found = Found { bytes: bytes.sum(), ..self.found };
        Self { units, found, ..self.clone() }
    }

    /// Returns a scan that reads blocks of the columns one after the other, each from the first unit to the last:
    /// a thread that decodes few columns at a time holds few of their pages. Blocks name columns by their places in
    /// the scan.
    pub(crate) fn in_blocks(self, blocks: &[Vec<usize>]) -> Self {
        let columns = |block: &Vec<usize>| block.iter().map(|&column| self.blocks[0][column]).collect();
        let of_block = |block| self.units.iter().map(move |unit| Unit { block, ..unit.clone() });
        let units = (0..blocks.len()).flat_map(of_block).collect();
        Self { blocks: blocks.iter().map(columns).collect(), units, ..self }
    }

    /// Returns whether reading a unit in several blocks costs little: its rows are many, and bytes are near.
    pub(crate) fn suits_blocks(&self) -> bool {
        let rows: u64 = self.units.iter().flat_map(|unit| &unit.runs).map(|run| run.end - run.start).sum();
        let is_local = |unit: &Unit| self.table.place.local_file(&self.table.files[unit.file].location).is_some();
        rows >= LEAST_ROWS / 2 * self.units.len() as u64 && self.units.first().is_some_and(is_local)
    }

    fn wanted(&self, block: usize) -> Vec<&TableColumn> {
        self.blocks[block].iter().map(|&column| &self.table.columns[column]).collect()
    }

    /// Decodes the units on several threads. Each thread starts with a state of its own, and hands it with
    /// each chunk to `each`; returns the states.
    ///
    /// # Errors
    /// What goes wrong first, in reading or in `each`; the other threads stop.
    pub(crate) async fn for_each<S: Send + 'static>(
        &self,
        threads: usize,
        start: impl Fn() -> S,
        each: impl Fn(&mut S, Chunk) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<S>> {
        let next = Arc::new(AtomicUsize::new(0));
        let each = Arc::new(each);
        let stop = StopOnDrop::default();
        let count = threads.clamp(1, self.units.len().max(1));
        let mut tasks = Vec::with_capacity(count);
        for _ in 0..count {
            let (scan, next, each, stop) = (self.clone(), Arc::clone(&next), Arc::clone(&each), Arc::clone(&stop.0));
            let (mut state, handle) = (start(), Handle::current());
            tasks.push(spawn_blocking(move || {
                let result = scan.work(&handle, &next, &stop, &mut |chunk| each(&mut state, chunk));
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                result.map(|()| state)
            }));
        }
        let done = future::join_all(tasks).await.into_iter();
        done.map(|done| done.map_err(|e| Error::internal(format!("a thread of a scan ended early: {e}")))?).collect()
    }

    /// Takes units until there is none left.
    fn work(
        &self,
        handle: &Handle,
        next: &AtomicUsize,
        stop: &AtomicBool,
        each: &mut dyn FnMut(Chunk) -> Result<()>,
    ) -> Result<()> {
        let table = &self.table;
        loop {
            let Some(unit) = self.units.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            let file = &table.files[unit.file];
            let metadata = handle.block_on(table.metadata(unit.file))?;
            let reader = FileReader::new(file, metadata, &self.wanted(unit.block));
            let bytes = match table.place.local_file(&file.location) {
                Some(path) => FileBytes::open(&path)?,
                None => {
                    let ranges = reader.byte_ranges(unit.group);
                    handle.block_on(FileBytes::fetch(table.place.store.as_ref(), file, &ranges))?
                }
            };
            for chunk in reader.read(bytes, unit, BATCH_ROWS)? {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                each(chunk?)?;
            }
        }
    }

    /// Decodes the units on several threads, each of which feeds a stream.
    fn into_streams(self, streams: usize) -> Vec<crate::source::Rows> {
        let next = Arc::new(AtomicUsize::new(0));
        let count = streams.clamp(1, self.units.len().max(1));
        let stream = |_| {
            let (scan, next) = (self.clone(), Arc::clone(&next));
            let batches = async move {
                let (sender, receiver) = mpsc::channel::<Result<RecordBatch>>(BATCHES_AHEAD);
                let handle = Handle::current();
                spawn_blocking(move || {
                    let gone = AtomicBool::new(false);
                    let send = &mut |chunk: Chunk| {
                        if sender.blocking_send(Ok(chunk.batch)).is_err() {
                            gone.store(true, Ordering::Relaxed);
                        }
                        Ok(())
                    };
                    if let Err(error) = scan.work(&handle, &next, &gone, send) {
                        // A reader that is gone needs no error.
                        let _ = sender.blocking_send(Err(error));
                    }
                });
                stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
            };
            stream::once(batches).flatten().boxed()
        };
        (0..count).map(stream).collect()
    }
}

#[async_trait]
impl Table for Arc<ParquetTable> {
    fn schema(&self) -> SchemaRef {
        as_in_views(&self.table_schema(), &self.reference)
    }

    async fn scan(&self, columns: &[&str], bounds: &Bounds, streams: usize) -> Result<Scan> {
        let scan = self.plan(columns, bounds, streams).await?;
        Ok(Scan { found: scan.found, streams: scan.into_streams(streams) })
    }

    fn has_declared_types(&self) -> bool {
        self.has_declared_types
    }

    async fn fingerprint(&self) -> Result<String> {
        Ok(self.revision.clone())
    }

    fn as_parquet(&self) -> Option<&Arc<ParquetTable>> {
        Some(self)
    }
}
