//! The feature values of rows that are winners so far, and no more of the batches than that.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;
use lodestore_core::Result;
use lodestore_core::types::compare_rows;

use super::winners::Address;

/// Below this many rows nothing is gained by compacting.
const FEW_ROWS: usize = 64 * 1024;

/// Batches of feature columns, some rows of which are still wanted.
#[derive(Debug, Default)]
pub(crate) struct KeptRows {
    batches: Vec<Vec<ArrayRef>>,
    rows: usize,
}

/// Returns the address of a row of a batch: the batch in the upper half, the row in the lower.
pub(crate) fn address(batch: usize, row: usize) -> Address {
    (batch as u64) << 32 | row as u64
}

fn parts(address: Address) -> (usize, usize) {
    ((address >> 32) as usize, (address & u64::from(u32::MAX)) as usize)
}

impl KeptRows {
    /// Adds a batch and returns its number. [`KeptRows::forget_last`] takes it back.
    pub(crate) fn add(&mut self, columns: Vec<ArrayRef>, rows: usize) -> usize {
        self.rows += rows;
        self.batches.push(columns);
        self.batches.len() - 1
    }

    /// Forgets the batch that was added last, none of whose rows is wanted.
    pub(crate) fn forget_last(&mut self, rows: usize) {
        self.batches.pop();
        self.rows -= rows;
    }

    /// Compares two kept rows, column by column.
    pub(crate) fn compare(&self, a: Address, b: Address) -> Ordering {
        let ((batch_a, row_a), (batch_b, row_b)) = (parts(a), parts(b));
        compare_rows(&self.batches[batch_a], row_a, &self.batches[batch_b], row_b)
    }

    /// Returns whether so much is kept beside the wanted rows that compacting pays.
    pub(crate) fn is_sparse(&self, wanted: usize) -> bool {
        self.rows > FEW_ROWS + 2 * wanted
    }

    /// Keeps just the rows at `addresses`, and updates these; they stay in order. Addresses that are
    /// `none` are left alone, and so is the bit `flag` of the others.
    pub(crate) fn compact<'a>(
        &mut self,
        addresses: impl Iterator<Item = &'a mut Address>,
        none: Address,
        flag: Address,
    ) -> Result<()> {
        let mut addresses: Vec<&mut Address> = addresses.filter(|address| **address != none).collect();
        let mut wanted: Vec<Address> = addresses.iter().map(|address| **address & !flag).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let picks: Vec<_> = wanted.iter().map(|&address| parts(address)).collect();
        let width = self.batches.first().map_or(0, Vec::len);
        let columns = (0..width).map(|column| self.pick(column, &picks)).collect::<Result<Vec<_>>>()?;
        for place in &mut addresses {
            let row = wanted.partition_point(|address| *address < (**place & !flag));
            **place = address(0, row) | (**place & flag);
        }
        self.batches = vec![columns];
        self.rows = wanted.len();
        Ok(())
    }

    /// Keeps just some columns, by their places, in that order.
    pub(crate) fn project(&mut self, columns: &[usize]) {
        for batch in &mut self.batches {
            *batch = columns.iter().map(|&column| ArrayRef::clone(&batch[column])).collect();
        }
    }

    /// Takes over another's batches; returns how many batches its addresses move by.
    pub(crate) fn append(&mut self, other: Self) -> usize {
        let moved_by = self.batches.len();
        self.batches.extend(other.batches);
        self.rows += other.rows;
        moved_by
    }

    /// Returns the columns; there is one batch, or none if no row was kept.
    pub(crate) fn into_columns(mut self) -> Vec<ArrayRef> {
        self.batches.pop().unwrap_or_default()
    }

    fn pick(&self, column: usize, picks: &[(usize, usize)]) -> Result<ArrayRef> {
        let arrays = self.batches.iter().map(|batch| batch[column].as_ref());
        Ok(interleave(&arrays.collect::<Vec<&dyn Array>>(), picks)?)
    }
}
