//! Reading: one transaction, any number of views.

use std::ops::Bound;

use heed::{RoTxn, WithoutTls};
use lodestore_core::Result;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::windows::{Asked, Collected, FoundKey, WindowPlan};
use lodestore_core::time::EventTime;

use super::codec::{MAX_KEY, PreparedView, RETIRED_PREFIX, ViewRecord, row_key};
use super::environment::Live;
use super::windows::{EntryKey, KeyEntries, place_of};
use crate::row::FoundRows;

/// The store as of one commit. Reading several views from one snapshot pays for one transaction.
#[derive(Debug)]
pub struct Snapshot<'a>(Option<Commit<'a>>);

/// How many entries are looked at in one transaction.
const ENTRIES_PER_PART: usize = 20_000;

/// The keys of entries that can be removed, and up to which key entries were looked at if there are more.
#[derive(Debug)]
pub(super) struct ExpiredEntries {
    pub(super) expired: Vec<Vec<u8>>,
    pub(super) last: Option<Vec<u8>>,
}

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
        let stored = match self.0 {
            Some(commit) => view.number_at(commit.txn.id(), || Ok(self.record(view)?.map(|record| record.number)))?,
            None => None,
        };
        if let Some(plan) = &view.windows {
            let asked = Asked::new(plan, found.as_of());
            let keys = keys.iter().map(|key| match (self.0, stored, key) {
                (Some(Commit { environment, txn }), Some(number), Some(key)) => {
                    asked.find(&KeyEntries { environment, txn, key: &EntryKey::new(number, key) })
                }
                _ => Ok(FoundKey::nothing(&asked)),
            });
            let keys = keys.collect::<Result<_>>().map_err(|error| error.with_context("view", &view.name))?;
            found.add_windows(asked, keys);
            return Ok(());
        }
        found.add_view(&view.layout, view.version.availability_delay(), view.version.ttl());
        let mut room = [0; MAX_KEY];
        for key in keys.iter() {
            let row = match (self.0, stored, key) {
                (Some(commit), Some(number), Some(key)) => commit.get(row_key(number, key, &mut room))?,
                _ => None,
            };
            found.add_row(row).map_err(|error| error.with_context("view", &view.name))?;
        }
        Ok(())
    }

    /// Returns the keys of entries of a view's windows that no later read asks for, among some that follow a key.
    pub(super) fn expired(
        &self,
        view: &PreparedView,
        plan: &WindowPlan,
        after: &[u8],
        now: EventTime,
    ) -> Result<ExpiredEntries> {
        let mut found = ExpiredEntries { expired: Vec::new(), last: None };
        let (Some(Commit { environment, txn }), Some(record)) = (self.0, self.record(view)?) else { return Ok(found) };
        let (first, end) = (record.number.to_be_bytes(), (record.number + 1).to_be_bytes());
        let start = if after.is_empty() { Bound::Included(&first[..]) } else { Bound::Excluded(after) };
        let failed = |error| environment.error("reading", error);
        let entries = environment.tree().range(txn, &(start, Bound::Excluded(&end[..]))).map_err(failed)?;
        for (count, entry) in entries.enumerate() {
            let (key, bytes) = entry.map_err(failed)?;
            if plan.collect(&place_of(key)?, bytes, now)? == Collected::Expired {
                found.expired.push(key.to_vec());
            }
            if count + 1 == ENTRIES_PER_PART {
                found.last = Some(key.to_vec());
                break;
            }
        }
        Ok(found)
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
