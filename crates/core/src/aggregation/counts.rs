//! How often each value occurs, exactly, up to a limit of distinct values.

use hashbrown::HashMap;

use super::codec::{Reader, Writer};
use super::value::OwnedValue;
use crate::error::{Error, Result};
use crate::types::FeatureType;

/// Distinct values and how often each occurs. NaN equals NaN, and -0.0 equals 0.0.
///
/// Past its limit of distinct values it holds none and stays so: whether that happened depends on the set of
/// values alone, never on their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueCounts(Option<HashMap<OwnedValue, u64>>);

impl Default for ValueCounts {
    fn default() -> Self {
        Self(Some(HashMap::new()))
    }
}

impl ValueCounts {
    pub(super) fn add(&mut self, value: OwnedValue, times: u64, limit: u32) {
        let Some(counts) = &mut self.0 else { return };
        let full = counts.len() >= limit as usize;
        match counts.get_mut(&value) {
            Some(count) => *count = count.saturating_add(times),
            None if full => self.0 = None,
            None => {
                counts.insert(value, times);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self, limit: u32) {
        match &other.0 {
            None => self.0 = None,
            Some(counts) => counts.iter().for_each(|(value, times)| self.add(value.clone(), *times, limit)),
        }
    }

    /// Returns how many distinct values there are, `None` past the limit.
    #[must_use]
    pub fn distinct(&self) -> Option<usize> {
        self.0.as_ref().map(HashMap::len)
    }

    /// Returns the values in ascending order with their counts, `None` past the limit.
    #[must_use]
    pub fn ascending(&self) -> Option<Vec<(&OwnedValue, u64)>> {
        let mut all: Vec<_> = self.0.as_ref()?.iter().map(|(value, times)| (value, *times)).collect();
        all.sort_unstable();
        Some(all)
    }

    /// Returns the k most frequent values, the most frequent first and of equally frequent ones the least;
    /// `None` past the limit.
    #[must_use]
    pub fn most_frequent(&self, k: usize) -> Option<Vec<&OwnedValue>> {
        let mut all = self.ascending()?;
        all.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
        Some(all.into_iter().take(k).map(|(value, _)| value).collect())
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        let Some(all) = self.ascending() else { return to.byte(1) };
        to.byte(0);
        to.natural(all.len() as u64);
        for (value, times) in all {
            value.encode(to);
            to.natural(times);
        }
    }

    pub(super) fn decode(ty: &FeatureType, limit: u32, from: &mut Reader<'_>) -> Result<Self> {
        if from.flag()? {
            return Ok(Self(None));
        }
        let mut counts = Self::default();
        let length = from.length(2)?;
        for _ in 0..length {
            let value = OwnedValue::decode(ty, from)?.into_key();
            counts.add(value, from.natural()?, limit);
        }
        if counts.distinct() != Some(length) {
            return Err(Error::corrupt(format!("{length} stored values are not distinct, or more than {limit}")));
        }
        Ok(counts)
    }
}
