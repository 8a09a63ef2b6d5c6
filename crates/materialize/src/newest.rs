//! The newest row of each key so far, so that older ones need not be put together and written.

use arrow::array::UInt32Array;
use hashbrown::HashMap;
use lodestore_core::Result;
use lodestore_core::rows::FeatureRows;
use lodestore_core::time::{EventTime, Micros};
use smallvec::SmallVec;

/// A key; the usual ones lie in the table itself, so that finding one is one look at memory and not two.
type Key = SmallVec<[u8; IN_TABLE]>;

/// Longer keys lie elsewhere.
const IN_TABLE: usize = 24;

/// What a key takes in the table, about.
const BYTES_OF_ENTRY: usize = 2 * size_of::<(Key, (EventTime, EventTime))>();

/// Leaves out rows that lose to others of the same run, whatever is stored (rule O1).
///
/// A row loses to a newer one of its key that is visible and always valid. Rows that are not visible yet, or cease to
/// be valid, answer at other moments than the newest one does, and all stay; so do rows of the same times, between which
/// their values decide.
#[derive(Debug)]
pub(crate) struct Newest {
    /// For each key the times of its newest row.
    times: HashMap<Key, (EventTime, EventTime)>,
    bytes: usize,
    most_bytes: usize,
    delay: Micros,
    now: EventTime,
}

impl Newest {
    /// Returns a table without any key. Past so many bytes it begins anew; then fewer rows are left out.
    pub(crate) fn new(delay: Micros, now: EventTime, most_bytes: usize) -> Self {
        Self { times: HashMap::new(), bytes: 0, most_bytes, delay, now }
    }

    /// Returns the rows that may win, and how many may not.
    ///
    /// # Errors
    /// `Internal` if Arrow can't take them.
    pub(crate) fn candidates(&mut self, rows: FeatureRows) -> Result<(FeatureRows, u64)> {
        if self.bytes > self.most_bytes {
            self.times.clear();
            self.bytes = 0;
        }
        let kept: Vec<u32> = (0..rows.len()).filter(|&row| self.may_win(&rows, row)).map(|row| row as u32).collect();
        let lost = rows.len() - kept.len();
        if lost == 0 {
            return Ok((rows, 0));
        }
        Ok((rows.take(&UInt32Array::from(kept))?, lost as u64))
    }

    fn may_win(&mut self, rows: &FeatureRows, row: usize) -> bool {
        let stamp = rows.stamps()[row];
        if stamp.valid_to != EventTime::MAX || stamp.event.plus(self.delay) > self.now {
            return true;
        }
        let key = rows.key(row);
        match self.times.get_mut(key) {
            Some(newest) if stamp.order() < *newest => false,
            Some(newest) => {
                *newest = stamp.order();
                true
            }
            None => {
                self.bytes += BYTES_OF_ENTRY + if key.len() > IN_TABLE { key.len() } else { 0 };
                self.times.insert(key.into(), stamp.order());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use lodestore_core::entity_key::EntityKeys;
    use lodestore_core::rows::RowStamp;
    use lodestore_core::types::KeyType;

    use super::*;

    fn rows(all: &[(i64, i64, i64, i64)]) -> Result<FeatureRows> {
        let ids: ArrayRef = Arc::new(all.iter().map(|row| row.0).collect::<Int64Array>());
        let at = EventTime::from_micros;
        let stamps = all.iter().map(|&(_, event, created, valid_to)| RowStamp {
            event: at(event),
            created: at(created),
            valid_to: if valid_to == 0 { EventTime::MAX } else { at(valid_to) },
        });
        let keys = EntityKeys::encode(all.len(), &[("id", &ids, KeyType::Int64)])?;
        let places: ArrayRef = Arc::new((0..all.len() as i64).collect::<Int64Array>());
        FeatureRows::new(keys, stamps.collect(), vec![(0, places)])
    }

    fn kept(newest: &mut Newest, all: &[(i64, i64, i64, i64)]) -> Result<Vec<i64>> {
        let (kept, lost) = newest.candidates(rows(all)?)?;
        assert_eq!(kept.len() + lost as usize, all.len());
        Ok(kept.features()[0].1.as_primitive::<Int64Type>().values().to_vec())
    }

    #[test]
    fn o1_only_rows_that_lose_to_a_newer_visible_one_are_left_out() -> Result<()> {
        let mut newest = Newest::new(Micros::new(2)?, EventTime::from_micros(20), 1 << 20);
        let batch = [(1, 10, 0, 0), (1, 9, 9, 0), (1, 10, 1, 0), (1, 10, 1, 0), (2, 3, 0, 0), (1, 10, 0, 0)];
        assert_eq!(kept(&mut newest, &batch)?, [0, 2, 3, 4]);
        // Rows that become visible later, at 21, or end sometime, answer beside the newest.
        assert_eq!(kept(&mut newest, &[(1, 19, 0, 0), (1, 11, 0, 0), (1, 5, 0, 7), (1, 10, 9, 0)])?, [0, 1, 2]);
        assert_eq!(kept(&mut newest, &[(2, 2, 0, 0), (2, 18, 0, 0), (2, 17, 0, 0)])?, [1]);
        Ok(())
    }

    #[test]
    fn a_table_that_is_full_begins_anew() -> Result<()> {
        let mut newest = Newest::new(Micros::ZERO, EventTime::from_micros(20), 1);
        assert_eq!(kept(&mut newest, &[(1, 10, 0, 0), (1, 9, 0, 0)])?, [0]);
        assert_eq!(kept(&mut newest, &[(1, 8, 0, 0), (1, 7, 0, 0)])?, [0]);
        Ok(())
    }
}
