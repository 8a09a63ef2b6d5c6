//! What a store keeps for one key, and how rows merge into it (rules O1, O2, O4 and O5).
//!
//! A key keeps every row that may still answer a question at or after `now`: usually one, the
//! winner by rule P3. More are kept while a newer row is not yet visible (its time lies ahead, or
//! its availability delay has not passed), while validity ranges overlap, and where newer partial
//! rows cover some of the features. Rows merge in any order, any number of times, to the same state.

use std::cmp::Ordering;

use super::FeatureStatus;
use crate::rows::RowStamp;
use crate::time::{EventTime, Micros};

/// The feature values of one row, in whatever form a store holds them.
pub trait Cells: Clone {
    /// Compares all features, column by column in the view's order (rule P3).
    fn compare(&self, other: &Self) -> Ordering;

    /// Compares one feature.
    fn compare_feature(&self, other: &Self, feature: usize) -> Ordering;

    /// Returns these values with those of `features` taken from the other row.
    #[must_use]
    fn with_features_of(&self, other: &Self, features: &FeatureMask) -> Self;
}

/// Which of a view's features a partial row has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeatureMask(Vec<u64>);

impl FeatureMask {
    /// Returns whether the feature at this place of the view's order is in the set.
    #[must_use]
    pub fn contains(&self, feature: usize) -> bool {
        self.0.get(feature / 64).is_some_and(|word| word >> (feature % 64) & 1 == 1)
    }

    /// Returns the features in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.0.len() * 64).filter(|&feature| self.contains(feature))
    }

    /// Returns the words of the set, 64 features each, the lowest bit first.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    /// Returns the set that has these words.
    #[must_use]
    pub fn from_words(words: Vec<u64>) -> Self {
        Self(words)
    }
}

impl FromIterator<usize> for FeatureMask {
    fn from_iter<I: IntoIterator<Item = usize>>(features: I) -> Self {
        let mut words = Vec::new();
        for feature in features {
            if words.len() <= feature / 64 {
                words.resize(feature / 64 + 1, 0);
            }
            words[feature / 64] |= 1 << (feature % 64);
        }
        Self(words)
    }
}

/// A row of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<C> {
    /// Its times.
    pub stamp: RowStamp,
    /// The features it has; `None` for all.
    pub mask: Option<FeatureMask>,
    /// Its values.
    pub cells: C,
}

impl<C> Entry<C> {
    fn has(&self, feature: usize) -> bool {
        self.mask.as_ref().is_none_or(|mask| mask.contains(feature))
    }

    fn visible_from(&self, delay: Micros) -> EventTime {
        self.stamp.event.plus(delay)
    }

    fn is_visible(&self, as_of: EventTime, delay: Micros) -> bool {
        self.visible_from(delay) <= as_of && as_of < self.stamp.valid_to
    }
}

/// What became of a row that was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Merged {
    /// The state changed.
    Written,
    /// The state had all of it, or newer.
    Skipped,
}

/// The rows of one key, and since when it is deleted.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyState<C> {
    /// Rows with an event time up to this one stay out (rule O5).
    pub deleted_at: Option<EventTime>,
    /// The rows, the greatest stamp first.
    pub entries: Vec<Entry<C>>,
}

impl<C> Default for KeyState<C> {
    fn default() -> Self {
        Self { deleted_at: None, entries: Vec::new() }
    }
}

impl<C: Cells> KeyState<C> {
    /// Merges a row.
    ///
    /// `delay` is the view's availability delay; `now` the moment from which on answers matter.
    pub fn merge(&mut self, row: Entry<C>, delay: Micros, now: EventTime) -> Merged {
        if self.is_deleted(row.stamp) {
            return Merged::Skipped;
        }
        let same = |entry: &Entry<C>| entry.stamp == row.stamp && entry.mask.is_some() == row.mask.is_some();
        let (stamp, is_partial) = (row.stamp, row.mask.is_some());
        let changed = match self.entries.iter_mut().find(|entry| same(entry)) {
            Some(entry) => absorb(entry, row),
            None => {
                let place = self.entries.partition_point(|e| e.stamp.order() >= row.stamp.order());
                self.entries.insert(place, row);
                true
            }
        };
        self.prune(delay, now);
        let kept = self.entries.iter().any(|entry| entry.stamp == stamp && entry.mask.is_some() == is_partial);
        if changed && kept { Merged::Written } else { Merged::Skipped }
    }

    /// Deletes the key as of `at`, or as of its newest row if that is later.
    pub fn delete(&mut self, at: EventTime) {
        let newest = self.entries.first().map_or(EventTime::MIN, |entry| entry.stamp.event);
        self.deleted_at = self.deleted_at.max(Some(at.max(newest)));
        self.entries.clear();
    }

    /// Returns the row that answers for a feature at a moment, before the TTL is applied.
    #[must_use]
    pub fn winner(&self, feature: usize, as_of: EventTime, delay: Micros) -> Option<&Entry<C>> {
        let mut candidates = self.entries.iter().filter(|e| e.has(feature) && e.is_visible(as_of, delay));
        let first = candidates.next()?;
        let ties: Vec<_> = candidates.take_while(|e| e.stamp.order() == first.stamp.order()).collect();
        if ties.is_empty() {
            return Some(first);
        }
        let all = || std::iter::once(first).chain(ties.iter().copied());
        let full = all().filter(|e| e.mask.is_none()).max_by(|a, b| a.cells.compare(&b.cells));
        let by_feature = |a: &&Entry<C>, b: &&Entry<C>| a.cells.compare_feature(&b.cells, feature);
        all().filter(|e| e.mask.is_some()).chain(full).max_by(by_feature)
    }

    fn is_deleted(&self, stamp: RowStamp) -> bool {
        stamp.event != EventTime::MIN && self.deleted_at.is_some_and(|at| stamp.event <= at)
    }

    /// Drops the rows that can't answer any question from `now` on.
    fn prune(&mut self, delay: Micros, now: EventTime) {
        if self.entries.len() < 2 {
            return;
        }
        let mut kept: Vec<Entry<C>> = Vec::with_capacity(self.entries.len());
        for (i, entry) in self.entries.iter().enumerate() {
            let others = || self.entries.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other);
            let stands_aside = |other: &Entry<C>| {
                other.visible_from(delay) <= now.max(entry.visible_from(delay))
                    && other.stamp.valid_to >= entry.stamp.valid_to
            };
            let full_loses = |other: &Entry<C>| {
                other.mask.is_none()
                    && stands_aside(other)
                    && match other.stamp.order().cmp(&entry.stamp.order()) {
                        Ordering::Greater => true,
                        Ordering::Equal if entry.mask.is_none() => match other.cells.compare(&entry.cells) {
                            Ordering::Greater => true,
                            Ordering::Equal => other.stamp.valid_to > entry.stamp.valid_to,
                            Ordering::Less => false,
                        },
                        _ => false,
                    }
            };
            let feature_loses = |feature: usize| {
                others().any(|o| o.has(feature) && o.stamp.order() > entry.stamp.order() && stands_aside(o))
            };
            let loses =
                others().any(full_loses) || entry.mask.as_ref().is_some_and(|mask| mask.iter().all(feature_loses));
            if !loses {
                kept.push(entry.clone());
            }
        }
        self.entries = kept;
    }
}

/// Merges a row into one of the same stamp and kind; returns whether that changed it.
fn absorb<C: Cells>(entry: &mut Entry<C>, row: Entry<C>) -> bool {
    match (&mut entry.mask, row.mask) {
        (Some(mask), Some(other)) => {
            let wins = |&f: &usize| !mask.contains(f) || row.cells.compare_feature(&entry.cells, f).is_gt();
            let better: FeatureMask = other.iter().filter(wins).collect();
            if better.iter().next().is_none() {
                return false;
            }
            entry.cells = entry.cells.with_features_of(&row.cells, &better);
            *mask = mask.iter().chain(better.iter()).collect();
            true
        }
        _ => {
            let wins = row.cells.compare(&entry.cells).is_gt();
            if wins {
                entry.cells = row.cells;
            }
            wins
        }
    }
}

/// Returns the status of a feature, given the stamp of the row that answers and whether its value is null.
///
/// # Examples
/// ```
/// use lodestore_core::online::{FeatureStatus, status_of};
/// use lodestore_core::rows::RowStamp;
/// use lodestore_core::time::{EventTime, Micros};
/// let (at, ttl) = (|us| EventTime::from_micros(us), Some(Micros::new(5)?));
/// assert_eq!(status_of(Some((RowStamp::at(at(10)), false)), ttl, at(15)), FeatureStatus::Present);
/// assert_eq!(status_of(Some((RowStamp::at(at(10)), false)), ttl, at(16)), FeatureStatus::OutsideMaxAge);
/// assert_eq!(status_of(None, ttl, at(16)), FeatureStatus::NotFound);
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[must_use]
pub fn status_of(row: Option<(RowStamp, bool)>, ttl: Option<Micros>, as_of: EventTime) -> FeatureStatus {
    match row {
        None => FeatureStatus::NotFound,
        Some((stamp, _)) if ttl.is_some_and(|ttl| stamp.event < as_of.minus(ttl)) => FeatureStatus::OutsideMaxAge,
        Some((_, true)) => FeatureStatus::NullValue,
        Some((_, false)) => FeatureStatus::Present,
    }
}
