//! The questions of a retrieval, by key and time: what the rows of a view are looked up in.

use std::hash::BuildHasher;
use std::ops::Range;

use arrow::array::{Array, Int64Array};
use hashbrown::{DefaultHashBuilder, HashTable};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::time::EventTime;

/// The time of every question to a timeless view that has no time of its own.
const ANY_TIME: i64 = i64::MAX - 1;

/// Questions grouped by key and, within a key, sorted by time. A question's *place* is where it
/// stands in that order; the places of a key are one run.
#[derive(Debug)]
pub(crate) struct QuestionIndex {
    keys: EntityKeys,
    hasher: DefaultHashBuilder,
    /// Key numbers, found by the hash of their bytes.
    numbers: HashTable<u32>,
    /// For each key number, a question that has it.
    examples: Vec<u32>,
    /// For each key number, its first place; one more item at the end.
    starts: Vec<u32>,
    /// For each place, the question's time.
    times: Vec<i64>,
    /// For each place, the question.
    questions: Vec<u32>,
}

impl QuestionIndex {
    /// Indexes questions by their keys and times. A question with a null key or, where `times` are
    /// given, a null time has no place: nothing answers it (rule P6).
    pub(crate) fn new(keys: EntityKeys, times: Option<&Int64Array>) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut numbers: HashTable<u32> = HashTable::new();
        let mut examples: Vec<u32> = Vec::new();
        let mut placed: Vec<(u32, i64, u32)> = Vec::with_capacity(keys.len());
        for question in 0..keys.len() {
            let time = match times {
                Some(times) if times.is_null(question) => continue,
                Some(times) => times.value(question),
                None => ANY_TIME,
            };
            let Some(key) = keys.get(question) else { continue };
            let hash = hasher.hash_one(key);
            let bytes = |number: u32| keys.get(examples[number as usize] as usize);
            let number = match numbers.find(hash, |&number| bytes(number) == Some(key)) {
                Some(&number) => number,
                None => {
                    let number = examples.len() as u32;
                    numbers.insert_unique(hash, number, |&other| hasher.hash_one(bytes(other).unwrap_or_default()));
                    examples.push(question as u32);
                    number
                }
            };
            placed.push((number, time, question as u32));
        }
        placed.sort_unstable();
        let mut starts = vec![0; examples.len() + 1];
        for (number, _, _) in &placed {
            starts[*number as usize + 1] += 1;
        }
        for number in 0..examples.len() {
            starts[number + 1] += starts[number];
        }
        let times = placed.iter().map(|(_, time, _)| *time).collect();
        let questions = placed.iter().map(|(_, _, question)| *question).collect();
        Self { keys, hasher, numbers, examples, starts, times, questions }
    }

    /// Returns the places of a key's questions.
    pub(crate) fn places_of(&self, key: &[u8]) -> Option<Range<usize>> {
        let same = |number: &u32| self.keys.get(self.examples[*number as usize] as usize) == Some(key);
        let number = *self.numbers.find(self.hasher.hash_one(key), same)? as usize;
        Some(self.starts[number] as usize..self.starts[number + 1] as usize)
    }

    /// Returns the places of each key, key by key.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }

    /// Returns, of a key's places, those with a time in `[from, to)`.
    pub(crate) fn between(&self, places: Range<usize>, from: EventTime, to: EventTime) -> Range<usize> {
        let times = &self.times[places.clone()];
        let first = times.partition_point(|&time| time < from.as_micros());
        let end = if to == EventTime::MAX { times.len() } else { times.partition_point(|&t| t < to.as_micros()) };
        places.start + first..places.start + end.max(first)
    }

    /// Returns the question at a place.
    pub(crate) fn question(&self, place: usize) -> usize {
        self.questions[place] as usize
    }

    /// Returns the time of the question at a place.
    pub(crate) fn time(&self, place: usize) -> EventTime {
        EventTime::from_micros(self.times[place])
    }

    /// Returns how many places there are.
    pub(crate) fn places(&self) -> usize {
        self.times.len()
    }

    /// Returns how many questions were asked, placed or not.
    pub(crate) fn questions(&self) -> usize {
        self.keys.len()
    }

    /// Returns the least and the greatest key, where keys are one integer, unless there is none.
    pub(crate) fn integer_key_range(&self) -> Option<(i64, i64)> {
        let integer = |question: &u32| {
            let bytes: [u8; 8] = self.keys.get(*question as usize)?.try_into().ok()?;
            Some(i64::from_be_bytes(bytes) ^ i64::MIN)
        };
        let mut integers = self.examples.iter().map(integer);
        let first = integers.next()??;
        integers.try_fold((first, first), |(least, greatest), key| {
            let key = key?;
            Some((least.min(key), greatest.max(key)))
        })
    }

    /// Returns the earliest and the latest time, unless there is no place.
    pub(crate) fn time_range(&self) -> Option<(EventTime, EventTime)> {
        let earliest = self.times.iter().min()?;
        let latest = self.times.iter().max()?;
        Some((EventTime::from_micros(*earliest), EventTime::from_micros(*latest)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;
    use lodestore_core::types::KeyType;

    use super::*;

    #[test]
    fn questions_stand_by_key_and_time() -> lodestore_core::Result<()> {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(3), Some(7), None, Some(7), Some(3)]));
        let keys = EntityKeys::encode(6, &[("k", &keys, KeyType::Int64)])?;
        let times = Int64Array::from(vec![Some(30), Some(5), Some(10), Some(1), Some(20), None]);
        let index = QuestionIndex::new(keys.clone(), Some(&times));
        assert_eq!((index.places(), index.questions()), (4, 6));
        let places = index.places_of(keys.get(0).unwrap_or_default()).unwrap_or_default();
        assert_eq!(places.clone().map(|place| index.question(place)).collect::<Vec<_>>(), [2, 4, 0]);
        let at = EventTime::from_micros;
        assert_eq!(index.between(places.clone(), at(10), EventTime::MAX).len(), 3);
        assert_eq!(index.between(places.clone(), at(11), at(30)).len(), 1);
        assert_eq!(index.between(places, at(31), EventTime::MAX).len(), 0);
        assert_eq!(index.places_of(b"none"), None);
        assert_eq!(index.time_range(), Some((at(5), at(30))));
        Ok(())
    }
}
