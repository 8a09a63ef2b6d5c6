//! An online store in memory, for tests and notebooks.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{ArrayRef, new_null_array};
use async_trait::async_trait;

use super::windows::{Asked, Collected, EventBatch, FoundKey, MemoryEntries, WindowPlan};
use super::{
    Capability, Cells, Entry, FeatureMask, KeyState, Merged, OnlineCell, OnlineRows, OnlineStore, OnlineView, ViewKeys,
    Watermark, WriteReport,
};
use crate::definition::ViewVersion;
use crate::entity_key::EntityKeys;
use crate::error::{Error, Result};
use crate::rows::FeatureRows;
use crate::time::EventTime;
use crate::types::{Value, compare_values};

/// Keeps rows in memory, for as long as the process lives. Simple rather than fast.
#[derive(Debug, Default)]
pub struct MemoryOnlineStore {
    views: RwLock<BTreeMap<String, StoredView>>,
}

#[derive(Debug, Default, Clone)]
struct StoredView {
    rows: BTreeMap<Vec<u8>, KeyState<ArrowCells>>,
    /// What is kept of the events of a view with aggregations.
    windows: BTreeMap<Vec<u8>, MemoryEntries>,
    watermark: Watermark,
}

impl MemoryOnlineStore {
    /// Returns an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A row's values, each an array of length one.
#[derive(Debug, Clone)]
struct ArrowCells(Vec<ArrayRef>);

impl ArrowCells {
    fn of(view: &ViewVersion, rows: &FeatureRows, row: usize) -> Self {
        let mut cells: Vec<ArrayRef> =
            view.features.iter().map(|f| new_null_array(&f.feature_type.to_arrow(), 1)).collect();
        for (feature, column) in rows.features() {
            cells[*feature] = column.slice(row, 1);
        }
        Self(cells)
    }
}

impl Cells for ArrowCells {
    fn compare(&self, other: &Self) -> Ordering {
        (0..self.0.len()).map(|f| self.compare_feature(other, f)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn compare_feature(&self, other: &Self, feature: usize) -> Ordering {
        compare_values(self.0[feature].as_ref(), 0, other.0[feature].as_ref(), 0)
    }

    fn with_features_of(&self, other: &Self, features: &FeatureMask) -> Self {
        let pick = |f: usize| Arc::clone(if features.contains(f) { &other.0[f] } else { &self.0[f] });
        Self((0..self.0.len()).map(pick).collect())
    }
}

#[async_trait]
impl OnlineStore for MemoryOnlineStore {
    fn capability(&self) -> Capability {
        Capability { durable: false, shared_between_processes: false, partial_rows: true }
    }

    async fn prepare(&self, views: &[OnlineView]) -> Result<()> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            stored.entry(view.id().to_owned()).or_default();
        }
        Ok(())
    }

    async fn write(
        &self,
        view: &OnlineView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let stored = stored.entry(view.id().to_owned()).or_default();
        if view.version.definition.is_aggregated() {
            let report = stored.write_events(&view.version, rows, now)?;
            stored.watermark = watermark.unwrap_or(stored.watermark);
            return Ok(report);
        }
        let is_full = rows.features().len() == view.version.features.len();
        let mask = (!is_full).then(|| rows.features().iter().map(|(feature, _)| *feature).collect::<FeatureMask>());
        let mut report = WriteReport::default();
        // Newest first, so that the rows that lose to others of the same write count as skipped.
        let mut newest_first: Vec<usize> = (0..rows.len()).collect();
        newest_first.sort_by_key(|&row| std::cmp::Reverse(rows.stamps()[row].order()));
        for row in newest_first {
            let cells = ArrowCells::of(&view.version, rows, row);
            let entry = Entry { stamp: rows.stamps()[row], mask: mask.clone(), cells };
            let state = stored.rows.entry(rows.key(row).to_vec()).or_default();
            match state.merge(entry, view.version.availability_delay(), now) {
                Merged::Written => report.written += 1,
                Merged::Skipped => report.skipped += 1,
            }
        }
        if let Some(watermark) = watermark {
            stored.watermark = watermark;
        }
        Ok(report)
    }

    async fn find(&self, asked: &[ViewKeys<'_>], as_of: EventTime) -> Result<Box<dyn OnlineRows>> {
        let stored = self.views.read().unwrap_or_else(PoisonError::into_inner);
        let found = asked.iter().map(|ViewKeys { view, keys }| {
            let stored = stored.get(view.id());
            if view.version.definition.is_aggregated() {
                return FoundView::windows(&view.version, stored, keys, as_of);
            }
            let rows = stored.map(|stored| &stored.rows);
            let states = keys.iter().map(|key| rows.and_then(|rows| rows.get(key?)).cloned()).collect();
            Ok(FoundView::Rows { version: Arc::clone(&view.version), states })
        });
        Ok(Box::new(FoundRows { views: found.collect::<Result<_>>()?, as_of }))
    }

    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let stored = stored.entry(view.id().to_owned()).or_default();
        if view.version.definition.is_aggregated() {
            let plan = WindowPlan::new(&view.version)?;
            let mut keys = keys.iter().flatten();
            return keys.try_for_each(|key| plan.delete_key(stored.windows.entry(key.to_vec()).or_default(), at));
        }
        for key in keys.iter().flatten() {
            stored.rows.entry(key.to_vec()).or_default().delete(at);
        }
        Ok(())
    }

    async fn watermark(&self, view: &OnlineView) -> Result<Watermark> {
        let stored = self.views.read().unwrap_or_else(PoisonError::into_inner);
        Ok(stored.get(view.id()).map_or_else(Watermark::default, |stored| stored.watermark))
    }

    async fn collect(&self, view: &OnlineView, now: EventTime) -> Result<u64> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let Some(stored) = stored.get_mut(view.id()).filter(|_| view.version.definition.is_aggregated()) else {
            return Ok(0);
        };
        let plan = WindowPlan::new(&view.version)?;
        let mut removed = 0;
        for entries in stored.windows.values_mut() {
            let mut expired = Vec::new();
            for (place, bytes) in &*entries {
                if plan.collect(place, bytes, now)? == Collected::Expired {
                    expired.push(*place);
                }
            }
            removed += expired.len() as u64;
            expired.iter().for_each(|place| drop(entries.remove_entry(place)));
        }
        stored.windows.retain(|_, entries| !entries.is_empty());
        Ok(removed)
    }

    async fn retire(&self, views: &[OnlineView]) -> Result<()> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            stored.remove(view.id());
        }
        Ok(())
    }
}

impl StoredView {
    /// Writes events, or nothing.
    fn write_events(&mut self, version: &ViewVersion, rows: &FeatureRows, now: EventTime) -> Result<WriteReport> {
        let plan = WindowPlan::new(version)?;
        let mut report = WriteReport::default();
        if rows.is_empty() {
            return Ok(report);
        }
        let batch = EventBatch::new(&plan, rows)?;
        let mut by_key: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        (0..rows.len()).for_each(|row| by_key.entry(rows.key(row)).or_default().push(row as u32));
        let mut changed = Vec::with_capacity(by_key.len());
        for (key, rows) in by_key {
            let mut entries = self.windows.get(key).cloned().unwrap_or_default();
            let WriteReport { written, skipped } = batch.write_key(&rows, &mut entries, now)?;
            report.written += written;
            report.skipped += skipped;
            changed.push((key.to_vec(), entries));
        }
        self.windows.extend(changed);
        Ok(report)
    }
}

/// What was found for keys of one view.
#[derive(Debug)]
enum FoundView {
    Rows { version: Arc<ViewVersion>, states: Vec<Option<KeyState<ArrowCells>>> },
    Windows { asked: Asked, keys: Vec<FoundKey> },
}

impl FoundView {
    fn windows(
        version: &ViewVersion,
        stored: Option<&StoredView>,
        keys: &EntityKeys,
        as_of: EventTime,
    ) -> Result<Self> {
        let asked = Asked::new(&Arc::new(WindowPlan::new(version)?), as_of);
        let found = keys.iter().map(|key| match stored.zip(key).and_then(|(stored, key)| stored.windows.get(key)) {
            Some(entries) => asked.find(entries),
            None => Ok(FoundKey::nothing(&asked)),
        });
        let keys = found.collect::<Result<_>>()?;
        Ok(Self::Windows { asked, keys })
    }
}

#[derive(Debug)]
struct FoundRows {
    views: Vec<FoundView>,
    as_of: EventTime,
}

impl OnlineRows for FoundRows {
    fn get(&self, view: usize, key: usize, feature: usize) -> Result<OnlineCell<'_>> {
        let no_key = || Error::internal("no such key");
        let (version, states) = match self.views.get(view).ok_or_else(|| Error::internal("no such view"))? {
            FoundView::Windows { asked, keys } => return asked.cell(keys.get(key).ok_or_else(no_key)?, feature),
            FoundView::Rows { version, states } => (version, states),
        };
        let state = states.get(key).ok_or_else(no_key)?.as_ref();
        let winner = state.and_then(|state| state.winner(feature, self.as_of, version.availability_delay()));
        let row = winner.map(|entry| (entry.stamp, entry.cells.0[feature].is_null(0)));
        let value = || winner.map_or(Ok(None), |entry| Value::of(entry.cells.0[feature].as_ref(), 0));
        OnlineCell::of(row, version.ttl(), self.as_of, value)
    }
}
