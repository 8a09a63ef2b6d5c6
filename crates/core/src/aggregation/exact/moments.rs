//! Exact sums of powers, and what follows from them.

use super::fixed::Fixed;
use super::integer::power_of_ten;
use super::{Dyadic, FloatSum, Parts, Sign, dyadic, parts, widened};
use crate::aggregation::codec::{Reader, Writer};
use crate::error::Result;

/// Up to which power values are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Squares: variances and standard deviations.
    Second,
    /// Cubes too: the skew.
    Third,
    /// Fourth powers too: the kurtosis.
    Fourth,
}

/// What is made of the sums of powers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The mean square distance from the mean.
    VarPop,
    /// The same by n - 1.
    VarSamp,
    /// The square root of [`Moment::VarPop`].
    StddevPop,
    /// The square root of [`Moment::VarSamp`].
    StddevSamp,
    /// The third standardised moment of the population.
    Skew,
    /// The fourth standardised moment of the population, less 3.
    Kurtosis,
}

impl Moment {
    /// Returns up to which power values have to be summed.
    #[must_use]
    pub fn order(self) -> Order {
        match self {
            Self::Skew => Order::Third,
            Self::Kurtosis => Order::Fourth,
            _ => Order::Second,
        }
    }
}

/// The exact sums of values and of their powers: order-free, invertible, mergeable.
///
/// # Behavior
/// - Variances and the kurtosis are exact quotients of integers, rounded once.
/// - A standard deviation is the root of the exact variance rounded to 53 bits, whatever its exponent; the
///   root is rounded once more. The skew is such a root too, of its exact square.
/// - NaN or an infinity among the values makes all of them NaN.
/// - Of no values all are `None`; so are sample forms of one value, and skew and kurtosis of equal values.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    values: FloatSum,
    squares: Fixed<6>,
    higher: Option<Box<Higher>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Higher {
    order: Order,
    cubes: Fixed<8>,
    fourths: Fixed<8>,
}

impl Moments {
    /// Returns the sums of no values.
    #[must_use]
    pub fn new(order: Order) -> Self {
        let higher = Higher { order, cubes: Fixed::default(), fourths: Fixed::default() };
        Self {
            values: FloatSum::default(),
            squares: Fixed::default(),
            higher: (order > Order::Second).then(|| Box::new(higher)),
        }
    }

    /// Returns up to which power values are summed.
    #[must_use]
    pub fn order(&self) -> Order {
        self.higher.as_ref().map_or(Order::Second, |higher| higher.order)
    }

    /// Returns how many values there are, and their sum.
    #[must_use]
    pub fn values(&self) -> &FloatSum {
        &self.values
    }

    /// Adds a value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.values.add(value);
        if value.is_finite() {
            self.add_powers(parts(value), Sign::Plus);
        }
    }

    /// Takes a value off that was added before.
    #[inline]
    pub fn remove(&mut self, value: f64) {
        self.values.remove(value);
        if value.is_finite() {
            self.add_powers(parts(value), Sign::Minus);
        }
    }

    /// Adds an integer, all 64 bits of it.
    #[inline]
    pub fn add_i64(&mut self, value: i64) {
        self.combine_i64(value, Sign::Plus);
    }

    /// Takes an integer off that was added before.
    #[inline]
    pub fn remove_i64(&mut self, value: i64) {
        self.combine_i64(value, Sign::Minus);
    }

    #[inline]
    fn combine_i64(&mut self, value: i64, sign: Sign) {
        let parts = (Sign::of(value < 0), value.unsigned_abs(), -super::UNIT as i32);
        self.values.combine_parts(parts, sign);
        self.add_powers(parts, sign);
    }

    /// Adds an integer of 128 bits, such as a decimal's digits.
    pub fn add_wide(&mut self, value: i128) {
        self.combine_wide(value, Sign::Plus);
    }

    /// Takes an integer of 128 bits off that was added before.
    pub fn remove_wide(&mut self, value: i128) {
        self.combine_wide(value, Sign::Minus);
    }

    #[inline]
    fn add_powers(&mut self, (sign, mantissa, position): Parts, as_sign: Sign) {
        let shift = |degree: i32| ((degree * position) >> 6, (degree * position).cast_unsigned() & 63);
        let square = u128::from(mantissa) * u128::from(mantissa);
        let square = [square as u64, (square >> 64) as u64];
        let (limb, by) = shift(2);
        self.squares.add(limb, widened::<2, 3>(square, by), as_sign);
        let Some(higher) = &mut self.higher else { return };
        let cube: [u64; 3] = product(square, [mantissa]);
        let (limb, by) = shift(3);
        higher.cubes.add(limb, widened::<3, 4>(cube, by), sign.times(as_sign));
        if higher.order == Order::Fourth {
            let fourth: [u64; 4] = product(square, square);
            let (limb, by) = shift(4);
            higher.fourths.add(limb, widened::<4, 5>(fourth, by), as_sign);
        }
    }

    fn combine_wide(&mut self, value: i128, sign: Sign) {
        let value = Dyadic::integer(value);
        let square = value.times(&value);
        self.values.combine_dyadic(&value, sign);
        self.squares.add_dyadic(&square, 2, sign);
        if let Some(higher) = &mut self.higher {
            higher.cubes.add_dyadic(&square.times(&value), 3, sign);
            if higher.order == Order::Fourth {
                higher.fourths.add_dyadic(&square.times(&square), 4, sign);
            }
        }
    }

    /// Adds all that others of the same order hold.
    pub fn merge(&mut self, other: &Self) {
        self.values.merge(&other.values);
        self.merge_powers(other, Sign::Plus);
    }

    /// Takes off all that others of the same order hold.
    pub fn subtract(&mut self, other: &Self) {
        self.values.subtract(&other.values);
        self.merge_powers(other, Sign::Minus);
    }

    fn merge_powers(&mut self, other: &Self, sign: Sign) {
        self.squares.merge(&other.squares, sign);
        if let (Some(to), Some(from)) = (&mut self.higher, &other.higher) {
            to.cubes.merge(&from.cubes, sign);
            to.fourths.merge(&from.fourths, sign);
        }
    }

    /// Returns a moment of the values, which have `scale` digits after the point.
    #[must_use]
    pub fn finish(&self, moment: Moment, scale: i8) -> Option<f64> {
        let least = if matches!(moment, Moment::VarSamp | Moment::StddevSamp) { 2 } else { 1 };
        let count = self.values.count();
        if count < least {
            return None;
        }
        if let Some(variance) = self.quick_variance(moment).filter(|_| scale == 0) {
            let is_root = matches!(moment, Moment::StddevPop | Moment::StddevSamp);
            return Some(if is_root { variance.sqrt() } else { variance });
        }
        let Some(sum) = self.values.total() else { return Some(f64::NAN) };
        let squares = self.squares.total(2);
        // n² times the variance.
        let spread = squares.clone().times_natural(count).minus(&sum.times(&sum));
        let other = match moment {
            Moment::VarPop | Moment::StddevPop => count,
            Moment::VarSamp | Moment::StddevSamp => count - 1,
            Moment::Skew | Moment::Kurtosis => return self.finish_higher(moment, &sum, &squares, &spread),
        };
        let by = Dyadic::natural(count).times_natural(other);
        let (spread, by) = if scale == 0 { (spread, by) } else { unscaled(&spread, &by, scale) };
        Some(match moment {
            Moment::VarPop | Moment::VarSamp => spread.ratio(&by),
            _ => spread.root_of_ratio(&by),
        })
    }

    /// Returns the variance of numbers of about the same size, if it has 53 bits: all but its rounding is done on limbs in
    /// place.
    fn quick_variance(&self, moment: Moment) -> Option<f64> {
        let count = self.values.count();
        let other = match moment {
            Moment::VarPop | Moment::StddevPop => count,
            Moment::VarSamp | Moment::StddevSamp => count - 1,
            Moment::Skew | Moment::Kurtosis => return None,
        };
        let by = count.checked_mul(other)?;
        let (spread, exponent) = Fixed::spread(count, &self.squares, self.values.finite()?)?;
        if spread.iter().all(|limb| *limb == 0) {
            return Some(0.0);
        }
        let (quotient, rest, up) = dyadic::quotient(&spread, by);
        Some(dyadic::round(Sign::Plus, &quotient, exponent + up, rest)).filter(|variance| variance.is_normal())
    }

    /// Returns the skew or the kurtosis, which have no unit; `None` where all values are equal.
    fn finish_higher(&self, moment: Moment, s1: &Dyadic, s2: &Dyadic, spread: &Dyadic) -> Option<f64> {
        let higher = self.higher.as_ref().filter(|_| !spread.is_zero())?;
        let times = |factor: u64, parts: [&Dyadic; 3]| {
            parts.iter().fold(Dyadic::natural(factor), |product, part| product.times(part))
        };
        let (n, one) = (&Dyadic::natural(self.values.count()), &Dyadic::natural(1));
        let s3 = &higher.cubes.total(3);
        if moment == Moment::Skew {
            // n³ times the third moment; its square by the cube of the spread is the square of the skew.
            let third = times(1, [n, n, s3]).minus(&times(3, [n, s1, s2])).plus(&times(2, [s1, s1, s1]));
            let root = third.times(&third).root_of_ratio(&times(1, [spread, spread, spread]));
            return Some(if third.sign() == Sign::Minus { -root } else { root });
        }
        let s4 = &higher.fourths.total(4);
        // n⁴ times the fourth moment, by the square of the spread, less 3.
        let fourth = times(1, [n, n, n])
            .times(s4)
            .minus(&times(4, [n, n, s1]).times(s3))
            .plus(&times(6, [n, s1, s1]).times(s2))
            .minus(&times(3, [s1, s1, s1]).times(s1));
        let square = times(1, [spread, spread, one]);
        Some(fourth.minus(&times(3, [&square, one, one])).ratio(&square))
    }

    pub(in crate::aggregation) fn encode(&self, to: &mut Writer<'_>) {
        self.values.encode(to);
        self.squares.encode(2, to);
        if let Some(higher) = &self.higher {
            higher.cubes.encode(3, to);
            if higher.order == Order::Fourth {
                higher.fourths.encode(4, to);
            }
        }
    }

    pub(in crate::aggregation) fn decode(order: Order, from: &mut Reader<'_>) -> Result<Self> {
        let mut moments = Self::new(order);
        moments.values = FloatSum::decode(from)?;
        moments.squares = Fixed::decode(2, from)?;
        if let Some(higher) = &mut moments.higher {
            higher.cubes = Fixed::decode(3, from)?;
            if order == Order::Fourth {
                higher.fourths = Fixed::decode(4, from)?;
            }
        }
        Ok(moments)
    }
}

/// Returns a square unit's quotient for values with `scale` digits after the point.
fn unscaled(number: &Dyadic, by: &Dyadic, scale: i8) -> (Dyadic, Dyadic) {
    let (up, down) = (power_of_ten(scale.saturating_neg()), power_of_ten(scale));
    (number.times(&up).times(&up), by.times(&down).times(&down))
}

/// Returns the product of two integers; P is the sum of L and R.
#[inline]
fn product<const L: usize, const R: usize, const P: usize>(left: [u64; L], right: [u64; R]) -> [u64; P] {
    let mut product = [0_u64; P];
    for (i, l) in left.into_iter().enumerate() {
        let mut carry = 0;
        for (j, r) in right.into_iter().enumerate() {
            let sum = u128::from(l) * u128::from(r) + u128::from(product[i + j]) + u128::from(carry);
            product[i + j] = sum as u64;
            carry = (sum >> 64) as u64;
        }
        product[i + R] = carry;
    }
    product
}
