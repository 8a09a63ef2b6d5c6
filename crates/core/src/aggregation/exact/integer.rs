//! Exact sums of integers.

use super::{Dyadic, Sign};
use crate::aggregation::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// How many integers there were, and their sum in 256 bits: enough for 2^64 decimals of 38 digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntegerSum {
    count: u64,
    low: u128,
    high: i128,
}

impl IntegerSum {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: i64) {
        self.add_wide(i128::from(value));
    }

    /// Takes a value off that was added before.
    #[inline]
    pub fn remove(&mut self, value: i64) {
        self.remove_wide(i128::from(value));
    }

    /// Adds a value of 128 bits, such as a decimal's digits.
    #[inline]
    pub fn add_wide(&mut self, value: i128) {
        self.merge(&Self { count: 1, low: value.cast_unsigned(), high: value >> 127 });
    }

    /// Takes a value of 128 bits off that was added before.
    #[inline]
    pub fn remove_wide(&mut self, value: i128) {
        self.subtract(&Self { count: 1, low: value.cast_unsigned(), high: value >> 127 });
    }

    /// Adds all that another one holds.
    #[inline]
    pub fn merge(&mut self, other: &Self) {
        let (low, carry) = self.low.overflowing_add(other.low);
        let high = self.high.wrapping_add(other.high).wrapping_add(i128::from(carry));
        *self = Self { count: self.count.wrapping_add(other.count), low, high };
    }

    /// Takes off all that another one holds.
    #[inline]
    pub fn subtract(&mut self, other: &Self) {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        let high = self.high.wrapping_sub(other.high).wrapping_sub(i128::from(borrow));
        *self = Self { count: self.count.wrapping_sub(other.count), low, high };
    }

    /// Returns how many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum, `None` where it does not fit into 128 bits.
    #[must_use]
    pub fn sum(&self) -> Option<i128> {
        let low = self.low.cast_signed();
        (self.high == low >> 127).then_some(low)
    }

    /// Returns the mean of values with `scale` digits after the point: the exact quotient, rounded once;
    /// `None` of no values.
    #[must_use]
    pub fn mean(&self, scale: i8) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let exact = 1 << 53;
        match self.sum() {
            Some(sum) if scale == 0 && sum.unsigned_abs() <= exact && u128::from(self.count) <= exact => {
                Some(sum as f64 / self.count as f64)
            }
            _ => Some(self.total().times(&power_of_ten(scale.saturating_neg())).ratio(&divisor(self.count, scale))),
        }
    }

    fn total(&self) -> Dyadic {
        let mut limbs = [self.low as u64, (self.low >> 64) as u64, self.high as u64, (self.high >> 64) as u64];
        let sign = Sign::of(self.high < 0);
        if sign == Sign::Minus {
            let mut carry = true;
            for limb in &mut limbs {
                (*limb, carry) = (!*limb).carrying_add(0, carry);
            }
        }
        Dyadic::new(sign, limbs.as_slice().into(), 0)
    }

    pub(in crate::aggregation) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.count);
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&self.low.to_le_bytes());
        bytes[16..].copy_from_slice(&self.high.to_le_bytes());
        let fill = if self.high < 0 { 255 } else { 0 };
        let mut length = bytes.iter().rposition(|byte| *byte != fill).map_or(0, |last| last + 1);
        // One more where the highest bit would tell the wrong sign.
        if length > 0 && (bytes[length - 1] ^ fill) >> 7 == 1 {
            length += 1;
        }
        to.byte(length.max(1) as u8);
        to.bytes(&bytes[..length.max(1)]);
    }

    pub(in crate::aggregation) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        let count = from.natural()?;
        let length = usize::from(from.byte()?);
        if !(1..=32).contains(&length) {
            return Err(Error::corrupt("a stored sum of integers has 1 to 32 bytes"));
        }
        let stored = from.bytes(length)?;
        let fill = if stored[length - 1] >> 7 == 1 { 255 } else { 0 };
        let half = |at: usize| {
            (0..16).rev().fold(0_u128, |half, i| half << 8 | u128::from(stored.get(at + i).copied().unwrap_or(fill)))
        };
        Ok(Self { count, low: half(0), high: half(16).cast_signed() })
    }
}

/// Returns 10 to the power of `exponent`, 1 for one below zero.
pub(super) fn power_of_ten(exponent: i8) -> Dyadic {
    let ten = Dyadic::natural(10);
    (0..exponent).fold(Dyadic::natural(1), |power, _| power.times(&ten))
}

fn divisor(count: u64, scale: i8) -> Dyadic {
    Dyadic::natural(count).times(&power_of_ten(scale))
}
