//! Sums and moments without any rounding before the last one.
//!
//! A float is an integer times a power of two, and so is every sum of floats: with enough bits it is
//! exact, like a sum of integers. Values can then be added, taken off again and merged in any order, and the bits of
//! the answer are the same (rule W2). Kulisch's long accumulator holds all 2,098 bits; [`ExactSum`] holds
//! the 256 around the values it meets, and the rest only where it is needed.

mod dyadic;
mod fixed;
mod integer;
mod moments;
mod sum;
#[cfg(test)]
mod tests;

pub use integer::IntegerSum;
pub use moments::{Moment, Moments, Order};
pub use sum::{ExactSum, FloatSum};

pub(super) use dyadic::Dyadic;

/// The exponent of the lowest bit that a float has.
const UNIT: i64 = -1_074;

/// The sign of a number or term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// Not below zero.
    Plus,
    /// Below zero.
    Minus,
}

impl Sign {
    #[inline]
    fn of(is_negative: bool) -> Self {
        if is_negative { Self::Minus } else { Self::Plus }
    }

    #[inline]
    fn flipped(self) -> Self {
        if self == Self::Plus { Self::Minus } else { Self::Plus }
    }

    #[inline]
    fn times(self, other: Self) -> Self {
        if self == other { Self::Plus } else { Self::Minus }
    }

    /// Returns all bits set for minus, none for plus.
    #[inline]
    fn mask(self) -> u64 {
        if self == Self::Minus { u64::MAX } else { 0 }
    }
}

/// A number's sign, its mantissa, and the place of the mantissa's lowest bit above [`UNIT`].
type Parts = (Sign, u64, i32);

/// Splits a finite float.
#[inline]
fn parts(value: f64) -> Parts {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let normal = u64::from(exponent != 0);
    (Sign::of(bits >> 63 == 1), fraction | normal << 52, (exponent - 1).max(0))
}

/// Returns `mantissa * 2^by` for `by` below 64, in more limbs.
#[inline]
fn widened<const L: usize, const A: usize>(mantissa: [u64; L], by: u32) -> [u64; A] {
    let mut words = [0; A];
    for (i, limb) in mantissa.into_iter().enumerate() {
        let wide = u128::from(limb) << by;
        words[i] |= wide as u64;
        words[i + 1] = (wide >> 64) as u64;
    }
    words
}

/// Values that no sum can hold, counted so that they can be taken off again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Specials {
    nan: u64,
    positive: u64,
    negative: u64,
}

impl Specials {
    fn count_of(&mut self, value: f64) -> &mut u64 {
        if value.is_nan() {
            &mut self.nan
        } else if value > 0.0 {
            &mut self.positive
        } else {
            &mut self.negative
        }
    }

    /// Counts a value among what there may be of them.
    #[cold]
    fn count(among: &mut Option<Box<Self>>, value: f64, sign: Sign) {
        let mut one = Self::default();
        *one.count_of(value) = 1;
        Self::combine(among, Some(&one), sign);
    }

    /// Adds others to what there may be of them, or takes them off.
    fn combine(among: &mut Option<Box<Self>>, other: Option<&Self>, sign: Sign) {
        let Some(other) = other else { return };
        let specials = among.get_or_insert_default();
        specials.merge(other, sign);
        if specials.is_none() {
            *among = None;
        }
    }

    fn merge(&mut self, other: &Self, sign: Sign) {
        let both = |to: u64, from: u64| if sign == Sign::Plus { to.wrapping_add(from) } else { to.wrapping_sub(from) };
        self.nan = both(self.nan, other.nan);
        self.positive = both(self.positive, other.positive);
        self.negative = both(self.negative, other.negative);
    }

    fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns what a sum of these is: NaN, an infinity, or nothing where there are none.
    fn sum(&self) -> Option<f64> {
        match (self.nan, self.positive, self.negative) {
            (0, 0, 0) => None,
            (0, _, 0) => Some(f64::INFINITY),
            (0, 0, _) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}
