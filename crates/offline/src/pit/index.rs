//! The questions of a retrieval, by key and time: what the rows of a view are looked up in.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, Int64Array};
use lodestore_core::entity_key::KeyColumn;
use lodestore_core::time::EventTime;

use super::keys::{Keys, NO_KEY, key_hashes};
use crate::prefetch::prefetch;
use crate::source::KeyValues;

/// The time of every question to a timeless view that has no time of its own.
const ANY_TIME: i64 = i64::MAX - 1;

/// How many bytes the index takes for a question, about; half as much again while it is made.
pub(crate) const BYTES_A_QUESTION: usize = 40;

/// Questions grouped by key and, within a key, sorted by time. A question's *place* is where it
/// stands in that order; the places of a key are one run.
#[derive(Debug)]
pub(crate) struct QuestionIndex {
    keys: Keys,
    /// For each key number, its first place; one more item at the end.
    starts: Vec<u32>,
    /// For each place, the question's time.
    times: Vec<i64>,
    /// For each place, the question.
    questions: Vec<u32>,
}

/// What questions are asked about: their keys and, unless that does not matter, their times. Views with
/// the same key columns share one.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The key columns, in the order of the join keys.
    pub(crate) keys: Vec<KeyColumn>,
    /// The times; without them every row of a key is visible.
    pub(crate) times: Option<Int64Array>,
    /// How many questions there are.
    pub(crate) count: usize,
    /// The index of all questions, once some view needed it.
    whole: OnceLock<Arc<QuestionIndex>>,
}

impl Asked {
    /// Returns questions by their key columns and times.
    pub(crate) fn new(keys: Vec<KeyColumn>, times: Option<Int64Array>, count: usize) -> Self {
        Self { keys, times, count, whole: OnceLock::new() }
    }

    /// Indexes the questions, in so many parts that are disjoint by key, one after the other.
    pub(crate) fn indexes(&self, parts: usize, threads: usize) -> impl Iterator<Item = Arc<QuestionIndex>> + '_ {
        let hashes = if parts > 1 { key_hashes(&self.keys, self.count) } else { Vec::new() };
        (0..parts.max(1)).map(move |part| {
            if parts <= 1 {
                return Arc::clone(self.whole.get_or_init(|| Arc::new(QuestionIndex::new(self, threads, |_| true))));
            }
            Arc::new(QuestionIndex::new(self, threads, |question| hashes[question] as usize % parts == part))
        })
    }
}

impl QuestionIndex {
    /// Indexes the questions for which `is_in`. A question with a null key or, where there are times, a
    /// null time has no place: nothing answers it (rule P6).
    fn new(asked: &Asked, threads: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let has_time = |question| asked.times.as_ref().is_none_or(|times| times.is_valid(question));
        let (keys, numbers) = Keys::number(&asked.keys, asked.count, |q| has_time(q) && is_in(q));
        let mut starts = vec![0_u32; keys.len() + 1];
        for number in numbers.iter().filter(|number| **number != NO_KEY) {
            starts[*number as usize + 1] += 1;
        }
        for number in 0..keys.len() {
            starts[number + 1] += starts[number];
        }
        let mut next = starts.clone();
        let mut placed = vec![(0_i64, 0_u32); starts.last().map_or(0, |count| *count as usize)];
        for (question, number) in numbers.into_iter().enumerate().filter(|(_, number)| *number != NO_KEY) {
            let time = asked.times.as_ref().map_or(ANY_TIME, |times| times.value(question));
            let place = &mut next[number as usize];
            placed[*place as usize] = (time, question as u32);
            *place += 1;
        }
        let (times, questions) = sorted(&starts, &mut placed, threads);
        Self { keys, starts, times, questions }
    }

    /// Returns the keys.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the places of a key's questions, by the key's number.
    pub(crate) fn places_of(&self, number: u32) -> Range<usize> {
        self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize
    }

    /// Returns the places of each key, key by key.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.starts.windows(2).map(|pair| pair[0] as usize..pair[1] as usize)
    }

    /// Returns, of a key's places, the first with a time at `from` or later; the end if there is none.
    #[inline]
    pub(crate) fn first_from(&self, places: &Range<usize>, from: EventTime) -> usize {
        // As `partition_point`, but without a branch that is taken half of the time: rows come in any order,
        // and a wrong guess costs more than the search.
        let times = &self.times[places.clone()];
        let (mut first, mut left) = (0, times.len());
        while left > 1 {
            let half = left / 2;
            first += if times[first + half - 1] < from.as_micros() { half } else { 0 };
            left -= half;
        }
        places.start + first + usize::from(left == 1 && times[first] < from.as_micros())
    }

    /// Asks for the memory that a search among places will look at first; of few places, for all of it.
    #[inline]
    pub(crate) fn prefetch(&self, places: &Range<usize>) {
        prefetch(&self.times, places.start);
        prefetch(&self.times, places.start + places.len() / 2);
        prefetch(&self.times, places.end - 1);
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

    /// Returns which values there are in each key column.
    pub(crate) fn key_values(&self) -> impl Iterator<Item = Option<KeyValues>> + '_ {
        self.keys.values()
    }

    /// Returns the earliest and the latest time, unless there is no place.
    pub(crate) fn time_range(&self) -> Option<(EventTime, EventTime)> {
        let earliest = self.times.iter().min()?;
        let latest = self.times.iter().max()?;
        Some((EventTime::from_micros(*earliest), EventTime::from_micros(*latest)))
    }
}

/// Sorts the questions of each key by time, on several threads; returns their times and the questions themselves.
fn sorted(starts: &[u32], placed: &mut [(i64, u32)], threads: usize) -> (Vec<i64>, Vec<u32>) {
    let (mut times, mut questions) = (vec![0; placed.len()], vec![0; placed.len()]);
    let share = placed.len().div_ceil(threads.max(1)).max(1);
    std::thread::scope(|scope| {
        let (mut starts, mut placed) = (starts, placed);
        let (mut times, mut questions) = (times.as_mut_slice(), questions.as_mut_slice());
        while let [first, .., last] = *starts {
            // Whole keys, at least as many as are a thread's share of the questions.
            let keys = starts[1..].partition_point(|end| ((end - first) as usize) < share) + 1;
            let end = *starts.get(keys).unwrap_or(&last);
            let count = (end - first) as usize;
            let (of_keys, mine) = (&starts[..(keys + 1).min(starts.len())], placed.split_at_mut(count));
            let (my_times, my_questions) = (times.split_at_mut(count), questions.split_at_mut(count));
            scope.spawn(move || {
                for key in of_keys.windows(2) {
                    mine.0[(key[0] - first) as usize..(key[1] - first) as usize].sort_unstable();
                }
                for ((time, question), placed) in my_times.0.iter_mut().zip(my_questions.0).zip(mine.0.iter()) {
                    (*time, *question) = *placed;
                }
            });
            starts = starts.get(keys..).unwrap_or_default();
            (placed, times, questions) = (mine.1, my_times.1, my_questions.1);
        }
    });
    (times, questions)
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, StringArray};
    use lodestore_core::types::KeyType;

    use super::*;

    fn integers(values: &[Option<i64>]) -> lodestore_core::Result<KeyColumn> {
        KeyColumn::new("k", &(Arc::new(Int64Array::from(values.to_vec())) as ArrayRef), KeyType::Int64)
    }

    #[test]
    fn questions_stand_by_key_and_time() -> lodestore_core::Result<()> {
        // Keys close together, then far apart: both forms of the table.
        for far in [1, i64::MAX / 8] {
            let keys = [Some(7 * far), Some(3), Some(7 * far), None, Some(7 * far), Some(3)];
            let times = Int64Array::from(vec![Some(30), Some(5), Some(10), Some(1), Some(20), None]);
            let asked = Asked::new(vec![integers(&keys)?], Some(times), 6);
            let index = QuestionIndex::new(&asked, 2, |_| true);
            assert_eq!((index.places(), index.keys().len()), (4, 2));
            let mut numbers = Vec::new();
            index.keys().find(&[integers(&[Some(7 * far), Some(1), None, Some(i64::MIN), Some(3)])?], 5, &mut numbers);
            assert_eq!(numbers, [0, NO_KEY, NO_KEY, NO_KEY, 1]);
            let places = index.places_of(0);
            assert_eq!(places.clone().map(|place| index.question(place)).collect::<Vec<_>>(), [2, 4, 0]);
            let at = EventTime::from_micros;
            assert_eq!([10, 11, 31].map(|from| index.first_from(&places, at(from))), [0, 1, 3]);
            assert_eq!(index.time_range(), Some((at(5), at(30))));
        }
        Ok(())
    }

    #[test]
    fn parts_are_disjoint_and_composite_keys_are_found_whole() -> lodestore_core::Result<()> {
        let text: ArrayRef =
            Arc::new(StringArray::from_iter((0..100).map(|i| (i % 9 != 0).then(|| format!("{}", i % 7)))));
        let text = KeyColumn::new("s", &text, KeyType::String)?;
        let number = integers(&(0..100).map(|i| (i % 11 != 0).then_some(i % 5)).collect::<Vec<_>>())?;
        let asked = Asked::new(vec![number.clone(), text.clone()], None, 100);
        for parts in [1, 3] {
            let mut seen = vec![0; 100];
            for index in asked.indexes(parts, 3) {
                let mut numbers = Vec::new();
                index.keys().find(&asked.keys, 100, &mut numbers);
                for (row, number) in numbers.into_iter().enumerate().filter(|(_, number)| *number != NO_KEY) {
                    let same = index.places_of(number).map(|place| index.question(place));
                    assert!(same.clone().any(|question| question == row));
                    assert!(same.clone().all(|q| q % 5 == row % 5 && q % 7 == row % 7));
                    seen[row] += 1;
                }
            }
            let expected: Vec<i32> = (0..100).map(|i| i32::from(i % 9 != 0 && i % 11 != 0)).collect();
            assert_eq!(seen, expected);
        }
        Ok(())
    }
}
