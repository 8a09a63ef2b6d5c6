//! Reading: one transaction, any number of views.

use heed::{RoTxn, WithoutTls};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{FeatureStatus, OnlineColumn};
use lodestore_core::time::EventTime;
use lodestore_core::types::FeatureType;
use lodestore_core::{Error, Result};

use super::codec::{PreparedView, RETIRED_PREFIX, ViewRecord, row_key};
use super::environment::Live;
use crate::row::{ColumnBuilder, ReadRule, StoredRow};

/// The store as of one commit. Reading several views from one snapshot pays for one transaction.
#[derive(Debug)]
pub struct Snapshot<'a>(Option<Commit<'a>>);

#[derive(Clone, Copy)]
struct Commit<'a> {
    environment: Live<'a>,
    txn: &'a RoTxn<'a, WithoutTls>,
}

impl<'a> Snapshot<'a> {
    /// Returns a snapshot of a store that was never written to.
    pub(super) fn empty() -> Self {
        Self(None)
    }

    #[inline]
    pub(super) fn new(environment: Live<'a>, txn: &'a RoTxn<'a, WithoutTls>) -> Self {
        Self(Some(Commit { environment, txn }))
    }

    /// Returns the rows of a view version; none if it was never written.
    ///
    /// # Errors
    /// `Corrupt` if the view is stored with other keys or features; `Unsupported` if the store was
    /// written by a newer version.
    #[inline]
    pub fn view<'s>(&'s self, view: &'s PreparedView) -> Result<ViewRows<'s>> {
        let record = self.record(view)?;
        let stored = self.0.zip(record).map(|(commit, record)| (commit, record.number));
        Ok(ViewRows { view, stored, key: Vec::new() })
    }

    /// Returns whether rows of retired views are waiting to be removed.
    pub(super) fn has_retired_rows(&self) -> Result<bool> {
        let Some(Commit { environment, txn }) = self.0 else { return Ok(false) };
        let failed = |error| environment.error("reading", error);
        let mut retired = environment.tree().prefix_iter(txn, &RETIRED_PREFIX).map_err(failed)?;
        Ok(retired.next().transpose().map_err(failed)?.is_some())
    }

    /// Returns how many entries of any kind there are.
    #[cfg(test)]
    pub(super) fn entries(&self) -> Result<u64> {
        let Some(Commit { environment, txn }) = self.0 else { return Ok(0) };
        environment.tree().len(txn).map_err(|error| environment.error("reading", error))
    }

    #[inline]
    pub(super) fn record(&self, view: &PreparedView) -> Result<Option<ViewRecord>> {
        let Some(commit) = self.0 else { return Ok(None) };
        commit.get(&view.key)?.map(|record| view.read_record(record)).transpose()
    }
}

impl<'a> Commit<'a> {
    #[inline]
    fn get(self, key: &[u8]) -> Result<Option<&'a [u8]>> {
        let tree = self.environment.tree();
        tree.get(self.txn, key).map_err(|error| self.environment.error("reading", error))
    }
}

impl std::fmt::Debug for Commit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commit").field("environment", &self.environment).field("number", &self.txn.id()).finish()
    }
}

/// The rows of one view version in a snapshot.
#[derive(Debug)]
pub struct ViewRows<'s> {
    view: &'s PreparedView,
    stored: Option<(Commit<'s>, u32)>,
    key: Vec<u8>,
}

impl<'s> ViewRows<'s> {
    /// Returns the rows of a key, given in its canonical form; `None` if there are none.
    ///
    /// # Errors
    /// `Corrupt` if the row's head is damaged.
    #[inline]
    pub fn row(&mut self, key: &[u8]) -> Result<Option<StoredRow<'s>>> {
        let Some((commit, number)) = self.stored else { return Ok(None) };
        row_key(number, key, &mut self.key);
        match commit.get(&self.key)? {
            Some(bytes) => StoredRow::parse(&self.view.layout, bytes).map(Some).map_err(|e| self.in_view(e)),
            None => Ok(None),
        }
    }

    /// Returns features, given by their places in the view's order, as columns: item i answers key i.
    ///
    /// # Errors
    /// `Corrupt` if a stored row is damaged; `Internal` if there is no such feature.
    pub fn columns(&mut self, keys: &EntityKeys, features: &[usize], rule: &ReadRule) -> Result<Vec<OnlineColumn>> {
        let types = self.view.layout.types();
        let column = |&feature: &usize| {
            let ty = types.get(feature).ok_or_else(|| Error::internal("a feature is not in the view"))?;
            Ok(Column::new(ty, keys.len()))
        };
        let mut columns = features.iter().map(column).collect::<Result<Vec<_>>>()?;
        for key in keys.iter() {
            let row = match key {
                Some(key) => self.row(key)?,
                None => None,
            };
            for (&feature, column) in features.iter().zip(&mut columns) {
                column.append(row.as_ref(), feature, rule).map_err(|e| self.in_view(e))?;
            }
        }
        columns.into_iter().map(|column| column.finish().map_err(|e| self.in_view(e))).collect()
    }

    #[cold]
    fn in_view(&self, error: Error) -> Error {
        error.with_context("view", &self.view.name)
    }
}

struct Column {
    values: ColumnBuilder,
    statuses: Vec<FeatureStatus>,
    event_times: Vec<Option<EventTime>>,
}

impl Column {
    fn new(ty: &FeatureType, rows: usize) -> Self {
        let (statuses, event_times) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        Self { values: ColumnBuilder::new(ty, rows), statuses, event_times }
    }

    fn append(&mut self, row: Option<&StoredRow<'_>>, feature: usize, rule: &ReadRule) -> Result<()> {
        let (status, event_time) = self.values.append_answer(row, feature, rule)?;
        self.statuses.push(status);
        self.event_times.push(event_time);
        Ok(())
    }

    fn finish(self) -> Result<OnlineColumn> {
        Ok(OnlineColumn { values: self.values.finish()?, statuses: self.statuses, event_times: self.event_times })
    }
}
