//! Reading: one transaction, any number of views.

use heed::{RoTxn, WithoutTls};
use lodestore_core::Result;
use lodestore_core::entity_key::EntityKeys;

use super::codec::{MAX_KEY, PreparedView, RETIRED_PREFIX, ViewRecord, row_key};
use super::environment::Live;
use crate::row::FoundRows;

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

    /// Adds the rows of keys of a view version to those that were found; none if it was never written.
    ///
    /// # Errors
    /// `Corrupt` if the view is stored with other keys or features, or a row is damaged; `Unsupported` if
    /// the store was written by a newer version.
    pub(super) fn find(&self, view: &PreparedView, keys: &EntityKeys, found: &mut FoundRows) -> Result<()> {
        found.add_view(&view.layout, view.version.availability_delay(), view.version.ttl(), keys.len());
        let stored = match self.0 {
            Some(commit) => view.number_at(commit.txn.id(), || Ok(self.record(view)?.map(|record| record.number)))?,
            None => None,
        };
        let mut place = Vec::with_capacity(MAX_KEY);
        for key in keys.iter() {
            let row = match (self.0, stored, key) {
                (Some(commit), Some(number), Some(key)) => {
                    row_key(number, key, &mut place);
                    commit.get(&place)?
                }
                _ => None,
            };
            found.add_row(row).map_err(|error| error.with_context("view", &view.name))?;
        }
        Ok(())
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
