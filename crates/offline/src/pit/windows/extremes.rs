//! The least or greatest number of runs of events.

use std::ops::Range;

use arrow::array::Array;
use lodestore_core::aggregation::{Function, Outcome, OwnedValue};
use lodestore_core::types::FeatureType;
use lodestore_core::windows::{BoundAggregation, Events};

/// Which numbers are sought, and what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    is_least: bool,
    is_float: bool,
}

/// Numbers of a key's events in a segment tree, as integers of which the least is sought.
#[derive(Debug, Default)]
pub(super) struct Extremes {
    /// For each event how many before it have a number that counts.
    before: Vec<u32>,
    /// The usual tree of n leaves: these at n + i, and node i above 2i and 2i + 1.
    tree: Vec<i64>,
}

/// What NaN is among floats: it is the extreme wherever it is (rule W4). No other float has this number.
const NAN: i64 = i64::MIN;

impl Kind {
    /// Returns the kind of an aggregation, if it seeks an extreme of numbers of 64 bits.
    pub(super) fn of(one: &BoundAggregation) -> Option<Self> {
        let is_least = match one.aggregate.function() {
            Function::Min => true,
            Function::Max => false,
            _ => return None,
        };
        let is_float = *one.aggregate.output() == FeatureType::Float64;
        let is_number = is_float || *one.aggregate.output() == FeatureType::Int64;
        (is_number && !one.is_grouped()).then_some(Self { is_least, is_float })
    }

    /// Returns a number of the same order as a float: -0.0 below 0.0, NaN the extreme.
    fn of_float(self, value: f64) -> i64 {
        if value.is_nan() {
            return NAN;
        }
        let bits = value.to_bits().cast_signed();
        self.sought(bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed())
    }

    fn sought(self, number: i64) -> i64 {
        if self.is_least { number } else { !number }
    }

    fn value(self, least: i64) -> OwnedValue {
        if self.is_float && least == NAN {
            return OwnedValue::Float64(f64::NAN);
        }
        let number = self.sought(least);
        if !self.is_float {
            return OwnedValue::Int64(number);
        }
        OwnedValue::Float64(f64::from_bits(
            (number ^ ((number >> 63).cast_unsigned() >> 1).cast_signed()).cast_unsigned(),
        ))
    }
}

impl Extremes {
    /// Takes up the events of a key.
    pub(super) fn fill(&mut self, kind: Kind, events: &Events, aggregation: usize, key: Range<usize>) {
        self.before.clear();
        self.tree.clear();
        let mut numbers = Vec::with_capacity(key.len());
        for event in key {
            self.before.push(numbers.len() as u32);
            if !events.counts(aggregation, event) {
                continue;
            }
            if let Some(values) = events.floats(aggregation) {
                numbers.extend(values.is_valid(event).then(|| kind.of_float(values.value(event))));
            } else if let Some(values) = events.integers(aggregation) {
                numbers.extend(values.is_valid(event).then(|| kind.sought(values.value(event))));
            }
        }
        self.before.push(numbers.len() as u32);
        let count = numbers.len();
        self.tree.resize(count, i64::MAX);
        self.tree.extend(numbers);
        for node in (1..count).rev() {
            self.tree[node] = self.tree[2 * node].min(self.tree[2 * node + 1]);
        }
    }

    /// Returns the extreme of a run of the key's events.
    pub(super) fn of(&self, kind: Kind, run: &Range<usize>) -> Outcome {
        let count = self.tree.len() / 2;
        let (mut left, mut right) = (self.before[run.start] as usize + count, self.before[run.end] as usize + count);
        if left >= right {
            return Outcome::Null;
        }
        let mut least = i64::MAX;
        while left < right {
            if left % 2 == 1 {
                least = least.min(self.tree[left]);
                left += 1;
            }
            if right % 2 == 1 {
                right -= 1;
                least = least.min(self.tree[right]);
            }
            left /= 2;
            right /= 2;
        }
        Outcome::Value(kind.value(least))
    }
}
