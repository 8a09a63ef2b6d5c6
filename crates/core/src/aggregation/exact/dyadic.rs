//! Integers of any size times a power of two, and their quotients rounded once to a float.

use smallvec::{SmallVec, smallvec};

use super::Sign;

/// The limbs of a number; those of the usual sums and their squares need no memory of their own.
pub(crate) type Limbs = SmallVec<[u64; 10]>;

/// A number of the form `±limbs * 2^exponent`; the limbs are little-endian.
///
/// *Invariant:* the highest and the lowest limb are not 0; zero has no limbs, exponent 0 and sign plus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dyadic {
    sign: Sign,
    limbs: Limbs,
    exponent: i64,
}

impl Dyadic {
    /// Returns the number of the given parts, brought into its one form.
    pub(crate) fn new(sign: Sign, mut limbs: Limbs, exponent: i64) -> Self {
        trim(&mut limbs);
        let low = limbs.iter().take_while(|limb| **limb == 0).count();
        if low > 0 {
            limbs.drain(..low);
        }
        if limbs.is_empty() {
            return Self { sign: Sign::Plus, limbs, exponent: 0 };
        }
        Self { sign, limbs, exponent: exponent + 64 * low as i64 }
    }

    pub(crate) fn zero() -> Self {
        Self::new(Sign::Plus, Limbs::new(), 0)
    }

    pub(crate) fn integer(value: i128) -> Self {
        let magnitude = value.unsigned_abs();
        Self::new(Sign::of(value < 0), smallvec![magnitude as u64, (magnitude >> 64) as u64], 0)
    }

    pub(crate) fn natural(value: u64) -> Self {
        Self::new(Sign::Plus, smallvec![value], 0)
    }

    /// Returns the float nearest to a decimal of these digits.
    pub(crate) fn decimal(unscaled: i128, scale: i8) -> f64 {
        let (up, down) = (super::integer::power_of_ten(scale.saturating_neg()), super::integer::power_of_ten(scale));
        Self::integer(unscaled).times(&up).ratio(&down)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    pub(crate) fn sign(&self) -> Sign {
        self.sign
    }

    pub(crate) fn limbs(&self) -> &[u64] {
        &self.limbs
    }

    pub(crate) fn exponent(&self) -> i64 {
        self.exponent
    }

    /// Returns the number times `2^by`.
    pub(crate) fn scaled(mut self, by: i64) -> Self {
        if !self.is_zero() {
            self.exponent += by;
        }
        self
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        let product = multiply(&self.limbs, &other.limbs);
        Self::new(self.sign.times(other.sign), product, self.exponent + other.exponent)
    }

    /// Returns the number times a small one, in place.
    pub(crate) fn times_natural(mut self, factor: u64) -> Self {
        let mut carry = 0;
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            (*limb, carry) = (product as u64, (product >> 64) as u64);
        }
        if carry > 0 {
            self.limbs.push(carry);
        }
        Self::new(self.sign, self.limbs, self.exponent)
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        self.combined(other, other.sign)
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.combined(other, other.sign.flipped())
    }

    /// Returns the sum with the size of another number, taken with a sign.
    fn combined(&self, other: &Self, sign: Sign) -> Self {
        if other.is_zero() {
            return self.clone();
        }
        if self.is_zero() {
            return Self { sign, ..other.clone() };
        }
        let exponent = self.exponent.min(other.exponent);
        let mut left = shifted(&self.limbs, (self.exponent - exponent) as usize);
        let mut right = shifted(&other.limbs, (other.exponent - exponent) as usize);
        trim(&mut left);
        trim(&mut right);
        let swapped = is_less(&left, &right);
        if swapped {
            std::mem::swap(&mut left, &mut right);
        }
        if self.sign == sign {
            add_to(&mut left, &right);
        } else {
            subtract_from(&mut left, &right);
        }
        Self::new(if swapped { sign } else { self.sign }, left, exponent)
    }

    /// Returns the nearest float, the even one of two; an infinity past the greatest, 0.0 for zero.
    pub(crate) fn round(&self) -> f64 {
        round(self.sign, &self.limbs, self.exponent, Rest::Nothing)
    }

    /// Returns the float nearest to `self / by`, rounded once. `by` is not zero.
    pub(crate) fn ratio(&self, by: &Self) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        if let [by_limb] = *by.limbs {
            let (quotient, rest, exponent) = quotient(&self.limbs, by_limb);
            return round(self.sign.times(by.sign), &quotient, self.exponent - by.exponent + exponent, rest);
        }
        // 66 bits of quotient and whether anything is left are more than any rounding looks at.
        let missing = 66 - (bits(&self.limbs) as i64 - bits(&by.limbs) as i64);
        let up = missing.max(0);
        let (quotient, rest) = divide(&shifted(&self.limbs, up as usize), &by.limbs);
        round(self.sign.times(by.sign), &quotient, self.exponent - by.exponent - up, rest)
    }

    /// Returns the square root of `|self / by|`: the quotient is rounded once to 53 bits, whatever its
    /// exponent, and the root once more.
    pub(crate) fn root_of_ratio(&self, by: &Self) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        let magnitude = |number: &Self| bits(&number.limbs) as i64 + number.exponent;
        let half = (magnitude(self) - magnitude(by)).div_euclid(2);
        let root = self.clone().scaled(-2 * half).ratio(by).abs().sqrt();
        let (_, mantissa, position) = super::parts(root);
        round(Sign::Plus, &[mantissa], i64::from(position) + super::UNIT + half, Rest::Nothing)
    }
}

/// What a quotient leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is exact.
    Nothing,
    /// Something less than one unit of its lowest limb.
    Something,
}

/// Returns the float nearest to `±(limbs + rest) * 2^exponent`, the even one of two.
pub(crate) fn round(sign: Sign, limbs: &[u64], exponent: i64, rest: Rest) -> f64 {
    let length = bits(limbs);
    if length == 0 {
        return 0.0;
    }
    let negative = u64::from(sign == Sign::Minus) << 63;
    let power = length as i64 - 1 + exponent;
    if power > 1023 {
        return f64::from_bits(negative | 0x7ff << 52);
    }
    let (top, below) = top_bits(limbs, length);
    let rest = if below == Rest::Something { below } else { rest };
    // Below 2^-1022 there are fewer bits.
    let dropped = 11 + (-1022 - power).max(0);
    if dropped > 64 {
        return f64::from_bits(negative);
    }
    let kept = if dropped == 64 { 0 } else { top >> dropped };
    let cut = top << (64 - dropped);
    let half = 1 << 63;
    let up = cut > half || (cut == half && (rest == Rest::Something || kept & 1 == 1));
    // A carry out of the mantissa raises the exponent, as it should.
    let normal = if power < -1022 { 0 } else { ((power + 1022) as u64) << 52 };
    f64::from_bits(negative | (normal + kept + u64::from(up)))
}

/// Returns the quotient of limbs that are not all 0 by one, to 64 bits or more, as two limbs times `2^exponent`, and
/// whether anything is left: their 128 highest bits are divided, which gives the highest bits of the whole quotient.
pub(crate) fn quotient(limbs: &[u64], by: u64) -> ([u64; 2], Rest, i64) {
    let length = bits(limbs);
    let (high, _) = top_bits(limbs, length);
    let (low, more) = if length > 64 { top_bits(limbs, length - 64) } else { (0, Rest::Nothing) };
    let (high, rest) = divide_limb(0, high, by);
    let (low, rest) = divide_limb(rest, low, by);
    let rest = if rest == 0 { more } else { Rest::Something };
    ([low, high], rest, length as i64 - 128)
}

/// Returns the 64 highest bits, and whether there are more below them.
fn top_bits(limbs: &[u64], length: usize) -> (u64, Rest) {
    let last = (length - 1) / 64;
    let gap = (64 - length % 64) % 64;
    let mut top = limbs[last] << gap;
    let mut more = false;
    if last > 0 {
        let next = limbs[last - 1];
        if gap > 0 {
            top |= next >> (64 - gap);
        }
        more = next << gap != 0 || limbs[..last - 1].iter().any(|limb| *limb != 0);
    }
    (top, if more { Rest::Something } else { Rest::Nothing })
}

/// Returns the number of bits up to the highest that is set.
pub(crate) fn bits(limbs: &[u64]) -> usize {
    let top = limbs.iter().rposition(|limb| *limb != 0);
    top.map_or(0, |top| 64 * top + 64 - limbs[top].leading_zeros() as usize)
}

fn trim(limbs: &mut Limbs) {
    while limbs.last() == Some(&0) {
        limbs.pop();
    }
}

/// Returns `limbs * 2^by`.
pub(crate) fn shifted(limbs: &[u64], by: usize) -> Limbs {
    let (whole, part) = (by / 64, by % 64);
    let mut to: Limbs = smallvec![0; whole + limbs.len() + 1];
    let (place, last) = to[whole..].split_at_mut(limbs.len());
    if part == 0 {
        place.copy_from_slice(limbs);
        return to;
    }
    let mut carry = 0;
    for (to, limb) in place.iter_mut().zip(limbs) {
        *to = limb << part | carry;
        carry = limb >> (64 - part);
    }
    last[0] = carry;
    to
}

/// Compares numbers without leading zeros.
fn is_less(left: &[u64], right: &[u64]) -> bool {
    if left.len() == right.len() { left.iter().rev().lt(right.iter().rev()) } else { left.len() < right.len() }
}

/// Adds in place; `to` is at least as long as `from`.
fn add_to(to: &mut Limbs, from: &[u64]) {
    let mut carry = false;
    for (i, limb) in to.iter_mut().enumerate() {
        (*limb, carry) = limb.carrying_add(from.get(i).copied().unwrap_or(0), carry);
    }
    if carry {
        to.push(1);
    }
}

/// Subtracts in place; `to` is not the lesser number.
fn subtract_from(to: &mut [u64], from: &[u64]) {
    let mut borrow = false;
    for (i, limb) in to.iter_mut().enumerate() {
        (*limb, borrow) = limb.borrowing_sub(from.get(i).copied().unwrap_or(0), borrow);
    }
}

fn multiply(left: &[u64], right: &[u64]) -> Limbs {
    let mut product: Limbs = smallvec![0; left.len() + right.len()];
    for (i, &l) in left.iter().enumerate() {
        let mut carry = 0;
        for (j, &r) in right.iter().enumerate() {
            let sum = u128::from(l) * u128::from(r) + u128::from(product[i + j]) + u128::from(carry);
            product[i + j] = sum as u64;
            carry = (sum >> 64) as u64;
        }
        product[i + right.len()] = carry;
    }
    product
}

/// Returns the whole quotient, and whether something is left. `by` has two limbs or more, the highest of them not 0.
fn divide(number: &[u64], by: &[u64]) -> (Limbs, Rest) {
    let left = |rest: &[u64]| if rest.iter().any(|limb| *limb != 0) { Rest::Something } else { Rest::Nothing };
    let gap = by.last().map_or(0, |top| top.leading_zeros() as usize);
    let mut by = shifted(by, gap);
    trim(&mut by);
    let mut rest = shifted(number, gap);
    rest.push(0);
    let mut quotient: Limbs = smallvec![0; rest.len().saturating_sub(by.len())];
    for place in (0..quotient.len()).rev() {
        quotient[place] = quotient_limb(&mut rest[place..=place + by.len()], &by);
    }
    (quotient, left(&rest))
}

/// Returns the quotient and rest of `(rest * 2^64 + limb) / by`; the rest before is less than `by`.
#[inline]
pub(crate) fn divide_limb(rest: u64, limb: u64, by: u64) -> (u64, u64) {
    if rest == 0 {
        return (limb / by, limb % by);
    }
    let quotient = ((u128::from(rest) << 64 | u128::from(limb)) / u128::from(by)) as u64;
    (quotient, limb.wrapping_sub(quotient.wrapping_mul(by)))
}

/// Returns one limb of a quotient, and takes its product with `by` off: step D3 to D6 of algorithm D
/// (Knuth, The Art of Computer Programming 2, 4.3.1). The highest bit of `by` is set, which has two limbs or more.
fn quotient_limb(rest: &mut [u64], by: &[u64]) -> u64 {
    let n = by.len();
    let (top, next) = (u128::from(by[n - 1]), u128::from(by[n - 2]));
    let head = u128::from(rest[n]) << 64 | u128::from(rest[n - 1]);
    let (mut guess, mut left) = (head / top, head % top);
    while guess >> 64 != 0 || guess * next > (left << 64 | u128::from(rest[n - 2])) {
        guess -= 1;
        left += top;
        if left >> 64 != 0 {
            break;
        }
    }
    let (mut carry, mut borrow) = (0_u128, false);
    for (limb, &b) in rest.iter_mut().zip(by.iter().chain(&[0])) {
        let product = guess * u128::from(b) + carry;
        carry = product >> 64;
        (*limb, borrow) = limb.borrowing_sub(product as u64, borrow);
    }
    if borrow {
        guess -= 1;
        let mut carry = false;
        for (limb, &b) in rest.iter_mut().zip(by.iter().chain(&[0])) {
            (*limb, carry) = limb.carrying_add(b, carry);
        }
    }
    guess as u64
}
