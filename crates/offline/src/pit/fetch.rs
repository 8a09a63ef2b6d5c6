//! Fetches the features of rows by their addresses: late, when the winners are known.
//!
//! The wanted rows are spread over row groups in some way. Rows that lie close together are decoded
//! in one run, with what lies between them; what lies between runs is skipped. Where nearly all rows
//! are wanted, the runs grow together and whole row groups are decoded.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use arrow::datatypes::DataType;
use lodestore_core::Result;

use super::view::ViewRun;
use super::winners::Address;
use crate::source::{Chunk, RowNumbers, TableScan};

/// Decoding so many unwanted rows costs about as much as skipping them and starting again.
const GAP: u64 = 512;

/// How close together wanted rows must be to be decoded in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Density {
    /// As measured: runs with gaps that are not worth skipping.
    Chosen,
    /// Whole row groups, if any row of them is wanted.
    Dense,
    /// Just the wanted rows.
    Sparse,
}

/// Rows that were fetched: some of the wanted ones, in their order.
pub(crate) struct Fetched {
    /// Where they are among the wanted rows.
    pub(crate) ranks: Range<usize>,
    /// What was decoded to have them.
    pub(crate) columns: Vec<ArrayRef>,
    /// Where they are in the columns; nothing if they are all that is there.
    pub(crate) places: Option<UInt32Array>,
    /// Which block of the scan's columns these are.
    pub(crate) block: usize,
}

impl Fetched {
    /// Returns the rows without those between them.
    pub(crate) fn alone(self) -> Result<Self> {
        let Some(places) = &self.places else { return Ok(self) };
        let columns = self.columns.iter().map(|column| Ok(take(column, places, None)?)).collect::<Result<_>>()?;
        Ok(Self { columns, places: None, ..self })
    }
}

/// Fetches the rows at `wanted`, ascending and distinct, and hands them on in pieces, on several threads,
/// each with its own state.
pub(crate) async fn fetch<S: Send + 'static>(
    run: &ViewRun,
    scan: &TableScan,
    wanted: &Arc<Vec<Address>>,
    density: Density,
    start: impl Fn() -> S,
    each: impl Fn(&mut S, Fetched) -> Result<()> + Send + Sync + 'static,
) -> Result<Vec<S>> {
    let scan = scan.selecting(|addresses| runs(slice(wanted, &addresses), &addresses, density));
    run.report(|view| view.bytes_read += scan.found.bytes);
    let (wanted, run_of_view) = (Arc::clone(wanted), run.clone());
    let take_wanted = move |state: &mut S, Chunk { batch, rows, block }: Chunk| {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        run_of_view.check_cancelled()?;
        if block == 0 {
            run_of_view.report(|view| view.rows_decoded += batch.num_rows() as u64);
        }
        let all = rows.at(0)..rows.at(batch.num_rows() - 1) + 1;
        let first_rank = wanted.partition_point(|address| *address < all.start);
        let ranks = first_rank..first_rank + slice(&wanted, &all).len();
        if ranks.is_empty() {
            return Ok(());
        }
        let is_all = ranks.len() == batch.num_rows();
        let places = (!is_all).then(|| places(&wanted[ranks.clone()], &rows));
        each(state, Fetched { ranks, columns: batch.columns().to_vec(), places, block })
    };
    scan.for_each(run.threads, start, take_wanted).await
}

/// Fetches rows into memory: row i of the columns, which `widened` makes ones of these types, is wanted row i.
pub(crate) async fn fetch_all(
    run: &ViewRun,
    scan: &TableScan,
    widened: impl Fn(Vec<ArrayRef>) -> Result<Vec<ArrayRef>> + Send + Sync + 'static,
    types: &[DataType],
    wanted: &Arc<Vec<Address>>,
) -> Result<Vec<ArrayRef>> {
    let each = move |pieces: &mut Vec<_>, fetched: Fetched| {
        let Fetched { ranks, columns, .. } = fetched.alone()?;
        pieces.push((ranks.start, widened(columns)?));
        Ok(())
    };
    let pieces = fetch(run, scan, wanted, Density::Chosen, Vec::new, each).await?;
    let mut pieces: Vec<(usize, Vec<ArrayRef>)> = pieces.into_iter().flatten().collect();
    pieces.sort_unstable_by_key(|(rank, _)| *rank);
    let column = |(place, ty): (usize, &DataType)| {
        let arrays: Vec<_> = pieces.iter().map(|(_, columns)| columns[place].as_ref()).collect();
        if arrays.is_empty() { Ok(new_empty_array(ty)) } else { Ok(concat(&arrays)?) }
    };
    types.iter().enumerate().map(column).collect()
}

/// Returns the wanted addresses within a range.
fn slice<'a>(wanted: &'a [Address], range: &Range<Address>) -> &'a [Address] {
    let start = wanted.partition_point(|address| *address < range.start);
    let end = start + wanted[start..].partition_point(|address| *address < range.end);
    &wanted[start..end]
}

/// Returns the runs of addresses to decode.
fn runs(wanted: &[Address], all: &Range<Address>, density: Density) -> Vec<Range<Address>> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let gap = match density {
        Density::Dense => return vec![all.clone()],
        Density::Chosen => GAP,
        Density::Sparse => 0,
    };
    let mut runs: Vec<Range<Address>> = Vec::new();
    for &address in wanted {
        match runs.last_mut() {
            Some(run) if address - run.end <= gap => run.end = address + 1,
            _ => runs.push(address..address + 1),
        }
    }
    runs
}

/// Returns where wanted rows are among the decoded ones.
fn places(wanted: &[Address], rows: &RowNumbers) -> UInt32Array {
    match rows {
        RowNumbers::From(first, _) => wanted.iter().map(|address| (address - first) as u32).collect::<Vec<_>>().into(),
        RowNumbers::Each(rows) => {
            let mut place = 0;
            let find = |address: &Address| {
                while rows[place] != *address {
                    place += 1;
                }
                place as u32
            };
            wanted.iter().map(find).collect::<Vec<_>>().into()
        }
    }
}
