//! An online store in memory, for tests and notebooks.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::concat;
use async_trait::async_trait;

use super::{
    Capability, Cells, Entry, FeatureMask, FeatureStatus, KeyState, Merged, OnlineColumn, OnlineStore, OnlineView,
    Watermark, WriteReport, status_of,
};
use crate::definition::ViewVersion;
use crate::entity_key::EntityKeys;
use crate::error::Result;
use crate::rows::FeatureRows;
use crate::time::EventTime;
use crate::types::compare_values;

/// Keeps rows in memory, for as long as the process lives. Simple rather than fast.
#[derive(Debug, Default)]
pub struct MemoryOnlineStore {
    views: RwLock<BTreeMap<String, StoredView>>,
}

#[derive(Debug, Default, Clone)]
struct StoredView {
    rows: BTreeMap<Vec<u8>, KeyState<ArrowCells>>,
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
            stored.entry(view.id()).or_default();
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
        let stored = stored.entry(view.id()).or_default();
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

    async fn read(
        &self,
        view: &OnlineView,
        keys: &EntityKeys,
        features: &[usize],
        as_of: EventTime,
    ) -> Result<Vec<OnlineColumn>> {
        let stored = self.views.read().unwrap_or_else(PoisonError::into_inner);
        let rows = stored.get(&view.id()).map(|stored| &stored.rows);
        let states: Vec<_> = keys.iter().map(|key| rows.and_then(|rows| rows.get(key?))).collect();
        features.iter().map(|&feature| column(&view.version, &states, feature, as_of)).collect()
    }

    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        let stored = stored.entry(view.id()).or_default();
        for key in keys.iter().flatten() {
            stored.rows.entry(key.to_vec()).or_default().delete(at);
        }
        Ok(())
    }

    async fn watermark(&self, view: &OnlineView) -> Result<Watermark> {
        let stored = self.views.read().unwrap_or_else(PoisonError::into_inner);
        Ok(stored.get(&view.id()).map_or_else(Watermark::default, |stored| stored.watermark))
    }

    async fn retire(&self, views: &[OnlineView]) -> Result<()> {
        let mut stored = self.views.write().unwrap_or_else(PoisonError::into_inner);
        for view in views {
            stored.remove(&view.id());
        }
        Ok(())
    }
}

fn column(
    view: &ViewVersion,
    states: &[Option<&KeyState<ArrowCells>>],
    feature: usize,
    as_of: EventTime,
) -> Result<OnlineColumn> {
    let null = new_null_array(&view.features[feature].feature_type.to_arrow(), 1);
    let mut values = Vec::with_capacity(states.len());
    let mut statuses = Vec::with_capacity(states.len());
    let mut event_times = Vec::with_capacity(states.len());
    for state in states {
        let winner = state.and_then(|state| state.winner(feature, as_of, view.availability_delay()));
        let row = winner.map(|entry| (entry.stamp, entry.cells.0[feature].is_null(0)));
        let status = status_of(row, view.ttl(), as_of);
        statuses.push(status);
        event_times.push(row.map(|(stamp, _)| stamp.event).filter(|&event| event != EventTime::MIN));
        values.push(match winner {
            Some(entry) if status == FeatureStatus::Present => Arc::clone(&entry.cells.0[feature]),
            _ => Arc::clone(&null),
        });
    }
    let values: Vec<&dyn arrow::array::Array> = values.iter().map(AsRef::as_ref).collect();
    let values = if values.is_empty() { null.slice(0, 0) } else { concat(&values)? };
    Ok(OnlineColumn { values, statuses, event_times })
}
