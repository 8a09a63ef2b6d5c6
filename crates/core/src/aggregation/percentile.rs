//! About which values lie at given fractions of all values: counts in buckets of fixed bounds.
//!
//! A value's bucket is given by its sign, its exponent and the first seven bits of its mantissa, as in
//! an HDR histogram (Tene, 2012). Counts of fixed buckets add up in any order, and can be taken off again;
//! t-digest and KLL can do neither. The answer is the bucket's end nearest to zero: it is at most 1/128 below the
//! value asked for, in size, and equals it for integers up to 256. Below 2^-1022 the error is at most 2^-1029.

use std::collections::BTreeMap;

use super::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// What is left out of the mantissa.
const DROPPED: u32 = 52 - 7;

/// The greatest bucket, which is infinity's.
const INFINITE: i32 = (0x7ff_u32 << 7).cast_signed();

/// How many values fell into each bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PercentileSketch {
    /// By a number that is below zero for negative values; those nearest to zero are in bucket 0.
    buckets: BTreeMap<i32, u64>,
    nan: u64,
}

impl PercentileSketch {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nan = self.nan.wrapping_add(1);
        } else {
            self.raise(bucket(value), 1);
        }
    }

    /// Takes a value off that was added before.
    pub fn remove(&mut self, value: f64) {
        if value.is_nan() {
            self.nan = self.nan.wrapping_sub(1);
        } else {
            self.raise(bucket(value), 1_u64.wrapping_neg());
        }
    }

    fn raise(&mut self, bucket: i32, by: u64) {
        let count = self.buckets.entry(bucket).or_default();
        *count = count.wrapping_add(by);
        if *count == 0 {
            self.buckets.remove(&bucket);
        }
    }

    /// Adds all that another sketch holds.
    pub fn merge(&mut self, other: &Self) {
        self.nan = self.nan.wrapping_add(other.nan);
        other.buckets.iter().for_each(|(bucket, count)| self.raise(*bucket, *count));
    }

    /// Takes off all that another sketch holds.
    pub fn subtract(&mut self, other: &Self) {
        self.nan = self.nan.wrapping_sub(other.nan);
        other.buckets.iter().for_each(|(bucket, count)| self.raise(*bucket, count.wrapping_neg()));
    }

    /// Returns, for each fraction f, about the value of rank `ceil(f * n)` among the n values in ascending
    /// order, the first at least. NaN where a value is NaN; `None` of no values.
    #[must_use]
    pub fn values_at(&self, fractions: &[f64]) -> Option<Vec<f64>> {
        if self.nan > 0 {
            return Some(vec![f64::NAN; fractions.len()]);
        }
        let counts = self.buckets.values().fold(0_u64, |all, count| all.saturating_add(*count));
        let value_at = |fraction: &f64| {
            let mut rank = ((fraction * counts as f64).ceil() as u64).clamp(1, counts);
            for (bucket, count) in &self.buckets {
                if rank <= *count {
                    return Some(least_of(*bucket));
                }
                rank -= count;
            }
            None
        };
        if counts == 0 { None } else { fractions.iter().map(value_at).collect() }
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.nan);
        to.natural(self.buckets.len() as u64);
        // Neighbours are close to each other: what lies between them is a byte or two.
        let mut last = 0;
        for (bucket, count) in &self.buckets {
            to.integer(i64::from(bucket - last));
            to.natural(*count);
            last = *bucket;
        }
    }

    pub(super) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        let mut sketch = Self { nan: from.natural()?, buckets: BTreeMap::new() };
        let mut last = 0_i64;
        for _ in 0..from.length(2)? {
            last = last.saturating_add(from.integer()?);
            let bucket = i32::try_from(last).ok().filter(|bucket| bucket.abs() <= INFINITE);
            let bucket = bucket.ok_or_else(|| Error::corrupt("a bucket of a stored sketch is out of range"))?;
            sketch.raise(bucket, from.natural()?);
        }
        Ok(sketch)
    }
}

fn bucket(value: f64) -> i32 {
    let size = (value.abs().to_bits() >> DROPPED) as i32;
    if value < 0.0 { -size } else { size }
}

/// Returns the end of a bucket that is nearest to zero.
fn least_of(bucket: i32) -> f64 {
    let size = f64::from_bits(u64::from(bucket.unsigned_abs()) << DROPPED);
    if bucket < 0 { -size } else { size }
}
