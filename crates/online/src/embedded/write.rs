//! Writing: one transaction a call, the keys in ascending order.

use std::cmp::Reverse;
use std::ops::Bound;

use heed::{PutFlags, RwTxn};
use lodestore_core::Result;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::windows::{Collected, EventBatch, WindowPlan};
use lodestore_core::online::{Watermark, WriteReport};
use lodestore_core::rows::FeatureRows;
use lodestore_core::time::EventTime;

use super::codec::{
    FORMAT_KEY, MAX_KEY, PreparedView, RETIRED_PREFIX, ViewRecord, number_of, read_format, retired_key, retired_number,
    row_key, write_format,
};
use super::environment::Live;
use super::windows::{EntryKey, KeyEntriesMut, place_of};
use crate::row::{RowMerger, delete_row};

/// A write transaction.
pub(super) struct Writer<'t, 'p> {
    environment: Live<'t>,
    txn: &'t mut RwTxn<'p>,
}

/// How many rows one transaction removes at most, so that other writers get their turn.
const ROWS_PER_SWEEP: usize = 20_000;

impl<'t, 'p> Writer<'t, 'p> {
    pub(super) fn new(environment: Live<'t>, txn: &'t mut RwTxn<'p>) -> Self {
        Self { environment, txn }
    }

    /// Returns a view's record; makes one where there is none.
    pub(super) fn view(&mut self, view: &PreparedView) -> Result<ViewRecord> {
        if let Some(record) = self.get(&view.key)? {
            return view.read_record(record);
        }
        let number = self.get(&FORMAT_KEY)?.map(read_format).transpose()?.unwrap_or(1);
        self.put(&FORMAT_KEY, &write_format(number + 1))?;
        let record = ViewRecord { number, watermark: Watermark::default() };
        self.put(&view.key, &view.write_record(record))?;
        Ok(record)
    }

    pub(super) fn write(
        &mut self,
        view: &PreparedView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport> {
        let record = self.view(view)?;
        let report = match &view.windows {
            Some(plan) => self.write_events(plan, record.number, rows, now)?,
            None => self.write_rows(view, record.number, rows, now)?,
        };
        if let Some(watermark) = watermark {
            self.put(&view.key, &view.write_record(ViewRecord { watermark, ..record }))?;
        }
        Ok(report)
    }

    fn write_events(
        &mut self,
        plan: &WindowPlan,
        number: u32,
        rows: &FeatureRows,
        now: EventTime,
    ) -> Result<WriteReport> {
        let mut report = WriteReport::default();
        if rows.is_empty() {
            return Ok(report);
        }
        let batch = EventBatch::new(plan, rows)?;
        for group in ByKey::of(rows).groups(rows) {
            let key = batch.write_key(group, &mut self.entries(number, rows.key(group[0] as usize)), now)?;
            report.written += key.written;
            report.skipped += key.skipped;
        }
        Ok(report)
    }

    fn write_rows(
        &mut self,
        view: &PreparedView,
        number: u32,
        rows: &FeatureRows,
        now: EventTime,
    ) -> Result<WriteReport> {
        let mut merger = RowMerger::new(&view.layout, &view.version, rows, now)?;
        let mut report = WriteReport::default();
        let mut merged = Vec::new();
        let mut end = self.end()?;
        let mut room = [0; MAX_KEY];
        for group in ByKey::of(rows).groups(rows) {
            let key = row_key(number, rows.key(group[0] as usize), &mut room);
            // Behind the last key there is nothing to merge with, and nothing to search for.
            let is_new = end.as_deref().is_some_and(|end| key > end);
            let stored = if is_new { None } else { self.get(key)? };
            let merge = merger.merge(stored, group, &mut merged)?;
            report.written += merge.written;
            report.skipped += merge.skipped;
            if !merged.is_empty() {
                let flags = if is_new { PutFlags::APPEND } else { PutFlags::empty() };
                self.put_with(flags, key, &merged)?;
            }
            if let Some(end) = end.as_mut().filter(|_| is_new) {
                end.clear();
                end.extend_from_slice(key);
            }
        }
        Ok(report)
    }

    /// Returns the entries of a key of a view with aggregations.
    fn entries(&mut self, number: u32, key: &[u8]) -> KeyEntriesMut<'_, 'p> {
        KeyEntriesMut { environment: self.environment, txn: self.txn, key: EntryKey::new(number, key) }
    }

    /// Removes those of some entries that no later read asks for; returns how many they are.
    pub(super) fn collect(&mut self, plan: &WindowPlan, keys: &[Vec<u8>], now: EventTime) -> Result<u64> {
        let mut removed = 0;
        for key in keys {
            // Written since it was looked at, it may be needed again.
            let Some(bytes) = self.get(key)? else { continue };
            if plan.collect(&place_of(key)?, bytes, now)? == Collected::Expired {
                let tree = self.environment.tree();
                tree.delete(self.txn, key).map_err(|error| self.environment.error("writing", error))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(super) fn delete(&mut self, view: &PreparedView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        let record = self.view(view)?;
        if let Some(plan) = &view.windows {
            let mut keys = keys.iter().flatten();
            return keys.try_for_each(|key| plan.delete_key(&mut self.entries(record.number, key), at));
        }
        let (mut room, mut deleted) = ([0; MAX_KEY], Vec::new());
        for key in keys.iter().flatten() {
            let key = row_key(record.number, key, &mut room);
            delete_row(&view.layout, self.get(key)?, at, &mut deleted)?;
            self.put(key, &deleted)?;
        }
        Ok(())
    }

    /// Removes a view's record, so that its rows are no longer found, and puts them down for removal.
    pub(super) fn retire(&mut self, view_key: &[u8]) -> Result<()> {
        let Some(number) = self.get(view_key)?.map(number_of).transpose()? else { return Ok(()) };
        self.environment.tree().delete(self.txn, view_key).map_err(|e| self.environment.error("writing", e))?;
        self.put(&retired_key(number), &[])
    }

    /// Removes some of the rows of retired views.
    pub(super) fn sweep(&mut self) -> Result<()> {
        let (environment, tree) = (self.environment, self.environment.tree());
        let failed = |error| environment.error("writing", error);
        let retired =
            tree.prefix_iter(self.txn, &RETIRED_PREFIX).map_err(failed)?.next().transpose().map_err(failed)?;
        let Some((key, _)) = retired else { return Ok(()) };
        let number = retired_number(key)?;
        let first = number.to_be_bytes();
        let mut rows = tree.prefix_iter(self.txn, &first).map_err(failed)?;
        let last = rows.by_ref().take(ROWS_PER_SWEEP).last().transpose().map_err(failed)?.map(|(key, _)| key.to_vec());
        let is_all = rows.next().is_none();
        drop(rows);
        if let Some(last) = last {
            let range = (Bound::Included(&first[..]), Bound::Included(&last[..]));
            tree.delete_range(self.txn, &range).map_err(failed)?;
        }
        if is_all {
            tree.delete(self.txn, &retired_key(number)).map_err(failed)?;
        }
        Ok(())
    }

    /// Returns the last key of the tree.
    fn end(&self) -> Result<Option<Vec<u8>>> {
        let tree = self.environment.tree();
        let last = tree.last(self.txn).map_err(|error| self.environment.error("writing", error))?;
        Ok(last.map(|(key, _)| key.to_vec()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        let tree = self.environment.tree();
        tree.get(self.txn, key).map_err(|error| self.environment.error("writing", error))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(PutFlags::empty(), key, value)
    }

    fn put_with(&mut self, flags: PutFlags, key: &[u8], value: &[u8]) -> Result<()> {
        let put = self.environment.tree().put_with_flags(self.txn, flags, key, value);
        put.map_err(|error| self.environment.error("writing", error))
    }

    /// Puts bytes in the place of a key's rows.
    #[cfg(test)]
    pub(super) fn overwrite(&mut self, number: u32, key: &[u8], row: &[u8]) -> Result<()> {
        self.put(row_key(number, key, &mut [0; MAX_KEY]), row)
    }
}

/// The rows of a batch by key, ascending, and of one key the newest first.
struct ByKey(Vec<u32>);

impl ByKey {
    fn of(rows: &FeatureRows) -> Self {
        let keys = rows.keys().as_array();
        let count = rows.len() as u32;
        if (1..rows.len()).all(|row| keys.value(row - 1) < keys.value(row)) {
            return Self((0..count).collect());
        }
        // Most comparisons are decided by the first eight bytes, which lie side by side here.
        let mut places: Vec<(u64, u32)> = (0..count).map(|row| (prefix(rows.key(row as usize)), row)).collect();
        places.sort_unstable_by(|(left_prefix, left), (right_prefix, right)| {
            let order = |row: u32| Reverse(rows.stamps()[row as usize].order());
            left_prefix
                .cmp(right_prefix)
                .then_with(|| rows.key(*left as usize).cmp(rows.key(*right as usize)))
                .then_with(|| order(*left).cmp(&order(*right)))
                .then_with(|| left.cmp(right))
        });
        Self(places.into_iter().map(|(_, row)| row).collect())
    }

    fn groups<'a>(&'a self, rows: &'a FeatureRows) -> impl Iterator<Item = &'a [u32]> {
        self.0.chunk_by(|left, right| rows.key(*left as usize) == rows.key(*right as usize))
    }
}

/// Returns the first eight bytes of a key as a number of the same order.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = key.len().min(8);
    bytes[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(bytes)
}
