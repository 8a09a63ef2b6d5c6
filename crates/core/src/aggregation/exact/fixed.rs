//! An exact running sum on a fixed grid of bits.

use super::dyadic::{self, Dyadic, Limbs, Rest};
use super::{Sign, UNIT};
use crate::aggregation::codec::{Reader, Writer};
use crate::error::{Error, Result};

/// A sum of integers times `2^(degree * -1074)`, the grid of all products of `degree` floats.
///
/// The sum is `limbs * 2^(64 * base)` in two's complement, N limbs that follow the values they meet,
/// plus `wide`, in two's complement from the grid's lowest bit on. `wide` stays empty until values of
/// very different sizes meet. The degree is the owner's: it is the same in every call.
///
/// *Invariant:* the two highest bits of `limbs` are equal, and those of `wide`; one more addition of what fits below
/// never overflows.
#[derive(Debug, Clone)]
pub(super) struct Fixed<const N: usize> {
    limbs: [u64; N],
    base: i32,
    wide: Vec<u64>,
}

/// How many limbs the spread of values of about the same size takes.
const SPREAD: usize = 12;

/// No place: every first addition has to choose one.
const NOWHERE: i32 = i32::MIN;

impl<const N: usize> Default for Fixed<N> {
    fn default() -> Self {
        Self { limbs: [0; N], base: NOWHERE, wide: Vec::new() }
    }
}

impl<const N: usize> Fixed<N> {
    /// Adds `±words * 2^(64 * limb)`; the two highest bits of `words` are 0.
    #[inline]
    pub(super) fn add<const A: usize>(&mut self, limb: i32, words: [u64; A], sign: Sign) {
        let place = limb.wrapping_sub(self.base).cast_unsigned() as usize;
        if place > N - A {
            return self.add_elsewhere(limb, words, sign);
        }
        let flip = sign.mask();
        let mut carry = flip != 0;
        for (to, word) in self.limbs[place..].iter_mut().zip(words) {
            (*to, carry) = to.carrying_add(word ^ flip, carry);
        }
        for to in &mut self.limbs[place + A..] {
            (*to, carry) = to.carrying_add(flip, carry);
        }
        if is_nearly_full(self.limbs[N - 1]) {
            self.flush();
        }
    }

    #[cold]
    #[inline(never)]
    fn add_elsewhere<const A: usize>(&mut self, limb: i32, words: [u64; A], sign: Sign) {
        let (low, high) = self.extent().unwrap_or((limb, limb));
        if !self.move_to(low.min(limb), high.max(limb + A as i32)) {
            self.flush();
            self.base = (limb - (N - A) as i32 / 2).max(0);
        }
        self.add(limb, words, sign);
    }

    /// Moves the limbs so that those from `low` to before `high` are among them; returns whether they fit.
    fn move_to(&mut self, low: i32, high: i32) -> bool {
        let spare = N as i32 - (high - low);
        if spare < 0 {
            return false;
        }
        let base = (low - spare / 2).max(0);
        let fill = self.fill();
        let old = self.limbs;
        let from = if self.base == NOWHERE { base } else { self.base };
        for (i, to) in self.limbs.iter_mut().enumerate() {
            let place = base + i as i32 - from;
            *to = match usize::try_from(place) {
                Ok(place) => old.get(place).copied().unwrap_or(fill),
                Err(_) => 0,
            };
        }
        self.base = base;
        true
    }

    fn fill(&self) -> u64 {
        fill_of(self.limbs[N - 1])
    }

    fn is_unused(&self) -> bool {
        self.limbs.iter().all(|limb| *limb == 0)
    }

    /// Returns whether the sum is zero.
    pub(super) fn is_zero(&self) -> bool {
        if self.wide.is_empty() { self.is_unused() } else { self.total(1).is_zero() }
    }

    /// Returns the limbs in use, from the lowest that is not 0 to before those that only repeat the sign.
    fn extent(&self) -> Option<(i32, i32)> {
        let low = self.limbs.iter().position(|limb| *limb != 0)?;
        let mut high = N;
        while high > low + 1
            && self.limbs[high - 1] == fill_of(self.limbs[high - 2])
            && !is_nearly_full(self.limbs[high - 2])
        {
            high -= 1;
        }
        Some((self.base + low as i32, self.base + high as i32))
    }

    /// Moves what the limbs hold into `wide`.
    fn flush(&mut self) {
        if !self.is_unused() {
            let (limbs, fill, base) = (self.limbs, self.fill(), self.base);
            self.add_wide(base.unsigned_abs() as usize, &limbs, fill, Sign::Plus);
            self.limbs = [0; N];
        }
        self.base = NOWHERE;
    }

    /// Adds, or takes off, `words` from limb `at` on, which `fill` goes on above.
    fn add_wide(&mut self, at: usize, words: &[u64], fill: u64, sign: Sign) {
        let length = self.wide.len().max(at + words.len() + 1);
        let own = self.wide.last().map_or(0, |limb| fill_of(*limb));
        self.wide.resize(length, own);
        let flip = sign.mask();
        let mut carry = flip != 0;
        for (i, to) in self.wide[at..].iter_mut().enumerate() {
            let word = words.get(i).copied().unwrap_or(fill);
            (*to, carry) = to.carrying_add(word ^ flip, carry);
        }
        if let Some(top) = self.wide.last().copied().filter(|top| is_nearly_full(*top)) {
            self.wide.push(fill_of(top));
        }
    }

    /// Adds a number on the grid.
    pub(super) fn add_dyadic(&mut self, number: &Dyadic, degree: i64, sign: Sign) {
        if number.is_zero() {
            return;
        }
        let position = (number.exponent() - UNIT * degree).max(0) as usize;
        let words = dyadic::shifted(number.limbs(), position % 64);
        self.add_wide(position / 64, &words, 0, number.sign().times(sign));
    }

    /// Adds, or takes off, all that another sum of the same degree holds.
    pub(super) fn merge(&mut self, other: &Self, sign: Sign) {
        if !other.wide.is_empty() {
            self.add_wide(0, &other.wide, other.wide.last().map_or(0, |limb| fill_of(*limb)), sign);
        }
        let Some((low, high)) = other.extent() else { return };
        if self.base != other.base {
            let (own_low, own_high) = self.extent().unwrap_or((low, high));
            if !self.move_to(own_low.min(low), own_high.max(high)) {
                return self.add_wide(other.base.unsigned_abs() as usize, &other.limbs, other.fill(), sign);
            }
        }
        let (flip, fill) = (sign.mask(), other.fill());
        let mut carry = flip != 0;
        let shift = self.base - other.base;
        for (i, to) in self.limbs.iter_mut().enumerate() {
            let word = match usize::try_from(i as i32 + shift) {
                Ok(place) => other.limbs.get(place).copied().unwrap_or(fill),
                Err(_) => 0,
            };
            (*to, carry) = to.carrying_add(word ^ flip, carry);
        }
        if is_nearly_full(self.limbs[N - 1]) {
            self.flush();
        }
    }

    /// Returns the sum.
    pub(super) fn total(&self, degree: i64) -> Dyadic {
        let grid = UNIT * degree;
        let inline =
            signed(self.limbs.as_slice().into(), grid + 64 * i64::from(if self.is_unused() { 0 } else { self.base }));
        if self.wide.is_empty() { inline } else { signed(self.wide.as_slice().into(), grid).plus(&inline) }
    }

    /// Returns the float nearest to the sum.
    pub(super) fn round(&self, degree: i64) -> f64 {
        if !self.wide.is_empty() {
            return self.total(degree).round();
        }
        if self.is_unused() {
            return 0.0;
        }
        let mut limbs = self.limbs;
        let sign = make_positive(&mut limbs);
        dyadic::round(sign, &limbs, UNIT * degree + 64 * i64::from(self.base), Rest::Nothing)
    }

    /// Returns the float nearest to the sum by a count, which is not 0.
    pub(super) fn ratio(&self, degree: i64, by: u64) -> f64 {
        if !self.wide.is_empty() || self.is_unused() {
            return self.total(degree).ratio(&Dyadic::natural(by));
        }
        let mut limbs = self.limbs;
        let sign = make_positive(&mut limbs);
        let (quotient, rest, exponent) = dyadic::quotient(&limbs, by);
        dyadic::round(sign, &quotient, UNIT * degree + 64 * i64::from(self.base) + exponent, rest)
    }

    /// Returns `count * squares - sum²` of sums of the second and first degree, as limbs times `2^exponent`; `None` where it
    /// takes more limbs than that.
    pub(super) fn spread<const S: usize>(count: u64, squares: &Self, sum: &Fixed<S>) -> Option<([u64; SPREAD], i64)> {
        if !squares.wide.is_empty() || !sum.wide.is_empty() || fill_of(squares.limbs[N - 1]) != 0 {
            return None;
        }
        let base = if sum.is_unused() { squares.base } else { 2 * sum.base };
        let low = base.min(squares.base);
        let mut spread = [0; SPREAD];
        let place = (squares.base - low) as usize;
        let to = spread.get_mut(place..=place + N)?;
        let mut carry = 0;
        for (to, limb) in to.iter_mut().zip(squares.limbs.into_iter().chain([0])) {
            let product = u128::from(limb) * u128::from(count) + u128::from(carry);
            (*to, carry) = (product as u64, (product >> 64) as u64);
        }
        let mut root = sum.limbs;
        make_positive(&mut root);
        let used = root.iter().rposition(|limb| *limb != 0).map_or(0, |last| last + 1);
        for (i, l) in root[..used].iter().enumerate() {
            let place = (base - low) as usize + i;
            let (mut carry, mut borrow) = (0, false);
            let to = spread.get_mut(place..).filter(|to| to.len() > used)?;
            for (j, to) in to.iter_mut().enumerate() {
                let r = if j < used { root[j] } else { 0 };
                let product = u128::from(*l) * u128::from(r) + u128::from(carry);
                carry = (product >> 64) as u64;
                (*to, borrow) = to.borrowing_sub(product as u64, borrow);
            }
        }
        Some((spread, 2 * UNIT + 64 * i64::from(low)))
    }

    /// Writes the sum in its one form: the place of its lowest bit, its sign, and its bits from there on.
    pub(super) fn encode(&self, degree: i64, to: &mut Writer<'_>) {
        let total = self.total(degree);
        let Some(lowest) = total.limbs().first() else { return to.natural(0) };
        let zeros = lowest.trailing_zeros();
        let bytes: Vec<u8> = dyadic::shifted(total.limbs(), (64 - zeros as usize) % 64)
            .iter()
            .skip(usize::from(zeros > 0))
            .flat_map(|limb| limb.to_le_bytes())
            .collect();
        let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        to.natural((length as u64) << 1 | u64::from(total.sign() == Sign::Minus));
        to.natural((total.exponent() - UNIT * degree + i64::from(zeros)).unsigned_abs());
        to.bytes(&bytes[..length]);
    }

    /// Reads what [`Fixed::encode`] wrote.
    pub(super) fn decode(degree: i64, from: &mut Reader<'_>) -> Result<Self> {
        let mut sum = Self::default();
        let head = from.natural()?;
        if head == 0 {
            return Ok(sum);
        }
        // The highest bit of a product, and 64 more for how many there may be.
        let limit = (2_098 * degree.unsigned_abs() + 64).next_multiple_of(64);
        let (length, sign) = (head >> 1, Sign::of(head & 1 == 1));
        let position = from.natural()?;
        if length > limit / 8 || position > limit || position + 8 * length > limit + 64 {
            return Err(Error::corrupt("a stored sum is out of range"));
        }
        let bytes = from.bytes(length as usize)?;
        if bytes.first().is_none_or(|byte| byte & 1 == 0) || bytes.last() == Some(&0) {
            return Err(Error::corrupt("a stored sum is not in its shortest form"));
        }
        let limbs: Limbs = bytes
            .chunks(8)
            .map(|chunk| chunk.iter().rev().fold(0, |limb, byte| limb << 8 | u64::from(*byte)))
            .collect();
        sum.add_dyadic(&Dyadic::new(sign, limbs, position as i64 + UNIT * degree), degree, Sign::Plus);
        sum.draw_in();
        Ok(sum)
    }

    /// Moves what `wide` holds into the limbs, where it fits, for the sums that follow to be quick.
    fn draw_in(&mut self) {
        let Some(low) = self.wide.iter().position(|limb| *limb != 0) else { return self.wide.clear() };
        let fill = self.wide.last().map_or(0, |limb| fill_of(*limb));
        let used = self.wide.iter().rposition(|limb| *limb != fill).map_or(low, |top| top.max(low)) + 1;
        if !self.is_unused() || used - low >= N {
            return;
        }
        self.base = low.saturating_sub((N - (used - low)) / 2) as i32;
        for (i, to) in self.limbs.iter_mut().enumerate() {
            *to = self.wide.get(self.base.unsigned_abs() as usize + i).copied().unwrap_or(fill);
        }
        self.wide.clear();
    }
}

impl<const N: usize> PartialEq for Fixed<N> {
    fn eq(&self, other: &Self) -> bool {
        // The grid moves both alike.
        self.total(1) == other.total(1)
    }
}

/// Returns what lies above a number whose highest limb this is.
fn fill_of(top: u64) -> u64 {
    (top.cast_signed() >> 63).cast_unsigned()
}

/// Returns whether the next addition could overflow the limb.
#[inline]
fn is_nearly_full(top: u64) -> bool {
    (top ^ top << 1) >> 63 == 1
}

/// Negates a negative number in two's complement; returns the sign it had.
fn make_positive(limbs: &mut [u64]) -> Sign {
    let sign = Sign::of(limbs.last().is_some_and(|top| top >> 63 == 1));
    if sign == Sign::Minus {
        let mut carry = true;
        for limb in limbs {
            (*limb, carry) = (!*limb).carrying_add(0, carry);
        }
    }
    sign
}

fn signed(mut limbs: Limbs, exponent: i64) -> Dyadic {
    let sign = make_positive(&mut limbs);
    Dyadic::new(sign, limbs, exponent)
}
