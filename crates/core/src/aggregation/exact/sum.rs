//! Exact sums of floats.

use super::fixed::Fixed;
use super::{Dyadic, Parts, Sign, Specials, parts, widened};
use crate::aggregation::codec::{Reader, Writer};
use crate::error::Result;

/// The exact sum of any floats: order-free, invertible, mergeable.
///
/// # Behavior
/// - [`ExactSum::round`] rounds once, to the nearest float and the even one of two; past the greatest it is an infinity.
/// - A sum that is zero is 0.0, also a sum of nothing but -0.0.
/// - A NaN makes the sum NaN, as +inf beside -inf does; either infinity alone makes it that infinity.
/// - Removing what was added leaves a state that equals the one before.
///
/// # Examples
/// ```
/// use lodestore_core::aggregation::ExactSum;
/// let mut sum = ExactSum::default();
/// [1e300, 1.0, -1e300, 1e-300].iter().for_each(|value| sum.add(*value));
/// sum.remove(1e-300);
/// assert_eq!(sum.round(), 1.0);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExactSum {
    finite: Fixed<4>,
    specials: Option<Box<Specials>>,
}

impl ExactSum {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.add_parts(parts(value), Sign::Plus);
        } else {
            Specials::count(&mut self.specials, value, Sign::Plus);
        }
    }

    /// Takes a value off that was added before.
    #[inline]
    pub fn remove(&mut self, value: f64) {
        if value.is_finite() {
            self.add_parts(parts(value), Sign::Minus);
        } else {
            Specials::count(&mut self.specials, value, Sign::Minus);
        }
    }

    #[inline]
    fn add_parts(&mut self, (sign, mantissa, position): Parts, as_sign: Sign) {
        let words = widened::<1, 2>([mantissa], position.cast_unsigned() & 63);
        self.finite.add(position >> 6, words, sign.times(as_sign));
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.combine(other, Sign::Plus);
    }

    /// Takes off all that another sum holds.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, Sign::Minus);
    }

    fn combine(&mut self, other: &Self, sign: Sign) {
        self.finite.merge(&other.finite, sign);
        Specials::combine(&mut self.specials, other.specials.as_deref(), sign);
    }

    /// Returns the float nearest to the sum.
    #[must_use]
    pub fn round(&self) -> f64 {
        self.special().unwrap_or_else(|| self.finite.round(1))
    }

    /// Returns NaN or the infinity that the sum is, if it is no number.
    pub(in crate::aggregation) fn special(&self) -> Option<f64> {
        self.specials.as_ref().and_then(|specials| specials.sum())
    }

    /// Returns the sum of the finite values.
    pub(in crate::aggregation) fn total(&self) -> Dyadic {
        self.finite.total(1)
    }

    pub(in crate::aggregation) fn encode(&self, to: &mut Writer<'_>) {
        self.finite.encode(1, to);
        encode_specials(self.specials.as_deref(), to);
    }

    pub(in crate::aggregation) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { finite: Fixed::decode(1, from)?, specials: decode_specials(from)?.map(Box::new) })
    }
}

fn encode_specials(specials: Option<&Specials>, to: &mut Writer<'_>) {
    let Some(Specials { nan, positive, negative }) = specials.copied().filter(|specials| !specials.is_none()) else {
        return to.byte(0);
    };
    to.byte(1);
    [nan, positive, negative].into_iter().for_each(|count| to.natural(count));
}

fn decode_specials(from: &mut Reader<'_>) -> Result<Option<Specials>> {
    if !from.flag()? {
        return Ok(None);
    }
    let specials = Specials { nan: from.natural()?, positive: from.natural()?, negative: from.natural()? };
    Ok(Some(specials).filter(|specials| !specials.is_none()))
}

/// How many values there were, and their exact sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FloatSum {
    count: u64,
    sum: ExactSum,
}

impl FloatSum {
    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.count = self.count.wrapping_add(1);
        self.sum.add(value);
    }

    /// Takes a value off that was added before.
    #[inline]
    pub fn remove(&mut self, value: f64) {
        self.count = self.count.wrapping_sub(1);
        self.sum.remove(value);
    }

    /// Adds all that another one holds.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.wrapping_add(other.count);
        self.sum.merge(&other.sum);
    }

    /// Takes off all that another one holds.
    pub fn subtract(&mut self, other: &Self) {
        self.count = self.count.wrapping_sub(other.count);
        self.sum.subtract(&other.sum);
    }

    /// Counts a number and adds it, or takes it off.
    #[inline]
    pub(super) fn combine_parts(&mut self, parts: Parts, sign: Sign) {
        self.count_one(sign);
        self.sum.add_parts(parts, sign);
    }

    /// Counts a number and adds it, or takes it off.
    pub(super) fn combine_dyadic(&mut self, number: &Dyadic, sign: Sign) {
        self.count_one(sign);
        self.sum.finite.add_dyadic(number, 1, sign);
    }

    fn count_one(&mut self, sign: Sign) {
        self.count = if sign == Sign::Plus { self.count.wrapping_add(1) } else { self.count.wrapping_sub(1) };
    }

    /// Returns the sum of the finite values, if there are no others.
    pub(super) fn finite(&self) -> Option<&Fixed<4>> {
        self.sum.specials.is_none().then_some(&self.sum.finite)
    }

    /// Returns the sum; `None` if there is a NaN or an infinity among the values.
    pub(super) fn total(&self) -> Option<Dyadic> {
        self.finite().map(|finite| finite.total(1))
    }

    /// Returns how many values there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the sum, rounded once; `None` of no values.
    #[must_use]
    pub fn sum(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.round())
    }

    /// Returns the mean: the exact quotient of sum and count, rounded once; `None` of no values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if let Some(special) = self.sum.special() {
            return Some(special);
        }
        // A sum that is a float divides by a float as exactly as the quotient below, and much faster.
        let rounded = self.sum.round();
        if self.count >> 53 == 0 && rounded.is_finite() && self.sum.is_exactly(rounded) {
            return Some(rounded / self.count as f64);
        }
        Some(self.sum.finite.ratio(1, self.count))
    }

    pub(in crate::aggregation) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.count);
        self.sum.encode(to);
    }

    pub(in crate::aggregation) fn decode(from: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { count: from.natural()?, sum: ExactSum::decode(from)? })
    }
}

impl ExactSum {
    /// Returns whether the finite values add up to this very float.
    fn is_exactly(&self, value: f64) -> bool {
        let mut rest = self.finite.clone();
        let (sign, mantissa, position) = parts(value);
        rest.add(position >> 6, widened::<1, 2>([mantissa], position.cast_unsigned() & 63), sign.flipped());
        rest.is_zero()
    }
}
