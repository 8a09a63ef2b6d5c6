//! The entries of one key of a view with aggregations, in the tree.

use std::ops::Bound;

use heed::{RoTxn, RwTxn, WithoutTls};
use lodestore_core::Result;
use lodestore_core::online::windows::{EachEntry, Entries, EntriesMut, PLACE_BYTES, Place};

use super::codec::{MAX_KEY, window_key};
use super::environment::Live;

/// Where the entries of a key are: a key of the tree but for its last bytes, the place.
#[derive(Debug, Clone)]
pub(super) struct EntryKey(Vec<u8>);

impl EntryKey {
    pub(super) fn new(number: u32, key: &[u8]) -> Self {
        Self(window_key(number, key, &mut [0; MAX_KEY]).to_vec())
    }

    /// Runs a function on the key of an entry in the tree.
    #[inline]
    fn with<R>(&self, place: &Place, run: impl FnOnce(&[u8]) -> R) -> R {
        let mut key = [0; MAX_KEY];
        let length = self.0.len();
        key[..length].copy_from_slice(&self.0);
        key[length..length + PLACE_BYTES].copy_from_slice(place.as_bytes());
        run(&key[..length + PLACE_BYTES])
    }
}

/// Returns the place that a key of the tree ends with.
pub(super) fn place_of(key: &[u8]) -> Result<Place> {
    let place = key.last_chunk::<PLACE_BYTES>();
    place
        .map(|place| Place::from_bytes(*place))
        .ok_or_else(|| lodestore_core::Error::corrupt("a stored key is too short"))
}

/// The entries of a key as of a transaction.
#[derive(Clone, Copy)]
pub(super) struct KeyEntries<'t, 'p> {
    pub(super) environment: Live<'t>,
    pub(super) txn: &'t RoTxn<'p, WithoutTls>,
    pub(super) key: &'t EntryKey,
}

impl<'t> KeyEntries<'t, '_> {
    fn found(self, place: &Place) -> Result<Option<&'t [u8]>> {
        let found = self.key.with(place, |key| self.environment.tree().get(self.txn, key));
        found.map_err(|error| self.environment.error("reading", error))
    }

    fn found_last(self, from: &Place, to: &Place) -> Result<Option<(Place, &'t [u8])>> {
        let tree = self.environment.tree();
        let found = self.key.with(to, |key| tree.get_lower_than_or_equal_to(self.txn, key));
        let found = found.map_err(|error| self.environment.error("reading", error))?;
        let Some((key, bytes)) = found.filter(|(key, _)| self.key.with(from, |from| *key >= from)) else {
            return Ok(None);
        };
        Ok(Some((place_of(key)?, bytes)))
    }
}

impl Entries for KeyEntries<'_, '_> {
    fn get(&self, place: &Place) -> Result<Option<&[u8]>> {
        self.found(place)
    }

    fn last(&self, from: &Place, to: &Place) -> Result<Option<(Place, &[u8])>> {
        self.found_last(from, to)
    }

    fn scan(&self, from: &Place, to: &Place, each: &mut EachEntry<'_>) -> Result<()> {
        let failed = |error| self.environment.error("reading", error);
        let range = self.key.with(from, |from| {
            self.key
                .with(to, |to| self.environment.tree().range(self.txn, &(Bound::Included(from), Bound::Included(to))))
        });
        for entry in range.map_err(failed)? {
            let (key, bytes) = entry.map_err(failed)?;
            if each(place_of(key)?, bytes)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The entries of a key in a write transaction.
pub(super) struct KeyEntriesMut<'t, 'p> {
    pub(super) environment: Live<'t>,
    pub(super) txn: &'t mut RwTxn<'p>,
    pub(super) key: EntryKey,
}

impl<'p> KeyEntriesMut<'_, 'p> {
    fn reading(&self) -> KeyEntries<'_, 'p> {
        KeyEntries { environment: self.environment, txn: self.txn, key: &self.key }
    }
}

impl Entries for KeyEntriesMut<'_, '_> {
    fn get(&self, place: &Place) -> Result<Option<&[u8]>> {
        self.reading().found(place)
    }

    fn last(&self, from: &Place, to: &Place) -> Result<Option<(Place, &[u8])>> {
        self.reading().found_last(from, to)
    }

    fn scan(&self, from: &Place, to: &Place, each: &mut EachEntry<'_>) -> Result<()> {
        self.reading().scan(from, to, each)
    }
}

impl EntriesMut for KeyEntriesMut<'_, '_> {
    fn put(&mut self, place: &Place, bytes: &[u8]) -> Result<()> {
        let tree = self.environment.tree();
        let put = self.key.with(place, |key| tree.put(self.txn, key, bytes));
        put.map_err(|error| self.environment.error("writing", error))
    }

    fn remove(&mut self, from: &Place, to: &Place) -> Result<()> {
        let (tree, txn) = (self.environment.tree(), &mut *self.txn);
        let removed = self.key.with(from, |from| {
            self.key.with(to, |to| tree.delete_range(txn, &(Bound::Included(from), Bound::Included(to))))
        });
        removed.map(|_| ()).map_err(|error| self.environment.error("writing", error))
    }
}
